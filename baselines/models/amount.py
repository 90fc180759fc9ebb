"""Predict fraud from the order's amount alone: the rule that a better model must beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.history import MONEY_UNITS, history_of
from baselines.tabular.tabular import Platt
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder


class Amount(Model):
    """A logistic curve on the log amount and its square.

    The square matters because fraud has both ends: card testing costs little, and stolen cards buy
    expensive items.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    tasks: ClassVar[frozenset[str] | None] = frozenset({"fraud"})
    seeded: ClassVar[bool] = False

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Fit the three numbers of the curve."""
        self.encoder_ = encoder
        self.curve_ = Platt(self._amount(train.sequences, train.queries), train.target)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the probability of 1, (n,) float64."""
        return self.curve_(self._amount(sequences, queries))

    def _amount(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the log amount of the order in the last known row, and its square, (n, 2).

        Both are 0 without history.
        """
        amount = np.zeros((len(queries), 2))
        known = queries.end > sequences.offsets[queries.user]
        history, end = history_of(sequences, self.encoder_), queries.end[known]
        first = history.run_first[end - 1]
        amount[known, 0] = np.log1p(
            ((history.money_sum[end] - history.money_sum[first]) / MONEY_UNITS).clip(0)
        )
        amount[:, 1] = amount[:, 0] ** 2
        return amount

    def n_parameters(self) -> int:
        """Return 3: two slopes and the intercept."""
        return 3
