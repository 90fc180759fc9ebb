r"""How do our next-item models compare with RecTools' and RecBole's at equal CPU time?

Usage::

    python experiments/baselines_beside_peers.py prepare WORK --movielens ml-100k.inter \
        --retail online_retail.csv.gz
    python experiments/baselines_beside_peers.py ours WORK [--data ml100k,retail,shop] \
        [--models gru,markov] [--seeds 3] [--settings JSON]
    # the peers, in environments of their own: see peers.py
    python experiments/baselines_beside_peers.py ablate WORK [--data ml100k,shop]
    python experiments/baselines_beside_peers.py table WORK

One protocol and one thread each; NDCG@10 at CPU seconds of training. Leave-one-out: a user's last
item is the test, the one before it is for early stopping, the others are learnt from; the test's
history holds the validation item. All items are ranked; ties count against the model, and a NaN is
a miss. `raw` ranks everything, `masked` takes out what the user had before, except the answer. All
sides see the order of items and nothing more; `--columns times` gives ours the times too,
`--columns all` all columns of the log.

ml-100k is in the recbole wheel (recbole/dataset_example/ml-100k); Online Retail is UCI's, here its
purchases by the preset; the shop is `simulate("shop", users=10_000, days=60, seed=7)`, by steps.
Users have five items or more.
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
import pandas as pd
from peers import DATA, emit, measured, sequences_of

MODELS = (
    "popularity",
    "markov",
    "itemknn",
    "ease",
    "session_knn",
    "gru",
    "lstm",
    "transformer",
    "bert",
)
FEWEST = 5  # items of a user


# --- the data: one user a line, item ids from 1, in the order of time -----------------------------


def prepare(work: Path, movielens: str, retail: str) -> None:
    """The item sequences of three logs, and the logs themselves."""
    import simulator
    from benchmark.tasks.recommendation import steps
    from eventlog import EventLog
    from eventlog.__main__ import main as eventlog

    for name in DATA:
        folder = work / "logs" / name
        if not folder.exists():
            if name == "shop":
                simulator.simulate("shop", users=10_000, days=60, seed=7).write(folder)
            else:
                preset = {"ml100k": "movielens", "retail": "online-retail"}[name]
                eventlog(
                    [
                        "import",
                        {"ml100k": movielens, "retail": retail}[name],
                        "--preset",
                        preset,
                        "--out",
                        str(folder),
                    ]
                )
        log = EventLog.read(folder, truth=False)
        events = (steps(log) if name == "shop" else log).events
        if name == "retail":
            events = events[log.role() == "purchase"]
        events = events[events["item_id"].notna()]
        events = events[
            events.groupby("user_id", observed=True)["item_id"].transform("size") >= FEWEST
        ].reset_index(drop=True)
        item, _ = pd.factorize(events["item_id"].astype(str), sort=True)
        events["item_id"] = pd.Series((item + 1).astype(str), dtype="category")
        user, _ = pd.factorize(events["user_id"].astype(str), sort=False)
        (work / "data" / "seq").mkdir(parents=True, exist_ok=True)
        events.to_parquet(work / "data" / f"{name}.parquet")
        lists = pd.Series(item + 1).groupby(user).agg(list)
        (work / "data" / "seq" / f"{name}.txt").write_text(
            "".join(" ".join(map(str, x)) + "\n" for x in lists)
        )
        atomic = work / "data" / "rb" / name
        atomic.mkdir(parents=True, exist_ok=True)
        place = (
            np.arange(len(user))
            - np.repeat(np.cumsum(lists.map(len)) - lists.map(len), lists.map(len)).to_numpy()
        )
        pd.DataFrame(
            {"user_id:token": user + 1, "item_id:token": item + 1, "timestamp:float": place}
        ).to_csv(atomic / f"{name}.inter", sep="\t", index=False)
        print(f"{name}: {len(lists):,} users, {item.max() + 1:,} items, {len(item):,} rows")


# --- ours -----------------------------------------------------------------------------------------


class Data:
    """A log's item sequences as our models take them: encoder, train, valid and test."""

    def __init__(self, work: Path, name: str, columns: str = "items") -> None:
        from eventlog import EventLog
        from eventlog.arrays import Examples, Queries
        from eventlog.encode import Encoder
        from eventlog.log import tidy

        self.lists = sequences_of(work, name)
        size = np.array([len(x) for x in self.lists])
        user, ends = np.repeat(np.arange(len(size)), size), np.cumsum(size)
        place = np.arange(len(user)) - np.repeat(ends - size, size)
        events = pd.DataFrame(
            {"item_id": np.concatenate(self.lists).astype(str), "event": "view_item"}
        )
        events["timestamp"] = pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta(
            place, unit="ms"
        )
        if columns != "items":
            whole = pd.read_parquet(work / "data" / f"{name}.parquet").drop(
                columns=["event_id", "user_id"]
            )
            events = whole if columns == "all" else events.assign(timestamp=whole["timestamp"])
        events.insert(0, "event_id", np.arange(len(user)))
        events.insert(
            1, "user_id", np.array([f"{u:06d}" for u in range(len(size))], dtype=object)[user]
        )
        log = EventLog(events=tidy(events))
        known = place < (size - 2)[user]
        self.encoder = Encoder.fit(EventLog(events=log.events[known].reset_index(drop=True)))
        s = self.sequences = self.encoder.encode(log)
        code = np.full(max(map(max, self.lists)) + 1, -1)
        vocabulary = np.array(self.encoder.vocabularies["item_id"], dtype=np.int64)
        code[vocabulary] = np.arange(len(vocabulary)) + 2
        self.known_ids, self.code = np.flatnonzero(code >= 0), code
        ask = lambda row: Queries(user[row], row, s.time[row])
        example = lambda row: Examples(s, ask(row), s.columns["item"][row])
        self.train = example(np.flatnonzero(known & (place > 0)))
        self.valid, self.test = example(ends - 2), example(ends - 1)

    def ndcg(self, model: Any, part: str = "test") -> dict[str, float]:
        """NDCG@10 of a fitted model on the test item, or on the validation item."""
        asked, back = (self.test, 1) if part == "test" else (self.valid, 2)

        def score(a: int, b: int) -> np.ndarray:
            scores = np.full((b - a, len(self.code)), -np.inf, dtype=np.float32)
            scores[:, self.known_ids] = model.score(self.sequences, asked.queries[np.arange(a, b)])[
                :, self.code[self.known_ids]
            ]
            return scores

        return measured(
            score, [x[:-back] for x in self.lists], np.array([x[-back] for x in self.lists])
        )


def fit(data: Data, name: str, seed: int, settings: dict[str, Any]) -> tuple[Any, float]:
    """A fitted model and the CPU seconds that it took."""
    import torch

    from baselines.base import Model
    from eventlog._runtime import plugins

    torch.set_num_threads(1)
    model = plugins.load("baselines.models", name, Model, kind="model")(**settings)
    start = time.process_time()
    model.fit(data.train, data.valid, encoder=data.encoder, seed=seed)
    return model, time.process_time() - start


def ours(work: Path, args: argparse.Namespace) -> None:
    """Fit and measure."""
    settings = json.loads(args.settings)
    for name in args.data.split(","):
        data = Data(work, name, args.columns)
        for label in args.models.split(","):
            neural = label not in ("popularity", "markov", "itemknn", "ease", "session_knn")
            for seed in range(args.first, args.first + (args.seeds if neural else 1)):
                model, seconds = fit(data, label, seed, settings if neural else {})
                history = getattr(model, "history_", None)
                emit(
                    work,
                    side="ours",
                    model=label,
                    data=name,
                    columns=args.columns,
                    seed=seed,
                    cpu=seconds,
                    settings=settings,
                    note=args.note,
                    **data.ndcg(model),
                    **{f"valid_{k}": v for k, v in data.ndcg(model, "valid").items()},
                    **(
                        {}
                        if history is None
                        else {
                            "steps": history.steps,
                            "best_step": history.best_step,
                            "measure": [round(m, 4) for m in history.measure],
                        }
                    ),
                )


ABLATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {  # name -> (model, columns, settings)
    "as it is": ("transformer", "items", {}),
    "with times": ("transformer", "times", {}),
    "with counts": ("transformer_hybrid", "items", {}),
    "sampled softmax": ("transformer", "items", {"full_softmax": 0}),
    "windows of 20 rows": ("transformer", "items", {"length": 20}),
    "windows of 100 rows": ("transformer", "items", {"length": 100}),
    "five minutes": ("transformer", "items", {"budget": 300}),
}


def ablate(work: Path, names: str) -> None:
    """One thing changed at a time, one seed."""
    for name in names.split(","):
        data: dict[str, Data] = {}
        for note, (label, columns, settings) in ABLATIONS.items():
            data[columns] = data.get(columns) or Data(work, name, columns)
            model, seconds = fit(data[columns], label, 0, settings)
            emit(
                work,
                side="ablation",
                model=label,
                data=name,
                note=note,
                seed=0,
                cpu=seconds,
                **data[columns].ndcg(model),
                **{f"valid_{k}": v for k, v in data[columns].ndcg(model, "valid").items()},
                steps=model.history_.steps,
            )


def table(work: Path) -> None:
    """Every record, mean and range over seeds, as Markdown rows."""
    records = pd.DataFrame([json.loads(line) for line in (work / "results.jsonl").open()])
    records["budget"] = records["settings"].map(
        lambda x: x.get("budget", "") if isinstance(x, dict) else ""
    )
    records = records.drop_duplicates(
        ["side", "model", "data", "columns", "note", "seed", "budget", "epochs"], keep="last"
    ).fillna("")
    span = lambda x: f"{x.mean():.4f}" + (f" ({x.min():.4f}-{x.max():.4f})" if len(x) > 1 else "")
    for data, of_data in records.groupby("data", sort=False):
        print(
            f"\n## {data}\n\n| side | model | | CPU s | masked | raw |\n|---|---|---|---|---|---|"
        )
        for key, rows in of_data.groupby(
            ["side", "model", "columns", "note", "budget", "epochs"], sort=False
        ):
            side, model, columns, note, budget, epochs = key
            what = " ".join(
                str(x)
                for x in (
                    columns,
                    note,
                    f"{budget} steps" if budget else "",
                    f"{epochs} epochs" if epochs else "",
                )
                if x
            )
            print(
                f"| {side} | {model} | {what} | {rows['cpu'].mean():.1f} | {span(rows['masked'])} "
                f"| {span(rows['raw'])} |"
            )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("prepare")
    command.add_argument("work", type=Path)
    command.add_argument("--movielens", required=True)
    command.add_argument("--retail", required=True)
    command = commands.add_parser("ours")
    command.add_argument("work", type=Path)
    command.add_argument("--data", default=",".join(DATA))
    command.add_argument("--models", default=",".join(MODELS))
    command.add_argument("--seeds", type=int, default=3)
    command.add_argument("--first", type=int, default=0, help="the first seed")
    command.add_argument("--columns", choices=("items", "times", "all"), default="items")
    command.add_argument("--settings", default="{}", help="JSON, for the neural models")
    command.add_argument("--note", default="")
    command = commands.add_parser("ablate")
    command.add_argument("work", type=Path)
    command.add_argument("--data", default="ml100k,shop")
    commands.add_parser("table").add_argument("work", type=Path)
    args = parser.parse_args()
    if args.command == "prepare":
        prepare(args.work, args.movielens, args.retail)
    elif args.command == "ours":
        ours(args.work, args)
    elif args.command == "ablate":
        ablate(args.work, args.data)
    else:
        table(args.work)


if __name__ == "__main__":
    main()
