"""The outline of a log (days, event names, label kinds), and the window of it that is matched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog


@dataclass(frozen=True)
class Outline:
    """What a log consists of: its days, its event names and the kinds of its labels."""

    first: pd.Timestamp  # a UTC midnight
    last: pd.Timestamp  # that of the last day
    events: dict[str, str]  # event name -> role
    kinds: list[str]  # of labels


@dataclass(frozen=True)
class Window:
    """Which rows are matched: whole UTC days, the roles of the log, the items that are known."""

    start: pd.Timestamp
    days: int
    roles: frozenset[str]
    items: np.ndarray | None  # (n,) ids; None leaves questions about items out


def outline_of(log: EventLog) -> Outline:
    """Return the days, event names (sorted) and label kinds that occur in a log, exactly."""
    if len(log) == 0:
        raise InputError("The log has no events.")
    first, last = (t.floor("D") for t in log.span)
    kinds = [] if log.labels is None else sorted(log.labels["kind"].astype(str).unique())
    return Outline(first, last, dict(sorted(log.roles.items())), kinds)


def window_of(
    log: EventLog | Outline, *, days: int | None, longest: int, items: np.ndarray | None
) -> Window:
    """Return the window of the last `days` days of a log; None = all its days up to `longest`.

    Raises InputError where that is fewer than seven days.
    """
    known = outline_of(log) if isinstance(log, EventLog) else log
    there = (known.last - known.first).days + 1
    days = min(there, longest) if days is None else min(days, there)
    if days < 7:
        raise InputError(
            f"The log covers {there} days and {days} are matched; calibration needs 7 or more."
        )
    return Window(
        known.last - pd.Timedelta(days=days - 1), days, frozenset(known.events.values()), items
    )
