"""The devices and cards of rings: which one a ring uses at each of its attacks."""

from __future__ import annotations

import numpy as np

from eventlog._runtime.compiled import compiled


@compiled()
def renewed(now, ring, fresh, free):
    """Return (n,) int64 code that each ring uses at each attack, and the next free code.

    `now` (n_rings,): the code that each ring uses so far, changed in place. `fresh` (n,): attacks,
    in the order of time, at which the ring takes a new code, counted from `free`.
    """
    used = np.empty(len(ring), dtype=np.int64)
    for attack in range(len(ring)):
        if fresh[attack]:
            now[ring[attack]] = free
            free += 1
        used[attack] = now[ring[attack]]
    return used, free


def first_without(now: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Return (n,) bool: the first attack of a ring that has nothing yet (`now` is -1)."""
    without = now[ring] < 0
    if without.any():  # on the first days only
        first = np.zeros(len(ring), dtype=bool)
        first[np.unique(ring, return_index=True)[1]] = True
        without &= first
    return without
