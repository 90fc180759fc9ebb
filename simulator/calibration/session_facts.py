"""Facts of how sessions go, which a calibration without a privacy budget matches too.

They are quantiles and correlations over sessions, no sums over users, so none of them is released
under a budget: a calibration with epsilon keeps the defaults of `sessions.dwell`, `[pace]` and
`[navigation]`.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from eventlog.log import EventLog
from simulator.calibration.window import Window
from simulator.realism.measures import Absent, Measures
from simulator.realism.session_facts import (
    gap_between_sessions,
    gap_quantile,
    immediate_repeats,
    late_gaps,
    two_clicks,
)

FACTS: dict[str, Callable[[Measures], float]] = {
    "gap between clicks, 5 %": gap_quantile(0.05),
    "gap between clicks, median": gap_quantile(0.5),
    "gap between clicks, 75 %": gap_quantile(0.75),
    "gap between clicks, 95 %": gap_quantile(0.95),
    "log gap, share of variance between sessions": gap_between_sessions,
    "gap after nine clicks / after the first": late_gaps,
    "repeat clicks that repeat the last click": immediate_repeats,
    "sessions with two clicks or more: exactly two": two_clicks,
}


def session_facts(log: EventLog, window: Window) -> dict[str, float]:
    """Return fact -> value of the sessions of a log in a window; NaN where it shows none."""
    if "view" not in window.roles:
        return {}
    end = window.start + pd.Timedelta(days=window.days)
    inside = (log.events["timestamp"] >= window.start) & (log.events["timestamp"] < end)
    part = EventLog(events=log.events[inside.to_numpy()], manifest=log.manifest)
    if len(part) == 0:
        return {}
    measures = Measures(part.grouped())
    return {name: _ask(fact, measures) for name, fact in FACTS.items()}


def _ask(fact: Callable[[Measures], float], measures: Measures) -> float:
    try:
        return fact(measures)
    except Absent:
        return float("nan")
