r"""What is a generated log worth under a budget, as a share of the real log?

Usage::

    python -m simulator run --scenario shop --users 20000 --days 40 --seed 7 \
        --set fraud.share=0.3 --out mylog
    python experiments/utility_by_epsilon.py mylog --model markov --epsilons none,10,3,1

The generator is fitted on what lies before the cut that all tasks share, and as many users are
sampled as were fitted. Models trained on them are tested on the real log after the cut: decayed
transitions on the next item (NDCG@10), logistic regression and LightGBM on churn and fraud
(PR-AUC). A share is what the generated log gives of what the real one gives, above the base rate
for churn and fraud. Rows are printed as they come, in Markdown; --keep keeps the sampled logs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import generators
from baselines.base import Model
from benchmark.execution.judge import Local, judge
from benchmark.task import NotApplicable, Task
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog.split import TimeSplit
from generators.evaluation import fidelity

ASKED = (
    ("recommendation", "markov", "ndcg@10"),
    ("churn", "logistic", "pr_auc"),
    ("churn", "lightgbm", "pr_auc"),
    ("fraud", "logistic", "pr_auc"),
    ("fraud", "lightgbm", "pr_auc"),
)


def scores(
    source: EventLog, log: EventLog, split: TimeSplit, tasks: list[str]
) -> dict[str, tuple[float, float] | str]:
    """'task model' -> (metric, base rate) of the model trained on `source` and tested on `log`, or
    why there is none.
    """
    out: dict[str, tuple[float, float] | str] = {}
    prepared: dict[str, Any] = {}
    for task_name, model_name, metric in ASKED:
        if task_name not in tasks:
            continue
        task = plugins.load("benchmark.tasks", task_name, Task, kind="task")()
        try:
            if task_name not in prepared:
                prepared[task_name] = task.prepare(source, log, split)
            data = prepared[task_name]
            model = plugins.load("baselines.models", model_name, Model, kind="model")()
            model.fit(data.train, data.valid, encoder=data.encoder, seed=0)
            base = 0.0 if task.kind == "next_item" else float(data.test.target.mean())
            out[f"{task_name} {model_name}"] = (
                judge(task, Local(model, data.valid), data).scored.metrics[metric],
                base,
            )
        except NotApplicable as reason:
            out[f"{task_name} {model_name}"] = str(reason)
    return out


def shown(
    found: dict[str, tuple[float, float] | str], real: dict[str, tuple[float, float] | str]
) -> list[str]:
    """A cell for each question: the metric, and its share of what the real log gives."""
    cells = []
    for name, value in found.items():
        best = real[name]
        if isinstance(value, str) or isinstance(best, str):
            cells.append(value if isinstance(value, str) else f"{value[0]:.3f}")
        else:
            cells.append(f"{value[0]:.3f} ({(value[0] - value[1]) / (best[0] - best[1]):.0%})")
    return cells


def main() -> None:
    """Fit, sample, train, test; print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", help="a log folder")
    parser.add_argument("--model", default="markov")
    parser.add_argument("--epsilons", default="none,10,3,1")
    parser.add_argument("--public", default="items,category,brand,event")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the generator, as JSON")
    parser.add_argument("--tasks", default="recommendation,churn,fraud")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--keep", help="folder for the sampled logs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tasks = args.tasks.split(",")
    log = EventLog.read(args.log, truth=False)
    split = Task.split(log)
    before = log.before(split.cut)
    users = int(before.events["user_id"].nunique())
    real = scores(before, log, split, tasks)
    labels = 0 if before.labels is None else len(before.labels)
    print(
        f"{len(before):,} rows, {users:,} users and {labels} labels before the cut; base rates "
        + ", ".join(f"{n} {v[1]:.3f}" for n, v in real.items() if not isinstance(v, str))
    )
    print(
        "| trained on | epsilon (spent) | seed | fit, sample CPU s | rows | labels | bigram JS | "
        + " | ".join(real)
        + " |"
    )
    print("|---" * (7 + len(real)) + "|")
    print(
        f"| real | – | – | – | {len(before):,} | {labels} | – | "
        + " | ".join(shown(real, real))
        + " |",
        flush=True,
    )
    for word in args.epsilons.split(","):
        epsilon = None if word == "none" else float(word)
        for seed in range(1, args.seeds + 1):
            begin = time.process_time()
            model = generators.fit(
                before,
                model=args.model,
                epsilon=epsilon,
                public=args.public.split(",") if epsilon else (),
                seed=seed,
                settings=args.settings,
            )
            fitted = time.process_time()
            twin = model.sample(users, seed=seed)
            took = f"{fitted - begin:.0f}, {time.process_time() - fitted:.0f}"
            if args.keep:
                model_folder = f"{args.keep}/{args.model}-{word}-{seed}"
                twin.write(model_folder)
            spent = model.privacy.get("epsilon_spent")
            js = fidelity.measure(before, twin, columns=False)["bigram_js"]
            print(
                f"| {args.model} | {word}{f' ({spent:.2f})' if spent else ''} | {seed} | {took} | "
                f"{len(twin):,} | "
                f"{0 if twin.labels is None else len(twin.labels)} | {js:.3f} | "
                + " | ".join(shown(scores(twin, log, split, tasks), real))
                + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
