"""What the models on a table of features share: one class only, no examples, empty histories,
settings of the features.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from baselines.base import Model
from baselines.tabular.features import Features
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

FOLDS = 5


class Tabular(Model):
    """A binary model on point-in-time features. Where training knows one class only, it answers the
    base rate.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})

    def __init__(self, *, delay_days: float = 7.0) -> None:
        self.delay_days = delay_days  # age at which a label may enter the entities' risk

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Make the features and learn on them; `valid` is used where it knows both classes."""
        self.base_rate_ = smoothed_rate(train.target)
        self.constant_ = not has_both(train.target)
        if self.constant_:
            return
        self.features_ = Features(encoder, delay_days=self.delay_days)
        table = self.features_.fit(train)
        held_out = None
        if valid is not None and has_both(valid.target):
            held_out = (self.features_.transform(valid.sequences, valid.queries), valid.target > 0)
        self.fit_table(table, train.target > 0, held_out, seed=seed)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n,) float64 probability of 1."""
        if self.constant_:
            return np.full(len(queries), self.base_rate_)
        if len(queries) == 0:
            return np.zeros(0)
        return self.score_table(self.features_.transform(sequences, queries))

    @abstractmethod
    def fit_table(
        self,
        table: np.ndarray,
        target: np.ndarray,
        valid: tuple[np.ndarray, np.ndarray] | None,
        *,
        seed: int,
    ) -> None:
        """Learn from `table` (n, n_features) float32 and `target` (n,) bool, both classes present;
        `valid` is such a pair.
        """

    @abstractmethod
    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) probability of 1."""


class Standardiser:
    """Zero mean and unit variance, clipped at 6; a column that training knows as constant becomes 0
    for good.
    """

    def __init__(self, table: np.ndarray) -> None:
        self.mean = table.mean(axis=0, dtype=np.float64)
        deviation = table.std(axis=0, dtype=np.float64)
        self.weight = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)

    def __call__(self, table: np.ndarray) -> np.ndarray:
        """(n, n_features) float32."""
        return np.clip((table - self.mean) * self.weight, -6, 6).astype(np.float32)


class Platt:
    """Logistic regression on one or a few columns: turns a rule's number into a probability (Platt
    1999).
    """

    def __init__(self, columns: np.ndarray, target: np.ndarray) -> None:
        """`columns` (n, k), `target` (n,) 0/1; one class only gives its base rate."""
        self.base_rate = smoothed_rate(target)
        self.model: LogisticRegression | None = None
        if has_both(target):
            self.scale = Standardiser(columns)
            self.model = LogisticRegression(C=100.0).fit(self.scale(columns), target > 0)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """(n,) probability of 1."""
        if self.model is None or len(columns) == 0:
            return np.full(len(columns), self.base_rate)
        probability: np.ndarray = self.model.predict_proba(self.scale(columns))[:, 1]
        return probability


def has_both(target: np.ndarray) -> bool:
    """Whether both answers occur."""
    return bool((target > 0).any() and (target <= 0).any())


def smoothed_rate(target: np.ndarray) -> float:
    """Share of ones, with half an example of each class added (Jeffreys): never 0 or 1."""
    return float(((target > 0).sum() + 0.5) / (len(target) + 1))


def folds(user: np.ndarray, seed: int) -> np.ndarray:
    """(n,) int64 0..FOLDS - 1: the fold of each question, all of a user's in one."""
    names, place = np.unique(user, return_inverse=True)
    fold: np.ndarray = np.random.default_rng(seed).permutation(len(names))[place] % FOLDS
    return fold


def log_loss(target: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log-likelihood."""
    p = np.clip(probability, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(target > 0, np.log(p), np.log1p(-p))))
