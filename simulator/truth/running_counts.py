"""Counts over earlier rows of the same user, device, card or pair of them."""

from __future__ import annotations

import numpy as np


def earlier(entity: np.ndarray, time: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return (n,) sum of `value` (n,) over the earlier rows of the same `entity` (n,).

    Earlier in `time` (n,), and in the order of rows where times are equal.

    >>> earlier(np.array([7, 7, 8, 7]), np.array([1, 2, 3, 4]), np.array([1, 1, 1, 1])).tolist()
    [0.0, 1.0, 0.0, 2.0]
    """
    order = np.lexsort((time, entity))
    total = np.append(0.0, np.cumsum(value[order], dtype=np.float64))
    begins = np.append(True, entity[order][1:] != entity[order][:-1])[: len(order)]
    base = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    out = np.empty(len(order))
    out[order] = total[:-1] - total[base]
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
    return earlier(both, np.concatenate([asked_time, time]), is_row)[: len(asked_owner)]
