"""Does it help to learn on another log first? Churn with 1 %, 10 % and 100 % of the labels.

Usage::

    python experiments/transfer.py --cdnow CDNOW_master.txt [--seeds 2] [--users 4000]

The source is a simulated shop. The targets are CDNOW (no purchase within 91 days of 1997-12-30,
learnt at three earlier dates), and a shop of another seed with other settings (less fraud, 45
days), asked at its cut as the churn task asks. Each share of labelled customers is drawn with the
run's seed, and a fifth of it stops training early. Compared are:

- logistic: logistic regression on the aggregates of the labelled customers
- scratch: the network from random weights, its head from the logistic regression, as by default
- own: first BERT-style (masked events and next sessions) on all customers of the target log,
  without labels
- other: the same on the source log, then its churn labels, then the labels of the target
- ... cold: the head from random weights instead of from the logistic regression, which shows what
  the network itself knows

ROC-AUC on the test questions, mean over seeds (one where all labels are known) and their range.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

import simulator
from baselines.base import Model
from baselines.nn.neural import NeuralModel
from benchmark.tasks.churn import Churn
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog.arrays import DAY_MS, Examples, Queries
from eventlog.encode import Encoder
from eventlog.log import to_ms

CDNOW = {"learn": ("1997-09-30", "1997-08-15", "1997-06-30"), "ask": "1997-12-30", "days": 91}
OTHER = {"seed": 31, "days": 45, "settings": {"fraud.share": 0.02}}


def task_of(log: EventLog) -> tuple[Encoder, Examples, Examples]:
    """Encoder, training and test examples of the churn task."""
    task = Churn()
    split = task.split(log)
    before = log.before(split.cut)
    encoder = Encoder.fit(before)
    s = encoder.encode(before)
    asked = task.train_questions(before, s, split)
    whole = encoder.encode(log)
    queries = task.test_questions(log, whole, split)
    return (
        encoder,
        Examples(s, asked.queries, asked.target),
        Examples(whole, queries, task.test_answers(log, whole, queries, split)),
    )


def cdnow(file: str) -> tuple[Encoder, Examples, Examples]:
    """The same of CDNOW."""
    from eventlog.ingest.ingest import imported
    from eventlog.ingest.mapping import preset

    with tempfile.TemporaryDirectory() as folder:
        log = imported(file, Path(folder) / "cdnow", mapping=preset("cdnow"))
    day = lambda text: pd.Timestamp(text, tz="UTC")
    encoder = Encoder.fit(log.before(day(CDNOW["ask"])))
    s = encoder.encode(log)
    bought, user, horizon = (
        s.select(s.role == "purchase"),
        np.arange(len(s)),
        CDNOW["days"] * DAY_MS,
    )

    def asked(text: str) -> tuple[Queries, np.ndarray]:
        at = np.full(len(user), to_ms(day(text)))
        end = s.rows_before(user, at)
        known = end > s.offsets[:-1]
        target = (bought.rows_before(user, at + horizon) == bought.rows_before(user, at)).astype(
            np.float32
        )
        return Queries(user[known], end[known], at[known]), target[known]

    parts = [asked(text) for text in CDNOW["learn"]]
    queries = Queries(
        *(np.concatenate([getattr(q, f) for q, _ in parts]) for f in ("user", "end", "time"))
    )
    test, answer = asked(CDNOW["ask"])
    return (
        encoder,
        Examples(s, queries, np.concatenate([t for _, t in parts])),
        Examples(s, test, answer),
    )


def only(examples: Examples, users: np.ndarray) -> Examples:
    """The questions about `users`."""
    keep = np.isin(examples.queries.user, users)
    return Examples(examples.sequences, examples.queries[keep], examples.target[keep])


def make(name: str, **settings: Any) -> Any:
    return plugins.load("baselines.models", name, Model, kind="model")(**settings)


def ece(probability: np.ndarray, target: np.ndarray) -> float:
    """Expected calibration error over ten bins of equal width."""
    place = np.minimum((probability * 10).astype(int), 9)
    return float(
        np.abs(np.bincount(place, weights=probability - target, minlength=10)).sum() / len(target)
    )


def main() -> None:
    """Every target, share, seed and way to begin."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cdnow")
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--shares", default="0.01,0.1,1")
    parser.add_argument("--targets", default="shop,cdnow")
    parser.add_argument(
        "--ways", default="logistic,scratch,own,other,scratch cold,own cold,other cold"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder, train, _ = task_of(simulator.simulate("shop", users=args.users, days=60, seed=7))
    sources: dict[str, NeuralModel] = {}
    for name in ("bert", "lstm"):
        sources[name] = make(name)
        sources[name].fit(train, None, encoder=encoder, seed=0)
    targets = {}
    if "shop" in args.targets.split(","):
        targets["shop"] = task_of(simulator.simulate("shop", users=args.users, **OTHER))
    if args.cdnow and "cdnow" in args.targets.split(","):
        targets["cdnow"] = cdnow(args.cdnow)
    rows = []
    for target, (encoder, train, test) in targets.items():
        own = make("bert", pretrain=0.9)
        own.fit(train, None, encoder=encoder, seed=0)
        ways = [("logistic", "logistic", None, {})]
        for name in ("bert", "lstm"):
            nothing = {"pretrain": 0.0}
            ways += [
                (name, "scratch", None, nothing),
                (name, "other", sources[name], nothing),
            ]
            ways += [(name, "own", own, nothing)] if name == "bert" else []
        for share in map(float, args.shares.split(",")):
            for seed in range(args.seeds if share < 1 else 1):
                users = np.random.default_rng(seed).permutation(np.unique(train.queries.user))
                users = users[: max(round(share * len(users)), 20)]
                held = users[: len(users) // 5]
                known, valid = only(train, users[len(users) // 5 :]), only(train, held)
                for name, way, source, settings in ways:
                    if way not in args.ways.split(","):
                        continue
                    model = make(name, **settings)
                    if source is not None:
                        model.begin_with(source)
                    began = time.process_time()
                    model.fit(known, valid, encoder=encoder, seed=seed)
                    p = model.score(test.sequences, test.queries).astype(np.float64)
                    rows.append(
                        {
                            "target": target,
                            "share": share,
                            "model": name,
                            "way": way,
                            "seed": seed,
                            "auc": roc_auc_score(test.target, p),
                            "pr_returning": average_precision_score(1 - test.target, 1 - p),
                            "ece": ece(p, test.target),
                            "cpu": time.process_time() - began,
                            "labelled": len(users),
                        }
                    )
                    print(
                        json.dumps(
                            {
                                k: round(v, 4) if isinstance(v, float) else v
                                for k, v in rows[-1].items()
                            }
                        ),
                        flush=True,
                    )
    frame = pd.DataFrame(rows)
    text = lambda x: f"{x.mean():.3f} ({x.min():.3f}-{x.max():.3f})"
    print(
        frame.pivot_table(
            index=["target", "model", "way"],
            columns="share",
            values="auc",
            aggfunc=text,
            sort=False,
        ).to_string()
    )
    print(
        frame.groupby(["target", "model", "way", "share"], sort=False)[
            ["auc", "pr_returning", "ece", "cpu"]
        ]
        .mean()
        .round(4)
        .to_string()
    )


if __name__ == "__main__":
    main()
