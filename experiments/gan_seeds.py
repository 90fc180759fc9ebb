"""Does the GAN train stably, and does it cover the log? Several seeds on one simulated shop.

Usage::

    python experiments/gan_seeds.py [--users 400] [--seeds 5]

Beside it are the real-vs-real baseline and `vae`. The critic's distance must rise, fall and stay
low; a collapsed mode would show as items or kinds of transitions that no longer occur.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import generators
import simulator
from eventlog.split import by_user
from generators.evaluation.fidelity import measure
from generators.models.gan import Gan

SHOWN = (
    "item_coverage",
    "transition_coverage",
    "novel_transitions",
    "event_js",
    "bigram_js",
    "gap_ks",
    "length_ks",
    "item_js",
)


def main() -> None:
    """Fit each seed and print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=400, help="fitted, and as many held out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=200_000, help="rows seen in training")
    parser.add_argument("--generator-steps", type=int, default=1_000)
    parser.add_argument(
        "--min-users",
        type=int,
        default=1,
        help="users of an item that is kept by name (default 1: all are)",
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, hold = by_user(
        simulator.simulate("shop", users=2 * args.users, days=20, seed=5),
        share=0.5,
        rng=np.random.default_rng(0),
    )
    print(f"{len(train):,} rows of {train.events['user_id'].nunique()} users fitted")
    print("| | fit CPU s | critic's distance: highest, last tenth | " + " | ".join(SHOWN) + " |")
    print("|---" * (len(SHOWN) + 3) + "|")

    def line(name: str, cost: str, distance: str, made: object) -> None:
        found = measure(hold, made, columns=False)
        print(
            f"| {name} | {cost} | {distance} | "
            + " | ".join(f"{found[m]:.3f}" for m in SHOWN)
            + " |",
            flush=True,
        )

    line("floor", "–", "–", train)
    for seed in range(-1, args.seeds):
        begin = time.process_time()
        settings = {"rows": args.rows, "min_users": args.min_users} | (
            {} if seed < 0 else {"generator_steps": args.generator_steps}
        )
        model = generators.fit(
            train, model="vae" if seed < 0 else "gan", seed=max(seed, 0), settings=settings
        )
        cost = f"{time.process_time() - begin:.0f}"
        distance = "–"
        if isinstance(model, Gan):
            track = np.convolve(model.distances_, np.ones(20) / 20, "valid")
            distance = f"{track.max():.2f}, {track[-len(track) // 10 :].mean():.2f}"
        twin = model.sample(train.events["user_id"].nunique(), seed=max(seed, 0))
        line("vae" if seed < 0 else f"gan, seed {seed}", cost, distance, twin)


if __name__ == "__main__":
    main()
