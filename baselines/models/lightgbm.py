"""Gradient-boosted trees on point-in-time aggregates (Ke et al., LightGBM, NeurIPS 2017)."""

from __future__ import annotations

import numpy as np

from baselines.tabular.boosting import Trees
from baselines.tabular.tabular import Tabular


class LightGBM(Tabular):
    """Shallow, well-regularised trees; the number of trees is what the validation part likes
    best.
    """

    def __init__(
        self,
        *,
        trees: int = 600,
        trees_without_valid: int = 120,
        patience: int = 40,
        learning_rate: float = 0.03,
        leaves: int = 7,
        min_leaf: int = 30,
        share_of_features: float = 0.2,
        delay_days: float = 7.0,
    ) -> None:
        super().__init__(delay_days=delay_days)
        self.trees = Trees(
            trees, trees_without_valid, patience, learning_rate, leaves, min_leaf, share_of_features
        )

    def fit_table(
        self,
        table: np.ndarray,
        target: np.ndarray,
        valid: tuple[np.ndarray, np.ndarray] | None,
        *,
        seed: int,
    ) -> None:
        """Grow the trees."""
        self.model_ = self.trees.grow(table, target, valid, seed=seed)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) probability of 1."""
        return np.asarray(self.model_.predict(table, num_threads=1))

    def n_parameters(self) -> int:
        """Leaves of all trees."""
        return (
            0
            if self.constant_
            else int(sum(tree["num_leaves"] for tree in self.model_.dump_model()["tree_info"]))
        )
