"""Is a network worth more under a budget that was trained on simulated shops before?

Usage::

    python experiments/pretrain_private.py --users 4000 --epsilon 3 --shops 2 --epochs 2

`vae` is trained without noise on shops of the default scenario, which are public, and then with
DP-SGD on the shop of `untuned_shop.toml`, with all of its weights or only biases and
normalisations. Beside it are DP-SGD from scratch, the network before it has seen the shop, and
`markov`. The names of the simulated items are those of public items of as large a category. Shares
are those of `utility_by_epsilon.py`.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from utility_by_epsilon import SHOP, scores

import generators
import simulator
from benchmark.task import Task
from eventlog import EventLog
from generators.codec.codec import Codec
from generators.models.vae import Vae
from generators.nn.training import train
from generators.privacy.accounting import PrivacyLedger
from generators.sequences.encode import EncodedSequences, encode

PUBLIC = ["items", "category", "brand", "event"]
FEW = ("bias", "norm")  # in the names of the parameters that are few
PASSES = 3  # over the simulated shops
SHOP_USERS = 1_500
NO_STEP = 1e-9  # a learning rate


class Pretrained(Vae):
    """`vae` that learns from `shops` before it learns from the log with DP-SGD."""

    shops: tuple[EventLog, ...] = ()
    few = False  # does DP-SGD change biases and normalisations only?

    def _learn_privately(
        self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger
    ) -> None:
        for k, shop in enumerate(self.shops):
            known = encode(renamed(shop, self.codec_), self.codec_, max_rows=self.plan.private_rows)
            plan = replace(self.plan, epochs=PASSES)
            train(self.net_, self.codec_, known, plan, seed=seed + k)
        for name, weight in self.net_.named_parameters():
            weight.requires_grad_(not self.few or any(part in name for part in FEW))
        super()._learn_privately(steps, seed=seed, ledger=ledger)
        self.net_.requires_grad_(True)


def renamed(shop: EventLog, codec: Codec) -> EventLog:
    """Return `shop` with categories and items of the codec, the largest for the most frequent."""
    events, start = shop.events.copy(), codec.items.start
    sizes = np.diff(start)[1:]
    largest = 1 + np.argsort(-sizes, kind="stable")
    category = events["category"].astype(object)
    frequent = category.dropna().value_counts().index
    code = {name: int(largest[k % len(largest)]) for k, name in enumerate(frequent)}
    first = events.dropna(subset=["item_id", "category"]).drop_duplicates("item_id")
    known, used = dict[str, str](), dict[int, int]()
    for item, name in zip(first["item_id"].astype(str), first["category"].astype(str), strict=True):
        c = code[name]
        used[c] = used.get(c, -1) + 1
        known[item] = codec.items.names[start[c] + used[c] % (start[c + 1] - start[c]) - 1]
    events["category"] = category.map(
        {name: codec.categories.values[c - 1] for name, c in code.items()}
    ).astype("category")
    events["item_id"] = events["item_id"].astype(object).map(known).astype("category")
    return EventLog(
        events=events, users=shop.users, labels=shop.labels, manifest=shop.manifest
    ).ordered()


def main() -> None:
    """Fit each, sample, train on the sample, test on the shop; print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--shops", type=int, default=2, help="simulated for the pre-training")
    parser.add_argument("--epochs", type=int, default=2, help="expected passes of DP-SGD")
    parser.add_argument(
        "--only", default="scratch,before,few,all,markov", help="of which rows the table is made"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = simulator.simulate(str(SHOP), users=args.users, days=40, seed=91)
    log.truth = {}
    split = Task.split(log)
    before = log.before(split.cut)
    users = int(before.events["user_id"].nunique())
    shops = tuple(
        simulator.simulate("shop", users=SHOP_USERS, days=40, seed=500 + k)
        for k in range(args.shops)
    )
    best, trivial = scores(before, log, split)
    print(f"{len(before):,} rows and {users:,} users before the cut\n")
    print("| | fit, CPU s | rows a user | " + " | ".join(best) + " |")
    print("|---" * (3 + len(best)) + "|")
    small = {"private_epochs": args.epochs, "private_rows": 48, "width": 64, "latent": 8}
    rates = {"scratch": 2e-3, "before": NO_STEP, "few": 2e-3, "all": 1e-3}
    for name in args.only.split(","):
        begin = time.process_time()
        if name == "markov":
            model = generators.fit(
                before, model="markov", epsilon=args.epsilon, public=PUBLIC, seed=1
            )
        else:
            made = Pretrained(**small, batch_users=256, private_rate=rates[name])
            made.shops, made.few = (() if name == "scratch" else shops), name == "few"
            made.fit(before, epsilon=args.epsilon, public=PUBLIC, seed=1)
            model = made
        took = time.process_time() - begin
        twin = model.sample(users, seed=1)
        found = scores(twin, log, split)[0]
        shares = [(found[n] - trivial[n]) / (best[n] - trivial[n]) for n in best]
        cells = " | ".join(f"{s:.0%}" for s in shares)
        print(f"| {name} | {took:.0f} | {len(twin) / users:.1f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
