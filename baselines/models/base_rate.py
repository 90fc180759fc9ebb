"""The share of ones in training, for everybody: the trivial baseline of a binary task."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.tabular import smoothed_rate
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class BaseRate(Model):
    """A constant: what a metric gives for it is chance."""

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count."""
        self.base_rate_ = smoothed_rate(train.target)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n,) float64, all alike."""
        return np.full(len(queries), self.base_rate_)

    def n_parameters(self) -> int:
        """One."""
        return 1
