"""What compiled code needs of the clock and of the pace at which users act."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from eventlog._runtime.compiled import inner
from generators.sequences import feature_layout as layout

HOUR_MS = 3_600_000
WEEK_HOURS = 168


class TimingParams(NamedTuple):
    """A clock as compiled code reads it, and the pace of users."""

    low: np.ndarray  # (size,) float64 s: lower end of each gap code
    high: np.ndarray  # (size,) float64 s
    weekly: np.ndarray  # (rhythms, 168) float64: intensity of session starts, by class of users
    within: int  # gap codes from here on begin a session
    start: int  # ms
    end: int  # ms
    step: int  # ms: every time is a multiple of it
    planned: bool  # are users' last sessions planned from the start?
    least: np.ndarray  # (levels,) int64: least level of time, by level of rows
    short: np.ndarray  # (levels,) int64 ms: duration of a last session, by level of rows
    fast: np.ndarray  # (levels,) int64 ms: fast users' duration before it, by level of rows
    longest_rows: int  # of a session, 0 = no limit
    longest_ms: int  # of a session, 0 = no limit
    unfinished: int  # a bit for each event that is never the last of a session


def bits_of(names: Iterable[str], events: Sequence[str]) -> int:
    """Return a bit for the code of each of the names of `events`, whose first code is 1."""
    return sum(1 << (events.index(n) + 1) for n in names)


@inner
def clock_levels(time, timing_params):
    """Return the hour (0..23), the weekday (0..6, Monday first) and the remaining span of a time.

    `time` is in ms; the remaining span is a level from 0 to REMAINING - 1.
    """
    hour = (time // HOUR_MS + 72) % WEEK_HOURS  # 1970-01-01 was a Thursday
    span = int(
        (timing_params.end - time)
        / max(timing_params.end - timing_params.start, 1)
        * layout.REMAINING
    )
    return hour % 24, hour // 24, min(max(span, 0), layout.REMAINING - 1)
