"""Predict the training share of ones for everybody: the trivial baseline of a binary task."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.tabular import smoothed_rate
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class BaseRate(Model):
    """A constant prediction; its metrics are those of chance."""

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    seeded: ClassVar[bool] = False

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count the ones."""
        self.base_rate_ = smoothed_rate(train.target)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the same probability for all, (n,) float64."""
        return np.full(len(queries), self.base_rate_)

    def n_parameters(self) -> int:
        """Return 1."""
        return 1
