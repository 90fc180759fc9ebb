r"""How do our generators compare with SDV's PARSynthesizer and mostlyai-engine?

Usage::

    python experiments/generators_beside_peers.py prepare WORK --cdnow CDNOW_master.txt \
        --retail online_retail.csv.gz
    python experiments/generators_beside_peers.py ours WORK
    python experiments/generators_beside_peers.py ours WORK --data cdnow shop online-retail \
        --models vae --settings '{"rows": 40000}'
    # in an environment with sdv, and in one with mostlyai-engine:
    PEER_ENV/bin/python experiments/generators_beside_peers.py par WORK --data cdnow shop
    PEER_ENV/bin/python experiments/generators_beside_peers.py mostlyai WORK
    python experiments/generators_beside_peers.py table WORK

Same users, same columns, same machine, one thread each. Half of the users are fitted, and as many
sampled users are compared with the other half; the baseline is the fitted half against the other.
The peers get event, log gap, price and the static month of arrival; ours get the whole log. CDNOW
has one event: there a token is the event with the fifth of its price, for all sides. Cost is CPU
seconds to fit, and rows a CPU second to sample, so that a busy machine does not matter. The peers'
code runs in environments of its own, so this file imports at its top only what all of them have.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

USERS = {"cdnow": 2_000, "cdnow-large": 8_000, "online-retail": 600, "shop": 600}
MODELS = ("markov", "vae", "transformer", "gan")
SECONDS = 300  # mostlyai-engine stops by itself, or here


def frame_of(log) -> pd.DataFrame:
    """user_id, event, loggap (0 at the first row), price, cohort: the flat table that a peer learns
    from.
    """
    events = log.events
    user = events["user_id"].astype(str).to_numpy()
    ms = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    first = np.append(True, user[1:] != user[:-1])
    gap = np.where(first, 0.0, np.diff(ms, prepend=ms[:1]) / 1000)
    month = pd.Series(ms).where(first).ffill().astype("int64")
    return pd.DataFrame(
        {
            "user_id": user,
            "event": events["event"].astype(str).to_numpy(),
            "loggap": np.log1p(np.maximum(gap, 0.0)),
            "price": events["price"].astype(float).fillna(0.0).to_numpy(),
            "cohort": pd.to_datetime(month, unit="ms").dt.strftime("%Y-%m").to_numpy(),
        }
    )


def prepare(work: Path, files: dict[str, str]) -> None:
    """The logs, cut into halves."""
    import simulator
    from eventlog.__main__ import main as eventlog
    from eventlog.log import EventLog

    for name, n_users in USERS.items():
        folder = work / name
        if name == "shop":
            log = simulator.simulate("shop", users=n_users, days=30, seed=7)
        else:
            source = name.removesuffix("-large")
            whole = work / source / "whole"
            if not whole.exists():
                eventlog(["import", files[source], "--preset", source, "--out", str(whole)])
            log = EventLog.read(whole, truth=False)
        rng = np.random.default_rng(0)
        users = np.array(sorted(log.events["user_id"].astype(str).unique()))
        chosen = rng.permutation(users)[:n_users]
        for half, part in (("train", chosen[::2]), ("hold", chosen[1::2])):
            cut = log.only_users(part)
            cut.write(folder / half)
            frame_of(cut).to_parquet(folder / f"{half}.parquet")
            print(name, half, f"{len(cut):,} rows of {len(part):,} users", flush=True)


def note(folder: Path, entry: dict) -> None:
    """One line of results."""
    with (folder / "results.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
    print(folder.name, entry, flush=True)


def ours(work: Path, models: list[str], data: list[str], settings: dict) -> None:
    """Fit and sample each of our generators."""
    import torch

    import generators
    from eventlog.log import EventLog

    torch.set_num_threads(1)
    for name in data:
        log = EventLog.read(work / name / "train", truth=False)
        # the same for encoding
        generators.fit(
            log.only_users(log.events["user_id"].astype(str).unique()[:50]), model="markov"
        )
        n = log.events["user_id"].nunique()
        for model in models:
            begin = time.process_time()
            made = generators.fit(log, model=model, seed=1, settings=settings)
            fit = time.process_time() - begin
            # the first call of a process loads what is compiled, or compiles it
            made.sample(100, seed=2)
            cpu = time.process_time()
            twin = made.sample(n, seed=1)
            cpu = time.process_time() - cpu
            long = time.process_time()
            many = made.sample(10 * n, seed=3)
            label = model + "".join(f" {k}={v}" for k, v in settings.items())
            frame_of(twin).to_parquet(work / name / f"{label}.parquet")
            note(
                work / name,
                {
                    "model": label,
                    "fit": fit,
                    "rows": len(twin),
                    "rate": len(twin) / cpu,
                    "rate_10x": len(many) / (time.process_time() - long),
                },
            )


def contexts(train: pd.DataFrame) -> pd.DataFrame:
    """One line a user."""
    return train.drop_duplicates("user_id")[["user_id", "cohort"]].reset_index(drop=True)


def par(work: Path, data: list[str], epochs: int) -> None:
    """SDV's PARSynthesizer with its default of 128 epochs, unless given otherwise."""
    import torch
    from sdv.metadata import Metadata
    from sdv.sequential import PARSynthesizer

    torch.set_num_threads(1)
    kinds = {
        "user_id": "id",
        "event": "categorical",
        "cohort": "categorical",
        "loggap": "numerical",
        "price": "numerical",
    }
    for name in data:
        train = pd.read_parquet(work / name / "train.parquet")
        table = {"columns": {k: {"sdtype": v} for k, v in kinds.items()}, "sequence_key": "user_id"}
        metadata = Metadata.load_from_dict(
            {"tables": {"t": table}, "relationships": [], "METADATA_SPEC_VERSION": "V1"}
        )
        model = PARSynthesizer(metadata, epochs=epochs, context_columns=["cohort"], verbose=False)
        begin = time.process_time()
        model.fit({"t": train})
        fit, cpu = time.process_time() - begin, time.process_time()
        print(name, "fitted in CPU s", fit, flush=True)
        twin = model.sample_sequences(num_sequences=train["user_id"].nunique())
        twin = next(iter(twin.values())) if isinstance(twin, dict) else twin
        cpu = time.process_time() - cpu
        label = f"PARSynthesizer, {epochs} epochs"
        twin.to_parquet(work / name / f"{label}.parquet")
        note(work / name, {"model": label, "fit": fit, "rows": len(twin), "rate": len(twin) / cpu})


def mostlyai(work: Path, data: list[str], seconds: int) -> None:
    """The engine of MOSTLY AI, at most `seconds` of training."""
    import torch
    from mostlyai import engine

    torch.set_num_threads(1)
    for name in data:
        train = pd.read_parquet(work / name / "train.parquet")
        for column in ("user_id", "event", "cohort"):
            train[column] = train[column].astype(object)
        context, target = contexts(train), train.drop(columns="cohort")
        space = str(work / name / "engine")
        begin, wall = time.process_time(), time.time()
        engine.split(
            tgt_data=target,
            ctx_data=context,
            tgt_context_key="user_id",
            ctx_primary_key="user_id",
            workspace_dir=space,
        )
        engine.analyze(workspace_dir=space)
        engine.encode(workspace_dir=space)
        engine.train(workspace_dir=space, max_training_time=seconds / 60)
        fit, wall_fit, cpu = time.process_time() - begin, time.time() - wall, time.process_time()
        engine.generate(workspace_dir=space, ctx_data=context)
        cpu = time.process_time() - cpu
        parts = [pd.read_parquet(p) for p in sorted(Path(space, "SyntheticData").glob("*.parquet"))]
        twin = pd.concat(parts, ignore_index=True).sort_values("user_id", kind="stable")
        label = f"mostlyai-engine, {seconds} s at most"
        twin.to_parquet(work / name / f"{label}.parquet")
        note(
            work / name,
            {
                "model": label,
                "fit": fit,
                "fit_wall": wall_fit,
                "rows": len(twin),
                "rate": len(twin) / cpu,
            },
        )


def distances(real: pd.DataFrame, made: pd.DataFrame, edges: np.ndarray | None) -> dict[str, float]:
    """bigram and trigram JS, KS of gaps and rows per user: `made` against `real`; `edges` of price
    fifths where tokens need them.
    """
    from generators.evaluation.distances import js, ks

    def runs(frame: pd.DataFrame, n: int) -> pd.Series:
        user = frame["user_id"].astype(str).to_numpy()
        token = frame["event"].astype(str).to_numpy(dtype=object)
        if edges is not None:
            token = token + np.searchsorted(
                edges, frame["price"].astype(float).fillna(0.0).to_numpy()
            ).astype(str).astype(object)
        size = max(len(frame) - n + 1, 0)
        text = token[:size].copy()
        for k in range(1, n):
            text = text + ">" + token[k : size + k]
        return pd.Series(text[user[:size] == user[n - 1 :]]).value_counts()

    def shares(n: int) -> float:
        a, b = runs(real, n), runs(made, n)
        both = a.index.union(b.index)
        return js(
            a.reindex(both, fill_value=0).to_numpy(), b.reindex(both, fill_value=0).to_numpy()
        )

    def later(frame: pd.DataFrame) -> np.ndarray:
        user = frame["user_id"].astype(str).to_numpy()
        return frame["loggap"].astype(float).to_numpy()[1:][user[1:] == user[:-1]]

    lengths = [
        frame.groupby("user_id", sort=False).size().to_numpy(dtype=float) for frame in (real, made)
    ]
    return {
        "bigram": shares(2),
        "trigram": shares(3),
        "gap": ks(later(real), later(made)),
        "length": ks(*lengths),
    }


def table(work: Path, data: list[str]) -> None:
    """All results as one table in Markdown."""
    print(
        "| log | model | fit CPU s | rows/s (10 x users) | bigram JS | trigram JS | gap KS | rows "
        "per user KS |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in data:
        folder = work / name
        real, train = (pd.read_parquet(folder / f"{half}.parquet") for half in ("hold", "train"))
        edges = (
            np.quantile(train["price"], [0.2, 0.4, 0.6, 0.8]) if name.startswith("cdnow") else None
        )
        lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        for entry in [{"model": "floor"}, *{e["model"]: e for e in lines}.values()]:
            made = (
                train
                if entry["model"] == "floor"
                else pd.read_parquet(folder / f"{entry['model']}.parquet")
            )
            found = distances(real, made, edges)
            many = f" ({entry['rate_10x']:,.0f})" if "rate_10x" in entry else ""
            speed = (
                f"{entry['fit']:.1f} | {entry['rate']:,.0f}{many}" if "fit" in entry else "– | –"
            )
            print(
                f"| {name} | {entry['model']} | {speed} | "
                + " | ".join(f"{v:.4f}" for v in found.values())
                + " |"
            )


def main() -> None:
    """Dispatch on the first argument."""
    import argparse

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["prepare", "ours", "par", "mostlyai", "table"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--cdnow", default="")
    parser.add_argument("--retail", default="")
    parser.add_argument("--data", nargs="*", default=list(USERS), choices=list(USERS))
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, for 'ours'")
    parser.add_argument("--epochs", type=int, default=128, help="of PAR")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of mostlyai-engine")
    args = parser.parse_args()
    if args.what == "prepare":
        prepare(args.work, {"cdnow": args.cdnow, "online-retail": args.retail})
    elif args.what == "ours":
        ours(args.work, args.models, args.data, args.settings)
    elif args.what == "par":
        par(args.work, args.data, args.epochs)
    elif args.what == "mostlyai":
        mostlyai(args.work, args.data, args.seconds)
    else:
        table(args.work, args.data)


if __name__ == "__main__":
    sys.exit(main())
