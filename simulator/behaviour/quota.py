"""Whether a planned attack takes place: keeps the shares of fraudulent orders as a day is played.

More attacks are planned than are needed. One takes place where its typology is behind its share of
the orders placed so far, so a share is right to within one order at any length of the log. Compiled
code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eventlog._runtime.compiled import inner
from eventlog._runtime.references import by_reference

HOUR = 3_600.0


@by_reference
class Quota(NamedTuple):
    """What the attacks of a day may amount to. Typologies of a `group` have one share in common."""

    ratio: np.ndarray  # (n_typologies,) float64 orders of each typology for every honest order
    group: np.ndarray  # (n_typologies,) int64
    of_group: np.ndarray  # (n_groups,) float64 orders of each group for every honest order
    # (25,) float64 honest orders since the log began that are as good as certain at each full hour:
    # fraudsters keep their own hours and need not wait for them
    certain: np.ndarray
    midnight: float  # seconds at which the day begins
    rounding: float  # from 0 to 1: what an order in the making counts


@inner
def is_open(typology, time, quota, placed):
    """Return whether one more order of a typology keeps within its share and that of its group.

    `placed`: (n_typologies + 1,) int64 orders since the log began; the last number counts the
    honest ones.
    """
    hour = min(max((time - quota.midnight) / HOUR, 0.0), 24.0)
    before = min(int(hour), 23)
    low, high = quota.certain[before], quota.certain[before + 1]
    honest = max(placed[len(quota.ratio)], low + (hour - before) * (high - low))
    group, done = quota.group[typology], 0
    for k in range(len(quota.ratio)):
        if quota.group[k] == group:
            done += placed[k]
    return (
        done + 1 <= quota.of_group[group] * honest + quota.rounding
        and placed[typology] < quota.ratio[typology] * honest + 1.0
    )


@inner
def count_order(typology, placed):
    """Count an order of a typology; -1 = an honest one."""
    placed[typology if typology >= 0 else len(placed) - 1] += 1
