"""Gradient-boosted trees on point-in-time aggregates (Ke et al., LightGBM, NeurIPS 2017)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from baselines.tabular.boosting import Trees
from baselines.tabular.tabular import DelayDays, Table, Tabular
from eventlog._runtime.settings import Above, Range


class LightGBM(Tabular):
    """Shallow, well-regularised trees; the validation part determines their number.

    They are then grown on the training and the validation part.

    Args:
        trees: at most.
        trees_without_valid: if there is no validation part.
        patience: trees without improvement after which growing ends.
        learning_rate: of boosting.
        leaves: of a tree, at most.
        min_leaf: examples in a leaf, at least, unless one of the answers is rare.
        share_of_features: that each tree may use.
        delay_days: see `Tabular`.
    """

    def __init__(
        self,
        *,
        trees: Annotated[int, Range(1, 100_000)] = 600,
        trees_without_valid: Annotated[int, Range(1, 100_000)] = 120,
        patience: Annotated[int, Range(1)] = 40,
        learning_rate: Annotated[float, Above(0.0, 1.0)] = 0.03,
        leaves: Annotated[int, Range(2, 131_072)] = 7,
        min_leaf: Annotated[int, Range(5)] = 30,
        share_of_features: Annotated[float, Above(0.0, 1.0)] = 0.2,
        delay_days: DelayDays = 7.0,
    ) -> None:
        super().__init__(delay_days=delay_days)
        self.trees = Trees(
            trees, trees_without_valid, patience, learning_rate, leaves, min_leaf, share_of_features
        )

    def fit_table(
        self, table: np.ndarray, target: np.ndarray, valid: Table | None, *, seed: int
    ) -> None:
        """Grow the trees."""
        self.model_ = self.trees.grow_on_all(table, target, valid, seed=seed)

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the probability of 1, (n,)."""
        return np.asarray(self.model_.predict(table, num_threads=1))

    def n_parameters(self) -> int:
        """Return the number of leaves of all trees."""
        return (
            0
            if self.constant_
            else int(sum(tree["num_leaves"] for tree in self.model_.dump_model()["tree_info"]))
        )
