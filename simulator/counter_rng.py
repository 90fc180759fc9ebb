"""Keyed draws: the n-th number of a stream is a function of (key, n) alone.

So no decision changes the draws of another::

    key of a user -> key of a visit -> one number per (step, purpose)

A shopper who got a coupon and the counterfactual copy who did not draw the same numbers wherever
they face the same choice: common random numbers. The function is splitmix64 (Steele, Lea, Flood
2014), 2 ns a draw in compiled code.
"""

from __future__ import annotations

import math

import numpy as np

from eventlog._runtime.compiled import compiled

GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_TINY = 2.0**-53


@compiled(inline="always")
def scramble(z):
    """Return a bijective scramble of a uint64, the finaliser of splitmix64."""
    z = (z ^ (z >> _30)) * _M1
    z = (z ^ (z >> _27)) * _M2
    return z ^ (z >> _31)


@compiled()
def child(key, n):
    """Return the uint64 key of the n-th stream below `key`."""
    return scramble(scramble(key) + GAMMA * np.uint64(n + 1))


@compiled()
def uniform(key, n):
    """Return the n-th draw of the stream, a float64 in [0, 1)."""
    return np.float64(scramble(key + GAMMA * np.uint64(n)) >> _11) * _TINY


@compiled()
def normal(key, n):
    """Return a standard normal from draws n and n + 1 (Box and Muller 1958)."""
    return math.sqrt(-2.0 * math.log(1.0 - uniform(key, n))) * math.cos(
        2.0 * math.pi * uniform(key, n + 1)
    )


@compiled()
def children(keys, numbers):
    """Return (n,) uint64: `child` of each key (n,) and number (n,)."""
    out = np.empty(len(keys), dtype=np.uint64)
    for i in range(len(keys)):
        out[i] = child(keys[i], numbers[i])
    return out


@compiled()
def uniforms(key, numbers):
    """Return (n,) float64: `uniform` of the key and each number (n,)."""
    out = np.empty(len(numbers), dtype=np.float64)
    for i in range(len(numbers)):
        out[i] = uniform(key, numbers[i])
    return out


@compiled()
def normals(key, numbers):
    """Return (n,) float64: `normal` of the key and each number (n,)."""
    out = np.empty(len(numbers), dtype=np.float64)
    for i in range(len(numbers)):
        out[i] = normal(key, numbers[i])
    return out


@compiled()
def mixed(values, salt):
    """Return (n,) uint64: `scramble` of each uint64 (n,) in the stream `salt`."""
    out = np.empty(len(values), dtype=np.uint64)
    offset = salt * GAMMA
    for i in range(len(values)):
        out[i] = scramble(values[i] + offset)
    return out


def units(keys: np.ndarray, n: int) -> np.ndarray:
    """Return (n_keys,) float64: `uniform` of each uint64 key and the number `n`."""
    return (mixed(keys, np.uint64(n)) >> _11).astype(np.float64) * _TINY  # type: ignore[no-any-return]


def deviates(keys: np.ndarray, n: int) -> np.ndarray:
    """Return (n_keys,) float64: `normal` of each uint64 key and the number `n`."""
    radius = np.sqrt(-2.0 * np.log(1.0 - units(keys, n)))
    return radius * np.cos(2.0 * np.pi * units(keys, n + 1))  # type: ignore[no-any-return]
