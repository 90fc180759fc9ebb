"""Which labels users come to, and after which: items of a catalogue, or their categories.

A chain knows the popularity of labels and, within each group of labels (the items of a category),
how much likelier one is after another. It redraws the labels of simulated users: the n-th different
label of a user becomes another one, wherever the user comes back to it. So visits, repeats and
orders stay those of the simulation, and what follows what is that of the log.

Both are learnt from counts of users, under a budget with noise (see `generators.privacy.pairs`).

Example::

    chain = learn_chain(visits, ledger, "items")
    labels = chain.redraw(user, label, group, rng)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import Answers, Question, Rows, Tables
from generators.privacy.pairs import Pairs, pseudo_pairs
from generators.validation import array

REACH = 2  # different labels after one that make a pair with it
CLIP_QUANTILE = 0.2  # of users' norms: the clip
# Rounds of questions, and their shares of the budget.
POPULARITY, PAIRS = "popularity", "pairs"
LENGTHS = {POPULARITY: "numbers of different labels", PAIRS: "numbers of pairs"}
ROUNDS = {LENGTHS[POPULARITY]: 0.02, POPULARITY: 0.2, LENGTHS[PAIRS]: 0.02, PAIRS: 0.76}
HIDDEN = 2.0  # standard deviations of noise up to which a count may be chance
LEAST_POPULAR = 1e-3  # of the most popular label: popularity of one that is never seen
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

    def pairs(self, of: Pairs) -> Rows:
        """Return pairs of labels of a group that a user came to shortly after another."""
        found = []
        for distance in range(1, REACH + 1):
            same = self.user[:-distance] == self.user[distance:]
            one, two = self.label[:-distance][same], self.label[distance:][same]
            found.append(of.cells(self.user[:-distance][same], one, two))
        users, cells = zip(*found, strict=True)
        return np.concatenate(users), np.concatenate(cells), None


@dataclass
class LabelChain:
    """Popularity of labels, and how much likelier each is after another of its group."""

    group: np.ndarray  # (n_labels,) int64
    popularity: np.ndarray  # (n_labels,) float32, above 0
    lifts: list[np.ndarray]  # (m, m) float32 of each group: its m most popular labels

    def __post_init__(self) -> None:
        self.members = Pairs.of(self.group, self.popularity).members

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
        pairs = Pairs.of(group, popularity)
        lifts = array(
            arrays, f"{what}/lifts", dtype="float32", shape=(pairs.size,), low=0, high=MOST_COUNTED
        )
        return cls(group, popularity, pairs.squares(lifts))

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


def learn_chain(visits: Visits, tables: Tables | None, what: str) -> LabelChain:
    """Return the chain of the labels in `visits`, exactly or under a budget.

    `tables` have the rounds that `rounds` names; without a budget pairs of a single user are left
    out.
    """
    size = len(visits.group)
    asked = Question(f"{what}: {POPULARITY}", size, visits.labels)
    counts, noise = _answer(asked, tables, what, POPULARITY)
    popularity = _smoothed(counts, noise)
    of = Pairs.of(visits.group, popularity)
    asked = Question(f"{what}: {PAIRS}", of.size, lambda: visits.pairs(of))
    counts, noise = _answer(asked, tables, what, PAIRS)
    lifts = [
        _lift(pairs, popularity[labels[: len(pairs)]], noise)
        for labels, pairs in zip(of.members, of.matrices(counts, noise), strict=True)
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


def _lift(pairs: np.ndarray, popularity: np.ndarray, noise: float) -> np.ndarray:
    """Return how many times likelier each label is after another than by its popularity, (m, m)."""
    share = popularity / popularity.sum()
    pairs = pairs + pseudo_pairs(len(pairs), noise) * share
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
