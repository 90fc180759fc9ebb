"""DR-learner: a regression of doubly robust single effects (Kennedy 2023, arXiv:2004.14497), for
campaigns that were targeted.

    phi = mu1(x) - mu0(x) + (t - e(x)) / (e(x) (1 - e(x))) (y - mu_t(x))
Its mean given x is the effect if either the outcome models or the propensity are right. The three
are learnt on the other folds' users, or their errors would be correlated with the answers they
correct.
"""

from __future__ import annotations

import numpy as np

from baselines.tabular.tabular import FOLDS, folds
from baselines.uplift import UpliftLearner


class DRLearner(UpliftLearner):
    """Cross-fitted pseudo-outcomes, then one effect model."""

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Fold by fold the pseudo-outcomes, then their regression."""
        fold = folds(user, self.seed_)
        pseudo = np.zeros(len(table))
        for k in range(FOLDS):
            out = fold == k
            on1, on0 = ~out & treated, ~out & ~treated
            if not (out.any() and on1.any() and on0.any()):
                pseudo[out] = self.average_  # so few users that a fold or an arm is empty
                continue
            x, t, y = table[out], treated[out].astype(float), answer[out].astype(float)
            mu1, mu0 = (
                self.outcome(table[on1], answer[on1])(x),
                self.outcome(table[on0], answer[on0])(x),
            )
            e = self.propensity(table[~out], treated[~out])(x)
            pseudo[out] = mu1 - mu0 + (t - e) / (e * (1 - e)) * (y - np.where(t > 0, mu1, mu0))
        self.effect_ = self.effect(table, pseudo)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) effect."""
        return self.effect_(table)
