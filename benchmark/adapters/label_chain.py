"""Which labels users come to, and after which: items of a catalogue, or their categories.

A chain knows the popularity of labels and, within each group of labels (the items of a category),
how much likelier one is after another. It redraws the labels of simulated users: the n-th different
label of a user becomes another one, wherever the user comes back to it. So visits, repeats and
orders stay those of the simulation, and what follows what is that of the log.

Both are learnt from counts of users. Under a budget the counts of pairs are noisy and mostly
smaller than the noise, but they are few tastes seen through many labels: a matrix of low rank.
Its eigenvalues beyond the edge of the noise's own spectrum, 2 sd sqrt(n) (Wigner 1958), are kept.

Example::

    chain = learn_chain(visits, ledger, "items")
    labels = chain.redraw(user, label, group, rng)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import Answers, Question, Rows, Tables
from generators.validation import array

MOST_PAIRED = 300  # labels of a group of which pairs are counted, the most popular ones
REACH = 2  # different labels after one that make a pair with it
CLIP_QUANTILE = 0.2  # of users' norms: the clip
# Rounds of questions, and their shares of the budget.
POPULARITY, PAIRS = "popularity", "pairs"
LENGTHS = {POPULARITY: "numbers of different labels", PAIRS: "numbers of pairs"}
ROUNDS = {LENGTHS[POPULARITY]: 0.02, POPULARITY: 0.2, LENGTHS[PAIRS]: 0.02, PAIRS: 0.76}
HIDDEN = 2.0  # standard deviations of noise up to which a count may be chance
LEAST_POPULAR = 1e-3  # of the most popular label: popularity of one that is never seen
PSEUDO_PAIRS = 2.0  # of a label with the others by their popularity
PSEUDO_NOISE = 0.3  # of the same, for each sd of noise and root of the number of labels
EARLIER = 0.5  # exponent of how much likelier a label is after the one before the last
MOST_COUNTED = 1e15
MOST_CELLS = 4_000_000  # users times labels that are drawn at a time


@dataclass(frozen=True)
class Visits:
    """Labels that users came to, run by run; each (n,) unless noted otherwise."""

    user: np.ndarray  # int64, sorted
    label: np.ndarray  # int64, unlike the one before of the same user
    group: np.ndarray  # (n_labels,) int64, the group of each label

    @classmethod
    def of(cls, user: np.ndarray, label: np.ndarray, group: np.ndarray) -> Visits:
        """Return the visits of rows, in the order of users and time; a label < 0 is none."""
        user, label = user[label >= 0], label[label >= 0]
        new = np.ones(len(user), dtype=bool)
        new[1:] = (user[1:] != user[:-1]) | (label[1:] != label[:-1])
        return cls(user[new], label[new], group)

    def labels(self) -> Rows:
        """Return each user's different labels, once each."""
        size = len(self.group)
        pair = np.unique(self.user * size + self.label)
        return pair // size, pair % size, None

    def pairs(self, local: np.ndarray, start: np.ndarray, width: np.ndarray) -> Rows:
        """Return pairs of different labels of a group that a user came to shortly after another.

        Args:
            local: (n_labels,) number of each label in its group, -1 = its pairs are not counted.
            start: (n_groups,) first cell of each group.
            width: (n_groups,) labels of each group.
        """
        users, cells = [], []
        for distance in range(1, REACH + 1):
            one, two = self.label[:-distance], self.label[distance:]
            use = self.user[:-distance] == self.user[distance:]
            use &= (self.group[one] == self.group[two]) & (one != two)
            use &= (local[one] >= 0) & (local[two] >= 0)
            one, two, group = local[one[use]], local[two[use]], self.group[one[use]]
            low, high = np.minimum(one, two), np.maximum(one, two)
            users.append(self.user[:-distance][use])
            cells.append(start[group] + low * width[group] + high)
        return np.concatenate(users), np.concatenate(cells), None


@dataclass
class LabelChain:
    """Popularity of labels, and how much likelier each is after another of its group."""

    group: np.ndarray  # (n_labels,) int64
    popularity: np.ndarray  # (n_labels,) float32, above 0
    lifts: list[np.ndarray]  # (m, m) float32 of each group: its m most popular labels

    def __post_init__(self) -> None:
        self.members = members(self.group, self.popularity)

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], what: str, group: np.ndarray) -> LabelChain:
        """Return the chain of saved arrays, which are checked; `group` (n_labels,)."""
        popularity = array(
            arrays,
            f"{what}/popularity",
            dtype="float32",
            shape=group.shape,
            low=1e-12,
            high=MOST_COUNTED,
        )
        width = _paired(members(group, popularity))
        lifts = array(
            arrays,
            f"{what}/lifts",
            dtype="float32",
            shape=(int((width**2).sum()),),
            low=0,
            high=MOST_COUNTED,
        )
        parts = np.split(lifts, np.cumsum(width**2)[:-1])
        return cls(group, popularity, [p.reshape(m, m) for p, m in zip(parts, width, strict=True)])

    def redraw(
        self, user: np.ndarray, label: np.ndarray, group: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return new labels (n,): a label of a user becomes the same one in all of their rows.

        Args:
            user: (n,) int64.
            label: (n,) int64 of rows in the order of time.
            group: (n,) of the new label; a user's label has one group.
            rng: draws.
        """
        key = user * (label.max(initial=0) + 1) + label
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        out = np.empty(len(first), dtype=np.int64)
        # a user's different labels of a group stand together, in the order of their first rows
        order = np.lexsort((first, user[first], group[first]))
        owner, of = user[first][order], group[first][order]
        for k, labels in enumerate(self.members):
            here = order[of == k]
            if len(here):
                out[here] = labels[self._drawn(owner[of == k], k, rng)]
        return out[place]

    def _drawn(self, owner: np.ndarray, group: int, rng: np.random.Generator) -> np.ndarray:
        """Return places in `members[group]`, (n,), a different one for each row of an owner."""
        starts = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
        sizes = np.diff(np.append(starts, len(owner)))
        step = max(MOST_CELLS // len(self.members[group]), 1)
        drawn = np.empty(len(owner), dtype=np.int64)
        for k in range(0, len(starts), step):
            self._draw_users(drawn, starts[k : k + step], sizes[k : k + step], group, rng)
        return drawn

    def _draw_users(
        self,
        drawn: np.ndarray,
        starts: np.ndarray,
        sizes: np.ndarray,
        group: int,
        rng: np.random.Generator,
    ) -> None:
        """Draw the rows of users, who begin at `starts` and have `sizes` rows, into `drawn`."""
        share = self.popularity[self.members[group]].astype(np.float64)
        lift, paired = self.lifts[group], len(self.lifts[group])
        free = np.ones((len(starts), len(share)), dtype=bool)
        for rank in range(int(sizes.max())):
            users = np.flatnonzero(sizes > rank)
            at = starts[users] + rank
            weight = np.where(free[users], share, 0.0)
            for back, power in ((1, 1.0), (2, EARLIER)):
                if rank >= back:
                    known = drawn[at - back] < paired
                    weight[known, :paired] *= lift[drawn[at[known] - back]] ** power
            total = weight.cumsum(1)
            used_up = total[:, -1] <= 0  # more labels than the group has: any of them again
            total[used_up] = share.cumsum()
            goal = rng.random(len(users)) * total[:, -1]
            chosen = (total <= goal[:, None]).sum(1).clip(max=len(share) - 1)
            drawn[at] = chosen
            free[users, chosen] = False


def members(group: np.ndarray, popularity: np.ndarray) -> list[np.ndarray]:
    """Return the labels of each group, most popular first."""
    order = np.lexsort((np.arange(len(group)), -popularity, group))
    ends = np.cumsum(np.bincount(group))[:-1]
    return np.split(order, ends)


def _paired(there: list[np.ndarray]) -> np.ndarray:
    """Return how many labels of each group are paired, (n_groups,)."""
    return np.array([min(len(labels), MOST_PAIRED) for labels in there])


def learn_chain(visits: Visits, tables: Tables | None, what: str) -> LabelChain:
    """Return the chain of the labels in `visits`, exactly or under a budget.

    `tables` have the rounds that `rounds` names; without a budget pairs of a single user are left
    out.
    """
    size = len(visits.group)
    asked = Question(f"{what}: {POPULARITY}", size, visits.labels)
    counts, noise = _answer(asked, tables, what, POPULARITY)
    popularity = _smoothed(counts, noise)
    there = members(visits.group, popularity)
    width = _paired(there)
    start = np.concatenate([[0], np.cumsum(width**2)[:-1]])
    local = np.full(size, -1)
    for labels, m in zip(there, width, strict=True):
        local[labels[:m]] = np.arange(m)
    asked = Question(
        f"{what}: {PAIRS}", int((width**2).sum()), lambda: visits.pairs(local, start, width)
    )
    counts, noise = _answer(asked, tables, what, PAIRS)
    lifts = [
        _lift(counts[b : b + m * m].reshape(m, m), popularity[labels[:m]], noise)
        for labels, b, m in zip(there, start, width, strict=True)
    ]
    return LabelChain(visits.group, popularity.astype(np.float32), lifts)


def rounds(what: str, share: float) -> dict[str, float]:
    """Return the rounds that `learn_chain` asks, and what they cost of a budget's `share`."""
    return {f"{what}: {name}": share * part for name, part in ROUNDS.items()}


def _answer(
    question: Question, tables: Tables | None, what: str, name: str
) -> tuple[np.ndarray, float]:
    """Return the answer to one question, and the sd of its noise."""
    if tables is None:
        _, cell, count = question.parts()
        exact = np.bincount(cell, count, minlength=question.size)
        if name == PAIRS:
            exact[np.bincount(cell, minlength=question.size) < 2] = 0.0
        return exact, 0.0
    clip = tables.clip_for(f"{what}: {LENGTHS[name]}", [question], CLIP_QUANTILE)
    answers: Answers = tables.ask(question.name, [], [question], clip=clip)
    return answers[question.name]


def _smoothed(counts: np.ndarray, noise: float) -> np.ndarray:
    """Return popularity above 0 of counts (n,): what the noise hides shares what is left of it."""
    hidden = counts <= HIDDEN * noise
    left = counts[hidden].mean() if hidden.any() else 0.0
    least = LEAST_POPULAR * max(float(counts.max(initial=0.0)), 1.0)
    return np.maximum(np.where(hidden, left, counts), least)


def _lift(upper: np.ndarray, popularity: np.ndarray, noise: float) -> np.ndarray:
    """Return how many times likelier each label is after another than by its popularity, (m, m).

    `upper` (m, m) has counts of pairs, with their noise, above its diagonal.
    """
    size, share = len(upper), popularity / popularity.sum()
    upper = np.triu(upper, 1)
    values, vectors = np.linalg.eigh(upper + upper.T)
    kept = np.abs(values) > 2 * noise * math.sqrt(size)
    pairs = np.maximum((vectors[:, kept] * values[kept]) @ vectors[:, kept].T, 0.0)
    pairs += (PSEUDO_PAIRS + PSEUDO_NOISE * noise * math.sqrt(size)) * share
    np.fill_diagonal(pairs, 0.0)
    total = pairs.sum(1, keepdims=True)
    after = np.where(total > 0, pairs / np.maximum(total, 1e-12), share)
    return np.asarray(after / share, dtype=np.float32)


def ledger_after(
    privacy: Mapping[str, Any], epsilon: float, noise_seed: int | None
) -> PrivacyLedger:
    """Return a ledger that goes on with the statement `privacy` of Gaussian mechanisms."""
    entries = [*privacy["ledger"]]
    gaussian = [e for e in entries if e["sigma"]]
    return PrivacyLedger(
        epsilon=epsilon,
        delta=privacy["delta"],
        entries=entries,
        # the ledger rounds to six digits: never less than what was spent
        history=[(e["sigma"] - 1e-6, e["sampling_rate"], e["steps"]) for e in gaussian],
        delta_thresholds=sum(e["delta"] for e in entries),
        pure=sum(e["epsilon"] for e in entries if not e["sigma"]),
        users=privacy["users"],
        noise_seed=noise_seed,
    )
