"""T-learner: one outcome model for the treated, one for the control, and their difference (Künzel
et al. 2019).
"""

from __future__ import annotations

import numpy as np

from baselines.uplift import UpliftLearner


class TLearner(UpliftLearner):
    """Two models. Simple, and noisy: each arm's own error goes into the difference."""

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Each arm by itself."""
        self.treated_ = self.outcome(table[treated], answer[treated])
        self.control_ = self.outcome(table[~treated], answer[~treated])

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) effect."""
        return self.treated_(table) - self.control_(table)
