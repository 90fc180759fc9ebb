"""Session-kNN: items of the training histories nearest to the user's last rows.

This is V-SKNN (Ludewig and Jannach 2018, arXiv:1803.09587). The similarity to a training history is
the overlap with the decayed history, divided by the square root of the training history's size. A
user's own training history is left out, because its items only repeat what the user has seen.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from baselines.base import Model
from baselines.sequences.item_history import Backoff, Decay, LastRows, decayed_history, known_items
from eventlog._runtime.settings import Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

BLOCK = 256  # questions at once: the similarities to all training histories are a dense matrix


class SessionKNN(Model):
    """The nearest training histories vote for their items.

    Args:
        neighbours: histories that vote.
        sessions: training histories that are kept, the latest ones.
        last, decay: rows of history, and the factor by which each row back counts less.
        backoff: weight of popularity, which orders items without a vote.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        neighbours: Annotated[int, Range(1)] = 100,
        sessions: Annotated[int, Range(1)] = 20_000,
        last: LastRows = 20,
        decay: Decay = 0.8,
        backoff: Backoff = 1e-3,
    ) -> None:
        self.neighbours, self.sessions = neighbours, sessions
        self.last, self.decay, self.backoff = last, decay, backoff

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Keep the histories, and normalise them for the comparison."""
        known, n = known_items(train), encoder.n_items
        latest = np.zeros(known.n_users, dtype=np.int64)
        np.maximum.at(latest, known.user, known.time)
        kept = np.sort(np.argsort(-latest, kind="stable")[: self.sessions])
        counts = known.counts(n)
        self.popularity_ = (self.backoff * counts / max(counts.max(initial=0), 1)).astype(
            np.float32
        )
        self.taken_ = known.matrix(n)[kept]  # (m, n_items) 0/1
        size = np.sqrt(np.maximum(np.asarray(self.taken_.sum(axis=1)).ravel(), 1))
        # (n_items, m)
        self.compared_ = sp.csc_matrix((sp.diags(1 / size) @ self.taken_).T, dtype=np.float32)
        owner = train.sequences.users[np.unique(train.queries.user)][kept]
        self.place_ = {str(user): k for k, user in enumerate(owner)}

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return a score for each item, (n, n_items) float32."""
        scores = np.repeat(self.popularity_[None], len(queries), axis=0)
        if self.taken_.shape[0] == 0:
            return scores
        for begin in range(0, len(queries), BLOCK):
            asked = queries[begin : begin + BLOCK]
            history = decayed_history(
                sequences, asked, len(self.popularity_), last=self.last, decay=self.decay
            )
            similar = (history @ self.compared_).toarray()  # (block, m)
            own = np.array([self.place_.get(str(user), -1) for user in sequences.users[asked.user]])
            similar[np.flatnonzero(own >= 0), own[own >= 0]] = 0
            if similar.shape[1] > self.neighbours:
                k = self.neighbours
                least = np.partition(similar, -k, axis=1)[:, -k][:, None]
                similar[similar < least] = 0
            scores[begin : begin + BLOCK] += (sp.csr_matrix(similar) @ self.taken_).toarray()
        return scores

    def n_parameters(self) -> int:
        """Return 0: nothing is learnt, the histories are kept."""
        return 0
