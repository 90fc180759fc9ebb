from __future__ import annotations

import numpy as np
import pytest
from fixtures.known_tables import known_table

from benchmark.evaluation import metrics, power, statistics
from benchmark.evaluation.statistics import Comparison, Fits


def test_the_resolvable_difference_is_found_in_80_percent_of_tables() -> None:
    """The pair is the hardest to separate: its better model is no better than all the others."""
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(40):
        found = Comparison(known_table(np.zeros(5), rng, seeds=3, seed_sd=0.08), rng)
        sizes.append(power.resolvable_difference(found, found.names))
    size = float(np.mean(sizes))
    hits = 0
    for _ in range(300):
        truth = np.array([0.0, 0.0, 0.0, 0.0, -size])
        found = Comparison(known_table(truth, rng, seeds=3, seed_sd=0.08), rng)
        hits += ("0", "4") in statistics.findings(found.p(found.pairs()))
    assert 0.73 <= hits / 300 <= 0.88


@pytest.mark.parametrize(
    ("metric", "value"), [("roc_auc", 0.80), ("pr_auc", 0.60), ("hr@10", 0.45), ("qini", 0.30)]
)
def test_the_planning_formula_is_near_what_resamples_say(
    metric: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one model's error; the rest of the formula is the same for all metrics."""
    monkeypatch.setattr(metrics, "RESAMPLES", 300)
    rng = np.random.default_rng(0)
    n = 4_000
    user = np.arange(n)
    if metric == "hr@10":
        rank = np.where(rng.random(n) < value, 3.0, 50.0)
        spread, positives = metrics.next_item_metrics(rank, user).replicates[metric].std(), 0
    elif metric == "qini":
        treated = (rng.random(n) < 0.5).astype(float)
        label = (rng.random(n) < value).astype(float)
        made = metrics.uplift_metrics(rng.normal(size=n) / 10, label, treated, user)
        spread, positives = made.replicates[metric].std(), int(treated.sum())
    else:
        label = (rng.random(n) < 0.3).astype(float)
        score = rng.normal(size=n) + 1.19 * label
        made = metrics.binary_metrics(1 / (1 + np.exp(-score)), label, user, names=[metric])
        spread, positives = made.replicates[metric].std(), int(label.sum())
        value = made.values[metric]
    formula = power.VARIANCE[metric](value, n, positives) ** 0.5
    assert 0.7 <= formula / spread <= 1.6


def test_more_questions_and_more_seeds_resolve_less() -> None:
    few, many = (
        power.planned("roc_auc", value=0.8, questions=n, positives=n // 3) for n in (1_000, 8_000)
    )
    assert many < few
    assert many == pytest.approx(0.015, abs=0.005)
    one, five = (
        power.planned(
            "roc_auc", value=0.8, questions=8_000, positives=3_000, seed_sd=0.01, seeds=seeds
        )
        for seeds in (1, 5)
    )
    assert many < five < one


def test_one_model_resolves_nothing() -> None:
    found = Comparison({"a": Fits(np.zeros(1), np.zeros((1, 9)))}, np.random.default_rng(0))
    assert np.isnan(power.resolvable_difference(found, ["a"]))
