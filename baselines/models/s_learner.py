"""S-learner: one outcome model in which the treatment is a feature, asked twice (Künzel et al.
2019).
"""

from __future__ import annotations

import numpy as np

from baselines.uplift import UpliftLearner


class SLearner(UpliftLearner):
    """One model of [x, t, t x]; t is -1/2 or 1/2, so that what the arms share and what divides them
    are learnt apart.

    A penalty draws the effect towards the same for all, which suits small effects and many
    features.
    """

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Both arms together."""
        self.both_ = self.outcome(_with(table, np.where(treated, 0.5, -0.5)), answer)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) effect."""
        half = np.full(len(table), 0.5)
        return self.both_(_with(table, half)) - self.both_(_with(table, -half))


# scale of the column t: its own penalty is a ninth, since an average effect is no guess
STRESS = 3.0


def _with(table: np.ndarray, t: np.ndarray) -> np.ndarray:
    t = t.astype(np.float32)[:, None]
    return np.concatenate([table, STRESS * t, t * table], axis=1)
