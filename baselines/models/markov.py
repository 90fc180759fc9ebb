"""Decayed Markov: what followed the last few items, in training. The model that every neural one is
shown against.

An item's transition row counts what came one, two, three and four rows later with weights 1, 1/2,
1/3, 1/4, and is divided by its sum; a user's score is the mix of the rows of the last five items,
weighted 1, 0.8, 0.64, ... `Markov(steps=(1.0,), last=1)` is the plain first-order chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from baselines.base import Model
from baselines.sequences.item_history import decayed_history, known_items
from eventlog.arrays import FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder


class Markov(Model):
    """First-order transitions at several distances, applied to a decayed history, with popularity
    behind them.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})

    def __init__(
        self,
        *,
        steps: Sequence[float] = (1.0, 0.5, 0.33, 0.25),
        last: int = 5,
        decay: float = 0.8,
        backoff: float = 1e-3,
    ) -> None:
        self.steps, self.last, self.decay = tuple(steps), last, decay
        self.backoff = backoff  # weight of popularity: it orders what no transition reaches

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count the transitions of all users at once, one pass a distance."""
        known, n = known_items(train), encoder.n_items
        total = sp.csr_matrix((n, n), dtype=np.float32)
        for distance, weight in enumerate(self.steps, start=1):
            before, after = known.item[:-distance], known.item[distance:]
            use = (
                (known.user[:-distance] == known.user[distance:])
                & (before >= FIRST)
                & (after >= FIRST)
            )
            values = np.full(int(use.sum()), weight, dtype=np.float32)
            total = total + sp.csr_matrix((values, (before[use], after[use])), shape=(n, n))
        out = np.asarray(total.sum(axis=1)).ravel()
        self.transitions_ = sp.csr_matrix(
            sp.diags((1 / np.maximum(out, 1e-12)).astype(np.float32)) @ total
        )
        counts = known.counts(n)
        self.popularity_ = (self.backoff * counts / max(counts.max(initial=0), 1)).astype(
            np.float32
        )

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n, n_items) float32."""
        history = decayed_history(
            sequences, queries, len(self.popularity_), last=self.last, decay=self.decay
        )
        scores: np.ndarray = (history @ self.transitions_).toarray()
        scores += self.popularity_
        return scores

    def n_parameters(self) -> int:
        """Transitions that occur."""
        return int(self.transitions_.nnz)
