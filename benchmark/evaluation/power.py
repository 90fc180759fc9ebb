"""Which difference between two models a table can resolve.

A difference is resolved if the tests of a table find it in 80 % of the cases. From records that is
the critical value of the tests and the error of a typical pair; before a run it comes from a
planning formula, with the number of questions.

Example::

    planned("roc_auc", value=0.8, questions=8_000, positives=3_000)   # 0.012
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmark.evaluation.statistics import ALPHA, Comparison

POWER = 0.80
CORRELATION = 0.7  # of two models' errors over users; .5 to .9 on the boards of this project


def resolvable_difference(found: Comparison, names: Sequence[str]) -> float:
    """Return the difference between two of `names` that is found in 80 % of the cases.

    It is (critical value + .84) standard errors (root mean square over the pairs). NaN for fewer
    than two names. Where the variance between fits is unknown it holds for these fits.
    """
    pairs = found.pairs(names)
    if not pairs:
        return math.nan
    size = math.sqrt(float(np.mean(found.errors(pairs) ** 2)))
    return (found.critical(pairs) + _normal(POWER)) * size


def planned(
    metric: str,
    *,
    value: float,
    questions: int,
    positives: int = 0,
    models: int = 8,
    correlation: float = CORRELATION,
    seed_sd: float = 0.0,
    seeds: int = 1,
) -> float:
    """Return what `resolvable_difference` will be about, before anything is run.

    Args:
        metric: a headline: ndcg@10, hr@10, mrr@10, roc_auc, pr_auc, pr_auc_returning or qini.
        value: what a good model scores; of qini the share of customers who buy.
        questions: of the test; of independent users.
        positives: of the questions, those with answer 1; of qini, those who were treated.
        models: that are compared.
        correlation: of two models' errors over users.
        seed_sd: standard deviation between the fits of a model.
        seeds: fits of a model.

    Raises KeyError for a metric without a formula.
    """
    from scipy.stats import studentized_range

    error = math.sqrt(
        2 * (1 - correlation) * VARIANCE[metric](value, questions, positives)
        + 2 * seed_sd**2 / seeds
    )
    critical = float(studentized_range.ppf(1 - ALPHA, models, np.inf)) / math.sqrt(2)
    return (critical + _normal(POWER)) * error


def _normal(share: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(share))


def _mean(value: float, questions: int, positives: int) -> float:
    """Return the largest variance of a mean of numbers between 0 and 1."""
    return value * (1 - value) / questions


def _roc_auc(value: float, questions: int, positives: int) -> float:
    """Hanley and McNeil 1982."""
    negatives = questions - positives
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    return (
        value * (1 - value) + (positives - 1) * (q1 - value**2) + (negatives - 1) * (q2 - value**2)
    ) / (positives * negatives)


def _average_precision(value: float, questions: int, positives: int) -> float:
    """Return the binomial variance over the positives (Boyd, Eng and Page 2013)."""
    return value * (1 - value) / positives


def _returning(value: float, questions: int, positives: int) -> float:
    return _average_precision(value, questions, questions - positives)


def _qini(value: float, questions: int, positives: int) -> float:
    """Return the variance of the area between a random walk and the line to its end.

    The walk's end, the effect, has variance v = value (1 - value) (1 / treated + 1 / controls); the
    area under a Brownian bridge has v / 12.
    """
    return value * (1 - value) * (1 / positives + 1 / (questions - positives)) / 12


VARIANCE = {
    "ndcg@10": _mean,
    "hr@10": _mean,
    "mrr@10": _mean,
    "roc_auc": _roc_auc,
    "pr_auc": _average_precision,
    "pr_auc_returning": _returning,
    "qini": _qini,
}
