"""Decayed Markov: what followed the last few items in training, the yardstick of neural models.

An item's transition row counts what came one, two, three and four rows later with weights 1, 1/2,
1/3 and 1/4, divided by its sum. A user's score is the sum of the rows of the last five items, with
weights 1, 0.8, 0.64, ... `Markov(steps=(1.0,), last=1)` is the plain first-order chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from baselines.base import Model
from baselines.sequences.item_history import Backoff, Decay, LastRows, decayed_history, known_items
from eventlog._runtime.settings import Range
from eventlog.arrays import FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder


class Markov(Model):
    """Transitions over several distances, applied to a decayed history.

    Args:
        steps: weights of transitions over 1, 2, ... rows.
        last, decay: rows of history, and the factor by which each row back counts less.
        backoff: weight of popularity, which orders items without a transition.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        steps: Sequence[Annotated[float, Range(0.0)]] = (1.0, 0.5, 0.33, 0.25),
        last: LastRows = 5,
        decay: Decay = 0.8,
        backoff: Backoff = 1e-3,
    ) -> None:
        self.steps = tuple(steps)
        self.last, self.decay, self.backoff = last, decay, backoff

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count the transitions of all users, in one pass for each distance."""
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
        """Return a score for each item, (n, n_items) float32."""
        history = decayed_history(
            sequences, queries, len(self.popularity_), last=self.last, decay=self.decay
        )
        scores: np.ndarray = (history @ self.transitions_).toarray()
        scores += self.popularity_
        return scores

    def n_parameters(self) -> int:
        """Return the number of distinct transitions."""
        return int(self.transitions_.nnz)
