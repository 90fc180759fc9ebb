"""Popularity: every user is offered the items that occur most often. The trivial baseline of
recommendation.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.sequences.item_history import known_items
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder


class Popularity(Model):
    """Scores an item by how often it occurs in training; with `half_life_days`, an occurrence of
    that age counts half.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})

    def __init__(self, *, half_life_days: float | None = None) -> None:
        self.half_life_days = half_life_days

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count; ages are taken from the latest training row."""
        known = known_items(train)
        weight = np.ones(len(known.item))
        if self.half_life_days is not None:
            age = (known.time.max(initial=0) - known.time) / DAY_MS
            weight = 0.5 ** (age / self.half_life_days)
        counts = np.bincount(known.item, weights=weight, minlength=encoder.n_items)
        counts[:FIRST] = 0
        self.share_ = (counts / max(counts.sum(), 1e-12)).astype(np.float32)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n, n_items) float32: the same row for everybody."""
        return np.repeat(self.share_[None], len(queries), axis=0)

    def n_parameters(self) -> int:
        """One share an item."""
        return len(self.share_)
