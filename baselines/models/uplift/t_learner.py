"""T-learner: the difference of two outcome models, one for each arm (Künzel et al. 2019)."""

from __future__ import annotations

import numpy as np

from baselines.uplift import UpliftLearner


class TLearner(UpliftLearner):
    """Two models. Simple but noisy: the errors of both arms add up in the difference."""

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Fit each arm by itself."""
        self.treated_ = self.outcome(table[treated], answer[treated])
        self.control_ = self.outcome(table[~treated], answer[~treated])

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the effect, (n,)."""
        return self.treated_(table) - self.control_(table)
