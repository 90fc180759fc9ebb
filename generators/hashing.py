"""Hashes of whole arrays: fast and well mixed, but not cryptographic."""

from __future__ import annotations

import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def mix(values: np.ndarray, salt: int | np.ndarray) -> np.ndarray:
    """Return (n,) uint64: splitmix64 of `values` (n,) and `salt`, one for all or (n,).

    Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195.
    """
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.asarray(salt).astype(np.uint64) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))
