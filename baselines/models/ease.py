"""EASE: ridge regression of each item on all others in closed form, on a decayed history.

Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019 (arXiv:1905.03375), equation
(8).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from scipy import linalg

from baselines.base import Model
from baselines.sequences.item_history import Backoff, Decay, LastRows, decayed_history, known_items
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class EASE(Model):
    """Item weights in closed form.

    Args:
        penalty: of the ridge regression.
        last, decay: rows of history, and the factor by which each row back counts less.
        max_items: the most frequent items, which take part; the matrix is dense, and 10,000 items
            need about 0.9 GB while fitting.
        backoff: weight of popularity, which orders the remaining items.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        penalty: Annotated[float, Above(0.0)] = 500.0,
        last: LastRows = 10,
        decay: Decay = 0.8,
        max_items: Annotated[int, Range(1, 100_000)] = 10_000,
        backoff: Backoff = 1e-4,
    ) -> None:
        self.penalty, self.max_items = penalty, max_items
        self.last, self.decay, self.backoff = last, decay, backoff

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Invert the items' Gram matrix by Cholesky decomposition."""
        known, n = known_items(train), encoder.n_items
        taken = known.matrix(n)
        size = np.asarray(taken.sum(axis=0)).ravel()
        self.items_ = np.sort(np.argsort(-size, kind="stable")[: self.max_items])
        self.items_ = self.items_[size[self.items_] > 0]
        self.popularity_ = (self.backoff * size / max(size.max(initial=0), 1)).astype(np.float32)
        if len(self.items_) == 0:
            self.weights_ = np.zeros((0, 0), dtype=np.float32)
            return
        taken = taken[:, self.items_]
        gram = np.asfortranarray((taken.T @ taken).toarray(), dtype=np.float32)  # (m, m)
        gram[np.diag_indices_from(gram)] += self.penalty
        factor, info = linalg.lapack.spotrf(gram, lower=False, overwrite_a=True)
        inverse, info = (
            linalg.lapack.spotri(factor, lower=False, overwrite_c=True)
            if info == 0
            else (factor, info)
        )
        if info != 0:  # with a positive penalty only by overflow
            raise np.linalg.LinAlgError(
                "The items' Gram matrix is not positive definite; raise EASE's penalty."
            )
        inverse = np.triu(inverse)
        inverse += np.triu(inverse, 1).T
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices_from(weights)] = 0
        self.weights_ = np.ascontiguousarray(weights, dtype=np.float32)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return a score for each item, (n, n_items) float32."""
        history = decayed_history(
            sequences, queries, len(self.popularity_), last=self.last, decay=self.decay
        )
        scores = np.repeat(self.popularity_[None], len(queries), axis=0)
        if len(self.items_):
            scores[:, self.items_] += history[:, self.items_] @ self.weights_
        return scores

    def n_parameters(self) -> int:
        """Return the number of weights off the diagonal."""
        return max(self.weights_.size - len(self.weights_), 0)
