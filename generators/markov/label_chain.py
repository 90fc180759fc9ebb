"""Which labels users come to, and after which: items of a catalogue, or their categories.

A chain knows the popularity of labels and, within each group of labels (the items of a category),
how much likelier one is after another. A label is drawn by its popularity, times how much likelier
it is after each of the user's last different labels of its group, wherever the user has been in
between. Both are learnt from counts of users, under a budget with noise (see
`generators.privacy.pairs`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from generators.privacy.counts import Rows
from generators.privacy.pairs import Facts, Pairs
from generators.validation import array

# Exponents of how much likelier a label is after the last one of its group, the one before it, ...
POWERS = (1.0, 0.8, 0.6)
HIDDEN = 2.0  # standard deviations of noise up to which a count may be chance
LEAST_POPULAR = 1e-3  # of the most popular label: popularity of one that is never seen
LEAST_LIFT = 1e-6  # so that its logarithm is finite
LEAST_COUNTED, MOST_COUNTED = 1e-12, 1e15


@dataclass(frozen=True)
class Visits:
    """Labels that users came to, run by run; each (n,)."""

    user: np.ndarray  # int64, sorted
    label: np.ndarray  # int64, unlike the one before of the same user

    @classmethod
    def of(cls, user: np.ndarray, label: np.ndarray) -> Visits:
        """Return the visits of rows, in the order of users and time; a label < 0 is none."""
        user, label = user[label >= 0], label[label >= 0]
        new = np.ones(len(user), dtype=bool)
        new[1:] = (user[1:] != user[:-1]) | (label[1:] != label[:-1])
        return cls(user[new], label[new])

    def labels(self, size: int) -> Rows:
        """Return each user's different labels among `size`, once each."""
        pair = np.unique(self.user * size + self.label)
        return pair // size, pair % size, None

    def pairs(self, of: Pairs) -> Rows:
        """Return pairs of labels of a group that a user came to one after the other."""
        same = self.user[:-1] == self.user[1:]
        before, after = self.label[:-1][same], self.label[1:][same]
        return (*of.cells(self.user[:-1][same], before, after), None)


@dataclass
class LabelChain:
    """Popularity of labels, and how much likelier each is after another of its group."""

    pairs: Pairs
    paired_by: np.ndarray  # (n_labels,) float32, of which `pairs` follow
    popularity: np.ndarray  # (n_labels,) float32, above 0
    lifts: list[np.ndarray]  # (m, m) float32 of each group, its labels in the order of the pairs

    def __post_init__(self) -> None:
        self._log_share = [np.log(self.popularity[labels]) for labels in self.pairs.members]
        self._log_lifts = [np.log(np.maximum(lift, LEAST_LIFT)) for lift in self.lifts]
        # (n_labels,) place of each label in its group
        self.place = np.empty(len(self.popularity), dtype=np.int64)
        for labels in self.pairs.members:
            self.place[labels] = np.arange(len(labels))

    def state(self, what: str) -> dict[str, np.ndarray]:
        """Return the arrays to save of a chain of `what`."""
        return {
            f"{what}/paired by": self.paired_by,
            f"{what}/popularity": self.popularity,
            f"{what}/lifts": np.concatenate([lift.reshape(-1) for lift in self.lifts]),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], what: str, group: np.ndarray) -> LabelChain:
        """Return the chain of saved arrays, which are checked; `group` (n_labels,)."""

        def counted(name: str, size: int, low: float) -> np.ndarray:
            high = MOST_COUNTED
            return array(arrays, name, dtype="float32", shape=(size,), low=low, high=high)

        paired_by = counted(f"{what}/paired by", len(group), 0.0)
        pairs = Pairs.of(group, paired_by)
        lifts = pairs.squares(counted(f"{what}/lifts", pairs.size, 0.0))
        return cls(
            pairs, paired_by, counted(f"{what}/popularity", len(group), LEAST_COUNTED), lifts
        )

    @classmethod
    def learned(
        cls,
        group: np.ndarray,
        paired_by: np.ndarray,
        popularity: tuple[np.ndarray, float],
        counts: tuple[np.ndarray, float],
        facts: Facts,
    ) -> LabelChain:
        """Return the chain of answers, each the counts and the sd of the noise on them.

        Labels of a `group` (n_labels,) were paired by `paired_by` (n_labels,) float32.
        """
        pairs, share = Pairs.of(group, paired_by), smoothed(*popularity)
        lifts = pairs.lifts(*counts, share, facts)
        return cls(pairs, paired_by, share.astype(np.float32), lifts)

    @classmethod
    def counted(
        cls, group: np.ndarray, popularity: np.ndarray, visits: Visits, facts: Facts
    ) -> LabelChain:
        """Return the chain of exact counts: `popularity` (n_labels,) and the pairs of `visits`.

        What a count of pairs has of chance is taken for noise, that of a Poisson variable.
        """
        paired_by = popularity.astype(np.float32)
        pairs = Pairs.of(group, paired_by)
        counts = np.bincount(visits.pairs(pairs)[1], minlength=pairs.size).astype(np.float64)
        cells = max(int((pairs.width * (pairs.width - 1) // 2).sum()), 1)
        by_chance = math.sqrt(counts.sum() / cells)
        return cls.learned(group, paired_by, (popularity, 0.0), (counts, by_chance), facts)

    def weights(self, group: int, earlier: np.ndarray) -> np.ndarray:
        """Return weights (n, labels of the group) of its `pairs.members`.

        `earlier` (n, len(POWERS)) are the places of a user's last different labels of the group,
        the last one first, -1 = none.
        """
        out = np.repeat(self._log_share[group][None], len(earlier), axis=0)
        lift = self._log_lifts[group]
        for place, power in zip(earlier.T, POWERS, strict=True):
            known = (place >= 0) & (place < len(lift))
            out[known, : len(lift)] += np.float32(power) * lift[place[known]]
        return np.asarray(np.exp(out, out=out))


def smoothed(counts: np.ndarray, noise: float) -> np.ndarray:
    """Return popularity above 0 of counts (n,): what the noise hides shares what is left of it."""
    hidden = counts <= HIDDEN * noise
    left = counts[hidden].mean() if hidden.any() else 0.0
    least = LEAST_POPULAR * max(float(counts.max(initial=0.0)), 1.0)
    return np.maximum(np.where(hidden, left, counts), least)
