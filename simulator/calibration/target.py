"""What a calibration matches: the log's sums, exact or released once under a privacy budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog
from simulator.calibration.facts_of_sums import LEAST, days_without_chance, facts_of
from simulator.calibration.private_release import Release, release
from simulator.calibration.result import TOLERANCE
from simulator.calibration.session_facts import session_facts
from simulator.calibration.statistics import (
    ITEM_QUESTIONS,
    PRICE_CENTRE,
    SummaryStatistics,
    summary_statistics,
)
from simulator.calibration.trials import append, release_of
from simulator.calibration.window import Outline, Window, outline_of, window_of
from simulator.scenario import Scenario

OUTER = ("calendar.start", "catalogue.items", "catalogue.categories", "catalogue.brands")
LONGEST = 120  # days that are matched unless the caller says otherwise
NOISY = 0.7  # sd of a fact's log from the noise of the release, from which the fact is left out
ITEM_NOISE = 5.0  # sds of noise that an item's count must exceed to count towards a Zipf slope
CLEAR = 0.05  # sd of the noise of an hour or a day, of the mean one, up to which it is taken over
SHORT_BASKET = 1.6  # lines of a basket of the default shop
USUAL_LOG_PRICE = 3.2  # mean log price of what is bought in the default shop
# A log without views says nothing of visits that buy nothing. Most filled carts are ordered then,
# so that a small simulation has many orders; how many the log has sets how often visits come.
UNSEEN_VISITS = {"checkout.cart": -2.8, "checkout.begin": 1.5}
NOISE_DRAWS = 60  # draws by which the effect of the noise on a fact is estimated


@dataclass(frozen=True)
class Target:
    """What is matched. With epsilon, all of it follows from the release and from what is public."""

    outline: Outline
    window: Window
    sums: SummaryStatistics
    noise: dict[str, float] | None  # sd per question; None = exact
    taken: dict[str, Any]  # settings taken over from the log
    n_users: str  # in words
    privacy: dict[str, Any]
    sessions: dict[str, float] = field(default_factory=dict)  # see `session_facts`; exact only

    @property
    def outer(self) -> dict[str, Any]:
        """What even a default shop takes over: the first day and the size of the catalogue."""
        return {key: value for key, value in self.taken.items() if key in OUTER}

    @property
    def rare(self) -> float:
        """Share of views below which an item is lost in the noise; 0 where exact."""
        if not self.noise or ITEM_QUESTIONS[0] not in self.sums:
            return 0.0
        return max(
            ITEM_NOISE * self.noise[q] / max(float(self.sums[q].sum()), 1.0) for q in ITEM_QUESTIONS
        )


def target_of(
    log: EventLog,
    *,
    epsilon: float | None,
    delta: float | None,
    public: Sequence[str],
    days: int | None,
    noise_seed: int | None,
    keep: Path | str | None,
    name: str = "a log",
) -> Target:
    """Return the target of a log; see `calibrate` for the arguments.

    With epsilon the sums are released once, or read from `keep`, so that an interrupted run that
    continues costs no more privacy.
    """
    if epsilon is None:
        if delta is not None or noise_seed is not None:
            given = "delta" if delta is not None else "noise_seed"
            raise InputError(f"{given} is given without epsilon; give both, or neither.")
        return _exact(log, days)
    catalogue = _public_catalogue(log) if "items" in public else None
    items = None
    if catalogue is not None and "item_id" in log.events:
        items = catalogue["item_id"].dropna().astype(str).unique()
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
    users = f"about {found.users:,}"
    taken = _taken(window, catalogue) | _calendar(found.sums, found.sd)
    taken |= _levels(found.sums, window)
    return Target(found.outline, window, found.sums, found.sd, taken, users, privacy)


def _exact(log: EventLog, days: int | None) -> Target:
    catalogue, items = None, None
    if log.items is not None and "item_id" in log.items:
        catalogue = log.items
    elif "item_id" in log.events:
        catalogue = log.events
    if "item_id" in log.events and catalogue is not None:
        items = np.unique(catalogue["item_id"].dropna().astype(str))
    outline = outline_of(log)
    window = window_of(outline, days=days, longest=LONGEST, items=items)
    sums = summary_statistics(log, window).sums()
    users = f"{log.events['user_id'].nunique():,}"
    facts = catalogue if catalogue is None or "category" in catalogue else log.events
    taken = _taken(window, facts) | _calendar(sums, None) | _levels(sums, window)
    sessions = session_facts(log, window)
    return Target(outline, window, sums, None, taken, users, {}, sessions)


def _public_catalogue(log: EventLog) -> pd.DataFrame:
    """The catalogue that may be known exactly.

    Raises InputError where it was made from the events themselves.
    """
    if log.items is None or "item_id" not in log.items:
        raise InputError(
            "public names 'items', but the log has no items.parquet that lists the catalogue."
        )
    if (log.manifest.get("provenance") or {}).get("items") != "given":
        raise InputError(
            "public names 'items', but items.parquet is not known to be a catalogue that was given "
            "(it may have been made from the events, and would name what one user bought); import "
            "the log with a catalogue of its own."
        )
    return log.items


def _taken(window: Window, catalogue: pd.DataFrame | None) -> dict[str, Any]:
    """Settings that are taken over: the first day, and the size of the catalogue where known."""
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


def _calendar(sums: SummaryStatistics, noise: dict[str, float] | None) -> dict[str, Any]:
    """Hours and days, taken over as they are, where they are not lost in the noise."""
    taken: dict[str, Any] = {}
    for question, key in (("hours", "calendar.hours"), ("days", "calendar.day_weights")):
        counts = np.maximum(sums[question], 0.0)
        mean = float(counts.mean())
        clear = mean > 0 and (noise is None or noise[question] < CLEAR * mean)
        # dates without times: all rows are in the first hour
        if clear and (question == "days" or counts[1:].max() > 0):
            if question == "days":
                counts = days_without_chance(counts)
                # what a campaign sold is in its days already
                taken["calendar.campaign_discount"] = 0.0
            taken[key] = [round(float(c), 4) for c in counts / mean]
    return taken


def _levels(sums: SummaryStatistics, window: Window) -> dict[str, Any]:
    """Where the search for baskets and prices starts; what is taken for unseen visits."""
    taken: dict[str, Any] = {}
    if "view" not in window.roles:
        taken |= UNSEEN_VISITS
    buying, (priced, level, _) = sums["buying"], sums["prices"]
    lines, orders, single = (float(buying[k]) for k in (1, 2, 3))
    if orders > LEAST and lines / orders > SHORT_BASKET:
        mean = lines / orders
        taken["navigation.list"] = round(min(0.7 * (mean - SHORT_BASKET) + 0.2, 60.0), 4)
        if 0 < single < orders:
            taken["navigation.list_sigma"] = round(_spread(mean, single / orders), 4)
    if priced > LEAST:
        median = Scenario().catalogue.price_level
        found = median * math.exp(PRICE_CENTRE + level / priced - USUAL_LOG_PRICE)
        taken["catalogue.price_level"] = round(float(np.clip(found, 0.05, 50_000.0)), 4)
    return taken


def _spread(mean: float, single: float) -> float:
    """Return the sd of the log of a log-normal length with this mean and share below 1.5."""
    quantile = -NormalDist().inv_cdf(single)
    excess = math.log(mean) - math.log(1.5)
    return min(max(math.sqrt(max(quantile**2 + 2 * excess, 0.0)) - quantile, 0.1), 2.5)


def tolerances(wanted: dict[str, float], target: Target, rare: float) -> dict[str, float]:
    """Return fact -> tolerance of its log: 10 %, and the effect of the noise of the release.

    Facts that are lost in the noise are left out.
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

    again = [facts_of(drawn(), start=start, noise=noise, rare=rare) for _ in range(NOISE_DRAWS)]
    found = {}
    for name in wanted:
        logs = np.array([math.log(draw[name]) if draw[name] > 0 else np.nan for draw in again])
        sd = float(np.nanstd(logs)) if np.isfinite(logs).mean() > 0.9 else np.inf
        if sd < NOISY:
            found[name] = math.hypot(TOLERANCE, sd)
    return found
