"""What stands out in a log: what a person should look at before anything else is done with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog.arrays import DAY_MS
from eventlog.description.facts import Facts

MANY_MISSING = 0.5  # share of a column
SPIKE = 5.0  # times the median day
FEW_DAYS = 14  # of a log in which a day is no outlier
MOST_OF_ONE_ITEM = 0.2
LARGE_PAUSE = 3  # days without an event, in a log that has events on most days


@dataclass(frozen=True)
class Remark:
    """Something to look at."""

    about: str
    text: str


def remarks(facts: Facts) -> list[Remark]:
    """Return what stands out, most serious first."""
    found = [Remark(column, text) for column, text in facts.timeline.warnings()]
    found += _gaps(facts)
    found += _times(facts)
    found += _names(facts)
    found += _columns(facts)
    return found


def _gaps(facts: Facts) -> list[Remark]:
    """Return the days without an event between days that have some, and days with far too many."""
    low, high = facts.timeline.proper()
    days = np.array(sorted(d for d in facts.days if low <= d <= high))
    found = []
    pause = np.diff(days) - 1
    usual = np.percentile(pause, 90) if len(pause) else 0
    for k in np.argsort(-pause, kind="stable")[:3]:
        if pause[k] < LARGE_PAUSE or pause[k] <= 3 * usual:
            continue
        first, last = (_day(int(d)) for d in (days[k] + 1, days[k + 1] - 1))
        found.append(
            Remark("timestamp", f"{int(pause[k]):,} days without an event, {first} to {last}")
        )
    n = np.array([facts.days[int(d)] for d in days])
    if len(n) >= FEW_DAYS and n.max() > SPIKE * np.median(n) and n.max() > 100:
        day = _day(int(days[int(n.argmax())]))
        text = f"{n.max():,} events on {day}, {n.max() / np.median(n):.0f} times the median day"
        found.append(Remark("timestamp", text))
    return found


def _times(facts: Facts) -> list[Remark]:
    found = []
    share = facts.at_midnight / facts.events
    if share > 0.9:
        text = f"{share:.0%} of the times are midnight: the file may have held dates only"
        found.append(Remark("timestamp", text))
    elif (top := facts.hours.max() / facts.hours.sum()) > 0.5 and facts.events >= 100:
        hour = int(facts.hours.argmax())
        found.append(
            Remark("timestamp", f"{top:.0%} of the events are between {hour}:00 and {hour + 1}:00")
        )
    at_once = facts.pauses[0] / max(int(facts.pauses.sum()), 1)
    lines_of_orders = "order_id" in facts.columns
    if at_once > 0.5 and facts.pauses.sum() >= 100 and not lines_of_orders:
        text = f"{at_once:.0%} of a user's events follow another within a second"
        found.append(Remark("timestamp", text))
    return found


def _names(facts: Facts) -> list[Remark]:
    found = []
    roles = facts.roles
    foreign = sorted(name for name, role in roles.items() if role == "other")
    if foreign:
        rows = sum(facts.names[name] for name in foreign)
        text = f"{rows / facts.events:.1%} of the events have a name without a role: "
        found.append(Remark("event", text + ", ".join(foreign[:5])))
    if not facts.of_role("purchase"):
        found.append(Remark("event", "nobody buys: no event has the role purchase"))
    if facts.items:
        item, n = max(facts.items.items(), key=lambda e: (e[1], e[0]))
        if n > MOST_OF_ONE_ITEM * sum(facts.items.values()) and len(facts.items) > 10:
            share = n / sum(facts.items.values())
            found.append(Remark("item_id", f"{item!r} has {share:.0%} of the events on items"))
    return found


def _columns(facts: Facts) -> list[Remark]:
    found = []
    for name, column in facts.columns.items():
        missing = facts.missing_share(name)
        if missing == 1:
            found.append(Remark(name, "has no value at all"))
        elif missing > MANY_MISSING and name not in ("order_id", "coupon_id", "rating", "discount"):
            found.append(Remark(name, f"{missing:.0%} of the values are missing"))
        elif int(column.distinct) == 1 and facts.events > 1:
            found.append(Remark(name, "has the same value everywhere"))
        if column.low is not None and name == "price" and column.low < 0:
            found.append(Remark(name, f"is negative, down to {column.low:g}"))
    return found


def _day(day: int) -> str:
    return str(pd.Timestamp(day * DAY_MS, unit="ms").date())
