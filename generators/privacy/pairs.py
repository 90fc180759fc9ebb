"""Pairs of labels in groups, such as the items of a category, counted with or without noise.

Under a budget most counts of pairs are smaller than their noise. How many pairs there are is
therefore estimated from coarse to fine, and each step is a function of the answer, which costs
nothing:

1. by popularity: a pair is as frequent as both of its labels are;
2. by what is publicly known of labels (`Facts`): pairs of one brand, or of prices close to each
   other, are more frequent than that, and so are those of one brand with a certain other one. Each
   class of pairs has a factor, shrunk towards 1 as far as its deviation may be noise (empirical
   Bayes, Morris 1983, doi:10.2307/2287098);
3. by the labels themselves: what is left is a few tastes seen through many labels, a matrix of low
   rank. Its eigenvalues beyond the edge of the noise's own spectrum, 2 sd sqrt(n) (Wigner 1958,
   doi:10.2307/1970008), are kept, shrunk as that noise asks for (Benaych-Georges and Nadakuditi
   2011, doi:10.1016/j.aim.2011.02.007).

Example::

    pairs = Pairs.of(group, popularity)
    user, cell = pairs.cells(user, before, after)  # a question of pairs.size cells
    lifts = pairs.lifts(*tables.ask(...)["pairs"], popularity, facts)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

MOST_PAIRED = 300  # labels of a group of which pairs are counted, the most popular ones
PSEUDO_PAIRS = 2.0  # of a label with the others, as popularity and facts have it
PSEUDO_NOISE = 2.0  # of the same, for each sd of noise and root of the number of labels
# Bounds of how far apart two numbers are, as a share of the numbers of their group.
DISTANCES = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
LEAST_FACTOR = 0.05  # of a class of pairs
ROUNDS = 20  # until the spread of the factors is found
NOTHING = 1e-12  # what is less is no pair


@dataclass(frozen=True)
class Facts:
    """What is publicly known of labels, whatever users did."""

    texts: Sequence[np.ndarray] = ()  # attributes as codes, (n_labels,) int64, 0 = unknown
    numbers: Sequence[np.ndarray] = ()  # (n_labels,) float64, NaN = unknown


@dataclass(frozen=True)
class Pairs:
    """Which pairs of labels are counted, and in which cells."""

    members: list[np.ndarray]  # the labels of each group, most popular first
    group: np.ndarray  # (n_labels,) int64
    width: np.ndarray  # (n_groups,) labels of a group that are paired: its first ones
    start: np.ndarray  # (n_groups,) first cell of each group
    local: np.ndarray  # (n_labels,) place of each label in its group, -1 = not paired

    @classmethod
    def of(cls, group: np.ndarray, popularity: np.ndarray) -> Pairs:
        """Return the pairs of the most popular labels of each group; both are (n_labels,)."""
        order = np.lexsort((np.arange(len(group)), -popularity, group))
        members = np.split(order, np.cumsum(np.bincount(group))[:-1])
        width = np.array([min(len(labels), MOST_PAIRED) for labels in members])
        local = np.full(len(group), -1)
        for labels, m in zip(members, width, strict=True):
            local[labels[:m]] = np.arange(m)
        return cls(members, group, width, np.cumsum(width**2) - width**2, local)

    @property
    def size(self) -> int:
        """Number of cells: a square for each group, of which the upper triangle is used."""
        return int((self.width**2).sum())

    def cells(
        self, user: np.ndarray, one: np.ndarray, two: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return users (m,) and cells (m,) of those of the pairs (n,) that are counted.

        A pair is of two different labels of one group; it does not matter which comes first.
        """
        use = (self.group[one] == self.group[two]) & (one != two)
        use &= (self.local[one] >= 0) & (self.local[two] >= 0)
        one, two, group = self.local[one[use]], self.local[two[use]], self.group[one[use]]
        low, high = np.minimum(one, two), np.maximum(one, two)
        return user[use], self.start[group] + low * self.width[group] + high

    def squares(self, cells: np.ndarray) -> list[np.ndarray]:
        """Return the part of `cells` (size,) that belongs to each group, (m, m)."""
        parts = np.split(cells, np.cumsum(self.width**2)[:-1])
        return [part.reshape(m, m) for part, m in zip(parts, self.width, strict=True)]

    def lifts(
        self, counts: np.ndarray, noise: float, popularity: np.ndarray, facts: Facts
    ) -> list[np.ndarray]:
        """Return how many times likelier each label is after another than by its popularity.

        Args:
            counts: (size,) answer to the question of the pairs.
            noise: standard deviation of the noise on each of them.
            popularity: (n_labels,) of labels, above 0.
            facts: about labels.

        Returns:
            (m, m) float32 of each group, its labels in the order of `members`.
        """
        upper = [np.triu_indices(m, 1) for m in self.width]
        found = [square[at] for square, at in zip(self.squares(counts), upper, strict=True)]
        expected = self._expected(found, upper, noise, popularity, facts)
        lifts = []
        for k, m in enumerate(self.width):
            share = popularity[self.members[k][:m]]
            base = _symmetric(expected[k], upper[k], m)
            kept = base + _low_rank(_symmetric(found[k] - expected[k], upper[k], m), noise)
            pseudo = PSEUDO_PAIRS + PSEUDO_NOISE * noise * math.sqrt(m)
            lifts.append(_lift(np.maximum(kept, 0.0), base, share / share.sum(), pseudo))
        return lifts

    def _expected(
        self,
        found: Sequence[np.ndarray],
        upper: Sequence[tuple[np.ndarray, np.ndarray]],
        noise: float,
        popularity: np.ndarray,
        facts: Facts,
    ) -> list[np.ndarray]:
        """Return how many pairs there would be by popularity and facts alone.

        `found` are the noisy counts (k,) of the pairs `upper` of each group.
        """
        sizes = [len(pairs) for pairs in found]
        group, all_found = np.repeat(np.arange(len(sizes)), sizes), np.concatenate(found)
        one, two = (
            np.concatenate([m[at[side]] for m, at in zip(self.members, upper, strict=True)])
            for side in (0, 1)
        )
        if not len(group):  # no group has two labels
            return list(found)
        total = np.maximum(np.bincount(group, all_found, minlength=len(sizes)), 1.0)

        def scaled(expected: np.ndarray) -> np.ndarray:
            reached = np.bincount(group, expected, minlength=len(sizes))
            return np.asarray(expected * (total / np.maximum(reached, NOTHING))[group])

        expected = scaled(popularity[one] * popularity[two])
        for of in self._classes(facts, group, one, two):
            expected = scaled(expected * _factors(of, all_found, expected, noise)[of])
        return np.split(expected, np.cumsum(sizes)[:-1])

    def _classes(
        self, facts: Facts, group: np.ndarray, one: np.ndarray, two: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield the class (n,) of each pair of the labels `one` and `two` (n,), coarse ones first.

        Class 0 are pairs of which a fact is not known.
        """
        for number in facts.numbers:
            place = _places(number, self.group)
            distance = np.abs(place[one] - place[two])
            yield np.where(np.isnan(distance), 0, 1 + np.digitize(distance, DISTANCES))
        for code in facts.texts:
            known = (code[one] > 0) & (code[two] > 0)
            yield np.where(known, 1 + (code[one] == code[two]), 0)
        for code in facts.texts:
            size, known = int(code.max(initial=0)) + 1, (code[one] > 0) & (code[two] > 0)
            low, high = np.minimum(code[one], code[two]), np.maximum(code[one], code[two])
            pair = np.where(known, (group * size + low) * size + high, -1)
            yield np.unique(np.append(-1, pair), return_inverse=True)[1][1:]


def _places(number: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the place of each number among those of its group, from 0 to 1; NaN = unknown."""
    order = np.lexsort((number, group))  # NaN last
    size = np.bincount(group, np.isfinite(number))
    place = np.full(len(number), np.nan)
    first = np.searchsorted(group[order], group[order])
    place[order] = (np.arange(len(number)) - first) / np.maximum(size[group[order]], 1)
    place[~np.isfinite(number)] = np.nan
    return place


def _factors(of: np.ndarray, found: np.ndarray, expected: np.ndarray, noise: float) -> np.ndarray:
    """Return by which factor the pairs of each class are more frequent than expected.

    A deviation is shrunk to the share of its variance that chance does not explain. How much the
    true factors spread is found from all classes together, those that are known better counting
    more (Morris 1983, equation 5.1).

    Args:
        of: (n,) class of each pair.
        found: (n,) noisy counts.
        expected: (n,) of them.
        noise: standard deviation of the noise on each count.
    """
    total = np.maximum(np.bincount(of, expected), NOTHING)
    off = np.bincount(of, found) / total - 1.0
    by_chance = (noise**2 * np.bincount(of) + total) / total**2
    spread = 1.0
    for _ in range(ROUNDS):
        weight = 1.0 / (spread + by_chance)
        spread = max(float(((off**2 - by_chance) * weight).sum() / weight.sum()), 0.0)
    return np.maximum(1.0 + off * spread / (spread + by_chance), LEAST_FACTOR)


def _symmetric(cells: np.ndarray, upper: tuple[np.ndarray, np.ndarray], size: int) -> np.ndarray:
    """Return the symmetric matrix of the values of its upper triangle; its diagonal is 0."""
    out = np.zeros((size, size))
    out[upper] = cells
    return out + out.T


def _low_rank(matrix: np.ndarray, noise: float) -> np.ndarray:
    """Return what is seen of a symmetric matrix through noise of a standard deviation.

    An eigenvalue t appears as t + s^2 / t, s being half the edge of the noise's spectrum, and its
    vector turned away by an angle whose squared cosine is 1 - s^2 / t^2.
    """
    values, vectors = np.linalg.eigh(matrix)
    half = noise * math.sqrt(len(matrix))
    kept = np.abs(values) > 2 * half
    size, vectors = np.abs(values[kept]), vectors[:, kept]
    true = (size + np.sqrt(size**2 - 4 * half**2)) / 2
    shrunk = np.sign(values[kept]) * true * (1 - (half / true) ** 2)
    out = (vectors * shrunk) @ vectors.T
    np.fill_diagonal(out, 0.0)
    return np.asarray(out)


def _lift(pairs: np.ndarray, base: np.ndarray, share: np.ndarray, pseudo: float) -> np.ndarray:
    """Return shares of labels after each other over their `share`, of pairs and of `pseudo` more.

    The latter are those that facts expect, `base`.
    """
    expected = base.sum(1, keepdims=True)
    by_facts = np.where(expected > NOTHING, base / np.maximum(expected, NOTHING), share)
    np.fill_diagonal(by_facts, 0.0)
    pairs = pairs + pseudo * by_facts
    total = pairs.sum(1, keepdims=True)
    after = np.where(total > NOTHING, pairs / np.maximum(total, NOTHING), share)
    return np.asarray(after / share, dtype=np.float32)
