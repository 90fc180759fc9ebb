"""Churn by one rule: who has not bought for long will not buy. What every shop already has."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.features import ROLE_ORDER, history_of, log_minutes
from baselines.tabular.tabular import Platt
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class Recency(Model):
    """Log time since the last purchase (since the first event, where there is none), made a
    probability by a logistic curve.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    tasks: ClassVar[frozenset[str] | None] = frozenset({"churn"})

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Two numbers: slope and intercept."""
        self.encoder_ = encoder
        self.curve_ = Platt(self._recency(train.sequences, train.queries), train.target)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n,) float64 probability of 1."""
        return self.curve_(self._recency(sequences, queries))

    def _recency(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n, 1) log minutes; 0 without history."""
        recency = np.zeros((len(queries), 1))
        known = queries.end > sequences.offsets[queries.user]
        asked = queries[known]
        start = sequences.offsets[asked.user]
        history = history_of(sequences, self.encoder_)
        last = history.last_of(history.role_rows[ROLE_ORDER.index("purchase")], start, asked.end)
        recency[known, 0] = log_minutes(
            asked.time - sequences.time[np.where(last >= 0, last, start)]
        )
        return recency

    def n_parameters(self) -> int:
        """Slope and intercept."""
        return 2
