"""Popularity: everybody gets the most frequent items. The trivial baseline of recommendation."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from baselines.base import Model
from baselines.sequences.item_history import known_items
from eventlog._runtime.settings import Above
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder


class Popularity(Model):
    """Scores an item by its frequency in training.

    Args:
        half_life_days: an occurrence of this age counts half; None: all count the same.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})
    seeded: ClassVar[bool] = False

    def __init__(self, *, half_life_days: Annotated[float, Above(0.0)] | None = None) -> None:
        self.half_life_days = half_life_days

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count occurrences; their age is the time to the latest training row."""
        known = known_items(train)
        weight = np.ones(len(known.item))
        if self.half_life_days is not None:
            age = (known.time.max(initial=0) - known.time) / DAY_MS
            weight = 0.5 ** (age / self.half_life_days)
        counts = np.bincount(known.item, weights=weight, minlength=encoder.n_items)
        counts[:FIRST] = 0
        self.share_ = (counts / max(counts.sum(), 1e-12)).astype(np.float32)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the same scores for everybody, (n, n_items) float32."""
        return np.repeat(self.share_[None], len(queries), axis=0)

    def n_parameters(self) -> int:
        """Return the number of items."""
        return len(self.share_)
