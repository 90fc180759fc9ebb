"""Gaps between rows that bring users to the end of their rows in time.

A user has a number of rows still to come and a time until the last of them. Gaps that add up to
that time are, for many rows, distributed like draws from their shares times exp(-rate * gap), with
the rate at which the mean is the time left by the rows left: the Gibbs conditioning principle (van
Campenhout and Cover 1981, doi:10.1109/TIT.1981.1056374). So how gaps depend on the pace needs no
counts of users, and costs no privacy budget.
"""

from __future__ import annotations

import numpy as np

from generators.codec.clock import Clock

HALVINGS = 60  # of the interval in which a rate is looked for
LARGEST_RATE = np.arcsinh(1e6)  # an hour; rates are looked for on this scale


def mean_hours(clock: Clock) -> np.ndarray:
    """Return the mean of the gaps of each code in hours, (size,), as they are drawn within it."""
    low, high = (end / 3600 for end in clock.gap_ends())
    with np.errstate(divide="ignore", invalid="ignore"):
        geometric = (high - low) / np.log(high / low)
    return np.where(high > low, np.where(low > 0, geometric, (low + high) / 2), low)


def paced(share: np.ndarray, weight: np.ndarray, hours: np.ndarray, target: float) -> np.ndarray:
    """Return shares (contexts, size) of gaps whose mean over contexts is `target` hours.

    Where no rate leads there, it is as near as any. A code without a share stays without one.

    Args:
        share: (contexts, size).
        weight: (contexts,) how frequent each context is.
        hours: (size,) mean gap of each code.
        target: in hours.
    """
    low, high = -LARGEST_RATE, LARGEST_RATE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = _tilted(share, hours, np.sinh(middle))
        if weight @ found @ hours > target * weight.sum():
            low = middle
        else:
            high = middle
    return _tilted(share, hours, np.sinh((low + high) / 2))


def _tilted(share: np.ndarray, hours: np.ndarray, rate: float) -> np.ndarray:
    """Return `share` (contexts, size) times exp(-rate * hours), each context's sum being 1."""
    with np.errstate(divide="ignore"):
        log = np.log(share) - rate * hours
    weight = np.exp(log - log.max(1, keepdims=True))
    out: np.ndarray = weight / weight.sum(1, keepdims=True)
    return out
