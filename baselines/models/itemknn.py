"""ItemKNN: the items most similar by common users (Sarwar et al. 2001), over a decayed history."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import scipy.sparse as sp

from baselines.base import Model
from baselines.sequences.item_history import Backoff, Decay, LastRows, decayed_history, known_items
from eventlog._runtime.settings import Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

BLOCK_CELLS = 20_000_000  # similarities computed at once


class ItemKNN(Model):
    """Similarities of items by the cosine of their users.

    Args:
        neighbours: similar items that are kept for each item.
        shrink: added to the denominator of the cosine, against chance similarities.
        last, decay: rows of history, and the factor by which each row back counts less.
        backoff: weight of popularity, which orders items without a similar one in the history.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        neighbours: Annotated[int, Range(1)] = 200,
        shrink: Annotated[float, Range(0.0)] = 10.0,
        last: LastRows = 10,
        decay: Decay = 0.8,
        backoff: Backoff = 1e-3,
    ) -> None:
        self.neighbours, self.shrink = neighbours, shrink
        self.last, self.decay, self.backoff = last, decay, backoff

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Compute the cosines block by block, so that memory holds one block at a time."""
        known, n = known_items(train), encoder.n_items
        taken = known.matrix(n)  # (n_users, n_items) 0/1
        users_of = sp.csr_matrix(taken.T)  # (n_items, n_users)
        size = np.asarray(taken.sum(axis=0)).ravel()
        norm = np.sqrt(size).astype(np.float32)
        block = max(1, BLOCK_CELLS // max(n, 1))
        rows = [
            self._nearest(users_of[a : a + block] @ taken, norm[a : a + block], norm, a)
            for a in range(0, n, block)
        ]
        self.similar_ = sp.csr_matrix(sp.vstack(rows))
        self.popularity_ = (self.backoff * size / max(size.max(initial=0), 1)).astype(np.float32)

    def _nearest(
        self, together: sp.csr_matrix, norm: np.ndarray, norms: np.ndarray, first: int
    ) -> sp.csr_matrix:
        """Return each row's `neighbours` largest shrunk cosines, (block, n_items).

        Args:
            together: (block, n_items) users that two items have in common.
            norm, norms: norms of the block's items and of all items.
            first: the block's first item.
        """
        entry = sp.coo_matrix(together)
        cosine = entry.data / (norm[entry.row] * norms[entry.col] + self.shrink)
        other = entry.col != entry.row + first
        row, col, cosine = entry.row[other], entry.col[other], cosine[other]
        # Ties go by item, so that the choice is always the same.
        order = np.lexsort((col, -cosine, row))
        row, col, cosine = row[order], col[order], cosine[order]
        begin = np.searchsorted(row, np.arange(together.shape[0]))
        keep = np.arange(len(row)) - begin[row] < self.neighbours
        return sp.csr_matrix(
            (cosine[keep].astype(np.float32), (row[keep], col[keep])), shape=together.shape
        )

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return a score for each item, (n, n_items) float32."""
        history = decayed_history(
            sequences, queries, len(self.popularity_), last=self.last, decay=self.decay
        )
        scores: np.ndarray = (history @ self.similar_).toarray()
        scores += self.popularity_
        return scores

    def n_parameters(self) -> int:
        """Return the number of similarities that are kept."""
        return int(self.similar_.nnz)
