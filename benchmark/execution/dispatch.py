"""Hand the cells without a result to an executor, as soon as what they need is there.

The store, not the engine, is the source of truth: a run that was killed, at any moment, goes on
where it stopped.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from benchmark.execution import artifact_store, costs
from benchmark.execution.engines import engine
from benchmark.execution.environment import environment
from benchmark.execution.outcome import Outcome, Record
from benchmark.execution.plan import ARTIFACTS, Cell
from benchmark.execution.results import Store
from benchmark.execution.scheduling import CriticalPath
from benchmark.tracker import Tracking
from eventlog._runtime.console import note, progress

if TYPE_CHECKING:
    from benchmark.execution.jobs import Job

FORECAST_S = 2.0  # seconds between two estimates of the time left


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
        stored = {**facts(cell), **record}
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
    return cell.kind not in ARTIFACTS or artifact_store.exists(location(cell, store))


def location(cell: Cell, store: Store) -> str:
    """Return where the cell's artefact lies; a user's own log stays where it is."""
    if cell.folder and not store.shared:
        return os.path.realpath(cell.folder)
    return store.location(cell.key)


def _job(cell: Cell, cells: dict[str, Cell], store: Store) -> Job:
    from benchmark.execution.jobs import Job

    return Job(
        kind=cell.kind,
        key=cell.key,
        spec=cell.spec,
        needs=tuple(location(cells[k], store) for k in cell.needs),
        artifact=store.location(cell.key),
        limit_s=cell.limit_s,
        label=cell.label,
        name=str(cell),
        hidden=_hidden(cells.values(), store),
    )


def _hidden(cells: Iterable[Cell], store: Store) -> tuple[str, ...]:
    """Return the folders that no model may read: results with their artefacts, and logs."""
    own = {os.path.realpath(c.folder) for c in cells if c.folder}
    results = os.path.realpath(store.folder)
    shared = store.shared or ""
    if shared.startswith("file:"):
        own.add(unquote(urlsplit(shared).path))
    return (results, os.path.join(results, "artifacts"), *sorted(own))


def facts(cell: Cell) -> Record:
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
