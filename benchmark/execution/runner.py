"""Run the cells of a suite that have no result yet, and keep what comes back.

The store, not the engine, is the source of truth: a run that was killed, at any moment, goes on
where it stopped.

Example::

    table = benchmark.run(suite="recommendation", log=log, models=["popularity", "./mine.py"])
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from benchmark import suite as suites
from benchmark.execution import artifact_store, costs
from benchmark.execution.engines import check_system, engine
from benchmark.execution.environment import environment
from benchmark.execution.plan import ARTIFACTS, REAL, Cell, plan
from benchmark.execution.results import Store
from benchmark.execution.scheduling import CriticalPath
from benchmark.suite import plugin_name
from benchmark.tracker import Tracking
from eventlog._runtime.console import note, progress
from eventlog._runtime.errors import InputError
from eventlog._runtime.executors import check_engine

if TYPE_CHECKING:
    from benchmark.execution.jobs import Job
    from eventlog import EventLog

Record = dict[str, Any]
FORECAST_S = 2.0  # seconds between two estimates of the time left


@dataclass
class Outcome:
    """What a run did; cells are counted, or named by key with the reason.

    A cell that could not be run is `blocked` where what it needs failed, and `skipped` where what
    it needs was left out.
    """

    cells: list[Cell]
    ran: int = 0
    found: int = 0  # finished before
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0
    busy: float = 0.0  # seconds of work in cells, all workers together
    workers: int = 1  # cells at a time on this machine; 0 on a cluster, which has its own

    def tasks_left_out(self) -> str:
        """Return the reasons where not one task fits the log, otherwise an empty text."""
        questions = [c for c in self.cells if c.kind == "data" and c.label["source"] == REAL]
        if not all(c.key in self.left_out for c in questions):
            return ""
        return "; ".join(f"{c.label['task']}: {self.left_out[c.key]}" for c in questions)

    def take(self, cell: Cell, record: Record | None) -> None:
        """Sort a cell of the plan by its last record; what a cell needs comes before it."""
        if record is None:
            without = {*self.left_out, *self.skipped}
            unneeded = any(k in without for k in cell.needs)
            (self.skipped if unneeded else self.blocked).append(cell.key)
        elif record["status"] == "left out":
            self.left_out[cell.key] = record["error"]
        elif record["status"] != "ok":
            self.failed[cell.key] = f"{record['status']}: {record['error']}"


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


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    engine_name: str = "processes",
    workers: int | None = None,
    address: str | None = None,
    tracking: Tracking | None = None,
) -> Outcome:
    """Run every cell without a result, as soon as the cells that it needs are there.

    `tracking` gets each record after it was stored.
    """
    began = time.perf_counter()
    outcome = Outcome(list(cells))
    todo = _unfinished(cells, store)
    outcome.found = len(cells) - len(todo)
    if todo:
        note(
            f"{len(todo)} of {len(cells)} cells to run, {outcome.found} found finished: "
            f"{costs.by_kind(todo.values())}"
        )
        with engine(engine_name, workers, address) as (executor, work, at_once):
            outcome.workers = 0 if engine_name == "dask" else at_once
            drive = _Drive(cells, todo, store, outcome, tracking or Tracking([], store.folder))
            note(drive.forecast())
            with progress("cells", len(todo)) as drive.show:
                drive.run(executor, work, at_once)
    for cell in cells:
        outcome.take(cell, store.latest(cell.key))
    outcome.seconds = time.perf_counter() - began
    return outcome


class _Drive:
    """Hand ready cells to an executor, the most urgent first, until none is left."""

    def __init__(
        self,
        cells: Sequence[Cell],
        todo: dict[str, Cell],
        store: Store,
        outcome: Outcome,
        tracking: Tracking,
    ) -> None:
        self.cells = {c.key: c for c in cells}
        self.todo, self.store, self.outcome, self.tracking = todo, store, outcome, tracking
        # key -> keys of unfinished cells that it needs
        self.waiting = {key: {k for k in c.needs if k in todo} for key, c in todo.items()}
        self.consumers: dict[str, list[str]] = defaultdict(list)
        for key, needs in self.waiting.items():
            for need in needs:
                self.consumers[need].append(key)
        self.ready = [key for key, needs in self.waiting.items() if not needs]
        machine = environment()["machine"]
        self.costs = costs.Costs(cells, store.records, machine)
        self.path = CriticalPath(todo, self.consumers, self.costs)
        self.running: dict[Future[Record], Cell] = {}
        self.began: dict[str, float] = {}  # key -> when its cell was handed out
        self.said = 0.0  # when the time left was last computed
        self.show: Callable[[int, str], None] = lambda done, text: None  # the bar on a terminal

    def forecast(self) -> str:
        """Return how long the run will take, and what that rests on."""
        work = sum(map(self.costs.seconds, self.todo.values()))
        text = f"an estimated {costs.in_words(work)} of work"
        if self.outcome.workers:
            takes = self.path.seconds_left(self.todo, self.outcome.workers, {})
            text += f", {costs.in_words(takes)} with {self.outcome.workers} at a time"
        return f"{text} ({self.costs.basis()})"

    def _left(self) -> str:
        """Return how long the rest will take, at most once in FORECAST_S; otherwise no text."""
        now = time.perf_counter()
        if not self.outcome.workers or now - self.said < FORECAST_S:
            return ""
        self.said = now
        running = {cell.key for cell in self.running.values()}
        unfinished = running.union(self.ready, (k for k, needs in self.waiting.items() if needs))
        if not unfinished:
            return ""
        elapsed = {key: now - self.began[key] for key in running}
        left = self.path.seconds_left(unfinished, self.outcome.workers, elapsed)
        return f"; about {costs.in_words(left)} left"

    def run(self, executor: Executor, work: Callable[[Job], Record], at_once: int) -> None:
        """Run all cells; `at_once` of them are with the executor at any time."""
        while self.ready or self.running:
            self.ready.sort(key=self.path.priority.__getitem__)
            while self.ready and len(self.running) < at_once:
                cell = self.todo[self.ready.pop()]
                self.store.refresh()  # another run on the same folder may have been faster
                if self._needs_no_run(cell):
                    self._release(cell)
                else:
                    job = _job(cell, self.cells, self.store)
                    self.began[cell.key] = time.perf_counter()
                    self.running[executor.submit(work, job)] = cell
            if self.running:
                complete, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in complete:
                    self._keep(self.running.pop(future), future)

    def _needs_no_run(self, cell: Cell) -> bool:
        """Return whether what the cell needs is left out or failed, or another run has done it."""
        if not all(_is_ok(self.cells[k], self.store) for k in cell.needs):
            return True
        return self.store.finished(cell.key) is not None and _has_artifact(cell, self.store)

    def _keep(self, cell: Cell, future: Future[Record]) -> None:
        error = future.exception()
        record = future.result() if error is None else {"status": "error", "error": repr(error)}
        stored = {**_facts(cell), **record}
        self.store.append(stored)
        self.tracking.log(stored)
        self.outcome.ran += 1
        self.outcome.busy += float(record.get("wall_s") or 0)
        done = f"{self.outcome.ran + self.outcome.found}/{len(self.todo) + self.outcome.found}"
        self.path.observe(cell, record)
        self._release(cell)
        left = self._left()
        note(f"[{done}] {cell}: {_in_words(record)}{left}")
        if left:
            self.show(self.outcome.ran, left.removeprefix("; "))

    def _release(self, cell: Cell) -> None:
        """Make ready whatever waited for this cell alone."""
        for consumer in self.consumers[cell.key]:
            self.waiting[consumer].discard(cell.key)
            if not self.waiting[consumer]:
                self.ready.append(consumer)


def _unfinished(cells: Sequence[Cell], store: Store) -> dict[str, Cell]:
    """Return the cells without a result, and those whose artefact such a cell needs and is gone."""
    needed: set[str] = set()
    todo: set[str] = set()
    for cell in reversed(cells):
        record = store.finished(cell.key)
        lost = (
            record is not None
            and cell.key in needed
            and record["status"] == "ok"
            and not _has_artifact(cell, store)
        )
        if record is None or lost:
            todo.add(cell.key)
            needed |= set(cell.needs)
    return {c.key: c for c in cells if c.key in todo}


def _is_ok(cell: Cell, store: Store) -> bool:
    record = store.latest(cell.key)
    return record is not None and record["status"] == "ok"


def _has_artifact(cell: Cell, store: Store) -> bool:
    """Return whether the cell's artefact is there, or whether it leaves none."""
    return cell.kind not in ARTIFACTS or artifact_store.exists(_location(cell, store))


def _location(cell: Cell, store: Store) -> str:
    """Return where the cell's artefact lies; a user's own log stays where it is."""
    if cell.folder and not store.shared:
        return str(Path(cell.folder).resolve())
    return store.location(cell.key)


def _job(cell: Cell, cells: dict[str, Cell], store: Store) -> Job:
    from benchmark.execution.jobs import Job

    return Job(
        kind=cell.kind,
        key=cell.key,
        spec=cell.spec,
        needs=tuple(_location(cells[k], store) for k in cell.needs),
        artifact=store.location(cell.key),
        limit_s=cell.limit_s,
        label=cell.label,
        name=str(cell),
        hidden=_hidden(cells.values(), store),
    )


def _hidden(cells: Iterable[Cell], store: Store) -> tuple[str, ...]:
    """Return the folders that no model may read: results with their artefacts, and logs."""
    own = {str(Path(c.folder).resolve()) for c in cells if c.folder}
    results = store.folder.resolve()
    shared = store.shared or ""
    if shared.startswith("file:"):
        own.add(unquote(urlsplit(shared).path))
    return (str(results), str(results / "artifacts"), *sorted(own))


def _facts(cell: Cell) -> Record:
    """Return what a record says about a cell, whatever came out."""
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


def _in_words(record: Record) -> str:
    """Return a record as half a line for the console."""
    if record["status"] != "ok":
        return f"{record['status']}: {record['error']}"
    suspected = (f"a leak? {t}" for t in record.get("suspected", ()))
    flagged = (f"FLAGGED: {t}" for t in record.get("flags", ()))
    text = "; ".join([f"{record['wall_s']:.1f} s", *suspected, *flagged])
    if "metrics" not in record:
        return text
    return f"{record['headline']} {record['metrics'][record['headline']]:.4f}, {text}"


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
            store.append({**_facts(cell), "status": "ok", **_described(cell.folder)})


def _described(folder: str) -> Record:
    from benchmark.execution.jobs import describe_log
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


def summary(outcome: Outcome) -> list[str]:
    """Return plain lines that say how a run ended."""
    names = {c.key: str(c) for c in outcome.cells}
    told = list(_worth_telling(outcome))
    ceilings = [c for c in outcome.cells if c.kind == "reference" and c.key in told]
    lines = [
        f"left out: {names[k].removeprefix('data ')}: {outcome.left_out[k]}"
        for k in told
        if len(ceilings) < 2 or k not in {c.key for c in ceilings}
    ]
    if len(ceilings) > 1:
        lines.append(
            f"left out: {len(ceilings)} ceilings, of "
            f"{', '.join(dict.fromkeys(c.label['task'] for c in ceilings))}: "
            f"{outcome.left_out[ceilings[0].key]}"
        )
    lines += [f"FAILED: {names[k]}: {reason}" for k, reason in outcome.failed.items()]
    counts = [
        f"{outcome.ran} {'cell' if outcome.ran == 1 else 'cells'} run",
        f"{outcome.found} found finished",
        f"{len(outcome.left_out)} left out",
        f"{len(outcome.failed)} failed",
    ]
    if outcome.blocked and outcome.failed:
        counts.append(f"{len(outcome.blocked)} not run because of it")
    line = f"{', '.join(counts)} in {outcome.seconds:.1f} s"
    if outcome.ran and outcome.workers:
        share = outcome.busy / outcome.seconds / outcome.workers
        line += f", {share:.0%} of it in cells ({outcome.workers} at a time)"
    return [*lines, line]


def _worth_telling(outcome: Outcome) -> Iterator[str]:
    """Yield the keys of cells left out, without those of a generated log that lacks what the real
    log lacks.
    """
    left_out = [c for c in outcome.cells if c.key in outcome.left_out]

    def reason(cell: Cell) -> tuple[Any, ...]:
        return cell.label["log"], cell.label.get("task"), outcome.left_out[cell.key]

    known = {reason(c) for c in left_out if c.label.get("source") == REAL}
    for cell in left_out:
        if cell.label.get("source") == REAL or reason(cell) not in known:
            yield cell.key


def command_line() -> str:
    """Return the command as it was typed."""
    return " ".join(["python -m benchmark", *sys.argv[1:]])
