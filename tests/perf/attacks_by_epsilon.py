"""The attacks of the report on one small log: a model that overfits with no protection, the same with a budget of 10, 3 and 1.

    python tests/perf/attacks_by_epsilon.py [--users 80] [--epochs 150] [--model transformer]

An attack that finds nothing where there is nothing to stop it proves nothing. So the first model has few users, many epochs, no
dropout of words and a vocabulary of everything. Members and control are halves of the users of a simulated shop; 60 canaries are
planted among the members, about half of them in.
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
from eventlog.split import by_user
from generators import attacks, canaries, fidelity
from generators.attacks import Attack

SHOWN = ("membership_auc", "membership_reference_auc", "membership_tpr", "exposed_exact_4", "exposed_near_8", "singling_out", "linkage")


def cell(attack: Attack | None) -> str:
    """The attack's rate on members, on the control, and its risk with the interval."""
    if attack is None:
        return "–"
    against = f" / {attack.control.value:.2f}" if attack.control is not None else ""
    return f"{attack.rate.value:.2f}{against}; {attack.risk:.2f} [{attack.low:.2f}, {attack.high:.2f}]"


def main() -> None:
    """Fit, sample, attack, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=80, help="members, and as many for control")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--model", default="transformer")
    parser.add_argument("--planted", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--private", type=json.loads, default={}, help="settings of the private models, as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = simulator.simulate("shop", users=3 * args.users, days=20, seed=11)
    members, control = by_user(log, share=0.5, rng=np.random.default_rng(0))
    members, control = (half.only_users(sorted(half.events["user_id"].astype(str).unique())[:args.users]) for half in (members, control))
    train, planted = canaries.plant(members, args.planted, rng=np.random.default_rng(3))
    n = train.events["user_id"].nunique()
    print(f"{len(members):,} rows of {args.users} members, {len(control):,} of the control; {int(planted.included.sum())} canaries in")
    print("| epsilon | fit CPU s | bigram JS | " + " | ".join(SHOWN) + " | canaries: right, epsilon at least |")
    print("|---" * (len(SHOWN) + 4) + "|")
    overfit = {"epochs": args.epochs, "word_dropout": 0.0, "min_users": 1}
    for epsilon in (None, 10.0, 3.0, 1.0):
        begin = time.process_time()
        public = ("items", "category", "brand", "event") if epsilon else ()
        model = generators.fit(train, model=args.model, epsilon=epsilon, public=public, seed=args.seed,
                               settings=args.private if epsilon else overfit)
        fit = time.process_time() - begin
        twin = model.sample(n, seed=args.seed)
        found = {a.name: a for a in attacks.run(members, twin, control, seed=args.seed)}
        audit = canaries.audit(planted, twin, delta=model.privacy.get("delta") or 0.0)
        print(f"| {f'{epsilon:g}' if epsilon else 'none, overfitted'} | {fit:.0f} | "
              f"{fidelity.measure(control, twin, columns=False)['bigram_js']:.3f} | "
              + " | ".join(cell(found.get(name)) for name in SHOWN)
              + f" | {audit.correct} of {audit.guesses}, {audit.epsilon:.2f} |", flush=True)


if __name__ == "__main__":
    main()
