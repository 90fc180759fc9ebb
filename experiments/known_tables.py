"""Do the leaderboard's tests and intervals hold? Tables of models whose truth is known.

Usage::

    PYTHONPATH=.:tests python experiments/known_tables.py [--tables 1000]

Eight equal models, one to five fits, seeds that matter a little or a lot, alike or not; then tau
between two tables, power, and PR-AUC with few positives. A line each, with what is claimed.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from fixtures.known_tables import known_table

from benchmark.evaluation import metrics, orders, power, statistics
from benchmark.evaluation.statistics import Comparison, Fits

SEEDS = {
    "none": 0.0,
    "alike": 0.08,
    "half vary 3 times as much": np.array([0.05] * 4 + [0.15] * 4),
    "one varies 5 times as much": np.array([0.03] * 7 + [0.15]),
}


def main() -> None:
    """Print all lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", type=int, default=1000)
    tables = parser.parse_args().tables
    rng = np.random.default_rng(0)
    for fits in (3, 5):
        for name, sd in SEEDS.items():
            equal(rng, tables, fits, name, sd)
    for spread in (0.02, 0.2, 0.8):
        tau(rng, tables // 4, spread)
    for fits in (3, 5):
        resolvable(rng, tables // 2, fits)
    for share in (0.02, 0.05, 0.1):
        few_positives(rng, tables // 4, share)


def equal(
    rng: np.random.Generator, tables: int, fits: int, name: str, sd: np.ndarray | float
) -> None:
    """Print false findings and coverage of eight equal models."""
    false, covered, difference = 0, 0, 0
    for _ in range(tables):
        found = Comparison(known_table(np.zeros(8), rng, seeds=fits, seed_sd=sd), rng)
        false += bool(statistics.findings(found.p(found.pairs())))
        covered += sum(low <= 0 <= high for low, high in map(found.interval, found.names))
        _, low, high = found.difference("0", "7")
        difference += low <= 0 <= high
    print(
        f"8 equal models, {fits} fits, seeds: {name}: false {false / tables:.1%} (claimed 5 %), "
        f"coverage {covered / tables / 8:.1%}, of a difference {difference / tables:.1%}",
        flush=True,
    )


def tau(rng: np.random.Generator, tables: int, spread: float) -> None:
    """Print coverage and width of the interval of tau, of two tables with the same order."""
    truth, names = np.arange(6) * spread, [str(i) for i in range(6)]
    covered, width = 0, 0.0
    for _ in range(tables):
        one, two = (
            Comparison(known_table(truth, rng, seeds=3, seed_sd=0.05), rng) for _ in range(2)
        )
        found = orders.agreement(one, two, names)
        assert found is not None
        covered += found.low <= 1 <= found.high
        width += found.high - found.low
    print(
        f"tau of 6 models, neighbours {spread} apart: coverage {covered / tables:.1%} (claimed at "
        f"least 95 %), mean width {width / tables:.2f}",
        flush=True,
    )


def resolvable(rng: np.random.Generator, tables: int, fits: int) -> None:
    """Print how often a difference of the resolvable size is found."""
    sizes = [
        power.resolvable_difference(found, found.names)
        for found in (
            Comparison(known_table(np.zeros(5), rng, seeds=fits, seed_sd=0.08), rng)
            for _ in range(50)
        )
    ]
    truth = np.array([0, 0, 0, 0, -float(np.mean(sizes))])
    hits = 0
    for _ in range(tables):
        found = Comparison(known_table(truth, rng, seeds=fits, seed_sd=0.08), rng)
        hits += ("0", "4") in statistics.findings(found.p(found.pairs()))
    print(f"resolvable difference, {fits} fits: found in {hits / tables:.1%} (claimed 80 %)")


def few_positives(rng: np.random.Generator, tables: int, share: float) -> None:
    """Print coverage and false findings of PR-AUC of four equal models on 1,000 questions."""
    big = np.random.default_rng(9)
    label = (big.random(1_000_000) < share).astype(float)
    score = big.normal(size=len(label)) * 1.5**0.5 + 1.5 * label
    curve = metrics.Weighted(metrics.Curve.of(score, label), np.ones((1, len(label))))
    true = float(metrics.pr_auc(curve)[0])
    false, covered = 0, 0
    for _ in range(tables):
        label = (rng.random(1_000) < share).astype(float)
        shared = rng.normal(size=1_000) + 1.5 * label
        fits = {}
        for k in range(4):
            score = shared + rng.normal(size=1_000) * 0.5**0.5
            made = metrics.binary_metrics(
                1 / (1 + np.exp(-score)), label, np.arange(1_000), names=["pr_auc"]
            )
            value, drawn = made.values["pr_auc"], made.replicates["pr_auc"]
            fits[str(k)] = Fits(np.array([value]), drawn[None], fixed=True)
        found = Comparison(fits, rng, counts=int(label.sum()))
        false += bool(statistics.findings(found.p(found.pairs())))
        low, high = found.interval("0")
        covered += low <= true <= high
    print(
        f"PR-AUC, {1_000 * share:.0f} positives: false {false / tables:.1%}, coverage "
        f"{covered / tables:.1%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
