"""How much do the order of events and sequence models add over aggregates in the simulated shop?

Usage::

    python experiments/order_adds.py [--users 20000] [--seeds 3] [--budget 12] [--out order-adds]

Runs the benchmark's churn, fraud and uplift tasks and prints Markdown: the score of boosted trees
on aggregates, what each other row adds to it, and for sequence models the share of the score above
chance that is lost when they are asked with shuffled histories. `--out` keeps finished cells, as
`python -m benchmark run` does. In uplift the X-learner on aggregates is also compared with the same
learner on features of order, which this file defines, because the benchmark has no such row.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import benchmark
from baselines.models.uplift.x_learner import XLearner
from baselines.tabular.order_features import OrderFeatures

SUITE = """
description = "What order adds in {task}."
tasks = ["{task}"]
seeds = {seeds}
[logs.shop]
scenario = "{scenario}"
users = {users}
days = 60
seed = 7
settings = {{ {settings} }}
[settings.budgeted]
budget = {budget}
"""
LOGS = {
    "churn": ("shop", ""),
    "fraud": ("fraud-wave", '"fraud.share" = 0.25'),
    "uplift": ("shop", '"coupons.reach" = 1.0'),
}
SEQUENCE = ["lstm", "transformer"]
MODELS = {
    "churn": ["lightgbm", "lightgbm_order", *SEQUENCE],
    "fraud": ["lightgbm", "lightgbm_order", *SEQUENCE],
    "uplift": ["x_learner", __file__, *SEQUENCE],
}
HEADLINE = {"churn": "roc_auc", "fraud": "pr_auc", "uplift": "qini"}


class XLearnerOrder(XLearner):
    """The X-learner on aggregates and on features of order."""

    features = OrderFeatures


def suite_of(task: str, arguments: argparse.Namespace) -> str:
    scenario, settings = LOGS[task]
    return SUITE.format(
        task=task,
        scenario=scenario,
        settings=settings,
        users=arguments.users,
        seeds=list(range(arguments.seeds)),
        budget=arguments.budget,
    )


def shuffled(out: Path, metric: str) -> dict[str, float]:
    """The share of the score above chance that shuffled histories cost, by the key of a cell."""
    found = {}
    for line in (out / "results.jsonl").read_text().splitlines():
        record = json.loads(line)
        asked, chance = record.get("shuffled"), record.get("chance")
        if asked and asked["true"].get(metric) is not None and asked["true"][metric] > chance:
            before, after = asked["true"][metric], asked["metrics"][metric]
            found[record["key"]] = (before - after) / (before - chance)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=12.0, help="CPU seconds of a fit")
    parser.add_argument("--tasks", default="churn,fraud,uplift")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("order-adds"))
    arguments = parser.parse_args()
    print("| task | metric | row | score | over aggregates | lost when shuffled |")
    print("|---|---|---|---|---|---|")
    for task in arguments.tasks.split(","):
        with tempfile.TemporaryDirectory() as folder:
            suite = Path(folder) / f"{task}.toml"
            suite.write_text(suite_of(task, arguments))
            results = benchmark.run(
                str(suite),
                models=MODELS[task],
                workers=arguments.workers,
                out=arguments.out / task,
            )
        table = results[(results["status"] == "ok") & (results["task"] == task)]
        metric = HEADLINE[task]
        lost = shuffled(arguments.out / task, metric)
        base = table.loc[table["model"] == MODELS[task][0], metric].mean()
        for name, rows in table.groupby("model"):
            share = [lost[key] for key in rows["key"] if key in lost]
            score = rows[metric].mean()
            row = Path(str(name)).stem
            print(
                f"| {task} | {metric} | {row} | {score:.4f} | {score - base:+.4f} | "
                f"{f'{100 * np.mean(share):.0f} %' if share else '–'} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
