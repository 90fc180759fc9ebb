"""Levels of rows and of time to come, for arrays and within compiled functions."""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit

from eventlog._runtime.compiled import inner
from generators.sequences.feature_layout import COUNTER_SIZES, Counter

# Fewer rows to come have a level each; beyond, and for time, there are two levels a doubling.
FEW_LEFT = 8
SESSION_TIMES = 12  # levels of the time a session: below half an hour, ..., 512 hours and more
SLOW_PACES = 30  # levels of a pace below one row an hour, two a doubling
_MOST_ROWS = COUNTER_SIZES[Counter.ROWS_LEFT] - 1
_MOST_TIME = COUNTER_SIZES[Counter.TIME_LEFT] - 1


@inner
def level_of_rows(left):
    """Return the level of Counter.ROWS_LEFT for a number of rows to come."""
    many = left if left <= FEW_LEFT else FEW_LEFT + math.ceil(2 * math.log2(left / FEW_LEFT))
    return min(many, _MOST_ROWS)


@inner
def level_of_time(ms):
    """Return the level of Counter.TIME_LEFT for ms to come."""
    return min(math.ceil(2 * math.log2(max(ms, 0) / 15_000 + 1)), _MOST_TIME)


@inner
def level_of_pace(left, hours):
    """Return the level of Counter.PACE for a number of rows to come in `hours` hours."""
    return math.ceil(max(2 * math.log2((left + 1) / (hours + 0.05)) + SLOW_PACES, 1.0))


@njit(cache=True)
def _levels(amount, of_time):
    out = np.empty(len(amount), dtype=np.int64)
    for i in range(len(amount)):
        out[i] = level_of_time(amount[i]) if of_time else level_of_rows(amount[i])
    return out


def rows_level(left: torch.Tensor) -> torch.Tensor:
    """Return the levels of Counter.ROWS_LEFT for (n,) rows to come."""
    return torch.from_numpy(_levels(left.numpy(), False))


def time_level(ms: torch.Tensor) -> torch.Tensor:
    """Return the levels of Counter.TIME_LEFT for (n,) ms to come."""
    return torch.from_numpy(_levels(ms.numpy(), True))


def least_rows() -> torch.Tensor:
    """Return the fewest rows to come of each level of Counter.ROWS_LEFT, (levels,) int64."""
    rows = torch.arange(4_096)
    return torch.searchsorted(rows_level(rows), torch.arange(COUNTER_SIZES[Counter.ROWS_LEFT]))


def mean_rows() -> np.ndarray:
    """Return the mean number of rows to come of each level of Counter.ROWS_LEFT, (levels,)."""
    low = least_rows().numpy().astype(np.float64)
    high = np.append(low[1:], low[-1] * 2**0.5)
    mean: np.ndarray = (low + high - 1) / 2
    return mean


def level_of_session_time() -> np.ndarray:
    """Return the level of the time a session, by the levels of time and of sessions to come.

    It is (levels of time, levels of sessions) int64, below SESSION_TIMES: one a doubling of hours.
    """
    hours = mean_time()[:, None] / np.maximum(mean_rows()[None, :], 1.0)
    level = np.floor(np.log2(np.maximum(hours, 1e-9))) + 2
    return np.clip(level, 0, SESSION_TIMES - 1).astype(np.int64)


def mean_time() -> np.ndarray:
    """Return the time to come in hours at the middle of each level of Counter.TIME_LEFT."""
    level = np.arange(COUNTER_SIZES[Counter.TIME_LEFT])
    hours: np.ndarray = 15 / 3600 * (2 ** (np.maximum(level - 0.5, 0.0) / 2) - 1)
    return hours


def time_of(level: np.ndarray) -> np.ndarray:
    """Return the longest time of each level `level` (n,), int64 ms; see time_level."""
    return (15_000 * (2 ** (level / 2) - 1)).astype(np.int64)
