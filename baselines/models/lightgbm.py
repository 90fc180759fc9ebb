"""Gradient-boosted trees on point-in-time aggregates (Ke et al., LightGBM, NeurIPS 2017)."""

from __future__ import annotations

import lightgbm
import numpy as np

from baselines.tabular import Tabular


class LightGBM(Tabular):
    """Shallow, well-regularised trees; the number of trees is what the validation part likes best."""

    def __init__(
        self, *, trees: int = 600, trees_without_valid: int = 120, patience: int = 40, learning_rate: float = 0.03,
        leaves: int = 7, min_leaf: int = 30, share_of_features: float = 0.2, delay_days: float = 7.0,
    ) -> None:
        super().__init__(delay_days=delay_days)
        self.trees, self.trees_without_valid, self.patience = trees, trees_without_valid, patience
        self.learning_rate, self.leaves, self.min_leaf, self.share_of_features = learning_rate, leaves, min_leaf, share_of_features

    def fit_table(self, table: np.ndarray, target: np.ndarray, valid: tuple[np.ndarray, np.ndarray] | None, *, seed: int) -> None:
        """Boost until the validation loss has not fallen for `patience` trees. One thread: the same seed gives the same trees."""
        settings = {
            "objective": "binary", "learning_rate": self.learning_rate, "num_leaves": self.leaves, "lambda_l2": 1.0,
            # Aggregates over windows are many and alike: small trees on a few of them at a time differ, and average well.
            # With few positives a leaf must be allowed to be small, or none of them is ever told apart.
            "min_data_in_leaf": int(np.clip(min(target.sum(), (~target).sum()) // 10, 5, self.min_leaf)),
            "feature_fraction": self.share_of_features, "bagging_fraction": 0.8, "bagging_freq": 1, "max_bin": 127,
            "seed": seed, "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
        }
        data = lightgbm.Dataset(table, label=target.astype(np.float32), free_raw_data=False)
        if valid is None:
            self.model_ = lightgbm.train(settings, data, num_boost_round=self.trees_without_valid)
            return
        held_out = lightgbm.Dataset(valid[0], label=valid[1].astype(np.float32), reference=data)
        stop = lightgbm.early_stopping(self.patience, verbose=False)
        self.model_ = lightgbm.train(settings, data, num_boost_round=self.trees, valid_sets=[held_out], callbacks=[stop])

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) probability of 1."""
        return np.asarray(self.model_.predict(table, num_threads=1))

    def n_parameters(self) -> int:
        """Leaves of all trees."""
        return 0 if self.constant_ else int(sum(tree["num_leaves"] for tree in self.model_.dump_model()["tree_info"]))
