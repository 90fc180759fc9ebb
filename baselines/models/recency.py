"""Predict churn by the rule that every shop has: who has not bought for long will not buy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.features import log_minutes
from baselines.tabular.history import ROLE_ORDER, history_of
from baselines.tabular.tabular import Platt
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class Recency(Model):
    """A logistic curve on the log time since the last purchase, or the first event without one."""

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    tasks: ClassVar[frozenset[str] | None] = frozenset({"churn"})
    seeded: ClassVar[bool] = False

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Fit slope and intercept."""
        self.encoder_ = encoder
        self.curve_ = Platt(self._recency(train.sequences, train.queries), train.target)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the probability of 1, (n,) float64."""
        return self.curve_(self._recency(sequences, queries))

    def _recency(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return log minutes, (n, 1), 0 without history."""
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
        """Return 2: slope and intercept."""
        return 2
