"""ItemKNN: items that the same users took, by shrunk cosine (Sarwar et al. 2001), summed over a
decayed history.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from baselines.base import Model
from baselines.sequences.item_history import decayed_history, known_items
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class ItemKNN(Model):
    """Each item keeps its `neighbours` most similar items; popularity orders what no neighbour
    reaches.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})

    def __init__(
        self,
        *,
        neighbours: int = 200,
        shrink: float = 10.0,
        last: int = 10,
        decay: float = 0.8,
        backoff: float = 1e-3,
    ) -> None:
        self.neighbours, self.shrink, self.last, self.decay, self.backoff = (
            neighbours,
            shrink,
            last,
            decay,
            backoff,
        )

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Cosine of the items' users, block by block of items, so that memory stays at a block."""
        known, n = known_items(train), encoder.n_items
        taken = known.matrix(n)  # (n_users, n_items) 0/1
        users_of = sp.csr_matrix(taken.T)  # (n_items, n_users)
        size = np.asarray(taken.sum(axis=0)).ravel()
        norm = np.sqrt(size).astype(np.float32)
        block = max(1, 20_000_000 // max(n, 1))
        rows = [
            self._nearest(users_of[a : a + block] @ taken, norm[a : a + block], norm, a)
            for a in range(0, n, block)
        ]
        self.similar_ = sp.csr_matrix(sp.vstack(rows))
        self.popularity_ = (self.backoff * size / max(size.max(initial=0), 1)).astype(np.float32)

    def _nearest(
        self, together: sp.csr_matrix, norm: np.ndarray, norms: np.ndarray, first: int
    ) -> sp.csr_matrix:
        """(block, n_items): the shrunk cosines of items first.. that are among each row's
        `neighbours` largest.
        """
        entry = sp.coo_matrix(together)
        cosine = entry.data / (norm[entry.row] * norms[entry.col] + self.shrink)
        other = entry.col != entry.row + first
        row, col, cosine = entry.row[other], entry.col[other], cosine[other]
        # ties by item, so that the choice is always the same
        order = np.lexsort((col, -cosine, row))
        row, col, cosine = row[order], col[order], cosine[order]
        begin = np.searchsorted(row, np.arange(together.shape[0]))
        keep = np.arange(len(row)) - begin[row] < self.neighbours
        return sp.csr_matrix(
            (cosine[keep].astype(np.float32), (row[keep], col[keep])), shape=together.shape
        )

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n, n_items) float32."""
        history = decayed_history(
            sequences, queries, len(self.popularity_), last=self.last, decay=self.decay
        )
        scores: np.ndarray = (history @ self.similar_).toarray()
        scores += self.popularity_
        return scores

    def n_parameters(self) -> int:
        """Similarities kept."""
        return int(self.similar_.nnz)
