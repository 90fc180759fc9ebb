"""Metrics with a 95 % bootstrap interval over users, who are drawn with all their questions.

Every model of a task is judged on the same questions and the same resamples (RESAMPLES of them,
from one fixed seed), so the differences of two models' replicates are a paired bootstrap. Ties
never help: a rank is the mean over tied items, so a constant scorer gets no hits, and curves treat
equal scores as one threshold.

A resample is a weight per user. The metrics take all resamples at once, which a library's take one
by one; they are tested against scikit-learn's with `sample_weight`, and against loops where it has
none. Formulas and sources: docs/reference/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eventlog._runtime.errors import WorkError
from eventlog.arrays import FIRST

RESAMPLES = 1_000
SEED = 20_240_229  # of the resamples; fixed, so that all models share them
CELLS = 4_000_000  # numbers in one block of next-item scores: 16 MB as float32
CHUNK = 500_000  # numbers in one block of resample weights: 4 MB, so that it stays in the cache
TOP = 10
FALSE_POSITIVES = 0.01  # the share of honest orders that a shop is ready to hold up
LIFT_SHARE = 0.10
UPLIFT_SHARE = 0.20  # of the customers who could get a coupon, those that a shop would send one
TRUE_UPLIFT = "true_uplift@20%"
BINS = 10
# What a metric can be at all, by its name; others have no bounds.
RANGES = {
    **dict.fromkeys(("ndcg@10", "hr@10", "mrr@10", "coverage@10"), (0.0, 1.0)),
    **dict.fromkeys(("roc_auc", "pr_auc", "pr_auc_returning", "recall@1%fpr"), (0.0, 1.0)),
    **dict.fromkeys(("brier", "ece"), (0.0, 1.0)),
    "lift@10%": (0.0, 1 / LIFT_SHARE),
    TRUE_UPLIFT: (-1.0, 1.0),
}


class BadScores(WorkError):
    """A model's scores are not what `Model.score` promises: wrong shape, NaN, or not in 0..1."""


@dataclass(frozen=True)
class Measured:
    """What metrics gave."""

    values: dict[str, float]  # metric -> value on the test users
    replicates: dict[str, np.ndarray]  # metric -> (RESAMPLES,) values on resampled users


# --- what a model answers -------------------------------------------------------------------------


def ranks(scores: np.ndarray, target: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Rank the right answers among a model's scores of the next item, (n, n_items).

    Returns the (n,) float rank of each answer among all items (1 = best, the mean over ties, NaN =
    an item that the model does not know), and the codes of the items that are in a top ten. Raises
    BadScores.
    """
    scores = _checked(scores, (len(target), n_items))[:, FIRST:]
    top = np.argpartition(scores, -min(TOP, scores.shape[1]), axis=1)[:, -TOP:]
    return rank_of(scores, target.astype(np.int64) - FIRST), np.unique(top) + FIRST


def rank_of(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the (n,) rank of column `target` (n,) in each row of `scores` (n, items).

    Ties share their mean rank; NaN where the target is negative or its score NaN.
    """
    own = np.take_along_axis(scores, np.maximum(target, 0)[:, None], axis=1)
    above = (scores > own).sum(axis=1)
    tied = (scores == own).sum(axis=1)
    rank = above + (tied + 1) / 2
    return np.where((target >= 0) & ~np.isnan(own[:, 0]), rank, np.nan)


def probabilities(scores: np.ndarray, n: int) -> np.ndarray:
    """Return a model's (n,) probabilities of 1 as float64. Raises BadScores."""
    out = _checked(scores, (n,)).astype(np.float64)
    if out.min(initial=0.0) < 0 or out.max(initial=0.0) > 1:
        raise BadScores(
            f"the scores lie in {out.min():.3g}..{out.max():.3g}; a binary task expects "
            "probabilities in 0..1"
        )
    return out


def effects(scores: np.ndarray, n: int) -> np.ndarray:
    """Return a model's (n,) effects of a treatment as float64. Raises BadScores."""
    out = _checked(scores, (n,)).astype(np.float64)
    if out.min(initial=0.0) < -1 or out.max(initial=0.0) > 1:
        raise BadScores(
            f"the scores lie in {out.min():.3g}..{out.max():.3g}; an uplift task expects "
            "differences of probabilities in -1..1"
        )
    return out


def _checked(scores: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.shape != shape:
        raise BadScores(f"the scores have shape {scores.shape}, expected {shape}")
    if np.isnan(scores).any():
        raise BadScores(f"{int(np.isnan(scores).sum())} of {scores.size} scores are NaN")
    return scores


# --- next item ------------------------------------------------------------------------------------


def next_item_metrics(rank: np.ndarray, user: np.ndarray) -> Measured:
    """Return HR, NDCG and MRR at 10 of (n,) ranks of questions by (n,) users.

    Each question has one right answer, so its NDCG is 1 / log2(1 + rank).
    """
    hit = rank <= TOP  # NaN compares false: a miss
    safe = np.where(hit, rank, 1.0)
    gains = {
        "ndcg@10": hit / np.log2(1 + safe),
        "hr@10": hit.astype(np.float64),
        "mrr@10": hit / safe,
    }
    index = np.unique(user, return_inverse=True)[1]
    count = np.bincount(index).astype(np.float64)
    sums = np.stack([np.bincount(index, weights=g) for g in gains.values()], axis=1)
    # sums (users, metrics), w (b, users) -> (b, metrics)
    blocks = [(w @ sums) / (w @ count)[:, None] for w in resamples(len(count))]
    values = np.concatenate(blocks)  # (RESAMPLES, metrics)
    return Measured(
        {name: float(g.mean()) for name, g in gains.items()},
        {name: values[:, i] for i, name in enumerate(gains)},
    )


# --- binary ---------------------------------------------------------------------------------------


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
    return _ratio(area, on.positive[:, -1] * negative[:, -1])


def pr_auc(on: Weighted) -> np.ndarray:
    """Return average precision: precision at each threshold, weighted by the recall it adds.

    There is no interpolation (Davis and Goadrich 2006).
    """
    # A threshold without weight has no precision, and adds no recall either.
    precision = np.nan_to_num(_ratio(on.positive, on.total))
    return _ratio(
        (precision * np.diff(on.positive, axis=1, prepend=0)).sum(axis=1), on.positive[:, -1]
    )


def pr_auc_returning(on: Weighted) -> np.ndarray:
    """Return average precision of finding the zeros: of churn, the customers who come back."""
    return pr_auc(Weighted(Curve.of(1 - on.curve.probability, 1 - on.curve.label), on.w))


def recall_at_fpr(on: Weighted) -> np.ndarray:
    """Return the most recall at a threshold that flags at most FALSE_POSITIVES of the negatives."""
    negative = on.negative
    allowed = negative <= FALSE_POSITIVES * negative[:, -1:] + 1e-9
    return _ratio(np.where(allowed, on.positive, 0.0).max(axis=1), on.positive[:, -1])


def lift(on: Weighted) -> np.ndarray:
    """Return the share of positives in the top LIFT_SHARE of questions over that among all.

    A tie at the edge counts in proportion.
    """
    found = _among_best(on.total, on.positive, LIFT_SHARE) / LIFT_SHARE
    return _ratio(found, on.positive[:, -1])


def brier(on: Weighted) -> np.ndarray:
    """Return the mean squared error of the probabilities (Brier 1950)."""
    return _ratio(on.w @ (on.curve.probability - on.curve.label) ** 2, on.w.sum(axis=1))


def ece(on: Weighted) -> np.ndarray:
    """Return the expected calibration error over BINS bins of equal width.

    Naeini, Cooper and Hauskrecht 2015.
    """
    curve = on.curve
    bins = np.minimum((curve.probability * BINS).astype(np.int64), BINS - 1)
    gap = np.zeros((len(curve.label), BINS))
    gap[np.arange(len(bins)), bins] = curve.probability - curve.label
    return _ratio(np.abs(on.w @ gap).sum(axis=1), on.w.sum(axis=1))


BINARY: dict[str, Callable[[Weighted], np.ndarray]] = {
    "roc_auc": roc_auc,
    "pr_auc": pr_auc,
    "pr_auc_returning": pr_auc_returning,
    "recall@1%fpr": recall_at_fpr,
    "lift@10%": lift,
    "brier": brier,
    "ece": ece,
}


# --- uplift ---------------------------------------------------------------------------------------


def uplift_metrics(
    effect: np.ndarray,
    label: np.ndarray,
    treated: np.ndarray,
    user: np.ndarray,
    *,
    true_effect: np.ndarray | None = None,
) -> Measured:
    """Return qini, auuc and, where it is known, the true effect among the best-ranked users.

    Args:
        effect: (n,) what a model says.
        label: (n,) 0/1, the outcome.
        treated: (n,) 0/1; treatment must be randomised.
        user: (n,) whose question each is.
        true_effect: (n,); its mean is taken over the best-ranked UPLIFT_SHARE.
    """
    order = np.argsort(-effect, kind="stable")
    last = np.flatnonzero(np.append(np.diff(effect[order]) != 0, True))
    parts = {
        "n_t": treated,
        "n_c": 1 - treated,
        "y_t": treated * label,
        "y_c": (1 - treated) * label,
    }
    if true_effect is not None:
        parts["true"] = true_effect

    def measure(w: np.ndarray) -> dict[str, np.ndarray]:
        # (b, groups)
        sums = {
            name: np.cumsum(w[:, order] * value[order], axis=1)[:, last]
            for name, value in parts.items()
        }
        found = {"qini": qini(**_four(sums)), "auuc": auuc(**_four(sums))}
        if true_effect is not None:
            found[TRUE_UPLIFT] = (
                _among_best(sums["n_t"] + sums["n_c"], sums["true"], UPLIFT_SHARE) / UPLIFT_SHARE
            )
            found[TRUE_UPLIFT] = _ratio(found[TRUE_UPLIFT], (sums["n_t"] + sums["n_c"])[:, -1])
        return found

    values = {name: float(v[0]) for name, v in measure(np.ones((1, len(label)))).items()}
    index = np.unique(user, return_inverse=True)[1]
    blocks = [measure(w[:, index]) for w in resamples(int(index.max()) + 1, columns=len(label))]
    return Measured(values, {name: np.concatenate([b[name] for b in blocks]) for name in values})


def qini(n_t: np.ndarray, n_c: np.ndarray, y_t: np.ndarray, y_c: np.ndarray) -> np.ndarray:
    """Return the (b,) area between the Qini curve and the straight line to its end.

    The curve at a threshold is Y_t - Y_c N_t / N_c, the outcomes that treatment brought among those
    at or above it, per treated user (Radcliffe 2007); a constant gets 0. Each input is (b, groups):
    treated and controls at or above each threshold, and those of them with an outcome of 1.
    """
    curve = _ratio(y_t - np.nan_to_num(_ratio(y_c * n_t, n_c)), n_t[:, -1:])
    return _area(n_t + n_c, curve) - curve[:, -1] / 2


def auuc(n_t: np.ndarray, n_c: np.ndarray, y_t: np.ndarray, y_c: np.ndarray) -> np.ndarray:
    """Return the (b,) area under the uplift curve x (Y_t / N_t - Y_c / N_c).

    x is the share at or above a threshold (Rzepakowski and Jaroszewicz 2012). A constant gets half
    of the average effect. Inputs are those of `qini`.
    """
    share = _ratio(n_t + n_c, (n_t + n_c)[:, -1:])
    return _area(n_t + n_c, share * np.nan_to_num(_ratio(y_t, n_t) - _ratio(y_c, n_c)))


def _four(sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: sums[name] for name in ("n_t", "n_c", "y_t", "y_c")}


def _area(total: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the (b,) area under `curve` (b, groups) over the share of `total` (b, groups).

    The curve runs in straight lines from (0, 0).
    """
    zero = np.zeros((len(curve), 1))
    x = _ratio(np.concatenate([zero, total], axis=1), total[:, -1:])
    return np.asarray(np.trapezoid(np.concatenate([zero, curve], axis=1), x, axis=1))


def _among_best(total: np.ndarray, amount: np.ndarray, share: float) -> np.ndarray:
    """Return how much (b,) of `amount` falls to the best-ranked `share` of `total`.

    Both are (b, groups), at or above each threshold; a tie at the edge counts in proportion.
    """
    budget = share * total[:, -1]
    zero = np.zeros((len(total), 1))
    group = (total < budget[:, None]).sum(axis=1)  # the group in which the budget runs out
    row = np.arange(len(total))
    amount, total = np.concatenate([zero, amount], axis=1), np.concatenate([zero, total], axis=1)
    part = _ratio(budget - total[row, group], total[row, group + 1] - total[row, group])
    return np.asarray(amount[row, group] + part * (amount[row, group + 1] - amount[row, group]))


def resamples(n: int, *, columns: int | None = None) -> Iterator[np.ndarray]:
    """Yield blocks (b, n) of how often each of `n` users occurs in each of RESAMPLES draws.

    Draws are with replacement, and do not depend on the size of the blocks: those are cut so that a
    block fits in CHUNK numbers, also where the caller spreads it to `columns`.
    """
    rng = np.random.default_rng(SEED)
    step = max(1, CHUNK // max(n, columns or 0, 1))
    for start in range(0, RESAMPLES, step):
        b = min(step, RESAMPLES - start)
        drawn = rng.integers(0, n, size=(b, n)) + np.arange(b)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and NaN where b is 0.

    A resample without a positive has no value, and no interval counts it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b != 0, a / np.where(b != 0, b, 1), np.nan)
