"""Predict the difference of the arms' rates for everybody: the trivial baseline of uplift."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.tabular import smoothed_rate
from baselines.uplift import arms
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class NoUplift(Model):
    """A constant prediction; its metrics are those of chance."""

    kinds: ClassVar[frozenset[str]] = frozenset({"uplift"})
    seeded: ClassVar[bool] = False

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count the ones of each arm."""
        treated = arms(train)
        self.average_ = smoothed_rate(train.target[treated]) - smoothed_rate(train.target[~treated])

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the same effect for all, (n,) float64."""
        return np.full(len(queries), self.average_)

    def n_parameters(self) -> int:
        """Return 1."""
        return 1
