r"""What do attacks find, and what is a generated log worth, with and without a privacy budget?

Usage::

    python experiments/attacks_by_epsilon.py [--members 2000] [--model markov] \
        [--epsilons none,10,3,1]

An attack that finds nothing where there is nothing to stop it proves nothing, and a model that has
learnt nothing gives nothing away. So all rows have the same members, control and canaries. The
first row is other real users, about whom nothing is to be found; the second is a network that has
seen few users many times, without dropout of words and with a vocabulary of everything.

Utility is the NDCG@10 of decayed transitions that learnt from as many generated users as there are
members, and are asked about the control's time after the cut. The attackers have `--times` as many
generated users; a guarantee holds for any number.
"""

from __future__ import annotations

import argparse
import json
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import generators
import simulator
from baselines.base import Model
from benchmark.execution.judging.judge import Local, judge
from benchmark.task import Task
from benchmark.tasks.recommendation import Recommendation
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog.split import TimeSplit
from generators.evaluation import canaries, fidelity
from generators.evaluation.attacks import suite
from generators.evaluation.attacks.common import Attack

SHOWN = (
    "membership_auc",
    "membership_reference_auc",
    "membership_learnt_auc",
    "membership_learnt_tpr",
    "exposed_exact_4",
    "exposed_near_8",
    "singling_out",
    "linkage",
)
OVERFITTED = {
    "epochs": 45,
    "word_dropout": 0.0,
    "item_dropout": 0.0,
    "min_users": 1,
    "width": 128,
    "layers": 1,
    "batch_steps": 512,
}


def cell(attack: Attack | None) -> str:
    """The attack's rate on members, on the control, and its risk with the interval."""
    if attack is None:
        return "–"
    against = f" / {attack.control.value:.2f}" if attack.control is not None else ""
    return (
        f"{attack.rate.value:.2f}{against}; {attack.risk:.2f} [{attack.low:.2f}, {attack.high:.2f}]"
    )


def ndcg(source: EventLog, asked: EventLog, split: TimeSplit) -> float:
    """NDCG@10 of decayed transitions trained on `source` and asked about `asked` after the cut."""
    task = Recommendation()
    data = task.prepare(source, asked, split)
    model = plugins.load("baselines.models", "markov", Model, kind="model")()
    model.fit(data.train, data.valid, encoder=data.encoder, seed=0)
    return float(judge(task, Local(model, data.valid), data).scored.metrics["ndcg@10"])


def main() -> None:
    """Fit, sample, attack, and print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=2_000, help="and as many for control")
    parser.add_argument(
        "--days", type=int, default=24, help="of the shop; five sixths of them are before the cut"
    )
    parser.add_argument("--model", default="markov")
    parser.add_argument("--epsilons", default="none,10,3,1")
    parser.add_argument(
        "--overfitted", default="vae", help="the model of the first row; '' for none"
    )
    parser.add_argument("--planted", type=int, default=400, help="canaries, about half of them in")
    parser.add_argument(
        "--times", type=int, default=4, help="generated users of the attackers, for each member"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--overfit",
        type=json.loads,
        default=OVERFITTED,
        help="settings of the overfitted model, as JSON",
    )
    parser.add_argument(
        "--private", type=json.loads, default={}, help="settings of the private models, as JSON"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = simulator.simulate("shop", users=int(3.5 * args.members), days=args.days, seed=11)
    split = Task.split(log)
    before = log.before(split.cut)
    users = np.random.default_rng(0).permutation(
        np.array(sorted(before.events["user_id"].astype(str).unique()))
    )
    groups = [sorted(users[: args.members]), sorted(users[args.members : 2 * args.members])]
    members, control = (before.only_users(group) for group in groups)
    asked = log.only_users(groups[1])
    train, planted = canaries.plant(members, args.planted, rng=np.random.default_rng(3))
    n = train.events["user_id"].nunique()
    best = ndcg(members, asked, split)
    print(
        f"{len(members):,} rows of {args.members} members, {len(control):,} of the control; "
        f"{int(planted.included.sum())} of "
        f"{args.planted} canaries in; NDCG@10 of the members' own log {best:.3f}"
    )
    print(
        "| model | epsilon (spent) | fit CPU s | bigram JS | NDCG@10 | "
        + " | ".join(SHOWN)
        + " | canaries: right, epsilon at least |"
    )
    print("|---" * (len(SHOWN) + 6) + "|")
    others = before.only_users(sorted(users[2 * args.members :]))

    def row(name: str, spent: str, fit: str, made: EventLog, many: EventLog, delta: float) -> None:
        found = {a.name: a for a in suite.run(members, many, control, seed=args.seed)}
        audit, worth = canaries.audit(planted, many, delta=delta), ndcg(made, asked, split)
        apart = fidelity.measure(control, made, columns=False)["bigram_js"]
        print(
            f"| {name} | {spent} | {fit} | {apart:.3f} | {worth:.3f} ({worth / best:.0%}) | "
            + " | ".join(cell(found.get(key)) for key in SHOWN)
            + f" | {audit.correct} of {audit.guesses}, {audit.epsilon:.2f} |",
            flush=True,
        )

    # what the attacks find where there is nothing to find
    row("real, other users", "–", "–", others, others, 0.0)
    rows: list[tuple[str, float | None, dict[str, object]]] = (
        [(args.overfitted, None, args.overfit)] if args.overfitted else []
    )
    for word in filter(None, args.epsilons.split(",")):
        rows.append(
            (args.model, None, {}) if word == "none" else (args.model, float(word), args.private)
        )
    for name, epsilon, settings in rows:
        begin = time.process_time()
        public = ("items", "category", "brand", "event") if epsilon else ()
        model = generators.fit(
            train, model=name, epsilon=epsilon, public=public, seed=args.seed, settings=settings
        )
        fit = time.process_time() - begin
        many = model.sample(args.times * n, seed=args.seed)
        as_many = many.only_users(
            sorted(many.events["user_id"].astype(str).unique())[: args.members]
        )
        spent = (
            f"{epsilon:g} ({model.privacy['epsilon_spent']:.2f})"
            if epsilon
            else "none, overfitted"
            if settings
            else "none"
        )
        row(name, spent, f"{fit:.0f}", as_many, many, model.privacy.get("delta") or 0.0)


if __name__ == "__main__":
    main()
