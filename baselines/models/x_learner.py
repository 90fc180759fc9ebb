"""X-learner: each arm's outcome model imputes what the other arm would have done; the effects are
then learnt (Künzel et al. 2019).

    D1 = y - mu0(x) of the treated,  D0 = mu1(x) - y of the control,  tau = e(x) tau0(x) + (1 -
    e(x)) tau1(x)
The weights by propensity lean on the effect that the larger arm's outcome model imputed: good where
few are in one arm.
"""

from __future__ import annotations

import numpy as np

from baselines.uplift import UpliftLearner


class XLearner(UpliftLearner):
    """Two outcome models, two effect models, one propensity."""

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Outcomes, then imputed effects, then who gets treated."""
        x1, x0 = table[treated], table[~treated]
        mu1, mu0 = self.outcome(x1, answer[treated]), self.outcome(x0, answer[~treated])
        self.of_treated_ = self.effect(x1, answer[treated] - mu0(x1))
        self.of_control_ = self.effect(x0, mu1(x0) - answer[~treated])
        self.propensity_ = self.propensity(table, treated)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) effect."""
        e = self.propensity_(table)
        return e * self.of_control_(table) + (1 - e) * self.of_treated_(table)
