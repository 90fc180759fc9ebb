"""Counts over earlier rows of the same user, device, card or pair of them."""

from __future__ import annotations

import numpy as np


class Earlier:
    """Rows of the same entity that are earlier: in time, in the order of rows at equal times.

    Args:
        entity: (n,) codes.
        time: (n,) numbers.
    """

    def __init__(self, entity: np.ndarray, time: np.ndarray) -> None:
        self._order = np.lexsort((time, entity))
        grouped = entity[self._order]
        begins = np.append(True, grouped[1:] != grouped[:-1])[: len(grouped)]
        self._begin = np.maximum.accumulate(np.where(begins, np.arange(len(grouped)), 0))

    def total(self, value: np.ndarray) -> np.ndarray:
        """Return (n,) float64 sum of `value` (n,) over the earlier rows of each row's entity.

        >>> Earlier(np.array([7, 7, 8, 7]), np.array([1, 2, 3, 4])).total(np.ones(4)).tolist()
        [0.0, 1.0, 0.0, 2.0]
        """
        sums = np.append(0.0, np.cumsum(value[self._order], dtype=np.float64))
        out = np.empty(len(self._order))
        out[self._order] = sums[:-1] - sums[self._begin]
        return out


def pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (n,) int64: one code for two nonnegative codes (n,)."""
    return a * (int(b.max(initial=0)) + 1) + b


def matches(
    owner: np.ndarray,
    value: np.ndarray,
    asked_owner: np.ndarray,
    asked_value: np.ndarray,
    time: np.ndarray | None = None,
    asked_time: np.ndarray | None = None,
) -> np.ndarray:
    """Return (m,) how many of the rows (`owner`, `value`) (n,) equal each asked pair (m,).

    With times, only rows strictly before.
    """
    if time is None or asked_time is None:
        time, asked_time = (
            np.zeros(len(owner), dtype=np.int64),
            np.ones(len(asked_owner), dtype=np.int64),
        )
    both = pair(np.concatenate([asked_owner, owner]), np.concatenate([asked_value, value]))
    is_row = np.repeat([0.0, 1.0], [len(asked_owner), len(owner)])
    # Asked pairs come first, so at equal times the rows do not count.
    counted = Earlier(both, np.concatenate([asked_time, time])).total(is_row)
    return counted[: len(asked_owner)]
