r"""How much of what uplift models learn from a real log do they learn from a generated one?

Usage::

    python experiments/uplift_kept.py --generators vae,markov --samples 3

A shop that sends coupons to everybody is simulated. A generator learns from the rows of some users
before the cut, and samples as many; models trained on the sample are tested on the offers after the
cut of all users, beside the same models trained on the users that the generator learnt from, and on
other users, as many: what a model learns depends on whom it learns from, so means are given with
their standard error over training sets and samples. Beside Qini stands the mean effect on the
offers that a model would choose, by both potential outcomes, which only a simulator knows. A share
is (score - without a model) / (score trained on real users - without a model). Rows are printed as
they come, in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from utility_by_epsilon import tested

import generators
import simulator
from benchmark.evaluation.metrics import TRUE_UPLIFT
from benchmark.task import Task
from eventlog import EventLog
from eventlog._runtime import plugins

LEARNERS = ("s_learner", "t_learner", "x_learner", "dr_learner")
METRICS = ("qini", TRUE_UPLIFT)


def scores(source: EventLog, log: EventLog, learners: tuple[str, ...] = LEARNERS) -> np.ndarray:
    """Return METRICS of each of the learners that learn from `source`, tested on `log`, (L, M)."""
    task = plugins.load("benchmark.tasks", "uplift", Task, kind="task")()
    data = task.prepare(source, log, task.split(log))
    found = np.zeros((len(learners), len(METRICS)))
    for row, name in enumerate(learners):
        metrics = tested(task, data, name)
        found[row] = [float(metrics[m]) for m in METRICS]
    return found


def row(name: str, found: np.ndarray) -> str:
    """Return a row of the table: each learner's metrics, and their means."""
    means = found.mean(0)
    cells = [" / ".join(f"{v:.4f}" for v in of) for of in (*found, means)]
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Simulate, fit, sample, train, test; print tables in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=60_000, help="of the shop")
    parser.add_argument("--learn", type=int, default=10_000, help="users of a training set")
    parser.add_argument("--sets", type=int, default=4, help="training sets of real users")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--log-seed", type=int, default=311)
    parser.add_argument("--generators", default="vae,markov")
    parser.add_argument("--samples", type=int, default=3, help="of each generator")
    parser.add_argument(
        "--settings", type=json.loads, default={}, help='JSON, {"vae": {"epochs": 1}}'
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = simulator.simulate(
        "shop",
        users=args.users,
        days=args.days,
        seed=args.log_seed,
        settings={"coupons.reach": 1.0},
    )
    split = Task.split(log)
    before = log.before(split.cut)
    users = np.random.default_rng(args.log_seed).permutation(before.events["user_id"].unique())
    sets = [
        before.only_users(users[k * args.learn : (k + 1) * args.learn]) for k in range(args.sets)
    ]
    trivial = scores(sets[0], log, ("no_uplift",))[0]
    print(f"{len(log):,} rows; each cell: " + " / ".join(METRICS))
    print("Without a model: " + " / ".join(f"{v:.4f}" for v in trivial) + "\n")
    print("| trained on | " + " | ".join(LEARNERS) + " | mean |")
    print("|---" * (len(LEARNERS) + 2) + "|")
    found: dict[str, list[np.ndarray]] = {"real": [scores(source, log) for source in sets]}
    for k, of in enumerate(found["real"]):
        print(row(f"real users, set {k}", of), flush=True)
    learnt: Any = sets[0]
    learnt.truth = {}
    for name in args.generators.split(","):
        begin = time.process_time()
        model = generators.fit(learnt, model=name, seed=1, settings=args.settings.get(name, {}))
        fitted = time.process_time() - begin
        for k in range(args.samples):
            twin = model.sample(args.learn, seed=k)
            found.setdefault(name, []).append(scores(twin, log))
            label = f"{name}, sample {k}" + (f" (fit {fitted:.0f} CPU s)" if k == 0 else "")
            print(row(label, found[name][-1]), flush=True)
    print("\n| trained on | sets | " + " | ".join(f"{m}, of real" for m in METRICS) + " |")
    print("|---" * (2 + len(METRICS)) + "|")
    real = np.stack(found["real"]).mean(1)  # (sets, M)
    for name, each in found.items():
        of = np.stack(each).mean(1)
        share = (of.mean(0) - trivial) / (real.mean(0) - trivial)
        errors = of.std(0, ddof=1) / np.sqrt(len(of)) if len(of) > 1 else None
        cells = []
        for k, mean in enumerate(of.mean(0)):
            error = "" if errors is None else f" ± {errors[k]:.4f}"
            cells.append(f"{mean:.4f}{error} ({share[k]:.0%})")
        print(f"| {name} | {len(of)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
