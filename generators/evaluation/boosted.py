"""Scores of a boosted classifier (LightGBM) for rows that it did not see."""

from __future__ import annotations

from typing import Any

import numpy as np

SETTINGS = {
    "objective": "binary",
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
TREES = 60


def out_of_fold(
    x: np.ndarray, y: np.ndarray, fold: np.ndarray, **settings: Any
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) probabilities of 1, each by a model of the other folds, and (f,) the gain of each
    feature, summed over the models.

    x (n, f), y (n,) 0 or 1, fold (n,) 0, 1, ...; `settings` are LightGBM's.
    """
    import lightgbm

    score, gain = np.empty(len(x)), np.zeros(x.shape[1])
    for k in range(int(fold.max()) + 1):
        held = fold == k
        model = lightgbm.train(
            SETTINGS | settings, lightgbm.Dataset(x[~held], y[~held]), num_boost_round=TREES
        )
        score[held] = model.predict(x[held], num_threads=1)
        gain += model.feature_importance("gain")
    return score, gain
