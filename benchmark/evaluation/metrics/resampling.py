"""Draw users with replacement, and what all metrics do with the draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1_000
SEED = 20_240_229  # of the resamples; fixed, so that all models share them
CHUNK = 100_000  # numbers in one block of resample weights: 800 kB, so that it stays in the cache


@dataclass(frozen=True)
class Measured:
    """What metrics gave."""

    values: dict[str, float]  # metric -> value on the test users
    replicates: dict[str, np.ndarray]  # metric -> (RESAMPLES,) values on resampled users


def resamples(n: int, *, columns: int | None = None) -> Iterator[np.ndarray]:
    """Yield blocks (b, n) of how often each of `n` users occurs in each of RESAMPLES draws.

    Draws are with replacement, and do not depend on the size of the blocks: those are cut so that a
    block fits in CHUNK numbers, also where the caller spreads it to `columns`.
    """
    rng = np.random.default_rng(SEED)
    step = max(1, CHUNK // max(n, columns or 0, 1))
    for start in range(0, RESAMPLES, step):
        b = min(step, RESAMPLES - start)
        drawn = rng.integers(0, n, size=(b, n)) + np.arange(b)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)


def grouped(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the sums (b, groups) of groups of columns of `values` (b, n).

    `first` (groups,) is the first column of each.
    """
    if len(first) == values.shape[1]:
        return values
    return np.asarray(np.add.reduceat(values, first, axis=1))


def ratio(a: np.ndarray, b: np.ndarray, *, empty: float = np.nan) -> np.ndarray:
    """Return a / b, and `empty` where b is 0.

    A resample without a positive has no value, and no interval counts it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        out = a / b
    zero = b == 0
    if zero.any():
        out[np.broadcast_to(zero, out.shape)] = empty
    return np.asarray(out)


def among_best(total: np.ndarray, amount: np.ndarray, share: float) -> np.ndarray:
    """Return how much (b,) of `amount` falls to the best-ranked `share` of `total`.

    Both are (b, groups), at or above each threshold; a tie at the edge counts in proportion.
    """
    budget = share * total[:, -1]
    zero = np.zeros((len(total), 1))
    group = (total < budget[:, None]).sum(axis=1)  # the group in which the budget runs out
    row = np.arange(len(total))
    amount, total = np.concatenate([zero, amount], axis=1), np.concatenate([zero, total], axis=1)
    part = ratio(budget - total[row, group], total[row, group + 1] - total[row, group])
    return np.asarray(amount[row, group] + part * (amount[row, group + 1] - amount[row, group]))
