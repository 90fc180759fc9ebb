"""Intervals, paired tests and rank agreement from bootstrap replicates.

Replicate b of every model of a task is measured on the same resample of users, so models are
compared replicate by replicate: the test is paired, user by user. Several seeds are resampled too,
and an interval then covers users and seeds (a two-level bootstrap, Davison and Hinkley 1997,
section 3.8). Ranks and Kendall's tau are vectorised over replicates, and tested against scipy.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

LEVEL = 0.95
ALPHA = 0.05
# Points per unit of Bradley-Terry strength: 400 points are odds of ten to one.
ELO = 400 / math.log(10)


def over_seeds(replicates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (b,) replicates of the mean over seeds, from (seeds, b) replicates of each seed.

    Each is the mean of seeds - 1 draws with replacement: one less than there are, so that the
    spread of a mean over a handful of seeds is not underestimated (Rao and Wu 1988).
    """
    seeds, b = replicates.shape
    if seeds == 1:
        return replicates[0]
    drawn = rng.integers(0, seeds, size=(seeds - 1, b))
    return np.take_along_axis(replicates, drawn, axis=0).mean(axis=0)


def interval(replicates: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of (b,) replicates; NaN where none has a value."""
    present = replicates[np.isfinite(replicates)]
    if len(present) == 0:
        return math.nan, math.nan
    low, high = np.quantile(present, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def p_value(difference: float, replicates: np.ndarray) -> float:
    """Return the two-sided p that `difference` is 0, by the standard error of its replicates.

    The distribution is taken as normal, because 1,000 replicates cannot resolve a corrected tail.
    """
    spread = float(np.nanstd(replicates))
    if not math.isfinite(difference) or spread == 0:
        return 1.0 if not difference else 0.0
    return math.erfc(abs(difference) / spread / math.sqrt(2))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values corrected for many comparisons (Holm 1979), in the order given."""
    from statsmodels.stats.multitest import multipletests  # here, because its import takes a second

    if len(p) == 0:
        return []
    return [float(value) for value in multipletests(p, method="holm")[1]]


def paired(
    value: Mapping[str, float], replicates: Mapping[str, np.ndarray]
) -> dict[tuple[str, str], float]:
    """Return (better, worse) -> p that the two differ, corrected over all pairs of names."""
    names = sorted(value, key=lambda n: (-value[n], n))
    pairs = list(itertools.combinations(names, 2))
    p = [p_value(value[a] - value[b], replicates[a] - replicates[b]) for a, b in pairs]
    return dict(zip(pairs, holm(p), strict=True))


def tiers(
    value: Mapping[str, float], p: Mapping[tuple[str, str], float], *, alpha: float = ALPHA
) -> dict[str, int]:
    """Return name -> tier.

    A tier holds its best model and those that are not shown to be worse than it; `p` is from
    `paired`.
    """
    out: dict[str, int] = {}
    leader = None
    for name in sorted(value, key=lambda n: (-value[n], n)):
        if leader is None or p[leader, name] < alpha:
            leader = name
            tier = len(out) + 1  # competition ranking: two firsts are followed by a third
        out[name] = tier
    return out


def cliques(
    value: Mapping[str, float], p: Mapping[tuple[str, str], float], *, alpha: float = ALPHA
) -> list[tuple[str, str]]:
    """Return the bars of a critical-difference plot (Demšar 2006) as (first, last) names.

    A bar is a longest run of neighbours, in the order of `value`, of which no two are separated.
    """
    names = sorted(value, key=lambda n: (-value[n], n))
    found: list[tuple[int, int]] = []
    for i in range(len(names)):
        j = i
        while j + 1 < len(names) and all(
            p[names[k], names[j + 1]] >= alpha for k in range(i, j + 1)
        ):
            j += 1
        if j > i and not (found and found[-1][1] >= j):
            found.append((i, j))
    return [(names[i], names[j]) for i, j in found]


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the (models, b) rank of each model in each replicate of (models, b) `values`.

    1 is the highest value; equal values share the mean rank, and a replicate in which a model has
    no value (NaN) has no ranks.
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(-values, axis=0))


def bradley_terry(wins: np.ndarray, *, prior: float = 1.0) -> np.ndarray:
    """Return (b, models) Bradley-Terry strengths s, with P(i beats j) = 1 / (1 + exp(s_j - s_i)).

    Args:
        wins: (b, models, models) how often the row's model beat the column's.
        prior: 1 / the variance of a normal prior around 0, under which the strengths are the mode.
            It keeps a model that always wins finite.

    The strengths of a replicate sum to 0. Bradley and Terry 1952; penalised as in Firth and de
    Menezes 2004, by Newton's method.
    """
    b, n, _ = wins.shape
    met = wins + wins.transpose(0, 2, 1)
    s = np.zeros((b, n))
    own = np.arange(n)
    for _ in range(50):
        chance = 1 / (1 + np.exp(s[:, None, :] - s[:, :, None]))
        slope = (wins - met * chance).sum(axis=2) - prior * s
        curve = -met * chance * (1 - chance)
        curve[:, own, own] = prior - curve.sum(axis=2)
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        s += step
        if np.abs(step).max() < 1e-9:
            break
    return s


def strengths(
    boards: Sequence[tuple[Mapping[str, float], Mapping[str, np.ndarray]]], rng: np.random.Generator
) -> dict[str, tuple[float, float, float]]:
    """Return name -> Bradley-Terry strength over boards and its 95 % interval, the strongest first.

    Args:
        boards: for each board name -> value, and name -> (b,) replicates.
        rng: draws the weights of the boards.

    Strengths are in Elo points around 0. On a board of n models each pair meets once; the higher
    value wins, equal ones draw. A replicate takes one resample of users and seeds of every board
    and weighs the boards anew: with Dirichlet weights (the Bayesian bootstrap, Rubin 1981) no
    board, and so no model, is ever dropped.
    """
    names = sorted({n for value, _ in boards for n in value})
    b = min((len(r) for _, replicates in boards for r in replicates.values()), default=0)
    column = {n: i for i, n in enumerate(names)}
    wins = np.zeros((b + 1, len(names), len(names)))  # the first is what was measured
    weight = (
        np.vstack([np.ones(len(boards)), rng.dirichlet(np.ones(len(boards)), size=b) * len(boards)])
        if boards
        else np.zeros((1, 0))
    )
    for k, (value, replicates) in enumerate(boards):
        here = list(value)
        at = np.array([column[n] for n in here])
        # (models, 1 + b)
        measured = np.column_stack(
            [[value[n] for n in here], np.stack([replicates[n][:b] for n in here])]
        )
        beat = (measured[:, None] > measured[None]) + 0.5 * (measured[:, None] == measured[None])
        beat[np.arange(len(here)), np.arange(len(here))] = 0
        wins[:, at[:, None], at[None]] += (beat * weight[:, k]).transpose(2, 0, 1)
    found = bradley_terry(wins) * ELO
    out = {n: (float(found[0, i]), *interval(found[1:, i])) for n, i in column.items()}
    return dict(sorted(out.items(), key=lambda pair: (-pair[1][0], pair[0])))


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
    time, which is 1,000 calls for the interval of one tau.
    """
    i, j = np.triu_indices(x.shape[0], k=1)
    a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])  # (pairs, b)
    norm = np.sqrt((a != 0).sum(axis=0) * (b != 0).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 0, (a * b).sum(axis=0) / norm, np.nan)
