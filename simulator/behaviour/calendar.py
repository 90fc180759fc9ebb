"""Keeps visits that an earlier one leads to within the hours and days on which shoppers come."""

from __future__ import annotations

import numpy as np

from simulator.counter_rng import units
from simulator.world.catalogue import DAY, World

QUIET = 0.5  # of the mean weight of a day: on a quieter one some visits wait for the next day
LONGEST_WAIT = 10  # days that a visit waits at most
POSTPONED = 0xCA1E  # stream of the draws of which visit waits


def keep_to_calendar(
    time: np.ndarray, after: np.ndarray, key: np.ndarray, world: World
) -> np.ndarray:
    """Return (n,) seconds of visits due at `time` (n,), at the hours of the day they fall on.

    A visit waits for a later day where few or none come on its own; its place within the day
    becomes the same quantile of the hours' profile. One that would be before `after` (n,), the time
    at which it was scheduled, keeps its time. `key`: (n,) uint64 of the visits' draws.
    """
    day = np.minimum((time / DAY).astype(np.int64), world.days - 1)
    share = np.minimum(world.day_weight / max(QUIET * float(world.day_weight.mean()), 1e-9), 1.0)
    waiting = np.flatnonzero(share[day] < 1.0)
    for wait in range(LONGEST_WAIT):
        if not len(waiting):
            break
        waiting = waiting[units(key[waiting], POSTPONED + wait) >= share[day[waiting]]]
        day[waiting] += 1
        waiting = waiting[day[waiting] < world.days]
    day = np.minimum(day, world.days - 1)
    quantile = time % DAY / DAY
    moved = np.empty(len(time))
    weekend = world.is_weekend[day]
    for weight, mine in zip(world.hour_weight, (~weekend, weekend), strict=True):
        profile = np.append(0.0, np.cumsum(weight)) / weight.sum()
        moved[mine] = np.interp(quantile[mine], profile, np.arange(25) * DAY / 24)
    moved += day * DAY
    return np.where((moved > after) & (time < world.days * DAY), moved, time)
