"""Orders of models: ranks, and how far two tables agree (Kendall's tau with an interval)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmark.evaluation import statistics
from benchmark.evaluation.statistics import Comparison, Pair


class Agreement(NamedTuple):
    """Kendall's tau between the orders of the same models in two tables, and its interval."""

    tau: float
    low: float
    high: float
    models: int


def agreement(one: Comparison, two: Comparison, names: Sequence[str]) -> Agreement | None:
    """Return how far two tables order `names` alike; None for fewer than three.

    The interval is of the true orders: a pair that both tables separate counts as it is found, any
    other pair may go either way. All pairs of both tables are tested together, so the interval
    holds at least 95 % of the time, also where models are equal. A percentile interval of
    resampled taus does not: noise turns pairs, and never turns them back.
    """
    if len(names) < 3:
        return None
    pairs = list(itertools.combinations(names, 2))
    signs = _signs([(one, pairs), (two, pairs)])
    decided = (signs[0] != 0) & (signs[1] != 0)
    total = int((signs[0] * signs[1])[decided].sum())
    free = len(pairs) - int(decided.sum())
    x, y = (np.array([[t.value[t.at[n]]] for n in names]) for t in (one, two))
    tau = float(kendall(x, y)[0])
    return Agreement(tau, (total - free) / len(pairs), (total + free) / len(pairs), len(names))


def _signs(tables: Sequence[tuple[Comparison, Sequence[Pair]]]) -> list[np.ndarray]:
    """Return for each table the (pairs,) sign of each difference, 0 where it is not shown."""
    found = [table.statistics(pairs) for table, pairs in tables]
    b = min(drawn.shape[1] for _, drawn in found)
    p = statistics.step_down(
        np.concatenate([t for t, _ in found]), np.concatenate([drawn[:, :b] for _, drawn in found])
    )
    shown = np.split(np.array(p) < statistics.ALPHA, np.cumsum([len(t) for t, _ in found])[:-1])
    return [np.sign(t) * s for (t, _), s in zip(found, shown, strict=True)]


def ranks(value: Mapping[str, float]) -> dict[str, float]:
    """Return name -> rank, 1 for the highest value; equal values share the mean rank."""
    from scipy.stats import rankdata

    found = rankdata([-v for v in value.values()])
    return {name: float(rank) for name, rank in zip(value, found, strict=True)}


def halves(seeds: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return every way to cut `seeds` into two disjoint sets whose sizes differ by at most one."""
    seeds = sorted(seeds)
    found = []
    for chosen in itertools.combinations(seeds, len(seeds) // 2):
        rest = [s for s in seeds if s not in chosen]
        # Of equal halves each cut occurs twice.
        if len(chosen) < len(rest) or chosen[0] == seeds[0]:
            found.append((list(chosen), rest))
    return found if len(seeds) > 1 else []


def kendall(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (b,) Kendall's tau-b between the columns of x and of y, both (models, b).

    NaN where all values of a side are tied (Kendall 1945). scipy's takes one pair of columns at a
    time.
    """
    i, j = np.triu_indices(x.shape[0], k=1)
    a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])  # (pairs, b)
    norm = np.sqrt((a != 0).sum(axis=0) * (b != 0).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 0, (a * b).sum(axis=0) / norm, np.nan)
