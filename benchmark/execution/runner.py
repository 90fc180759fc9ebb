"""Run the cells of a suite that have no result yet, and keep what comes back.

Example::

    table = benchmark.run(suite="recommendation", log=log, models=["popularity", "./mine.py"])
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import suite as suites
from benchmark.execution import artifact_store
from benchmark.execution.dispatch import facts, run_cells
from benchmark.execution.engines import check_system
from benchmark.execution.outcome import Outcome, Record
from benchmark.execution.plan import Cell, plan
from benchmark.execution.results import Store
from benchmark.suite import plugin_name
from benchmark.tracker import Tracking
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError
from eventlog._runtime.executors import check_engine

if TYPE_CHECKING:
    from eventlog import EventLog


def run_suite(
    suite: str,
    *,
    log: EventLog | str | Path | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    generators: Sequence[str] | None = None,
    profile: str = "default",
    engine_name: str = "processes",
    workers: int | None = None,
    address: str | None = None,
    shared: str | None = None,
    out: str | Path = "results",
    settings: Sequence[str] = (),
    track: Sequence[str] = (),
    command: str = "",
) -> Outcome:
    """Run a suite as `benchmark.run` does, and return what was done instead of a table.

    `command` is what the leaderboard says the run was made with.
    """
    check_engine(engine_name, address)
    check_system(engine_name)
    store = Store(out, shared=shared)
    tracking = Tracking(track, store.folder)
    folder = log if log is None or isinstance(log, str | Path) else _keep(log, store)
    loaded = suites.load(
        suite,
        profile=profile,
        log=folder,
        tasks=tasks,
        models=models,
        seeds=range(seeds) if isinstance(seeds, int) else seeds,
        generators=generators,
        overrides=settings,
    )
    cells = plan(loaded)
    if models is not None:
        _check_models(loaded.models, cells)
    _check_given_logs(cells, store)
    _note_plan(store, suite, profile, cells, command)
    return run_cells(
        cells, store, engine_name=engine_name, workers=workers, address=address, tracking=tracking
    )


def _check_models(models: Sequence[str], cells: Sequence[Cell]) -> None:
    """Say which of the `models` that were asked for answer no question of the suite.

    Raises InputError if none does.
    """
    used = {cell.label["model"] for cell in cells if cell.kind in ("model", "closed_loop")}
    idle = [name for name in map(plugin_name, models) if name not in used]
    if idle and len(idle) == len(models):
        raise InputError(
            f"No task of the suite asks a kind of question that {', '.join(idle)} answers; the "
            "kinds of a model are its class attribute 'kinds': next_item, binary, uplift."
        )
    for name in idle:
        note(f"left out: {name} answers no kind of question that a task of the suite asks")


def _keep(log: EventLog, store: Store) -> Path:
    """Write an in-memory log under a name made of its content, and return the folder."""
    from eventlog.log import digest

    if len(log) == 0:
        raise InputError("The log has no events.")
    grouped = log.grouped()  # once, and not in each cell that reads it

    def write(folder: Path) -> None:
        grouped.write(folder / "log")

    staged = artifact_store.publish(store.artifacts / f"given-{os.getpid()}", write)
    target = store.artifacts / f"log-{digest(staged / 'log')}"
    if target.exists():
        shutil.rmtree(staged)
    else:
        (staged / "log").rename(target)
        staged.rmdir()
    return target


def _check_given_logs(cells: Sequence[Cell], store: Store) -> None:
    """Check the user's own logs in this process, before anything is written.

    What is wrong with them is an error of the input. Raises InputError.
    """
    for cell in cells:
        if cell.folder is None:
            continue
        if store.shared is not None:
            artifact_store.upload(Path(cell.folder), store.location(cell.key))
        if store.finished(cell.key) is None:
            store.append({**facts(cell), "status": "ok", **_described(cell.folder)})


def _described(folder: str) -> Record:
    from benchmark.execution.cells.log import describe_log
    from benchmark.task import NotApplicable

    began = time.perf_counter()
    try:
        facts = describe_log(Path(folder))
    except NotApplicable as reason:
        raise InputError(str(reason)) from None
    return {**facts, "wall_s": round(time.perf_counter() - began, 3)}


def _note_plan(store: Store, suite: str, profile: str, cells: Sequence[Cell], command: str) -> None:
    """Record what is planned, so that a missing cell is seen to be missing.

    The same plan and command in a row are recorded once.
    """
    entry = {
        "kind": "plan",
        "suite": suite,
        "profile": profile,
        "command": command or "benchmark.run(...) in Python",
        "cells": [
            {"key": c.key, "kind": c.kind, "label": c.label, "needs": list(c.needs)} for c in cells
        ],
    }
    last = next((r for r in reversed(store.records) if r["kind"] == "plan"), None)
    if last != entry:
        store.append(entry)


def command_line() -> str:
    """Return the command as it was typed."""
    return " ".join(["python -m benchmark", *sys.argv[1:]])
