"""Runs the cells of a suite that have no result yet, and keeps what comes back.

    table = benchmark.run(suite="recommendation", log=log, models=["popularity", "./mine.py"])

The store, not the engine, is the source of truth: a run that was killed, at any moment, goes on
where it stopped.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import suite as suites
from benchmark.execution import artifact_store
from benchmark.execution.engines import engine
from benchmark.execution.environment import environment
from benchmark.execution.plan import ARTIFACTS, REAL, Cell, plan
from benchmark.execution.results import Store
from benchmark.execution.scheduling import Pace
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError
from eventlog._runtime.executors import check_engine

if TYPE_CHECKING:
    from eventlog import EventLog


@dataclass
class Outcome:
    """What a run did: cells run now, found finished, left out with the reason, failed with the
    reason.

    A cell that could not be run is `blocked` where what it needs failed, and `skipped` where that
    was only left out.
    """

    cells: list[Cell]
    ran: int = 0
    found: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0
    busy: float = 0.0  # seconds of work in cells, all workers together
    workers: int = 1  # cells at a time on this machine; 0 on a cluster, which has its own

    def tasks_left_out(self) -> str:
        """Where not one task fits the log: the reasons; else an empty text."""
        questions = [c for c in self.cells if c.kind == "data" and c.label["source"] == REAL]
        if not all(c.key in self.left_out for c in questions):
            return ""
        return "; ".join(f"{c.label['task']}: {self.left_out[c.key]}" for c in questions)


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
    command: str = "",
) -> Outcome:
    """`run`, but returns what was done instead of a table."""
    check_engine(engine_name, address)
    store = Store(out, shared=shared)
    folder = log if log is None or isinstance(log, str | Path) else _keep(log, store)
    wanted = range(seeds) if isinstance(seeds, int) else seeds
    loaded = suites.load(
        suite,
        profile=profile,
        log=folder,
        tasks=tasks,
        models=models,
        seeds=wanted,
        generators=generators,
        overrides=settings,
    )
    cells = plan(loaded)
    _take_given_logs(cells, store)
    _note_plan(store, suite, profile, cells, command)
    return run_cells(cells, store, engine_name=engine_name, workers=workers, address=address)


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    engine_name: str = "processes",
    workers: int | None = None,
    address: str | None = None,
) -> Outcome:
    """Run what has no result, each cell as soon as those that it needs are there."""
    began = time.perf_counter()
    outcome = Outcome(list(cells))
    todo = _todo(cells, store)
    outcome.found = len(cells) - len(todo)
    if todo:
        note(f"{len(todo)} of {len(cells)} cells to run, {outcome.found} found finished")
        with engine(engine_name, workers, address) as (executor, work, at_once):
            outcome.workers = 0 if engine_name == "dask" else at_once
            _drive(todo, {c.key: c for c in cells}, store, outcome, executor, work, at_once)
    for cell in cells:
        _settle(cell, store, outcome)
    outcome.seconds = time.perf_counter() - began
    return outcome


def _drive(
    todo: dict[str, Cell],
    cells: dict[str, Cell],
    store: Store,
    outcome: Outcome,
    executor: Any,
    work: Any,
    at_once: int,
) -> None:
    waiting = {key: {k for k in cell.needs if k in todo} for key, cell in todo.items()}
    consumers: dict[str, list[str]] = defaultdict(list)
    for key, needs in waiting.items():
        for need in needs:
            consumers[need].append(key)
    ready = [key for key, needs in waiting.items() if not needs]
    pace = Pace(todo, consumers, store)
    running: dict[Future[dict[str, Any]], Cell] = {}
    done = 0

    def finished(key: str) -> None:
        for consumer in consumers[key]:
            waiting[consumer].discard(key)
            if not waiting[consumer]:
                ready.append(consumer)

    while ready or running:
        ready.sort(key=pace.urgency.__getitem__)
        while ready and len(running) < at_once:
            cell = todo[ready.pop()]
            store.refresh()  # another run on the same folder may have been faster
            usable = all(_usable(cells[k], store) for k in cell.needs)
            if not usable or (
                store.finished(cell.key) is not None
                and (cell.kind not in ARTIFACTS or _present(cell, store))
            ):
                finished(cell.key)  # left out or blocked with what it needs, or done elsewhere
                continue
            running[executor.submit(work, _job(cell, cells, store))] = cell
        if not running:
            continue
        complete, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in complete:
            cell = running.pop(future)
            said = (
                future.result()
                if future.exception() is None
                else {"status": "error", "error": repr(future.exception())}
            )
            store.append({**_facts(cell), **said})
            done += 1
            outcome.ran += 1
            outcome.busy += float(said.get("wall_s") or 0)
            note(f"[{done + outcome.found}/{len(todo) + outcome.found}] {cell}: {_said(said)}")
            pace.learn(cell, said)
            finished(cell.key)


def _todo(cells: Sequence[Cell], store: Store) -> dict[str, Cell]:
    """Cells without a result, and those whose artefact such a cell needs and is gone."""
    needed: set[str] = set()
    todo: set[str] = set()
    for cell in reversed(cells):
        record = store.finished(cell.key)
        if record is None or (
            cell.key in needed and record["status"] == "ok" and not _present(cell, store)
        ):
            todo.add(cell.key)
            needed |= set(cell.needs)
    return {c.key: c for c in cells if c.key in todo}


def _settle(cell: Cell, store: Store, outcome: Outcome) -> None:
    record = store.latest(cell.key)
    if record is None:  # what it needs stands before it
        without = {*outcome.left_out, *outcome.skipped}
        (
            outcome.skipped
            if cell.needs and any(k in without for k in cell.needs)
            else outcome.blocked
        ).append(cell.key)
    elif record["status"] == "left out":
        outcome.left_out[cell.key] = record["error"]
    elif record["status"] != "ok":
        outcome.failed[cell.key] = f"{record['status']}: {record['error']}"


def _usable(cell: Cell, store: Store) -> bool:
    record = store.latest(cell.key)
    return record is not None and record["status"] == "ok"


def _present(cell: Cell, store: Store) -> bool:
    return cell.kind not in ARTIFACTS or artifact_store.present(_place(cell, store))


def _place(cell: Cell, store: Store) -> str:
    return (
        str(Path(cell.folder).resolve())
        if cell.folder and not store.shared
        else store.place(cell.key)
    )


def _job(cell: Cell, cells: dict[str, Cell], store: Store) -> Any:
    from benchmark.execution.jobs import Job

    needs = tuple(_place(cells[k], store) for k in cell.needs)
    return Job(
        cell.kind,
        cell.key,
        cell.spec,
        needs,
        store.place(cell.key),
        cell.limit_s,
        cell.label,
        str(cell),
    )


def _facts(cell: Cell) -> dict[str, Any]:
    return {
        "key": cell.key,
        "kind": cell.kind,
        "label": cell.label,
        "spec": cell.spec,
        "needs": list(cell.needs),
        "code": cell.code,
        "environment": environment(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _said(record: dict[str, Any]) -> str:
    if record["status"] != "ok":
        return f"{record['status']}: {record['error']}"
    text = "; ".join(
        [f"{record['wall_s']:.1f} s", *(f"a leak? {t}" for t in record.get("suspected", ()))]
    )
    return (
        f"{record['headline']} {record['metrics'][record['headline']]:.4f}, {text}"
        if "metrics" in record
        else text
    )


def _keep(log: EventLog, store: Store) -> Path:
    """An in-memory log, written under its content's name."""
    from eventlog.log import digest

    if len(log) == 0:
        raise InputError("The log has no events.")
    grouped = log.grouped()  # once, and not in each cell that reads it
    given = store.artifacts / f"given-{os.getpid()}"
    staged = artifact_store.publish(given, lambda t: (grouped.write(t / "log"), None)[1])
    target = store.artifacts / f"log-{digest(staged / 'log')}"
    if target.exists():
        import shutil

        shutil.rmtree(staged)
    else:
        (staged / "log").rename(target)
        staged.rmdir()
    return target


def _take_given_logs(cells: Sequence[Cell], store: Store) -> None:
    """Check the user's own logs here and now: what is wrong with them is an error of the input,
    before anything is written.
    """
    for cell in cells:
        if cell.folder is not None and store.shared is not None:
            artifact_store.upload(Path(cell.folder), store.place(cell.key))
        if cell.folder is not None and store.finished(cell.key) is None:
            from benchmark.execution.jobs import describe_log
            from benchmark.task import NotApplicable

            began = time.perf_counter()
            try:
                facts = describe_log(Path(cell.folder))
            except NotApplicable as reason:
                raise InputError(str(reason)) from None
            store.append(
                {
                    **_facts(cell),
                    "status": "ok",
                    **facts,
                    "wall_s": round(time.perf_counter() - began, 3),
                }
            )


def _note_plan(store: Store, suite: str, profile: str, cells: Sequence[Cell], command: str) -> None:
    """Write down what is planned, so that a missing cell is seen to be missing; once for the same
    plan and command.
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


def summary(outcome: Outcome) -> list[str]:
    """Plain lines that say how a run ended."""
    names = {c.key: str(c) for c in outcome.cells}
    known = {
        (c.label["log"], c.label.get("task"), outcome.left_out[c.key])
        for c in outcome.cells
        if c.key in outcome.left_out and c.label.get("source") == REAL
    }
    # a generated log lacks what the real one lacks
    told = [
        c.key
        for c in outcome.cells
        if c.key in outcome.left_out
        and (
            c.label.get("source") == REAL
            or (c.label["log"], c.label.get("task"), outcome.left_out[c.key]) not in known
        )
    ]
    lines = [f"left out: {names[k].removeprefix('data ')}: {outcome.left_out[k]}" for k in told]
    lines += [f"FAILED: {names[k]}: {reason}" for k, reason in outcome.failed.items()]
    blocked = len(outcome.blocked)
    lines.append(
        f"{outcome.ran} cells run, {outcome.found} found finished, {len(outcome.left_out)} left "
        f"out, {len(outcome.failed)} failed"
        f"{f', {blocked} not run because of it' if blocked and outcome.failed else ''} in "
        f"{outcome.seconds:.1f} s"
        + (
            f", {outcome.busy / outcome.seconds / outcome.workers:.0%} of it in cells "
            f"({outcome.workers} at a time)"
            if outcome.ran and outcome.workers
            else ""
        )
    )
    return lines


def command_line() -> str:
    """The command as it was typed."""
    return " ".join(["python -m benchmark", *sys.argv[1:]])
