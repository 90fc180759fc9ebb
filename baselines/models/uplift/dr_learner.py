"""DR-learner: regression on doubly robust pseudo-outcomes (Kennedy 2023, arXiv:2004.14497).

It suits campaigns that were targeted. The pseudo-outcome of a user is::

    phi = mu1(x) - mu0(x) + (t - e(x)) / (e(x) (1 - e(x))) (y - mu_t(x))

Its mean given x is the effect if either the outcome models or the propensity is right. All three
are learnt on the users of other folds, so that their errors are independent of the answers that
they correct.
"""

from __future__ import annotations

import numpy as np

from baselines.tabular.tabular import FOLDS, folds
from baselines.uplift import UpliftLearner


class DRLearner(UpliftLearner):
    """An effect model on cross-fitted pseudo-outcomes."""

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Compute the pseudo-outcomes fold by fold and regress on them."""
        fold = folds(user, self.seed_)
        pseudo = np.zeros(len(table))
        for k in range(FOLDS):
            out = fold == k
            on1, on0 = ~out & treated, ~out & ~treated
            if not (out.any() and on1.any() and on0.any()):
                pseudo[out] = self.average_  # with very few users a fold or an arm may be empty
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
        """Return the effect, (n,)."""
        return self.effect_(table)
