"""What compiled code needs to know of the clock and of the pace at which users act."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from generators.sequences import feature_layout as layout

HOUR_MS = 3_600_000
WEEK_HOURS = 168


class TimingParams(NamedTuple):
    """A clock as compiled code reads it, and the pace that users keep."""

    low: np.ndarray  # (size,) float64 s: lower end of each gap code
    high: np.ndarray  # (size,) float64 s
    weekly: np.ndarray  # (168,) float64: intensity of session starts
    within: int  # gap codes from here on begin a session
    start: int  # ms
    end: int  # ms
    step: int  # ms: every time is a multiple of it
    planned: bool  # are users' last sessions planned from the start?
    least: np.ndarray  # (levels,) int64: level of time that so many rows need at the least
    short: np.ndarray  # (levels,) int64 ms: what a last session of so many rows takes
    fast: np.ndarray  # (levels,) int64 ms: what so many rows before it take those who are fast
    longest_rows: int  # of a session, 0 = no limit
    longest_ms: int  # of a session, 0 = no limit


@njit(cache=True)
def clock_levels(time, timing_params):
    """Hour of the day (0..23), day of the week (0..6, Monday first), remaining span (0..REMAINING -
    1) of a time in ms.
    """
    hour = (time // HOUR_MS + 72) % WEEK_HOURS  # 1970-01-01 was a Thursday
    span = int(
        (timing_params.end - time)
        / max(timing_params.end - timing_params.start, 1)
        * layout.REMAINING
    )
    return hour % 24, hour // 24, min(max(span, 0), layout.REMAINING - 1)
