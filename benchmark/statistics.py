"""Intervals, paired tests and rank agreement from bootstrap replicates.

Replicate b of every model of a task is measured on the same resample of users, so models are compared replicate by
replicate. Several seeds are resampled too: an interval then covers users and seeds (a two-level bootstrap, Davison and
Hinkley 1997, section 3.8).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

LEVEL = 0.95


def over_seeds(replicates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(b,) replicates of the mean over seeds, from (seeds, b): each takes as many seeds, drawn with replacement."""
    seeds, b = replicates.shape
    if seeds == 1:
        return replicates[0]
    drawn = rng.integers(0, seeds, size=(seeds, b))
    return np.take_along_axis(replicates, drawn, axis=0).mean(axis=0)


def interval(replicates: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval; NaN where no replicate has a value."""
    present = replicates[np.isfinite(replicates)]
    if len(present) == 0:
        return math.nan, math.nan
    low, high = np.quantile(present, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def p_value(difference: float, replicates: np.ndarray) -> float:
    """Two-sided p of `difference` = 0 by its bootstrap standard error (normal: 1,000 replicates cannot resolve a corrected tail)."""
    spread = float(np.nanstd(replicates))
    if not math.isfinite(difference) or spread == 0:
        return 1.0 if not difference else 0.0
    return math.erfc(abs(difference) / spread / math.sqrt(2))


def holm(p: Sequence[float]) -> list[float]:
    """P values corrected for many comparisons (Holm 1979), in the order given."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    out, worst = [0.0] * len(p), 0.0
    for place, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - place) * p[i]))
        out[i] = worst
    return out


def tiers(value: Mapping[str, float], replicates: Mapping[str, np.ndarray], *, alpha: float = 0.05) -> dict[str, int]:
    """Name -> tier. A tier holds its best model and those that are not shown to be worse (paired, Holm over all pairs)."""
    names = sorted(value, key=lambda n: (-value[n], n))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1:]]
    p = holm([p_value(value[a] - value[b], replicates[a] - replicates[b]) for a, b in pairs])
    worse = {pair for pair, corrected in zip(pairs, p, strict=True) if corrected < alpha}
    out: dict[str, int] = {}
    leader = None
    for name in names:
        if leader is None or (leader, name) in worse:
            leader = name
            tier = len(out) + 1  # competition ranking: two firsts are followed by a third
        out[name] = tier
    return out


def kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(b,) Kendall tau-b between the columns of x and y (models, b) (Kendall 1945); NaN where a side is all ties."""
    i, j = np.triu_indices(x.shape[0], k=1)
    a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])  # (pairs, b)
    norm = np.sqrt((a != 0).sum(axis=0) * (b != 0).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 0, (a * b).sum(axis=0) / norm, np.nan)
