"""The description of a log as one HTML page that opens offline, with its pictures inside.

A template in `templates/` escapes every word from the log; here the bars are measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd

from eventlog._runtime.pages import templates
from eventlog._runtime.text import one_line
from eventlog.arrays import DAY_MS
from eventlog.description import drift
from eventlog.description.facts import COMMON, DAYS, PAUSE_NAMES, Facts
from eventlog.description.remarks import remarks

STEPS = (("view", "view"), ("cart", "put into the cart"), ("checkout", "begin to check out"),
         ("purchase", "buy"), ("refund", "send back"))  # fmt: skip
MOST_BARS = 120  # of days: more are put together


@dataclass(frozen=True)
class Bar:
    """One bar of a chart."""

    name: str
    value: float
    share: float  # of the longest, 0..1
    text: str  # its value in words
    other: float | None = None  # the share of the log that it is compared with


def page(facts: Facts, tables: Mapping[str, pd.DataFrame], other: Facts | None = None) -> str:
    """Return the whole page."""
    from markupsafe import Markup

    environment = templates(
        "eventlog.description", lambda v: v if isinstance(v, Markup) else one_line(v)
    )
    style = (resources.files(__package__) / "templates" / "description.css").read_text("utf-8")
    return environment.get_template("description.html.jinja").render(
        name=facts.name,
        overview=tables["Log"].itertuples(index=False, name=None),
        ratios=tables["Funnel"].itertuples(index=False, name=None),
        remarks=remarks(facts),
        events=tables["Events"].itertuples(index=False, name=None),
        labels=tables.get("Labels"),
        charts=_charts(facts, other),
        days=_per_day(facts),
        columns=_columns(facts, tables["Columns"]),
        drifts=[] if other is None else drift.drifts(facts, other),
        drift=None if other is None else drift.table(facts, other),
        against="" if other is None else other.name,
        style=Markup(style),  # a file of this package
    )


def _charts(facts: Facts, other: Facts | None) -> list[tuple[str, str, list[Bar]]]:
    """Return the bar charts: title, what it shows, bars."""
    both = [facts] if other is None else [facts, other]
    funnel = [{text: f.of_role(role) for role, text in STEPS} for f in both]
    found = [
        ("Funnel", "events of each role", _bars(*({k: v for k, v in f.items() if v or k != "refund"}
                                                   for f in funnel))),
        ("Hours", "share of events in each hour of the day, UTC",
         _bars(*({f"{h:02d}": int(n) for h, n in enumerate(f.hours)} for f in both))),
        ("Weekdays", "share of events on each day of the week, UTC",
         _bars(*(dict(zip(DAYS, f.weekdays.tolist(), strict=True)) for f in both))),
        ("Pauses", "time between two events of a user",
         _bars(*(dict(zip(PAUSE_NAMES, f.pauses.tolist(), strict=True)) for f in both))),
        ("Events of a user", "users by their number of events",
         _bars(*(drift.classes(f.per_user) for f in both))),
        ("Events of a session", "sessions by their number of events",
         _bars(*(drift.classes(f.per_session) for f in both))),
    ]  # fmt: skip
    if facts.items:
        found.append(("Popularity", "share of events on the most popular items", _popularity(both)))
    return [chart for chart in found if any(bar.value for bar in chart[2])]


def _bars(counts: Mapping[str, int], others: Mapping[str, int] | None = None) -> list[Bar]:
    """Return a bar for each name, in order, measured by shares."""
    total = max(sum(counts.values()), 1)
    names = dict.fromkeys([*counts, *(others or {})])
    whole = max(sum(others.values()), 1) if others is not None else 1
    found = [(n, counts.get(n, 0), others.get(n, 0) / whole if others else None) for n in names]
    longest = max((max(n / total, o or 0) for _, n, o in found), default=0) or 1
    return [
        Bar(name, n, n / total / longest, f"{n:,} ({n / total:.1%})",
            None if o is None else o / longest)
        for name, n, o in found
    ]  # fmt: skip


def _popularity(both: list[Facts]) -> list[Bar]:
    """Return the share of events on the top 1, 10, 100 ... items."""
    curves = []
    for facts in both:
        n = np.sort(np.fromiter(facts.items.values(), dtype=np.int64))[::-1]
        curves.append((np.cumsum(n) / max(n.sum(), 1), len(n)))
    bars = []
    for top in (1, 10, 100, 1_000, 10_000, 100_000):
        shares = [float(c[min(top, len(c)) - 1]) if len(c) else 0.0 for c, _ in curves]
        other = shares[1] if len(shares) > 1 else None
        bars.append(Bar(f"top {top:,}", shares[0], shares[0], f"{shares[0]:.1%}", other))
        if top >= curves[0][1]:
            break
    return bars


def _per_day(facts: Facts) -> list[Bar]:
    """Return the events of each day, or of more days together, without those of wrong clocks."""
    low, high = facts.timeline.proper()
    width = max(1, -(-(high - low + 1) // MOST_BARS))
    counts = np.zeros((high - low) // width + 1, dtype=np.int64)
    for day, n in facts.days.items():
        if low <= day <= high:
            counts[(day - low) // width] += n
    longest = max(int(counts.max()), 1)
    return [
        Bar(_date(low + k * width), int(n), int(n) / longest, f"{_date(low + k * width)}: {n:,}")
        for k, n in enumerate(counts)
    ]


def _date(day: int) -> str:
    return str(pd.Timestamp(day * DAY_MS, unit="ms").date())


def _columns(facts: Facts, table: pd.DataFrame) -> Iterable[dict[str, object]]:
    """Yield each column: type, missing share, distinct values, range, most frequent values."""
    for name, kind, missing, distinct, span in table.itertuples(index=False, name=None):
        column = facts.columns[name]
        common = column.counts.most_common(COMMON) if int(column.distinct) < facts.events else []
        yield {
            "name": name,
            "kind": kind,
            "missing": missing,
            "share": column.missing / facts.events,
            "distinct": distinct,
            "range": span,
            "common": ", ".join(f"{v} {n / facts.events:.0%}" for v, n in common),
        }
