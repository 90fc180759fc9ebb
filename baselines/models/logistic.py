"""Logistic regression on point-in-time aggregates: hard to beat on churn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from baselines.tabular.tabular import Standardiser, Tabular, log_loss


class Logistic(Tabular):
    """L2-penalised; the validation part, where there is one, chooses the strength of the
    penalty.
    """

    def __init__(
        self,
        *,
        strengths: Sequence[float] = (0.001, 0.01, 0.1, 1.0),
        default: float = 0.1,
        delay_days: float = 7.0,
    ) -> None:
        super().__init__(delay_days=delay_days)
        # inverse penalties, as sklearn's C
        self.strengths, self.default = tuple(strengths), default

    def fit_table(
        self,
        table: np.ndarray,
        target: np.ndarray,
        valid: tuple[np.ndarray, np.ndarray] | None,
        *,
        seed: int,
    ) -> None:
        """Newton steps on the standardised table; convex, so that the seed does not matter."""
        self.scale_ = Standardiser(table)
        x = self.scale_(table).astype(np.float64)
        fitted = [_fit(x, target, c) for c in (self.strengths if valid else (self.default,))]
        if valid:
            losses = [log_loss(valid[1], self._probability(model, valid[0])) for model in fitted]
            self.model_ = fitted[int(np.argmin(losses))]
        else:
            self.model_ = fitted[0]

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) probability of 1."""
        return self._probability(self.model_, table)

    def _probability(self, model: LogisticRegression, table: np.ndarray) -> np.ndarray:
        probability: np.ndarray = model.predict_proba(self.scale_(table).astype(np.float64))[:, 1]
        return probability

    def n_parameters(self) -> int:
        """One weight a feature, and the intercept."""
        return 0 if self.constant_ else self.model_.coef_.size + 1


def _fit(x: np.ndarray, target: np.ndarray, c: float) -> LogisticRegression:
    return LogisticRegression(C=c, solver="newton-cholesky", max_iter=100, tol=1e-5).fit(x, target)
