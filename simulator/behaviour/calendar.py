"""Keeps visits that an earlier one leads to within the hours and days on which shoppers come."""

from __future__ import annotations

import numpy as np

from simulator.world.catalogue import DAY, World


def keep_to_calendar(time: np.ndarray, after: np.ndarray, world: World) -> np.ndarray:
    """Return (n,) seconds of visits due at `time` (n,), at the hours of the day they fall on.

    A visit's place within the day becomes the same quantile of the hours' profile. One that would
    be before `after` (n,), the time at which it was scheduled, keeps its time. Where the scenario
    gives a weight for each day, visits keep to these too: nobody comes on a closed day.
    """
    if world.scenario.calendar.day_weights:
        time = by_weight_of_days(time, after, world.day_weight)
    day = np.minimum((time / DAY).astype(np.int64), world.days - 1)
    quantile = time % DAY / DAY
    moved = np.empty(len(time))
    weekend = world.is_weekend[day]
    for weight, mine in zip(world.hour_weight, (~weekend, weekend), strict=True):
        profile = np.append(0.0, np.cumsum(weight)) / weight.sum()
        moved[mine] = np.interp(quantile[mine], profile, np.arange(25) * DAY / 24)
    moved += day * DAY
    return np.where((moved > after) & (time < world.days * DAY), moved, time)


def by_weight_of_days(time: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return (n,) seconds at which waits from `after` to `time` (n,) end if busy days count more.

    A wait passes at the pace of the days: on a day of twice the mean `weight` (days,) twice as
    fast, on a day without weight not at all. So what follows from visits that keep to the weights
    keeps to them as well. Beyond the last day it is the end of that day.
    """
    clock = np.append(0.0, np.cumsum(weight)) / weight.mean()  # at each midnight
    midnight = np.arange(len(clock)) * DAY
    ends = np.interp(after, midnight, clock) + (time - after) / DAY
    return np.maximum(np.interp(ends, clock, midnight), after)  # rounding aside
