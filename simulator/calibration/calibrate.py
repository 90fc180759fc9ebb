"""Fit a scenario to a team's own log by matching its stylised facts, exactly or through
differentially private sums.

    fit = calibrate(log, trials=60)                     # fit.distance_before, fit.distance,
    fit.settings fit.write("my.toml");  simulator.simulate("my.toml", users=10_000, days=60, seed=1)

The size of the catalogue and the first day are taken over; the other settings are searched
(`search`) so that a small simulated shop shows the log's facts (`summary_statistics`). A fact's
miss is its log ratio to the target in units of a tolerance of 10 %; the distance is the root mean
square over the facts, of a simulation whose seed the search has never seen. With `epsilon`, all
that is learnt is one release of bounded sums with Gaussian noise; the scenario, and every log that
is simulated from it, carries that guarantee.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eventlog._runtime.console import track
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_file, write_json
from eventlog.log import EventLog
from simulator.calibration.optimizer import search
from simulator.calibration.private_release import Release, release
from simulator.calibration.statistics import (
    BOUNDS,
    ITEM_QUESTIONS,
    PRICE_CENTRE,
    Outline,
    SummaryStatistics,
    Window,
    facts_of,
    outline_of,
    summary_statistics,
    window_of,
)
from simulator.calibration.trials import Trials, append, release_of
from simulator.scenario import Scenario, load, settings

TOLERANCE = 0.1  # relative miss of a fact that counts as one
# in the distance a miss counts as this many tolerances at most, as does a fact that is not shown
FAR = 10.0
LONGEST = 120  # days that are looked at unless told otherwise
ROWS = 150_000  # rows that a look at the simulator aims at
NOISY = 0.7  # sd of a fact's log from the noise of the release, from which it is left out
ITEM_NOISE = 5.0  # sds of noise that an item's count must exceed to count towards a Zipf slope

# Setting -> how it is searched, a typical step, and a guess of which facts it moves (change of the
# fact's log per unit).
MOVES: dict[str, tuple[str, float, dict[str, float]]] = {
    "shoppers.visits": (
        "log",
        0.5,
        {"sessions per user, geometric mean": 0.7, "orders per buyer": 0.6},
    ),
    "shoppers.visits_shape": ("log", 0.4, {"sessions per user, sd of log": -0.25}),
    "checkout.cart": (
        "as is",
        0.5,
        {
            "add_to_cart / view": 0.9,
            "sessions that buy": 0.7,
            "users who buy": 0.5,
            "basket, mean lines": 0.1,
            "basket, share with one line": -0.1,
        },
    ),
    "checkout.begin": (
        "as is",
        0.5,
        {"purchase / add_to_cart": 0.6, "sessions that buy": 0.5, "orders per buyer": 0.2},
    ),
    "checkout.forget": ("logit", 0.5, {"purchase / add_to_cart": -0.1}),
    "sessions.leave": ("logit", 0.4, {"session length, mean": -0.35}),
    "sessions.leave_sigma": ("as is", 0.3, {"session length, sd of log(length - 1)": 0.15}),
    "sessions.reopen": ("as is", 0.4, {"repeat clicks within a session": 0.5}),
    "catalogue.appeal_slope": ("as is", 0.15, {"Zipf slope of clicks": 0.5}),
    "checkout.cart_match": ("as is", 0.15, {"Zipf slope of purchases": 0.3}),
    "shoppers.propensity_sigma": ("as is", 0.25, {"Gini of purchases over buyers": 0.15}),
    "checkout.trust": ("as is", 0.3, {"conversion after / before the first order": 0.4}),
    "checkout.back_for_more": (
        "logit",
        0.6,
        {"buyers who buy once": -0.1, "time between orders, CV": 0.02},
    ),
    "churn.hazard": ("log", 0.5, {"buyers who buy once": 0.1, "orders per buyer": -0.15}),
    "checkout.basket": (
        "as is",
        0.4,
        {"basket, mean lines": 0.2, "basket, share with one line": -0.2},
    ),
    "sessions.replenish": ("logit", 0.6, {"repeat purchases of an item": 0.4}),
    "catalogue.price_sigma": ("log", 0.2, {"price of purchases, sd of log": 1.0}),
    "calendar.weekend": ("log", 0.1, {"weekend day / weekday": 0.9}),
    "calendar.campaign_visits": ("log", 0.2, {"busiest day / median day": 0.8}),
    "calendar.evening": ("as is", 0.25, {"busiest hour / mean hour": 0.55}),
    "checkout.refund": ("log", 0.3, {"orders with a refund": 1.0}),
    "fraud.share": ("log", 0.4, {"orders reported as fraud": 1.0}),
}


@dataclass(frozen=True)
class Matched:
    """One fact: the log's value, that of the default shop, that of the fitted one."""

    name: str
    target: float
    before: float
    after: float
    tolerance: float  # of its logarithm, the release's noise included

    def miss(self, value: float) -> float:
        """Misses in tolerances, FAR at most."""
        return float(
            np.clip(
                residuals(
                    {self.name: value}, {self.name: self.target}, {self.name: self.tolerance}
                )[0],
                -FAR,
                FAR,
            )
        )


@dataclass(frozen=True)
class Calibration:
    """A fitted scenario: the settings that differ from the defaults, and how well it fits."""

    settings: dict[str, Any]
    facts: list[Matched]
    fitted_to: str
    users: int  # simulated in each look
    days: int
    looks: int
    left_out: list[str]  # facts that the log, or the release, does not show
    outline: Outline  # days, event names and label kinds of the log; as released, with epsilon
    privacy: dict[str, Any] = field(default_factory=dict)  # the ledger of what was released
    # mean log price of what the log's users bought, as released
    log_price: float = math.nan
    items: np.ndarray | None = None  # (n,) ids of the log's items, where they are known
    popularity: np.ndarray | None = None  # (n,) views and purchases of each, as released

    @property
    def distance_before(self) -> float:
        """Root mean square of the misses of the default shop, in tolerances."""
        return math.sqrt(float(np.mean([f.miss(f.before) ** 2 for f in self.facts])))

    @property
    def distance(self) -> float:
        """The same for the fitted scenario."""
        return math.sqrt(float(np.mean([f.miss(f.after) ** 2 for f in self.facts])))

    def table(self) -> str:
        """The facts as aligned plain text."""
        lines = [
            f"{'fact':<44}{'log':>10}{'default':>10}{'fitted':>10}{'miss before':>14}{'after':>8}"
        ]
        lines += [
            f"{f.name:<44}{f.target:>10.4g}{f.before:>10.4g}{f.after:>10.4g}{f.miss(f.before):>14.2f}{f.miss(f.after):>8.2f}"
            for f in self.facts
        ]
        return "\n".join(
            [
                *lines,
                f"{'distance (root mean square of the misses)':<74}{self.distance_before:>14.2f}{self.distance:>8.2f}",
            ]
        )

    def to_toml(self) -> str:
        """The scenario file, with what it was fitted to, the distance and the privacy as comments
        on top.
        """
        epsilon = self.privacy.get("epsilon")
        proof = (
            f"({epsilon:g}, {self.privacy['delta']:.3g})-differential privacy for every user: see "
            "the ledger beside this file"
            if epsilon is not None
            else "none is proved; the settings follow from exact facts of the log"
        )
        head = [
            f"Fitted to {self.fitted_to}; {self.looks} looks of {self.users:,} users.",
            f"Distance {self.distance_before:.3f} before, {self.distance:.3f} after: root mean "
            f"square over {len(self.facts)} facts, "
            "one = "
            f"{TOLERANCE:.0%}{' and the noise of the release' if epsilon is not None else ''}.",
            f"Privacy: {proof}.",
            "",
            *self.table().splitlines(),
        ]
        if self.left_out:
            head += ["", f"Not fitted, for the log does not show it: {', '.join(self.left_out)}."]
        lines = [f"# {line}".rstrip() for line in head]
        lines += ["", 'description = "A shop fitted to a log"']
        by_section: dict[str, list[str]] = {}
        for key, value in self.settings.items():
            section, _, name = key.partition(".")
            by_section.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
        for section, values in by_section.items():
            lines += ["", f"[{section}]", *values]
        return "\n".join(lines) + "\n"

    def write(self, path: Path | str) -> Path:
        """Write the scenario file, and with epsilon the ledger beside it (NAME.ledger.json).
        Returns the file's path.
        """
        path = Path(path)
        if self.privacy.get("epsilon") is not None:
            write_json(ledger_path(path), self.privacy, sort_keys=False)
        with new_file(path) as temporary:
            temporary.write_text(self.to_toml(), encoding="utf-8")
        return path


def ledger_path(out: Path | str) -> Path:
    """Where the ledger of a scenario file stands."""
    return Path(out).with_suffix(".ledger.json")


def calibrate(
    log: EventLog,
    *,
    trials: int = 60,
    epsilon: float | None = None,
    delta: float | None = None,
    public: Sequence[str] = (),
    days: int | None = None,
    users: int | None = None,
    seed: int = 0,
    noise_seed: int | None = None,
    keep: Path | str | None = None,
    name: str = "a log",
) -> Calibration:
    """Fit a scenario to `log` with at most `trials` looks at the simulator.

    `days`: how many of the log's last days to match (all up to 120); `users`: shoppers per look (by
    expected rows); `seed`: of the simulations. With `epsilon` the log's facts are released under
    (epsilon, delta)-differential privacy per user (see `release`), delta min(1e-6, users^-1.5) of a
    noisy number of users unless given; `public` names what is no
    secret: "items" (the catalogue in items.parquet, where that was given and not made from the
    events) lets popularity be matched. `noise_seed` makes the noise repeatable, and nothing is
    proved against whoever knows it; without it, the noise is drawn from the system. `keep`: a file
    in which each look is kept, so that the same call goes on where it was interrupted. `name`: of
    the log, for the file that is written.

    Raises InputError where the log is too small or a number is out of range.
    """
    if trials < 1:
        raise InputError(f"trials is {trials}; it must be 1 or more.")
    target = _target(
        log,
        epsilon=epsilon,
        delta=delta,
        public=public,
        days=days,
        noise_seed=noise_seed,
        keep=keep,
        name=name,
    )
    window = target.window
    users = users or _users(target)
    base = load("shop", target.taken)
    rare = max(target.rare, 5.0 / max(0.6 * ROWS, 1.0)) if window.items is not None else 0.0
    bounds = BOUNDS if target.noise else None

    def show(changes: dict[str, Any], seed: int) -> dict[str, float]:
        from simulator.api import simulate

        made = simulate(
            "shop", users=users, days=window.days, seed=seed, settings={**target.taken, **changes}
        )
        items = (
            made.items["item_id"].astype(str).to_numpy()
            if made.items is not None and window.items is not None
            else None
        )
        own = Window(window.start, window.days, window.roles, items)
        return facts_of(summary_statistics(made, own).sums(bounds), start=window.start, rare=rare)

    wanted = {
        k: v
        for k, v in facts_of(target.sums, start=window.start, noise=target.noise, rare=rare).items()
        if v > 0
    }
    tolerance = _tolerances(wanted, target, rare)
    wanted = {k: v for k, v in wanted.items() if k in tolerance}
    if not wanted:
        raise InputError(
            "The log shows none of the facts that calibration matches; see 'python -m simulator "
            "realism LOG'."
        )
    moves = {key: move for key, move in MOVES.items() if wanted.keys() & move[2].keys()}
    memory = Trials(
        keep,
        {
            "base": base.to_json(),
            "users": users,
            "days": window.days,
            "seed": seed,
            "facts": wanted,
        },
    )

    def ask(x: np.ndarray) -> np.ndarray:
        changes = _settings(moves, x)
        return residuals(memory.get(changes, lambda: show(changes, seed)), wanted, tolerance)

    start, low, high = _ranges(moves, base)
    guess = np.array(
        [[move[2].get(fact, 0.0) / tolerance[fact] for move in moves.values()] for fact in wanted]
    )
    step = np.array([move[1] for move in moves.values()])
    looks = list(
        track(
            search(ask, start=start, low=low, high=high, step=step, jacobian=guess, looks=trials),
            "calibrate",
            total=trials,
        )
    )
    best = min(looks, key=lambda found: found.loss)
    fitted = _settings(moves, best.x)
    fresh = seed + 1  # what is reported comes from a seed that the search has not seen
    before, after = show({}, fresh), show(fitted, fresh)
    facts = [Matched(k, v, before[k], after[k], tolerance[k]) for k, v in wanted.items()]
    memory.forget()
    left_out = [k for k in before if k not in wanted]
    fitted_to = f"{name}: {window.days} days from {window.start.date()}, {target.users_there} users"
    n, level, _ = target.sums["prices"]
    popularity = (
        None
        if window.items is None
        else sum((target.sums[q] for q in ITEM_QUESTIONS), start=np.zeros(len(window.items)))
    )
    return Calibration(
        {**target.taken, **fitted},
        facts,
        fitted_to,
        users,
        window.days,
        len(looks),
        left_out,
        target.outline,
        target.privacy,
        float(PRICE_CENTRE + level / n) if n > 20 else math.nan,
        window.items,
        popularity,
    )


def residuals(
    found: dict[str, float], wanted: dict[str, float], tolerance: dict[str, float]
) -> np.ndarray:
    """(n_facts,) log ratio of each fact to what is wanted, in tolerances; FAR where it is not
    shown.
    """
    return np.array(
        [
            math.log(found[k] / v) / tolerance[k] if found.get(k, 0.0) > 0 else FAR
            for k, v in wanted.items()
        ]
    )


# --- the target -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Target:
    """What is to be matched. With epsilon, all of it follows from the release and from what is
    public.
    """

    outline: Outline
    window: Window
    sums: SummaryStatistics
    noise: dict[str, float] | None  # sd per question; None = exact
    taken: dict[str, Any]  # settings taken over from the log
    users_there: str
    privacy: dict[str, Any]

    @property
    def rare(self) -> float:
        """Share of views below which an item is lost in the noise; 0 where exact."""
        if not self.noise or ITEM_QUESTIONS[0] not in self.sums:
            return 0.0
        return max(
            ITEM_NOISE * self.noise[q] / max(float(self.sums[q].sum()), 1.0) for q in ITEM_QUESTIONS
        )


def _target(
    log: EventLog,
    *,
    epsilon: float | None,
    delta: float | None,
    public: Sequence[str],
    days: int | None,
    noise_seed: int | None,
    keep: Path | str | None,
    name: str = "a log",
) -> _Target:
    """The log's sums; with epsilon released once, or read again from `keep` so that going on costs
    no more privacy.
    """
    if epsilon is None:
        if delta is not None or noise_seed is not None:
            given = "delta" if delta is not None else "noise_seed"
            raise InputError(f"{given} is given without epsilon; give both, or neither.")
        known = "item_id" in log.events
        catalogue = (
            log.items
            if log.items is not None and "item_id" in log.items
            else log.events
            if known
            else None
        )
        items = (
            np.unique(catalogue["item_id"].dropna().astype(str))
            if known and catalogue is not None
            else None
        )
        outline = outline_of(log)
        window = window_of(outline, days=days, longest=LONGEST, items=items)
        sums, users = summary_statistics(log, window).sums(), f"{log.events['user_id'].nunique():,}"
        facts = catalogue if catalogue is None or "category" in catalogue else log.events
        return _Target(outline, window, sums, None, _taken(window, facts), users, {})
    catalogue = _public_catalogue(log) if "items" in public else None
    known = catalogue is not None and "item_id" in log.events
    items = (
        catalogue["item_id"].dropna().astype(str).unique()
        if catalogue is not None and known
        else None
    )
    asked = {
        "epsilon": epsilon,
        "delta": delta,
        "days": days,
        "public": items is not None,
        "log": name,
    }
    # A noise seed leads to the same release again, so only a release of the system's noise is kept.
    stored = release_of(keep, asked) if noise_seed is None else None
    if stored is None:
        found = release(
            log,
            epsilon=epsilon,
            delta=delta,
            days=days,
            longest=LONGEST,
            items=items,
            noise_seed=noise_seed,
        )
        if noise_seed is None:
            append(keep, {"asked": asked, "release": found.to_json()})
    else:
        found = Release.from_json(stored)
    window = window_of(found.outline, days=days, longest=LONGEST, items=items)
    privacy = found.privacy | {"public": [] if items is None else ["items"]}
    return _Target(
        found.outline,
        window,
        found.sums,
        found.sd,
        _taken(window, catalogue),
        f"about {found.users:,}",
        privacy,
    )


def _public_catalogue(log: EventLog) -> pd.DataFrame:
    """The catalogue that may be known exactly. Raises InputError where it was made from the events
    themselves.
    """
    if log.items is None or "item_id" not in log.items:
        raise InputError(
            "public names 'items', but the log has no items.parquet that lists the catalogue."
        )
    if (log.manifest.get("provenance") or {}).get("items") != "given":
        raise InputError(
            "public names 'items', but items.parquet is not known to be a catalogue that was given "
            "(it may have been "
            "made from the events, and would name what one user bought); import the log with a "
            "catalogue of its own."
        )
    return log.items


def _taken(window: Window, catalogue: pd.DataFrame | None) -> dict[str, Any]:
    """Settings that are taken over: the first day, and the size of the catalogue where the window
    knows its items.
    """
    taken: dict[str, Any] = {"calendar.start": str(window.start.date())}
    if window.items is None:
        return taken
    n = min(max(len(window.items), 20), 200_000)
    taken["catalogue.items"] = n
    for column, key, least, most in (
        ("category", "catalogue.categories", 2, min(400, n // 4)),
        ("brand", "catalogue.brands", 2, 5_000),
    ):
        if catalogue is not None and column in catalogue:
            taken[key] = int(np.clip(catalogue[column].nunique(), least, most))
    taken.setdefault("catalogue.categories", min(Scenario().catalogue.categories, n // 4))
    return taken


def _tolerances(wanted: dict[str, float], target: _Target, rare: float) -> dict[str, float]:
    """Fact -> tolerance of its log: 10 %, and what noise like that of the release does to it. Facts
    lost in noise are left out.
    """
    if target.noise is None:
        return dict.fromkeys(wanted, TOLERANCE)
    rng = np.random.default_rng(0)  # only spreads of what is already released
    start, noise = target.window.start, target.noise

    def drawn() -> SummaryStatistics:
        return {
            name: value + rng.normal(0, noise[name], len(value))
            for name, value in target.sums.items()
        }

    again = [facts_of(drawn(), start=start, noise=noise, rare=rare) for _ in range(60)]
    found = {}
    for name in wanted:
        logs = np.array([math.log(draw[name]) if draw[name] > 0 else np.nan for draw in again])
        sd = float(np.nanstd(logs)) if np.isfinite(logs).mean() > 0.9 else np.inf
        if sd < NOISY:
            found[name] = math.hypot(TOLERANCE, sd)
    return found


def _users(target: _Target) -> int:
    """Shoppers per look: as many as the log has, as far as ROWS allow."""
    sums = target.sums
    active = max(float(sums["people"][0]), 1.0)
    per_user = (
        sums["clicks"][0] / active
        if target.noise is None and sums["clicks"][0] > 0
        else 0.35 * target.window.days
    )
    return int(np.clip(ROWS / (1.3 * max(per_user, 1.0)), 300, min(max(active, 300), 5_000)))


# --- settings in search coordinates ---------------------------------------------------------------

INTO: dict[str, Callable[[float], float]] = {
    "as is": lambda v: v,
    "log": lambda v: math.log(max(v, 1e-6)),
    "logit": lambda v: math.log(min(max(v, 0.002), 0.998) / (1 - min(max(v, 0.002), 0.998))),
}
OUT: dict[str, Callable[[float], float]] = {
    "as is": lambda x: x,
    "log": math.exp,
    "logit": lambda x: 1 / (1 + math.exp(-x)),
}


def _settings(
    moves: dict[str, tuple[str, float, dict[str, float]]], x: np.ndarray
) -> dict[str, float]:
    """Setting -> value, to four digits after the point, of search coordinates (p,)."""
    return {
        key: round(OUT[how](float(v)), 4)
        for (key, (how, _, _)), v in zip(moves.items(), x, strict=True)
    }


def _ranges(
    moves: dict[str, tuple[str, float, dict[str, float]]], base: Scenario
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(p,) start, lowest and highest search coordinates."""
    allowed = {key: (low, high) for key, _, low, high, _ in settings()}
    rows = []
    for key, (how, _, _) in moves.items():
        section, _, name = key.partition(".")
        low, high = allowed[key]
        assert low is not None
        assert high is not None
        margin = 1e-3 * (high - low)  # rounding must not leave the range
        value = getattr(getattr(base, section), name)
        rows.append(
            [
                INTO[how](v)
                for v in (min(max(value, low + margin), high - margin), low + margin, high - margin)
            ]
        )
    start, low, high = np.array(rows).T
    return start, low, high
