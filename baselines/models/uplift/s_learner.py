"""S-learner: one outcome model, with the treatment as a feature (Künzel et al. 2019).

The difference of its scores under both arms is the effect.
"""

from __future__ import annotations

import numpy as np

from baselines.uplift import UpliftLearner


class SLearner(UpliftLearner):
    """One model of [x, t, t x], where t is -1/2 or 1/2.

    So what the arms share and what separates them have weights of their own. The penalty pulls the
    effect towards one value for all, which suits small effects and many features.
    """

    def fit_table(
        self, table: np.ndarray, answer: np.ndarray, treated: np.ndarray, user: np.ndarray
    ) -> None:
        """Fit both arms together."""
        self.both_ = self.outcome(_with(table, np.where(treated, 0.5, -0.5)), answer)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the effect, (n,)."""
        half = np.full(len(table), 0.5)
        return self.both_(_with(table, half)) - self.both_(_with(table, -half))


# Scale of the column t: its penalty is a ninth of the others', for the average effect is well
# estimated.
TREATMENT_SCALE = 3.0


def _with(table: np.ndarray, t: np.ndarray) -> np.ndarray:
    t = t.astype(np.float32)[:, None]
    return np.concatenate([table, TREATMENT_SCALE * t, t * table], axis=1)
