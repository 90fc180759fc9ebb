"""Pairs of labels in groups, such as the items of a category, counted with or without noise.

Under a budget most counts of pairs are smaller than their noise. But they are a few tastes seen
through many labels, so that their matrix has a low rank: its eigenvalues beyond the edge of the
noise's own spectrum, 2 sd sqrt(n) (Wigner 1958, doi:10.2307/1970008), are kept, and the others
dropped. What is kept is a function of the answer, and costs nothing.

Example::

    pairs = Pairs.of(group, popularity)
    user, cell = pairs.cells(user, before, after)  # a question of pairs.size cells
    matrices = pairs.matrices(*tables.ask(...)["pairs"])
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MOST_PAIRED = 300  # labels of a group of which pairs are counted, the most popular ones
PSEUDO_PAIRS = 2.0  # of a label with the others by their popularity
PSEUDO_NOISE = 0.3  # of the same, for each sd of noise and root of the number of labels


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

    def matrices(self, counts: np.ndarray, noise: float) -> list[np.ndarray]:
        """Return the numbers of pairs of each group, (m, m) symmetric and at least 0.

        `counts` (size,) have noise of the standard deviation `noise`, which is mostly removed.
        """
        found = []
        for square in self.squares(counts):
            upper = np.triu(square, 1)
            values, vectors = np.linalg.eigh(upper + upper.T)
            kept = np.abs(values) > 2 * noise * math.sqrt(len(square))
            low_rank = (vectors[:, kept] * values[kept]) @ vectors[:, kept].T
            np.fill_diagonal(low_rank, 0.0)
            found.append(np.maximum(low_rank, 0.0))
        return found


def pseudo_pairs(size: int, noise: float) -> float:
    """Return of how many pairs by popularity a label is taken to have had, among `size` labels."""
    return PSEUDO_PAIRS + PSEUDO_NOISE * noise * math.sqrt(size)
