"""What models on a table of features share, such as data with one class only or no examples."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from baselines.base import Model
from baselines.tabular.features import Features
from eventlog._runtime.settings import Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

Table = tuple[np.ndarray, np.ndarray]  # (n, n_features) float32, (n,) bool

FOLDS = 5
CLIP_SD = 6  # standardised values are clipped at this many standard deviations
DelayDays = Annotated[float, Range(0.0, 3_650.0, "age at which a label may enter entity risks")]


class Tabular(Model):
    """A binary model on point-in-time features; it predicts the base rate if one class is missing.

    Args:
        delay_days: age at which a label may enter the entities' risk.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    features: ClassVar[type[Features]] = Features

    def __init__(self, *, delay_days: DelayDays = 7.0) -> None:
        self.delay_days = delay_days

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Compute the features and learn from them; `valid` is used if it has both classes."""
        self.base_rate_ = smoothed_rate(train.target)
        self.constant_ = not has_both(train.target)
        if self.constant_:
            return
        self.features_ = self.features(encoder, delay_days=self.delay_days)
        table = self.features_.fit(train, valid)
        if not self.features_.names:  # all customers look the same
            self.constant_ = True
            return
        held_out = None
        if valid is not None and has_both(valid.target):
            held_out = (self.features_.transform(valid.sequences, valid.queries), valid.target > 0)
        self.fit_table(table, train.target > 0, held_out, seed=seed)

    def observe(self, known: Examples) -> None:
        """Take in labels that became known since, for the risk of entities."""
        if not self.constant_:
            self.features_.observe(known)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the probability of 1, (n,) float64."""
        if self.constant_:
            return np.full(len(queries), self.base_rate_)
        if len(queries) == 0:
            return np.zeros(0)
        return self.score_table(self.features_.transform(sequences, queries))

    @abstractmethod
    def fit_table(
        self, table: np.ndarray, target: np.ndarray, valid: Table | None, *, seed: int
    ) -> None:
        """Learn from `table` (n, n_features) float32 and `target` (n,) bool with both classes.

        `valid` is such a pair with both classes, or None. It chooses settings, such as the number
        of trees; what is kept is then fitted on both.
        """

    @abstractmethod
    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the probability of 1, (n,)."""


class Standardiser:
    """Standardises columns and clips them at CLIP_SD; a constant column of training becomes 0."""

    def __init__(self, table: np.ndarray) -> None:
        self.mean = table.mean(axis=0, dtype=np.float64)
        deviation = table.std(axis=0, dtype=np.float64)
        self.weight = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)

    def __call__(self, table: np.ndarray) -> np.ndarray:
        """Return the standardised table, (n, n_features) float32."""
        scaled = (table - self.mean) * self.weight
        return np.clip(scaled, -CLIP_SD, CLIP_SD).astype(np.float32)


class Platt:
    """Logistic regression that turns a rule's numbers into a probability (Platt 1999)."""

    def __init__(self, columns: np.ndarray, target: np.ndarray) -> None:
        """Fit on `columns` (n, k) and `target` (n,) 0 or 1; one class alone gives its base rate."""
        self.base_rate = smoothed_rate(target)
        self.model: LogisticRegression | None = None
        if has_both(target):
            self.scale = Standardiser(columns)
            self.model = LogisticRegression(C=100.0).fit(self.scale(columns), target > 0)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """Return the probability of 1, (n,)."""
        if self.model is None or len(columns) == 0:
            return np.full(len(columns), self.base_rate)
        probability: np.ndarray = self.model.predict_proba(self.scale(columns))[:, 1]
        return probability


def joined(table: np.ndarray, target: np.ndarray, valid: Table) -> Table:
    """Return the training and the validation part as one table and one target."""
    return np.concatenate([table, valid[0]]), np.concatenate([target, valid[1]])


def has_both(target: np.ndarray) -> bool:
    """Return whether both answers occur."""
    return bool((target > 0).any() and (target <= 0).any())


def smoothed_rate(target: np.ndarray) -> float:
    """Return the share of ones with half an example of each class added (Jeffreys)."""
    return float(((target > 0).sum() + 0.5) / (len(target) + 1))


def folds(user: np.ndarray, seed: int) -> np.ndarray:
    """Return each question's fold, (n,) int64 in 0..FOLDS - 1; a user's are in the same one."""
    names, place = np.unique(user, return_inverse=True)
    fold: np.ndarray = np.random.default_rng(seed).permutation(len(names))[place] % FOLDS
    return fold


def log_loss(target: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean negative log-likelihood."""
    p = np.clip(probability, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(target > 0, np.log(p), np.log1p(-p))))
