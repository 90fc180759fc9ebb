"""Decayed Markov with the user's own items: what follows the last items, or what comes again.

A sceptic's yardstick for sequence models. The next item's probability is a mixture of counts:

- popularity, over all of training and of its last weeks;
- transitions over one to four rows from the user's last five rows (as in `markov`);
- the user's last twenty rows, each weighted by how often the item so many rows back came again;
- everything in the user's history, by how often.

The mixture's weights maximise the likelihood of the validation part, by EM, for short and for long
histories apart. Without one they maximise that of the training part, for which the user's own
transitions are left out of the counts. The counts are then those of both parts.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from scipy import sparse

from baselines.base import Model
from baselines.sequences.item_history import item_codes
from baselines.sequences.transition_counts import Counts
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder

LENGTHS = (1, 3, 6, 20)  # rows of history at which other mixture weights begin
EM_STEPS = 30
PRIOR = 20.0  # questions that the weights of all histories are worth for those of one length
MOST_ASKED = 4_000  # questions by which the weights are chosen, evenly over time
BATCH = 256
COMPONENTS = 5


class MarkovRepeats(Model):
    """A mixture of popularity, transitions and the user's own items.

    Args:
        half_life_days: after which a choice counts half in the recent popularity.
        own_rows: rows of the user's history that count, the latest ones.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        half_life_days: Annotated[float, Above(0.0)] = 7.0,
        own_rows: Annotated[int, Range(1, 100_000)] = 500,
    ) -> None:
        self.half_life_days, self.own_rows = half_life_days, own_rows

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count, choose the mixture's weights, and count again with the validation part."""
        item_codes(train.sequences)  # a log without items is refused
        self.n_items_ = encoder.n_items
        self._count(train)
        if valid is not None and len(valid):
            asked = _spread(valid)
            self._weigh(asked, self._probability_of_targets(asked))
            if valid.sequences is train.sequences:
                self._count(_joined(train, valid))
        else:
            asked = _spread(train)
            probability = self._probability_of_targets(asked)
            probability[:, 2:4] = self.counts_.target_probability(asked)
            self._weigh(asked, probability)
        self.counts_.forget_training()

    def _count(self, train: Examples) -> None:
        self.counts_ = Counts(train, self.n_items_)
        known = train.target >= FIRST
        time = train.queries.time[known]
        age = (time.max(initial=0) - time) / (self.half_life_days * DAY_MS)
        recent = np.bincount(train.target[known], weights=0.5**age, minlength=self.n_items_)
        self.recent_ = recent / max(recent.sum(), 1e-12)

    def _weigh(self, asked: Examples, probability: np.ndarray) -> None:
        """Choose weights for each length of history by EM; `probability` is (n, COMPONENTS)."""
        reachable = (asked.target >= FIRST) & (probability.sum(axis=1) > 0)
        probability = probability[reachable]
        length = _length(asked.sequences, asked.queries)[reachable]
        uniform = np.full(COMPONENTS, 1 / COMPONENTS)
        overall = _mixture(probability, uniform, prior=1.0)
        self.weights_ = np.stack(
            [
                _mixture(probability[length == k], overall, prior=PRIOR)
                for k in range(len(LENGTHS) + 1)
            ]
        )

    def _probability_of_targets(self, asked: Examples) -> np.ndarray:
        """Return the probability of each answer under each component, (n, COMPONENTS)."""
        found = np.zeros((len(asked), COMPONENTS))
        for rows in np.array_split(np.arange(len(asked)), len(asked) // BATCH + 1):
            parts = self._components(asked.sequences, asked.queries[rows])
            for k, part in enumerate(parts):
                whole = np.broadcast_to(part, (len(rows), self.n_items_))
                found[rows, k] = whole[np.arange(len(rows)), asked.target[rows]]
        return found

    def _components(self, sequences: Sequences, queries: Queries) -> list[np.ndarray]:
        """Return the distributions over items, (n, n_items) or (1, n_items) each."""
        transition, repeat = self.counts_.probabilities(sequences, queries)
        own = self._own_items(sequences, queries)
        return [self.counts_.popularity[None], self.recent_[None], transition, repeat, own]

    def _own_items(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the share of each item in the user's last rows, (n, n_items) float32."""
        start = np.maximum(sequences.offsets[queries.user], queries.end - self.own_rows)
        length = queries.end - start
        query = np.repeat(np.arange(len(queries)), length)
        begin = np.cumsum(length) - length
        row = np.arange(len(query)) - np.repeat(begin - start, length)
        item = item_codes(sequences)[row]
        known = item >= FIRST
        counts = sparse.csr_matrix(
            (np.ones(int(known.sum()), dtype=np.float32), (query[known], item[known])),
            shape=(len(queries), self.n_items_),
        ).toarray()
        total = counts.sum(axis=1, keepdims=True)
        shares: np.ndarray = np.where(
            total > 0, counts / np.maximum(total, 1), self.counts_.popularity
        )
        return shares.astype(np.float32)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the probability of each item, (n, n_items) float32."""
        out = np.zeros((len(queries), self.n_items_), dtype=np.float32)
        if len(queries) == 0:
            return out
        weight = self.weights_[_length(sequences, queries)].astype(np.float32)
        for k, part in enumerate(self._components(sequences, queries)):
            out += weight[:, k : k + 1] * part.astype(np.float32)
        return out

    def n_parameters(self) -> int:
        """Return the number of distinct transitions, of items and of weights."""
        return int(self.counts_.table.nnz) + 2 * self.n_items_ + self.weights_.size


def _mixture(probability: np.ndarray, start: np.ndarray, *, prior: float) -> np.ndarray:
    """Return the mixture weights that maximise the likelihood, (COMPONENTS,), by EM.

    Args:
        probability: (n, COMPONENTS) of each answer under each component.
        start: (COMPONENTS,) the weights before anything is seen, worth `prior` answers.
    """
    weight = start
    for _ in range(EM_STEPS):
        share = probability * weight
        share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-30)
        weight = (share.sum(axis=0) + prior * start) / (len(probability) + prior)
        weight = weight / weight.sum()
    return weight


def _length(sequences: Sequences, queries: Queries) -> np.ndarray:
    """Return which of the LENGTHS each question's history has, (n,) int64."""
    return np.searchsorted(LENGTHS, queries.end - sequences.offsets[queries.user], side="right")


def _spread(examples: Examples) -> Examples:
    """Return at most MOST_ASKED examples, evenly over their order."""
    rows = np.unique(np.linspace(0, max(len(examples) - 1, 0), MOST_ASKED).astype(np.int64))
    rows = rows[: len(examples)]
    return Examples(examples.sequences, examples.queries[rows], examples.target[rows])


def _joined(one: Examples, two: Examples) -> Examples:
    queries = Queries(
        *(
            np.concatenate([getattr(one.queries, f), getattr(two.queries, f)])
            for f in ("user", "end", "time")
        )
    )
    return Examples(one.sequences, queries, np.concatenate([one.target, two.target]))
