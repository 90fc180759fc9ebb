"""Gradient-boosted trees on a table (Ke et al., LightGBM, NeurIPS 2017): one way to grow them,
wherever they are used.
"""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np

LOGIT = 8.0  # logits are kept within -8..8
Table = tuple[np.ndarray, np.ndarray]  # (n, n_features) float32, (n,) bool


@dataclass(frozen=True)
class Trees:
    """Shallow, well-regularised trees; see `models/lightgbm.py` for what the settings are."""

    most: int = 600  # trees, where a validation part can say when to stop
    without_valid: int = 120
    patience: int = 40
    learning_rate: float = 0.03
    leaves: int = 7
    min_leaf: int = 30
    share_of_features: float = 0.2

    def grow(
        self, table: np.ndarray, target: np.ndarray, valid: Table | None, *, seed: int
    ) -> lightgbm.Booster:
        """Boost until the validation loss has not fallen for `patience` trees. One thread: the same
        seed gives the same trees.
        """
        settings = {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "lambda_l2": 1.0,
            # Aggregates over windows are many and alike: small trees on a few of them at a time
            # differ, and average well.
            # With few positives a leaf must be allowed to be small, or none of them is ever told
            # apart.
            "min_data_in_leaf": int(
                np.clip(min(target.sum(), (~target).sum()) // 10, 5, self.min_leaf)
            ),
            "feature_fraction": self.share_of_features,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "max_bin": 127,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(table, label=target.astype(np.float32), free_raw_data=False)
        if valid is None:
            return lightgbm.train(settings, data, num_boost_round=self.without_valid)
        held_out = lightgbm.Dataset(valid[0], label=valid[1].astype(np.float32), reference=data)
        stop = lightgbm.early_stopping(self.patience, verbose=False)
        return lightgbm.train(
            settings, data, num_boost_round=self.most, valid_sets=[held_out], callbacks=[stop]
        )


class Bag:
    """Several times the same trees from different draws, their logits averaged: half of what
    differs between draws is noise.
    """

    def __init__(
        self,
        table: np.ndarray,
        target: np.ndarray,
        valid: Table | None,
        *,
        seed: int,
        size: int = 3,
    ) -> None:
        """Grow on `table` (n, F) and `target` (n,) bool, both answers present."""
        self.boosters = [
            Trees().grow(table, target, valid, seed=seed + 1_000 * k) for k in range(size)
        ]

    def logit(self, table: np.ndarray) -> np.ndarray:
        """(n,) float32."""
        if len(table) == 0:
            return np.zeros(0, dtype=np.float32)
        logits = [b.predict(table, raw_score=True, num_threads=1) for b in self.boosters]
        return np.clip(np.mean(logits, axis=0), -LOGIT, LOGIT).astype(np.float32)
