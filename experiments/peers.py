"""The protocol of `baselines_beside_peers.py`, and the peers, in environments of their own.

Usage, in an environment with rectools[torch], and in one with recbole::

    PEER_ENV/bin/python experiments/peers.py rectools WORK ml100k sasrec 240 --factors 64
    PEER_ENV/bin/python experiments/peers.py recbole WORK ml100k GRU4Rec 240

This file imports at its top only what all of these environments have.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

DATA = ("ml100k", "retail", "shop")


def sequences_of(work: Path, name: str) -> list[list[int]]:
    """The lines of the file."""
    return [list(map(int, line.split())) for line in (work / "data" / "seq" / f"{name}.txt").open()]


def emit(work: Path, **record: Any) -> None:
    """A line of results.jsonl, and the same on the screen."""
    line = json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in record.items()})
    print(line, flush=True)
    with (work / "results.jsonl").open("a") as file:
        file.write(line + "\n")


# --- the protocol ---------------------------------------------------------------------------------


def ranks(scores: np.ndarray, target: np.ndarray, seen: list[list[int]] | None) -> np.ndarray:
    """(n,) places above each target, ties among them, of scores (n, items + 1), column = item id;
    `seen` items are taken out.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores).astype(np.float32)
    scores[:, 0] = -np.inf
    own = scores[np.arange(len(target)), target]
    if seen is not None:
        for row, items in enumerate(seen):
            scores[row, items] = -np.inf
        scores[np.arange(len(target)), target] = own
    above = (scores >= own[:, None]).sum(axis=1) - 1
    return np.where(np.isfinite(own), above, scores.shape[1])


def ndcg(rank: np.ndarray) -> float:
    """NDCG@10 of places above."""
    return float(np.where(rank < 10, 1 / np.log2(np.minimum(rank, 10) + 2.0), 0.0).mean())


def measured(score: Any, histories: list[list[int]], target: np.ndarray) -> dict[str, float]:
    """`raw` and `masked` NDCG@10 of score(first, stop) -> (n, items + 1)."""
    raw, masked = [], []
    for a in range(0, len(target), 512):
        scores, b = score(a, min(a + 512, len(target))), min(a + 512, len(target))
        raw.append(ranks(scores, target[a:b], None))
        masked.append(ranks(scores, target[a:b], histories[a:b]))
    return {"masked": ndcg(np.concatenate(masked)), "raw": ndcg(np.concatenate(raw))}


# --- the peers ------------------------------------------------------------------------------------


class Learning:
    """Measures at shares of a budget of CPU seconds; what measuring takes is not counted."""

    def __init__(self, work: Path, budget: float, marks: int, **labels: Any) -> None:
        self.work, self.budget, self.labels = work, budget, labels
        self.marks = [budget * (k + 1) / marks for k in range(marks)]
        self.began = time.process_time()

    def over(self, measure: Any, **more: Any) -> bool:
        """Measure where the next mark has passed; True when the budget is spent."""
        spent = time.process_time() - self.began
        if self.marks and spent >= self.marks[0]:
            emit(self.work, **self.labels, cpu=spent, **more, **measure())
            while self.marks and spent >= self.marks[0]:
                self.marks.pop(0)
            self.began = time.process_time() - spent
        return not self.marks


def rectools(work: Path, name: str, model: str, budget: float, factors: int) -> None:
    """RecTools' SASRec or BERT4Rec as it comes, except for the width: epochs until the budget is
    spent, five measurements on the way.
    """
    import logging
    import warnings

    import torch
    from pytorch_lightning import Trainer, seed_everything
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import BERT4RecModel, SASRecModel

    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    seed_everything(0)
    lists = sequences_of(work, name)
    users, target = np.arange(1, len(lists) + 1), np.array([x[-1] for x in lists])

    def dataset(back: int) -> Any:
        size = np.array([len(x) - back for x in lists])
        place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        return Dataset.construct(
            pd.DataFrame(
                {
                    Columns.User: np.repeat(users, size),
                    Columns.Item: np.concatenate([x[: len(x) - back] for x in lists]),
                    Columns.Weight: 1.0,
                    Columns.Datetime: pd.Timestamp("2026-01-05") + pd.to_timedelta(place, unit="s"),
                }
            )
        )

    # A call begins with a fresh optimiser, so it should not be too short; measured between calls.
    per_call = 10 if sum(map(len, lists)) < 200_000 else 3

    def trainer(**_: Any) -> Trainer:
        return Trainer(
            max_epochs=per_call,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )

    train, known = dataset(2), dataset(1)
    n_items = train.item_id_map.size
    recommender = (SASRecModel if model == "sasrec" else BERT4RecModel)(
        epochs=per_call, n_factors=factors, get_trainer_func=trainer, recommend_torch_device="cpu"
    )

    def measure() -> dict[str, float]:
        # A user's whole ranking in their order, whence both kinds of rank: `filter_viewed` would
        # also drop a repeated answer.
        raw, masked = [], []
        for first in range(0, len(lists), 256):
            some = users[first : first + 256]
            found = recommender.recommend(
                users=some,
                dataset=known,
                k=n_items,
                filter_viewed=False,
                on_unsupported_targets="ignore",
            )
            # A later place is never among the first ten, unless 390 seen items come before it.
            found = found[found[Columns.Rank] <= 400]
            by_user = found.groupby(Columns.User)[Columns.Item].agg(list)
            for u in some:
                order = by_user.get(u, [])
                at = order.index(target[u - 1]) if target[u - 1] in order else 10_000
                seen = set(lists[u - 1][:-1])
                raw.append(at)
                masked.append(at - sum(i in seen for i in order[:at]) if at < 10_000 else at)
        return {"masked": ndcg(np.array(masked)), "raw": ndcg(np.array(raw))}

    learning, epoch = (
        Learning(
            work, budget, 10, side="RecTools", model=model, data=name, seed=0, factors=factors
        ),
        0,
    )
    while not learning.over(measure, epochs=epoch):
        recommender.fit_partial(train, min_epochs=per_call, max_epochs=per_call)
        epoch += per_call


def recbole(work: Path, name: str, model: str, budget: float) -> None:
    """RecBole's SASRec, GRU4Rec or BERT4Rec as it comes (softmax cross-entropy): batches until the
    budget is spent.
    """
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    torch.set_num_threads(1)
    sys.argv = sys.argv[:1]  # RecBole reads the command line by itself
    config = Config(
        model=model,
        dataset=name,
        config_dict={
            "data_path": str(work / "data" / "rb"),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "train_neg_sample_args": None,
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "group_by": "user",
                "mode": "full",
            },
            "show_progress": False,
            "use_gpu": False,
            "seed": 0,
            "checkpoint_dir": str(work / "out"),
        },
    )
    init_seed(0, True)
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    network = get_model(model)(config, train._dataset)
    optimizer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network).optimizer
    lists = sequences_of(work, name)
    item_of = np.array([0, *map(int, dataset.field2id_token["item_id"][1:])])
    user_of = np.array([0, *map(int, dataset.field2id_token["user_id"][1:])])

    @torch.no_grad()
    def measure() -> dict[str, float]:
        network.eval()
        raw, masked = [], []
        for batch in test:
            asked = batch[0]
            found = network.full_sort_predict(asked).view(-1, dataset.item_num).numpy()
            scores = np.full((len(found), item_of.max() + 1), -np.inf, dtype=np.float32)
            scores[:, item_of[1:]] = found[:, 1:]
            own = [lists[u - 1] for u in user_of[asked["user_id"].numpy()]]
            target = np.array([x[-1] for x in own])
            raw.append(ranks(scores, target, None))
            masked.append(ranks(scores, target, [x[:-1] for x in own]))
        network.train()
        return {"masked": ndcg(np.concatenate(masked)), "raw": ndcg(np.concatenate(raw))}

    learning, samples = Learning(work, budget, 5, side="RecBole", model=model, data=name, seed=0), 0
    network.train()
    while True:
        for batch in train:
            optimizer.zero_grad()
            loss = network.calculate_loss(batch)
            loss.backward()
            optimizer.step()
            samples += len(batch)
            if learning.over(measure, epochs=round(samples / len(train._dataset), 3)):
                return


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=("rectools", "recbole"))
    parser.add_argument("work", type=Path)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("model")
    parser.add_argument("budget", type=float, help="CPU seconds")
    parser.add_argument("--factors", type=int, default=64, help="width of RecTools' networks")
    args = parser.parse_args()
    if args.peer == "rectools":
        rectools(args.work, args.data, args.model, args.budget, args.factors)
    else:
        recbole(args.work, args.data, args.model, args.budget)


if __name__ == "__main__":
    main()
