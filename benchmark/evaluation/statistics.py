"""Intervals and tests over test users and fits, for all models of a table at once.

Replicate b of every model of a table is measured on the same resample of users, so differences are
paired, user by user. What a model scores varies for two reasons: which users are asked, and which
seed it was fitted with. The variance of its mean over n fits is

    (bootstrap variance of the mean) + (variance between fits - its part that is due to users) / n

Three fits say little about a variance. So those of the models of one family are pooled, and a model
that varies more than its family keeps its own (larger) variance: pooling saves power, and the
maximum keeps false findings rare where variances differ. A model whose fits agree to the bit has no
variance between fits. Docs: docs/explanation/statistics.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
ALPHA = 0.05
Z = 1.959964  # of a 95 % interval
RESOLUTION = 0.001  # of a p value; a smaller one is printed as "< 0.001"

Pair = tuple[str, str]


class Fits(NamedTuple):
    """What the fits of one model scored on the same questions."""

    values: np.ndarray  # (n,) of each fit, on the test users
    replicates: np.ndarray  # (n, b) of each fit, on b resamples of the users
    family: str = ""  # models of one family share what is known of the variance between fits
    fixed: bool = False  # known to be without randomness, though there is one fit only

    @property
    def random(self) -> bool:
        """Whether fits differ, or may differ: False where they agree to the bit."""
        if self.fixed:
            return False
        first = (self.values[:1], self.replicates[:1])
        agree = (self.values == first[0]).all() and (self.replicates == first[1]).all()
        return len(self.values) == 1 or not agree


class Comparison:
    """The models of a table: values, joint draws of what they could have been, and tests.

    Args:
        fits: name -> fits; all share the resamples. Resamples in which a model has no value are
            left out.
        rng: draws the noise of the seeds.
        counts: how many users, or how many of the rarer answer, the values rest on. With few of
            them resamples spread too little; errors and intervals are widened to what a t
            distribution with counts - 1 degrees of freedom asks for (Hesterberg 2015).

    A model with one fit has the variance of its family. Where no model of the family has two fits
    nothing is known of it (`unknown`): its draws then hold for this one fit, and cover users only.
    """

    def __init__(
        self, fits: Mapping[str, Fits], rng: np.random.Generator, *, counts: int | None = None
    ) -> None:
        self.names = list(fits)
        self.at = {name: i for i, name in enumerate(self.names)}
        self.fits = list(fits.values())
        self.n = np.array([len(f.values) for f in self.fits], dtype=np.float64)
        self.value = np.array([f.values.mean() for f in self.fits])
        b = min((f.replicates.shape[1] for f in self.fits), default=0)
        mean = np.array([f.replicates[:, :b].mean(axis=0) for f in self.fits]).reshape(
            len(self.fits), b
        )
        present = np.isfinite(mean).all(axis=0)
        # (models, b) deviations
        self.users = mean[:, present] - self.value[:, None]
        self.widening = widening(counts)
        self._specific = np.array([_user_part(f.replicates[:, :b][:, present]) for f in self.fits])
        self._pool(rng)
        # (models,) what the seeds add to the variance of a mean over fits
        self.seeds = self._seeds(self.between[:, None])[:, 0]

    def _pool(self, rng: np.random.Generator) -> None:
        """Set the (models,) variance between fits, and draw how wrong it may be."""
        families = [f.family for f in self.fits]
        known = np.array([f.random and len(f.values) > 1 for f in self.fits], dtype=bool)
        random = np.array([f.random for f in self.fits], dtype=bool)
        own = np.zeros(len(self.fits))
        own[known] = [self.fits[i].values.var(ddof=1) for i in np.flatnonzero(known)]
        self.between = np.zeros(len(self.fits))
        self.unknown = np.zeros(len(self.fits), dtype=bool)
        shape = (len(self.fits), self.users.shape[1])
        self._ratio = np.ones(shape)  # chi2 / degrees of freedom, one draw for a family
        for family in sorted(set(families)):
            here = np.array([f == family for f in families])
            pool = here & known
            chosen = here & random
            if not pool.any():
                self.unknown |= chosen
                continue
            weight = self.n[pool] - 1
            pooled = float((own[pool] * weight).sum() / weight.sum())
            self.between[chosen] = np.maximum(own[chosen], pooled)
            self._ratio[chosen] = rng.chisquare(weight.sum(), size=shape[1]) / weight.sum()
        self._noise = rng.standard_normal(shape)

    def _seeds(self, between: np.ndarray) -> np.ndarray:
        """Return what (models, b) variances between fits add to the variance of a mean."""
        return np.maximum(between - self._specific[:, None], 0) / self.n[:, None]

    @cached_property
    def covariance(self) -> np.ndarray:
        """(models, models) of the values, over users and seeds."""
        b = max(self.users.shape[1], 1)
        centred = self.users - self.users.mean(axis=1, keepdims=True)
        users = centred @ centred.T / b * self.widening**2
        return np.asarray(users + np.diag(self.seeds))

    @cached_property
    def draws(self) -> np.ndarray:
        """(models, b) values that users and fits of the same kind could have given.

        The variance between fits is drawn too (a generalised fiducial distribution, Weerahandi
        1993), so that quantiles are those of a t distribution where seeds are few.
        """
        seeds = self._noise * np.sqrt(self._seeds(self.between[:, None] / self._ratio))
        return self.value[:, None] + self.users + seeds

    def drawn(self, name: str) -> np.ndarray:
        """Return the (b,) draws of one model."""
        return np.asarray(self.draws[self.at[name]])

    def interval(self, name: str) -> tuple[float, float]:
        """Return the 95 % interval of a model's value."""
        return interval(self.drawn(name), self.widening)

    def difference(self, a: str, b: str) -> tuple[float, float, float]:
        """Return value(a) - value(b) and its 95 % interval (not simultaneous)."""
        i, j = self.at[a], self.at[b]
        low, high = interval(self.draws[i] - self.draws[j], self.widening)
        return float(self.value[i] - self.value[j]), low, high

    def statistics(self, pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
        """Return the (pairs,) t of each difference, and (pairs, b) draws of |t| if it were 0.

        The draws keep the correlation of the pairs; each is divided by a standard error of its own,
        with a variance between fits drawn from its chi-squared distribution.
        """
        if not pairs:
            return np.zeros(0), np.zeros((0, self.users.shape[1]))
        i, j = np.array([[self.at[a], self.at[b]] for a, b in pairs]).T
        centred = self.users - self.users.mean(axis=1, keepdims=True)
        shared = (centred[i] - centred[j]).var(axis=1)  # (pairs,)
        noise = centred + self._noise * np.sqrt(self.seeds)[:, None]
        redrawn = self._seeds(self.between[:, None] * self._ratio)
        error = np.sqrt(shared[:, None] + redrawn[i] + redrawn[j])
        whole = np.sqrt(shared * self.widening**2 + self.seeds[i] + self.seeds[j])
        t = _over(self.value[i] - self.value[j], whole)
        return t, np.abs(_over(noise[i] - noise[j], error))

    def errors(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return the (pairs,) standard error of each pair's difference."""
        v = self.covariance
        return np.array(
            [
                math.sqrt(max(v[i, i] + v[j, j] - 2 * v[i, j], 0.0))
                for i, j in ((self.at[a], self.at[b]) for a, b in pairs)
            ]
        )

    def p(self, pairs: Sequence[Pair]) -> dict[Pair, float]:
        """Return pair -> p that the two do not differ, corrected over all pairs given.

        Step-down max-t (Westfall and Young 1993, Romano and Wolf 2005): the chance that any
        finding is false is controlled, whichever models are equal.
        """
        return dict(zip(pairs, step_down(*self.statistics(pairs)), strict=True))

    def critical(self, pairs: Sequence[Pair]) -> float:
        """Return the |t| that the largest of all pairs passes in 5 % of the cases, if all are 0."""
        drawn = self.statistics(pairs)[1]
        return float(np.quantile(drawn.max(axis=0), 1 - ALPHA)) if drawn.size else math.nan

    def best_first(self, names: Iterable[str] | None = None) -> list[str]:
        """Return names, the highest value first."""
        chosen = self.names if names is None else names
        return sorted(chosen, key=lambda n: (-self.value[self.at[n]], n))

    def pairs(self, names: Iterable[str] | None = None) -> list[Pair]:
        """Return all (better, worse) pairs of the names."""
        return list(itertools.combinations(self.best_first(names), 2))


def widening(counts: int | None) -> float:
    """Return by how much an interval over `counts` units is to be widened; 1 where not known."""
    if counts is None or counts < 2:
        return 1.0
    from scipy.stats import t

    return float(t.ppf(0.5 + LEVEL / 2, counts - 1) / Z * math.sqrt(counts / (counts - 1)))


def _user_part(replicates: np.ndarray) -> float:
    """Return how much of the variance between (n, b) fits is due to the users asked.

    Two fits differ on a sample of users also because they err on different users; the resamples
    show by how much, and the variance of the mean has that part already.
    """
    n = len(replicates)
    if n == 1:
        return 0.0
    own = replicates - replicates.mean(axis=0)
    return float(own.var(axis=1).sum() / (n - 1)) if own.shape[1] else 0.0


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b; 0 / 0 is 0, because equal answers do not differ."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(a == 0, 0.0, a / b)


def interval(draws: np.ndarray, widening: float = 1.0) -> tuple[float, float]:
    """Return the 95 % percentile interval of (b,) draws; NaN where none has a value.

    `widening` takes quantiles further out, so that the interval stays in the range of the metric.
    """
    present = draws[np.isfinite(draws)]
    if len(present) == 0:
        return math.nan, math.nan
    below = math.erfc(Z * widening / math.sqrt(2)) / 2
    low, high = np.quantile(present, (below, 1 - below))
    return float(low), float(high)


def step_down(t: np.ndarray, drawn: np.ndarray) -> list[float]:
    """Return the corrected p of each of (tests,) t, from (tests, b) draws of |t| under no effect.

    The largest is held against the maximum over all, the next against that over the rest, and so
    on. No p is below 1 / (b + 1).
    """
    if len(t) == 0:
        return []
    order = np.argsort(-np.abs(t), kind="stable")
    # rest[k]: the maximum over the tests from place k on
    rest = np.maximum.accumulate(drawn[order][::-1], axis=0)[::-1]
    above = (rest >= np.abs(t)[order][:, None]).sum(axis=1)
    p = np.empty(len(t))
    p[order] = np.maximum.accumulate((1 + above) / (drawn.shape[1] + 1))
    return [float(value) for value in p]


def findings(p: Mapping[Pair, float], *, alpha: float = ALPHA) -> set[Pair]:
    """Return the (better, worse) pairs that are shown to differ, and what follows from them."""
    return closed({pair for pair, value in p.items() if value < alpha})


def closed(found: set[Pair]) -> set[Pair]:
    """Return the pairs with those that follow: a above b and b above c puts a above c.

    The larger of two differences can have the larger error, and so not be shown by itself.
    """
    names = sorted({name for pair in found for name in pair})
    at = {name: i for i, name in enumerate(names)}
    above = np.zeros((len(names), len(names)), dtype=bool)
    for better, worse in found:
        above[at[better], at[worse]] = True
    for k in range(len(names)):
        above |= above[:, k : k + 1] & above[k]
    return {(names[i], names[j]) for i, j in np.argwhere(above)}


def tiers(names: Iterable[str], found: set[Pair]) -> dict[str, int]:
    """Return name -> tier, from the (better, worse) pairs that are shown to differ.

    Tier 1 are those that no model is shown to be better than; tier 2 the same among the rest; and
    so on. With simultaneous tests the true best is in tier 1 with 95 % confidence, however many
    look best (the set of Hsu 1981 and of Hansen, Lunde and Nason 2011).
    """
    left = list(names)
    out: dict[str, int] = {}
    tier = 0
    while left:
        tier += 1
        top = [n for n in left if not any((other, n) in found for other in left)]
        out.update(dict.fromkeys(top, tier))
        left = [n for n in left if n not in out]
    return out


def rank_intervals(names: Iterable[str], found: set[Pair]) -> dict[str, tuple[int, int]]:
    """Return name -> lowest and highest rank that the tests leave open.

    From 1 + how many are shown to be better, to the number of models less how many are shown to be
    worse. All intervals hold together with 95 % confidence (Mogstad, Romano, Shaikh and Wilhelm
    2024). Tier k begins at rank k or later.
    """
    names = list(names)
    better = {n: sum((other, n) in found for other in names) for n in names}
    worse = {n: sum((n, other) in found for other in names) for n in names}
    return {n: (1 + better[n], len(names) - worse[n]) for n in names}


def cliques(names: Sequence[str], found: set[Pair]) -> list[Pair]:
    """Return the bars of a critical-difference plot (Demšar 2006) as (first, last) names.

    A bar is a longest run of neighbours among `names`, best first, of which no two are separated.
    """
    bars: list[tuple[int, int]] = []
    for i in range(len(names)):
        j = i
        while j + 1 < len(names) and not any(
            (names[k], names[j + 1]) in found for k in range(i, j + 1)
        ):
            j += 1
        if j > i and not (bars and bars[-1][1] >= j):
            bars.append((i, j))
    return [(names[i], names[j]) for i, j in bars]


def printed(p: float) -> str:
    """Return a p value for a table; below the resolution of the resamples it is "< 0.001"."""
    return "< 0.001" if p < RESOLUTION else f"{p:.3f}"
