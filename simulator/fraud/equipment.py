"""The devices and cards of rings: which one a ring uses at each of its attacks."""

from __future__ import annotations

import numpy as np


def renewed(
    now: np.ndarray, ring: np.ndarray, fresh: np.ndarray, free: int
) -> tuple[np.ndarray, int]:
    """Return (n,) int64 code that each ring uses at each attack, and the next free code.

    `now` (n_rings,): the code that each ring uses so far, changed in place. `fresh` (n,): attacks,
    in the order of time, at which the ring takes a new code, counted from `free`.
    """
    code = np.where(fresh, free + np.cumsum(fresh) - 1, -1)
    order = np.argsort(ring, kind="stable")  # by ring, then time
    first = np.append(True, ring[order][1:] != ring[order][:-1])
    # Codes rise with time, so within a ring the latest one is the running maximum of (ring, code).
    span = free + len(ring) + 2
    key = (
        ring[order].astype(np.int64) * span
        + np.where(fresh[order], code[order], np.where(first, now[ring[order]], -1))
        + 1
    )
    used = np.maximum.accumulate(key) % span - 1
    now[ring[order]] = used
    out = np.empty(len(ring), dtype=np.int64)
    out[order] = used
    return out, free + int(fresh.sum())


def first_without(now: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Return (n,) bool: the first attack of a ring that has nothing yet (`now` is -1)."""
    first = np.zeros(len(ring), dtype=bool)
    first[np.unique(ring, return_index=True)[1]] = True
    return first & (now[ring] < 0)
