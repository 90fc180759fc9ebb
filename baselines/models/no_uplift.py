"""The difference of the arms' rates, for everybody: the trivial baseline of uplift. It ranks
nobody.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.tabular import smoothed_rate
from baselines.uplift import arms
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class NoUplift(Model):
    """A constant: what a metric gives for it is chance."""

    kinds: ClassVar[frozenset[str]] = frozenset({"uplift"})

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Count."""
        treated = arms(train)
        self.average_ = smoothed_rate(train.target[treated]) - smoothed_rate(train.target[~treated])

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n,) float64, all alike."""
        return np.full(len(queries), self.average_)

    def n_parameters(self) -> int:
        """One."""
        return 1
