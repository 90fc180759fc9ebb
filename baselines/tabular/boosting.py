"""Gradient-boosted trees on a table, shared by all models (LightGBM, Ke et al., NeurIPS 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np

from baselines.tabular.tabular import Table, joined

MOST_LOGIT = 8.0  # logits are clipped at this
SEED_STEP = 1_000  # between the seeds of a bag's members


@dataclass(frozen=True)
class Trees:
    """Shallow, well-regularised trees; see `models/lightgbm.py` for the settings."""

    most: int = 600  # trees, if a validation part tells when to stop
    without_valid: int = 120
    patience: int = 40
    learning_rate: float = 0.03
    leaves: int = 7
    min_leaf: int = 30
    share_of_features: float = 0.2

    def grow_on_all(
        self, table: np.ndarray, target: np.ndarray, valid: Table | None, *, seed: int
    ) -> lightgbm.Booster:
        """Let the validation part choose the number of trees, then grow as many on both parts."""
        model = self.grow(table, target, valid, seed=seed)
        if valid is None:
            return model
        count = max(model.best_iteration, 1)
        return self.grow(*joined(table, target, valid), None, seed=seed, count=count)

    def grow(
        self,
        table: np.ndarray,
        target: np.ndarray,
        valid: Table | None,
        *,
        seed: int,
        count: int | None = None,
    ) -> lightgbm.Booster:
        """Boost until the validation loss has not improved for `patience` trees.

        Args:
            table, target: (n, n_features) and (n,) bool.
            valid: such a pair, or None to grow `count` trees.
            seed: the same seed gives the same trees, since only one thread is used.
            count: of trees without `valid`; None: `without_valid`.
        """
        settings = {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "lambda_l2": 1.0,
            # There are many similar aggregates: small trees on a few of them differ and average
            # well. With few positives a leaf may be small, or none of them would be separated.
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
            rounds = self.without_valid if count is None else count
            return lightgbm.train(settings, data, num_boost_round=rounds)
        held_out = lightgbm.Dataset(valid[0], label=valid[1].astype(np.float32), reference=data)
        stop = lightgbm.early_stopping(self.patience, verbose=False)
        return lightgbm.train(
            settings, data, num_boost_round=self.most, valid_sets=[held_out], callbacks=[stop]
        )


class Bag:
    """The mean logit of trees grown with several seeds, which halves the noise between seeds."""

    def __init__(
        self,
        table: np.ndarray,
        target: np.ndarray,
        valid: Table | None,
        *,
        seed: int,
        size: int = 3,
    ) -> None:
        """Grow `size` models on `table` (n, F) and `target` (n,) bool with both answers."""
        self.boosters = [
            Trees().grow(table, target, valid, seed=seed + SEED_STEP * k) for k in range(size)
        ]

    def logit(self, table: np.ndarray) -> np.ndarray:
        """Return the mean logit, (n,) float32."""
        if len(table) == 0:
            return np.zeros(0, dtype=np.float32)
        logits = [b.predict(table, raw_score=True, num_threads=1) for b in self.boosters]
        return np.clip(np.mean(logits, axis=0), -MOST_LOGIT, MOST_LOGIT).astype(np.float32)
