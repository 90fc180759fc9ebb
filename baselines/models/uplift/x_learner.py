"""X-learner: learns effects that each arm's outcome model imputes (Künzel et al. 2019).

The imputed effects, and how their two models are combined by the propensity e(x)::

    D1 = y - mu0(x) for the treated
    D0 = mu1(x) - y for the control
    tau(x) = e(x) tau0(x) + (1 - e(x)) tau1(x)

The weights favour the effect that the outcome model of the larger arm imputed, which helps if one
arm is small.
"""

from __future__ import annotations

import numpy as np

from baselines.uplift import UpliftLearner


class XLearner(UpliftLearner):
    """Two outcome models, two effect models, one propensity."""

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Learn the outcomes, the imputed effects and the propensity."""
        x1, x0 = table[treated], table[~treated]
        mu1, mu0 = self.outcome(x1, answer[treated]), self.outcome(x0, answer[~treated])
        self.of_treated_ = self.effect(x1, answer[treated] - mu0(x1))
        self.of_control_ = self.effect(x0, mu1(x0) - answer[~treated])
        self.propensity_ = self.propensity(table, treated)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the effect, (n,)."""
        e = self.propensity_(table)
        return e * self.of_control_(table) + (1 - e) * self.of_treated_(table)
