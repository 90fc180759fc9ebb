r"""What is a generated log worth under a budget, as a share of the real log?

Usage::

    python experiments/utility_by_epsilon.py --models calibrated,markov --epsilons 3 --draws 5
    python experiments/utility_by_epsilon.py mylog --models markov --epsilons none,10,3,1

Without a log, the shop of `untuned_shop.toml` is simulated with a seed that no test uses. A
generator is fitted on what lies before the cut that all tasks share, and as many users are sampled
as were fitted; each draw has noise of its own from the operating system's entropy, and a seed of
its own. Models trained on the sample are tested on the real log after the cut: decayed transitions
on the next item (NDCG@10), logistic regression and LightGBM on churn and fraud (PR-AUC). A share is
(score - trivial) / (score trained on the real log - trivial); trivial is popularity for the next
item, and the base rate for churn and fraud. Rows are printed as they come, in Markdown, and then
the means over the draws with their 95 % interval (Student's t).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy import stats

import benchmark.adapters.calibrated
import generators
import simulator
from baselines.base import Model
from benchmark.execution.judging.judge import Local, judge
from benchmark.task import NotApplicable, Task
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog.split import TimeSplit

SHOP = Path(__file__).with_name("untuned_shop.toml")
ASKED = (
    ("recommendation", "markov", "ndcg@10"),
    ("churn", "logistic", "pr_auc"),
    ("churn", "lightgbm", "pr_auc"),
    ("fraud", "logistic", "pr_auc"),
    ("fraud", "lightgbm", "pr_auc"),
)
FILES = {"calibrated": benchmark.adapters.calibrated.__file__}  # generators that are a file
Scores = dict[str, float]  # "task model" -> metric, NaN where the task is not applicable


def tested(task: Task, data: Any, model_name: str) -> dict[str, float]:
    """Return the metrics of a model of that name, fitted and tested on the data of a task."""
    model = plugins.load("baselines.models", model_name, Model, kind="model")()
    model.fit(data.train, data.valid, encoder=data.encoder, seed=0)
    return judge(task, Local(model, data.valid), data).scored.metrics


def scores(source: EventLog, log: EventLog, split: TimeSplit) -> tuple[Scores, Scores]:
    """Return the metrics of models that learn from `source`, tested on `log`, and trivial ones."""
    found: Scores = {}
    trivial: Scores = {}
    prepared: dict[str, Any] = {}
    for task_name, model_name, metric in ASKED:
        name = f"{task_name} {model_name}"
        task = plugins.load("benchmark.tasks", task_name, Task, kind="task")()
        try:
            if task_name not in prepared:
                prepared[task_name] = task.prepare(source, log, split)
        except NotApplicable:
            found[name] = trivial[name] = float("nan")
            continue
        data = prepared[task_name]
        found[name] = float(tested(task, data, model_name)[metric])
        is_next = task.kind == "next_item"
        trivial[name] = (
            float(tested(task, data, "popularity")[metric])
            if is_next
            else float(data.test.target.mean())
        )
    return found, trivial


def summary(shares: np.ndarray) -> str:
    """Return the mean of (draws,) shares and its 95 % interval."""
    mean = shares.mean()
    if len(shares) < 2 or np.isnan(mean):
        return f"{mean:.0%}"
    half = stats.t.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares))
    return f"{mean:.0%} [{mean - half:.0%}, {mean + half:.0%}]"


def main() -> None:
    """Fit, sample, train, test; print tables in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", nargs="?", help="a log folder; without it a shop is simulated")
    parser.add_argument("--users", type=int, default=20_000, help="of the simulated shop")
    parser.add_argument("--days", type=int, default=40, help="of the simulated shop")
    parser.add_argument("--log-seed", type=int, default=4021, help="of the simulated shop")
    parser.add_argument("--models", default="calibrated,markov")
    parser.add_argument("--epsilons", default="3")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--public", default="items,category,brand,event")
    parser.add_argument(
        "--settings", type=json.loads, default={}, help='JSON, {"calibrated": {"trials": 15}}'
    )
    parser.add_argument("--keep", help="folder for the sampled logs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.log:
        log = EventLog.read(args.log, truth=False)
    else:
        log = simulator.simulate(str(SHOP), users=args.users, days=args.days, seed=args.log_seed)
        log.truth = {}
    split = Task.split(log)
    before = log.before(split.cut)
    users = int(before.events["user_id"].nunique())
    best, trivial = scores(before, log, split)
    labels = 0 if before.labels is None else len(before.labels)
    print(f"{len(before):,} rows, {users:,} users and {labels} labels before the cut\n")
    print("| trained on | epsilon (spent) | fit, sample CPU s | rows | " + " | ".join(best) + " |")
    print("|---" * (4 + len(best)) + "|")
    for name, of in (("real", best), ("trivial", trivial)):
        print(f"| {name} | – | – | – | " + " | ".join(f"{v:.3f}" for v in of.values()) + " |")
    means = []
    for model_name in args.models.split(","):
        for word in args.epsilons.split(","):
            epsilon = None if word == "none" else float(word)
            shares = []
            for draw in range(1, args.draws + 1):
                begin = time.process_time()
                model = generators.fit(
                    before,
                    model=FILES.get(model_name, model_name),
                    epsilon=epsilon,
                    public=args.public.split(",") if epsilon else (),
                    seed=draw,
                    settings=args.settings.get(model_name, {}),
                )
                fitted = time.process_time()
                twin = model.sample(users, seed=draw)
                took = f"{fitted - begin:.0f}, {time.process_time() - fitted:.0f}"
                if args.keep:
                    twin.write(f"{args.keep}/{model_name}-{word}-{draw}")
                spent = model.privacy.get("epsilon_spent")
                found = scores(twin, log, split)[0]
                shares.append([(found[n] - trivial[n]) / (best[n] - trivial[n]) for n in best])
                cells = [f"{found[n]:.3f} ({s:.0%})" for n, s in zip(best, shares[-1], strict=True)]
                print(
                    f"| {model_name} | {word}{f' ({spent:.2f})' if spent else ''} | {took} | "
                    f"{len(twin):,} | " + " | ".join(cells) + " |",
                    flush=True,
                )
            means.append((model_name, word, np.array(shares)))
    print("\n| model | epsilon | draws | " + " | ".join(best) + " |")
    print("|---" * (3 + len(best)) + "|")
    for model_name, word, table in means:
        cells = [summary(column) for column in table.T]
        print(f"| {model_name} | {word} | {len(table)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
