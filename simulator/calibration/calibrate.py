"""Fit a scenario to a log by matching its stylised facts, exactly or under a privacy budget.

Example::

    fit = calibrate(log, trials=60)             # fit.distance_before, fit.distance, fit.settings
    fit.write("my.toml")
    simulator.simulate("my.toml", users=10_000, days=60, seed=1)

The size of the catalogue, the first day, the hours and the visits of each day are taken over. The
other settings are searched (`minimize`) so that a small simulated shop shows the log's facts
(`facts_of`, `session_facts`). A fact deviates by its log ratio to the target, in units of a
tolerance of 10 %; the distance is the root mean square over the facts, in the mean of SHOPS
simulations whose seeds the search has never seen. With `epsilon`, all that is learnt is one release
of bounded sums with Gaussian noise; the scenario, and every log that is simulated from it, carries
that guarantee.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eventlog._runtime.console import track
from eventlog._runtime.errors import InputError
from eventlog.log import EventLog
from simulator.calibration.facts_of_sums import facts_of
from simulator.calibration.moves import MOVES, REPLACES, Move, ranges, settings_of
from simulator.calibration.optimizer import Trial, minimize, most_allowed
from simulator.calibration.result import Calibration, Matched, deviation
from simulator.calibration.session_facts import session_facts
from simulator.calibration.statistics import (
    BOUNDS,
    ITEM_QUESTIONS,
    PRICE_CENTRE,
    summary_statistics,
)
from simulator.calibration.target import Target, target_of, tolerances
from simulator.calibration.trials import Trials
from simulator.calibration.window import Window
from simulator.scenario import load

ROWS = 150_000  # rows that a trial aims at
SHOPS = 3  # simulations whose mean facts are told of the fit: one alone is off by chance


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
    """Fit a scenario to a log.

    Args:
        log: the log to match.
        trials: most simulations to make.
        epsilon: privacy budget: the log's facts are released under (epsilon, delta)-differential
            privacy for every user (see `release`).
        delta: default: min(1e-6, users^-1.5) of a noisy number of users.
        public: what is public: "items" (the catalogue in items.parquet, where that was given and
            not made from the events) lets popularity be matched.
        days: how many of the log's last days to match (default: all, up to 120).
        users: shoppers per trial (default: by expected rows).
        seed: of the simulations.
        noise_seed: makes the noise repeatable and voids the guarantee against anyone who knows it;
            without it, the noise is seeded by the operating system.
        keep: file in which each trial is kept, so that the same call continues an interrupted run.
        name: of the log, for the file that is written.

    Raises InputError where the log is too small or a number is out of range.
    """
    if trials < 1:
        raise InputError(f"trials is {trials}; it must be 1 or more.")
    target = target_of(
        log,
        epsilon=epsilon,
        delta=delta,
        public=public,
        days=days,
        noise_seed=noise_seed,
        keep=keep,
        name=name,
    )
    fit = _Fit(target, users or _users(target), seed)
    memory = Trials(keep, fit.task())
    made = list(track(fit.search(memory, trials), "calibrate", total=trials))
    fitted = settings_of(fit.moves, min(made, key=lambda trial: trial.loss).x)
    found = fit.result(fitted, trials=len(made), name=name)
    memory.forget()
    return found


class _Fit:
    """A search for the settings whose simulated shop shows the target's facts."""

    def __init__(self, target: Target, users: int, seed: int) -> None:
        self.target, self.users, self.seed = target, users, seed
        self.base = load("shop", target.taken)
        window = target.window
        self.rare = 0.0 if window.items is None else max(target.rare, 5.0 / max(0.6 * ROWS, 1.0))
        facts = facts_of(target.sums, start=window.start, noise=target.noise, rare=self.rare)
        facts |= target.sessions
        wanted = {k: v for k, v in facts.items() if v > 0}
        self.tolerance = tolerances(wanted, target, self.rare)
        self.wanted = {k: v for k, v in wanted.items() if k in self.tolerance}
        if not self.wanted:
            raise InputError(
                "The log shows none of the facts that calibration matches; see 'python -m "
                "simulator realism LOG'."
            )
        replaced = {key for taken in target.taken for key in REPLACES.get(taken, ())}
        self.moves: dict[str, Move] = {
            key: move
            for key, move in MOVES.items()
            if key not in replaced and self.wanted.keys() & move.effects.keys()
        }

    def task(self) -> dict[str, Any]:
        """What decides the trials: only those of the same task are used again."""
        return {
            "base": self.base.to_json(),
            "users": self.users,
            "days": self.target.window.days,
            "seed": self.seed,
            "facts": self.wanted,
        }

    def simulate(
        self, changes: dict[str, Any], seed: int, *, taken: dict[str, Any]
    ) -> dict[str, float]:
        """The facts of a small shop with `changes` on top of what is `taken` over."""
        from simulator.api import simulate

        target, window = self.target, self.target.window
        settings = {**taken, **changes}
        made = simulate("shop", users=self.users, days=window.days, seed=seed, settings=settings)
        items = None
        if made.items is not None and window.items is not None:
            items = made.items["item_id"].astype(str).to_numpy()
        own = Window(window.start, window.days, window.roles, items)
        sums = summary_statistics(made, own).sums(BOUNDS if target.noise else None)
        facts = facts_of(sums, start=window.start, rare=self.rare)
        return facts | (session_facts(made, own) if target.sessions else {})

    def search(self, memory: Trials, trials: int) -> Iterator[Trial]:
        """Yield each trial of the search; its facts are kept in `memory`."""

        def simulated(changes: dict[str, float]) -> Callable[[], dict[str, float]]:
            return lambda: self.simulate(changes, self.seed, taken=self.target.taken)

        def deviations(x: np.ndarray) -> np.ndarray:
            changes = settings_of(self.moves, x)
            found = memory.get(changes, simulated(changes))
            return residuals(found, self.wanted, self.tolerance)

        default = memory.get({}, lambda: self.simulate({}, self.seed, taken=self.target.outer))
        start, low, high = ranges(self.moves, self.base)
        effects = [
            [move.effects.get(fact, 0.0) / self.tolerance[fact] for move in self.moves.values()]
            for fact in self.wanted
        ]
        step = np.array([move.step for move in self.moves.values()])
        return minimize(
            deviations,
            start=start,
            low=low,
            high=high,
            step=step,
            jacobian=np.array(effects),
            most=most_allowed(residuals(default, self.wanted, self.tolerance)),
            trials=trials,
        )

    def result(self, fitted: dict[str, float], *, trials: int, name: str) -> Calibration:
        """The calibration, judged by simulations of seeds that the search has not seen."""
        target, window = self.target, self.target.window
        seeds = range(self.seed + 1, self.seed + 1 + SHOPS)
        before = mean_of([self.simulate({}, seed, taken=target.outer) for seed in seeds])
        after = mean_of([self.simulate(fitted, seed, taken=target.taken) for seed in seeds])
        n, level, _ = target.sums["prices"]
        popularity = None
        if window.items is not None:
            zero = np.zeros(len(window.items))
            popularity = sum((target.sums[q] for q in ITEM_QUESTIONS), start=zero)
        first = window.start.date()
        return Calibration(
            settings={**target.taken, **fitted},
            facts=[
                Matched(k, v, before[k], after[k], self.tolerance[k])
                for k, v in self.wanted.items()
            ],
            fitted_to=f"{name}: {window.days} days from {first}, {target.n_users} users",
            users=self.users,
            days=window.days,
            trials=trials,
            left_out=[k for k in before if k not in self.wanted],
            outline=target.outline,
            privacy=target.privacy,
            log_price=float(PRICE_CENTRE + level / n) if n > 20 else math.nan,
            items=window.items,
            popularity=popularity,
        )


def residuals(
    found: dict[str, float], wanted: dict[str, float], tolerance: dict[str, float]
) -> np.ndarray:
    """Return (n_facts,) deviation of each fact from what is wanted, in tolerances."""
    return np.array([deviation(found.get(k, 0.0), v, tolerance[k]) for k, v in wanted.items()])


def mean_of(shops: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return each fact's mean over the shops that show it, NaN where none does."""
    shown = {k: [shop[k] for shop in shops if not math.isnan(shop[k])] for k in shops[0]}
    return {k: sum(v) / len(v) if v else math.nan for k, v in shown.items()}


def _users(target: Target) -> int:
    """Shoppers per trial: as many as the log has, as far as ROWS allow."""
    sums = target.sums
    active = max(float(sums["people"][0]), 1.0)
    per_user = 0.35 * target.window.days
    if target.noise is None and sums["clicks"][0] > 0:
        per_user = sums["clicks"][0] / active
    return int(np.clip(ROWS / (1.3 * max(per_user, 1.0)), 300, min(max(active, 300), 5_000)))
