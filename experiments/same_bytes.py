"""Does a change of the code leave every byte as it was? Hashes of what the project makes.

Usage::

    python experiments/same_bytes.py write /tmp/bytes.txt       # on one checkout
    python experiments/same_bytes.py compare /tmp/bytes.txt     # on another; exit code 1: different

Hashed, for fixed seeds: a simulated log of every scenario; a sample of every generator without and
with a budget (its noise from `noise_seed`), from the model in memory and from the saved one; a
sample under a condition and a continued log; and the smoke suite, its metrics and its generated
logs but not its timings. The last is run, or read with `--results FOLDER` from a run that there is.

`--only simulate`, `--only markov`, `--only suite` measures what begins with that word. Everything
takes about fifteen minutes on two cores. Set OMP_NUM_THREADS=1: other numbers of threads add up in
another order.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

import benchmark
import generators
import simulator
from benchmark.execution.results import Store
from eventlog import EventLog, InputError
from eventlog._runtime import plugins

SMALL: dict[str, dict[str, Any]] = {  # settings that fit a network in seconds
    name: {"width": 16, "epochs": 2, "rows": 20_000, "private_epochs": 2}
    for name in ("vae", "gan", "transformer")
}
JUDGED = ("status", "metrics", "replicates", "chance", "measures", "privacy", "digest", "questions")


def hash_frame(frame: pd.DataFrame) -> str:
    """Return a hash of names, types and values; None and NaN are the same."""
    found = hashlib.sha256()
    for name in frame.columns:
        values = frame[name].astype(object).where(frame[name].notna(), None).map(repr)
        found.update(f"{name}{frame[name].dtype}".encode())
        found.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return found.hexdigest()[:16]


def hash_log(log: EventLog) -> str:
    """Return a hash of all tables of a log, its truth included."""
    tables = {name: getattr(log, name) for name in ("events", "users", "items", "labels")}
    tables |= {f"truth/{name}": table for name, table in sorted((log.truth or {}).items())}
    hashes = {name: hash_frame(table) for name, table in tables.items() if table is not None}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def simulated() -> Iterator[tuple[str, str]]:
    """Yield a name and a hash for a log of every scenario."""
    for name in plugins.names("simulator.scenarios", suffix=".toml"):
        yield f"simulate {name}", hash_log(simulator.simulate(name, users=300, days=20, seed=7))


def generated(only: str) -> Iterator[tuple[str, str]]:
    """Yield names and hashes for the samples of every generator that begins with `only`."""
    settings = {"fraud.share": 0.1}
    log = simulator.simulate("shop", users=250, days=25, seed=3, settings=settings)
    for name in plugins.names("generators.models"):
        if not name.startswith(only):
            continue
        for epsilon in (None, 3.0):
            private = {} if epsilon is None else {"epsilon": epsilon, "noise_seed": 5}
            try:
                model = generators.fit(log, model=name, seed=1, settings=SMALL.get(name), **private)
            except InputError as error:
                yield f"{name} {epsilon}", f"refused-{type(error).__name__}"
                continue
            yield from samples(f"{name} {epsilon}", model, log, conditions=epsilon is None)


def samples(name: str, model: Any, log: EventLog, *, conditions: bool) -> Iterator[tuple[str, str]]:
    """Yield names and hashes for what one fitted generator gives."""
    yield name, hash_log(model.sample(users=80, seed=2))
    with tempfile.TemporaryDirectory() as folder:
        generators.save(model, Path(folder) / "model")
        loaded = generators.load(Path(folder) / "model")
    yield f"{name} saved", hash_log(loaded.sample(users=60, seed=4))
    if not conditions:
        return
    family = name.removesuffix(" None")
    try:
        yield f"{family} where", hash_log(model.sample(users=40, seed=5, where={"country": "DE"}))
        yield f"{family} continued", hash_log(model.continue_log(log, days=5, seed=6))
    except InputError as error:
        yield f"{family} conditions", f"refused-{type(error).__name__}"


def suite(results: Path | None) -> Iterator[tuple[str, str]]:
    """Yield names and hashes for the cells of the smoke suite, from `results` or from a run."""
    if results is None:
        with tempfile.TemporaryDirectory() as folder:
            benchmark.run("all", profile="smoke", out=folder)
            yield from suite(Path(folder))
        return
    store = Store(results)
    for cell in store.plan()["cells"]:
        label = [cell["label"].get(f) for f in ("log", "task", "source", "model", "seed")]
        name = " ".join(["suite", cell["kind"], *(str(part) for part in label if part is not None)])
        record = store.latest(cell["key"]) or {}
        judged = {field: record.get(field) for field in JUDGED}
        yield name, hashlib.sha256(json.dumps(judged, sort_keys=True).encode()).hexdigest()[:16]


def measured(only: str, results: Path | None) -> Iterator[tuple[str, str]]:
    """Yield everything that is asked for."""
    if "simulate".startswith(only):
        yield from simulated()
    if not only or only not in ("simulate", "suite"):
        yield from generated(only)
    if "suite".startswith(only):
        yield from suite(results)


def read(file: Path) -> dict[str, str]:
    """Return name -> hash of a file that `write` made."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(tuple(line.rsplit(" ", 1)) for line in lines)  # type: ignore[misc]


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", help="simulate, suite or a generator's name")
    parser.add_argument("--results", type=Path, help="results of a smoke run, instead of running")
    arguments = parser.parse_args()
    if arguments.action == "write":
        with open(arguments.file, "w", encoding="utf-8") as out:
            for name, found in measured(arguments.only, arguments.results):
                print(name, found, flush=True)
                out.write(f"{name} {found}\n")
        return 0
    known, same, different = read(arguments.file), 0, []
    for name, found in measured(arguments.only, arguments.results):
        if name not in known:
            print(f"new        {name} {found}", flush=True)
        elif known[name] == found:
            same += 1
        else:
            different.append(name)
            print(f"different  {name}: {known[name]} -> {found}", flush=True)
    print(f"{same} the same, {len(different)} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
