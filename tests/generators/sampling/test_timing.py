"""Times of sessions follow the weekly cycle."""

from __future__ import annotations

import numpy as np

from generators.codec.clock import DAY_MS, hour_of_week
from generators.codec.timing_params import WEEK_HOURS, TimingParams
from generators.sampling import timing

MONDAY = 1_735_516_800_000  # 2024-12-30, ms


def weekly_clock(weekly: np.ndarray) -> TimingParams:
    none = np.zeros(24, dtype=np.int64)
    end = MONDAY + 365 * DAY_MS
    return TimingParams(
        np.zeros(2),
        np.ones(2),
        weekly[None],
        1,
        MONDAY,
        end,
        1_000,
        False,
        none,
        none,
        none,
        0,
        0,
        0,
    )


def test_users_arrive_in_each_hour_as_often_as_the_weekly_cycle_says() -> None:
    hour = np.arange(WEEK_HOURS)
    open_ = (hour < 5 * 24) & (hour % 24 >= 9) & (hour % 24 < 18)
    weekly = np.where(open_, 1.0, 0.01)
    n, rng = 20_000, np.random.default_rng(1)
    low = MONDAY + rng.integers(0, 300 * DAY_MS, n)
    rhythm, u = np.zeros(n, dtype=np.int64), rng.random((n, timing.DRAWS))
    time = timing.arrive(low, low + 14 * DAY_MS, rhythm, u, weekly_clock(weekly))
    share = np.bincount(hour_of_week(time), minlength=WEEK_HOURS) / n
    wanted = weekly / weekly.sum()
    assert abs(share[~open_].sum() - wanted[~open_].sum()) < 0.006
    np.testing.assert_allclose(share[open_], wanted[open_], atol=0.006)
