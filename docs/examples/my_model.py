"""A next-item model in one file: the items that most often followed the last item."""

import numpy as np
import scipy.sparse as sp

from baselines.base import Model
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class MyModel(Model):
    """Counts pairs (item, next item), and adds a little popularity for items without successors."""

    kinds = frozenset({"next_item"})

    def __init__(self, *, popularity_weight: float = 1e-3) -> None:
        self.popularity_weight = popularity_weight

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count pairs.

        `train.target[i]` is the item at row `train.queries.end[i]`; the row before it is known.
        """
        previous = train.sequences.columns["item"][train.queries.end - 1]
        n = encoder.n_items
        self.followed_by_ = sp.csr_matrix(
            (np.ones(len(train), dtype=np.float32), (previous, train.target)), shape=(n, n)
        )
        self.popularity_ = np.bincount(train.target, minlength=n).astype(np.float32)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return (n_queries, n_items): the counts of the last known item.

        Every question of this suite has at least one known row.
        """
        last = sequences.columns["item"][queries.end - 1]
        return self.followed_by_[last].toarray() + self.popularity_weight * self.popularity_
