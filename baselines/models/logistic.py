"""Logistic regression on point-in-time aggregates: hard to beat on churn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from baselines.tabular.tabular import DelayDays, Standardiser, Table, Tabular, joined, log_loss
from eventlog._runtime.settings import Above

Strength = Annotated[float, Above(0.0)]


class Logistic(Tabular):
    """L2-penalised logistic regression, fitted on the training and the validation part.

    Args:
        strengths: inverse penalties (sklearn's C), among which the validation part chooses.
        default: the one to use without a validation part.
        delay_days: see `Tabular`.
    """

    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        strengths: Sequence[Strength] = (0.001, 0.01, 0.1, 1.0),
        default: Strength = 0.1,
        delay_days: DelayDays = 7.0,
    ) -> None:
        super().__init__(delay_days=delay_days)
        self.strengths, self.default = tuple(strengths), default

    def fit_table(
        self, table: np.ndarray, target: np.ndarray, valid: Table | None, *, seed: int
    ) -> None:
        """Fit by Newton steps on the standardised table; convex, so the seed has no effect."""
        strength = self.default
        if valid:
            losses = []
            for c in self.strengths:
                self._fit(table, target, c)
                losses.append(log_loss(valid[1], self.score_table(valid[0])))
            strength = self.strengths[int(np.argmin(losses))]
            table, target = joined(table, target, valid)
        self._fit(table, target, strength)

    def _fit(self, table: np.ndarray, target: np.ndarray, strength: float) -> None:
        self.scale_ = Standardiser(table)
        x = self.scale_(table).astype(np.float64)
        self.model_ = LogisticRegression(
            C=strength, solver="newton-cholesky", max_iter=100, tol=1e-5
        ).fit(x, target)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the probability of 1, (n,)."""
        x = self.scale_(table).astype(np.float64)
        probability: np.ndarray = self.model_.predict_proba(x)[:, 1]
        return probability

    def n_parameters(self) -> int:
        """Return the number of weights, one per feature, and the intercept."""
        return 0 if self.constant_ else self.model_.coef_.size + 1
