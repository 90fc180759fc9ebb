"""Metrics of a probability of yes against what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.evaluation.metrics.resampling import Measured, among_best, grouped, ratio, resamples

FALSE_POSITIVES = 0.01  # the share of honest orders that a shop is ready to hold up
LIFT_SHARE = 0.10
BINS = 10


def binary_metrics(
    probability: np.ndarray, label: np.ndarray, user: np.ndarray, *, names: Sequence[str]
) -> Measured:
    """Return the named metrics (see BINARY) of (n,) probabilities against (n,) 0/1 labels.

    `user` (n,) says whose question each is.
    """
    curve = Curve.of(probability, label)
    whole = Weighted(curve, np.ones((1, len(label))))
    values = {name: float(BINARY[name](whole)[0]) for name in names}
    index = np.unique(user, return_inverse=True)[1]
    replicates: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for weights in resamples(int(index.max()) + 1, columns=len(label)):
        block = Weighted(curve, weights[:, index])
        for name in names:
            replicates[name].append(BINARY[name](block))
    return Measured(values, {name: np.concatenate(parts) for name, parts in replicates.items()})


@dataclass(frozen=True)
class Curve:
    """Questions sorted by score, highest first, once for all resamples."""

    order: np.ndarray  # (n,) int64: question of each place
    first: np.ndarray  # (groups,) int64: first place of each group of equal scores
    probability: np.ndarray  # (n,) float64, in the order of the questions
    label: np.ndarray  # (n,) float64 0/1, in the order of the questions

    @classmethod
    def of(cls, probability: np.ndarray, label: np.ndarray) -> Curve:
        """Sort by probability, highest first."""
        order = np.argsort(-probability, kind="stable")
        ranked = probability[order]
        first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        return cls(
            order,
            first,
            np.asarray(probability, dtype=np.float64),
            np.asarray(label, dtype=np.float64),
        )


class Weighted:
    """A curve under b resamples; what several metrics need is computed once.

    Weights are whole numbers, so their sums are exact in any order.
    """

    def __init__(self, curve: Curve, w: np.ndarray) -> None:
        self.curve = curve
        self.w = w  # (b, n) float64: how often each question counts

    @cached_property
    def ranked(self) -> np.ndarray:
        """(b, n) the weights in the order of the scores."""
        return self.w[:, self.curve.order]

    @cached_property
    def total_at(self) -> np.ndarray:
        """(b, groups) weight of the questions with the score of each threshold."""
        return grouped(self.ranked, self.curve.first)

    @cached_property
    def positive_at(self) -> np.ndarray:
        """(b, groups) weight of the positives among them."""
        return grouped(self.ranked * self.curve.label[self.curve.order], self.curve.first)

    @cached_property
    def total(self) -> np.ndarray:
        """(b, groups) weight of the questions with a score at or above each threshold."""
        return np.cumsum(self.total_at, axis=1)

    @cached_property
    def positive(self) -> np.ndarray:
        """(b, groups) weight of the positives among them."""
        return np.cumsum(self.positive_at, axis=1)

    @cached_property
    def negative(self) -> np.ndarray:
        """(b, groups) weight of the negatives among them."""
        return self.total - self.positive


def roc_auc(on: Weighted) -> np.ndarray:
    """Return the probability that a positive is ranked above a negative, ties counting half.

    Hanley and McNeil 1982.
    """
    area = ((on.total_at - on.positive_at) * (on.positive - on.positive_at / 2)).sum(axis=1)
    return ratio(area, on.positive[:, -1] * on.negative[:, -1])


def pr_auc(on: Weighted) -> np.ndarray:
    """Return average precision: precision at each threshold, weighted by the recall it adds.

    There is no interpolation (Davis and Goadrich 2006).
    """
    return _average_precision(on.positive_at, on.positive, on.total)


def pr_auc_returning(on: Weighted) -> np.ndarray:
    """Return average precision of finding the zeros: of churn, the customers who come back."""
    total_at = on.total_at[:, ::-1]
    zero_at = total_at - on.positive_at[:, ::-1]
    return _average_precision(zero_at, np.cumsum(zero_at, axis=1), np.cumsum(total_at, axis=1))


def _average_precision(found_at: np.ndarray, found: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return (b,) of weights (b, groups): found at each threshold, and at or above it, of all."""
    # A threshold without weight has no precision, and adds no recall either.
    precision = ratio(found, total, empty=0.0)
    return ratio((precision * found_at).sum(axis=1), found[:, -1])


def recall_at_fpr(on: Weighted) -> np.ndarray:
    """Return the most recall at a threshold that flags at most FALSE_POSITIVES of the negatives."""
    negative = on.negative
    allowed = negative <= FALSE_POSITIVES * negative[:, -1:] + 1e-9
    return ratio(np.where(allowed, on.positive, 0.0).max(axis=1), on.positive[:, -1])


def lift(on: Weighted) -> np.ndarray:
    """Return the share of positives in the top LIFT_SHARE of questions over that among all.

    A tie at the edge counts in proportion.
    """
    found = among_best(on.total, on.positive, LIFT_SHARE) / LIFT_SHARE
    return ratio(found, on.positive[:, -1])


def brier(on: Weighted) -> np.ndarray:
    """Return the mean squared error of the probabilities (Brier 1950)."""
    return ratio(on.w @ (on.curve.probability - on.curve.label) ** 2, on.w.sum(axis=1))


def ece(on: Weighted) -> np.ndarray:
    """Return the expected calibration error over BINS bins of equal width.

    Naeini, Cooper and Hauskrecht 2015.
    """
    curve = on.curve
    bins = np.minimum((curve.probability * BINS).astype(np.int64), BINS - 1)
    gap = np.zeros((len(curve.label), BINS))
    gap[np.arange(len(bins)), bins] = curve.probability - curve.label
    return ratio(np.abs(on.w @ gap).sum(axis=1), on.w.sum(axis=1))


BINARY: dict[str, Callable[[Weighted], np.ndarray]] = {
    "roc_auc": roc_auc,
    "pr_auc": pr_auc,
    "pr_auc_returning": pr_auc_returning,
    "recall@1%fpr": recall_at_fpr,
    "lift@10%": lift,
    "brier": brier,
    "ece": ece,
}
