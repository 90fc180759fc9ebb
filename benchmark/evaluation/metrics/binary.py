"""Metrics of a probability of yes against what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.evaluation.metrics.resampling import Measured, among_best, ratio, resamples

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
    last: np.ndarray  # (groups,) int64: last place of each group of equal scores
    probability: np.ndarray  # (n,) float64, in the order of the questions
    label: np.ndarray  # (n,) float64 0/1, in the order of the questions

    @classmethod
    def of(cls, probability: np.ndarray, label: np.ndarray) -> Curve:
        """Sort by probability, highest first."""
        order = np.argsort(-probability, kind="stable")
        ranked = probability[order]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        return cls(
            order,
            last,
            np.asarray(probability, dtype=np.float64),
            np.asarray(label, dtype=np.float64),
        )


class Weighted:
    """A curve under b resamples; what several metrics need is computed once."""

    def __init__(self, curve: Curve, w: np.ndarray) -> None:
        self.curve = curve
        self.w = w  # (b, n) float64: how often each question counts

    @cached_property
    def total(self) -> np.ndarray:
        """(b, groups) weight of the questions with a score at or above each threshold."""
        return np.cumsum(self.w[:, self.curve.order], axis=1)[:, self.curve.last]

    @cached_property
    def positive(self) -> np.ndarray:
        """(b, groups) weight of the positives among them."""
        # Only the columns of positives are summed, which are few where it matters.
        label = self.curve.label[self.curve.order]
        at = np.flatnonzero(label > 0)
        sums = np.cumsum(self.w[:, self.curve.order[at]], axis=1)
        sums = np.concatenate([np.zeros((len(self.w), 1)), sums], axis=1)
        return sums[:, np.searchsorted(at, self.curve.last, side="right")]

    @property
    def negative(self) -> np.ndarray:
        """(b, groups) weight of the negatives among them."""
        return self.total - self.positive


def roc_auc(on: Weighted) -> np.ndarray:
    """Return the probability that a positive is ranked above a negative, ties counting half.

    Hanley and McNeil 1982.
    """
    negative = on.negative
    area = (
        np.diff(negative, axis=1, prepend=0)
        * (on.positive - np.diff(on.positive, axis=1, prepend=0) / 2)
    ).sum(axis=1)
    return ratio(area, on.positive[:, -1] * negative[:, -1])


def pr_auc(on: Weighted) -> np.ndarray:
    """Return average precision: precision at each threshold, weighted by the recall it adds.

    There is no interpolation (Davis and Goadrich 2006).
    """
    # A threshold without weight has no precision, and adds no recall either.
    precision = np.nan_to_num(ratio(on.positive, on.total))
    return ratio(
        (precision * np.diff(on.positive, axis=1, prepend=0)).sum(axis=1), on.positive[:, -1]
    )


def pr_auc_returning(on: Weighted) -> np.ndarray:
    """Return average precision of finding the zeros: of churn, the customers who come back."""
    return pr_auc(Weighted(Curve.of(1 - on.curve.probability, 1 - on.curve.label), on.w))


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
