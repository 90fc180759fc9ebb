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

from benchmark.evaluation.metrics.answers import (
    CELLS,
    BadScores,
    effects,
    probabilities,
    rank_of,
    ranks,
)
from benchmark.evaluation.metrics.binary import (
    BINARY,
    LIFT_SHARE,
    Curve,
    Weighted,
    binary_metrics,
    pr_auc,
)
from benchmark.evaluation.metrics.next_item import next_item_metrics
from benchmark.evaluation.metrics.resampling import RESAMPLES, Measured, resamples
from benchmark.evaluation.metrics.uplift import TRUE_UPLIFT, uplift_metrics

__all__ = [
    "BINARY",
    "BadScores",
    "CELLS",
    "Curve",
    "LIFT_SHARE",
    "Measured",
    "RANGES",
    "RESAMPLES",
    "TRUE_UPLIFT",
    "Weighted",
    "binary_metrics",
    "effects",
    "next_item_metrics",
    "pr_auc",
    "probabilities",
    "rank_of",
    "ranks",
    "resamples",
    "uplift_metrics",
]

# What a metric can be at all, by its name; others have no bounds.
RANGES = {
    **dict.fromkeys(("ndcg@10", "hr@10", "mrr@10", "coverage@10"), (0.0, 1.0)),
    **dict.fromkeys(("roc_auc", "pr_auc", "pr_auc_returning", "recall@1%fpr"), (0.0, 1.0)),
    **dict.fromkeys(("brier", "ece"), (0.0, 1.0)),
    "lift@10%": (0.0, 1 / LIFT_SHARE),
    "qini": (-1.0, 1.0),
    "auuc": (-0.5, 0.5),
    TRUE_UPLIFT: (-1.0, 1.0),
}
