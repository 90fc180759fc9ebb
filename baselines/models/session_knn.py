"""Session-kNN: the items of the training histories most like the user's last rows (V-SKNN, Ludewig
and Jannach 2018).

Likeness is the decayed history's overlap with a training history, divided by the square root of
that one's size. A user's own training history is left out: its items would only repeat what the
user has seen.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from baselines.base import Model
from baselines.sequences.item_history import decayed_history, known_items
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

BLOCK = 256  # questions at once: likeness to every training history is dense


class SessionKNN(Model):
    """The `neighbours` nearest of at most `sessions` training histories (the latest) vote for their
    items.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})

    def __init__(
        self,
        *,
        neighbours: int = 100,
        sessions: int = 20_000,
        last: int = 20,
        decay: float = 0.8,
        backoff: float = 1e-3,
    ) -> None:
        self.neighbours, self.sessions, self.last, self.decay, self.backoff = (
            neighbours,
            sessions,
            last,
            decay,
            backoff,
        )

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Keep the histories, each divided by its length for comparing."""
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
        """(n, n_items) float32."""
        scores = np.repeat(self.popularity_[None], len(queries), axis=0)
        if self.taken_.shape[0] == 0:
            return scores
        for begin in range(0, len(queries), BLOCK):
            asked = queries[begin : begin + BLOCK]
            history = decayed_history(
                sequences, asked, len(self.popularity_), last=self.last, decay=self.decay
            )
            alike = (history @ self.compared_).toarray()  # (block, m)
            own = np.array([self.place_.get(str(user), -1) for user in sequences.users[asked.user]])
            alike[np.flatnonzero(own >= 0), own[own >= 0]] = 0
            if alike.shape[1] > self.neighbours:
                least = np.partition(alike, -self.neighbours, axis=1)[:, -self.neighbours][:, None]
                alike[alike < least] = 0
            scores[begin : begin + BLOCK] += (sp.csr_matrix(alike) @ self.taken_).toarray()
        return scores

    def n_parameters(self) -> int:
        """Nothing is learnt, the histories are kept."""
        return 0
