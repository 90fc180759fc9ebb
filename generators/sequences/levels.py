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


def hours_a_row() -> np.ndarray:
    """Return the mean time of a row in hours at each level of Counter.PACE, (levels,)."""
    level = np.arange(COUNTER_SIZES[Counter.PACE])
    hours: np.ndarray = 2.0 ** ((SLOW_PACES + 0.5 - level) / 2)
    return hours


def time_of(level: np.ndarray) -> np.ndarray:
    """Return the longest time of each level `level` (n,), int64 ms; see time_level."""
    return (15_000 * (2 ** (level / 2) - 1)).astype(np.int64)
