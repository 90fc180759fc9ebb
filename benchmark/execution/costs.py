"""Estimate what cells cost and how long a run will take, before it starts and while it goes on.

What a cell took on this machine is the best estimate of what its like will take. Where there is no
record, reference costs serve: those of the default suite on one machine, scaled by the size of the
log and by how fast this machine is. That is taken from the records there are; without any, from a
probe of a fraction of a second.
"""

from __future__ import annotations

import heapq
import json
import time
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.execution.plan import Cell
from benchmark.suite import plugin_name
from eventlog.manifest import read_manifest

REFERENCE = Path(__file__).with_name("reference_costs.toml")
START_S = 0.3  # to start a cell's process and to keep its record
EVENTS_PER_USER_DAY = 1.33  # of a simulated shop
LEAST_EPOCHS = 3  # of a generator's network, where its settings give rows
ENOUGH = 5  # records that say how fast this machine is
Group = tuple[str, str, str]


class Costs:
    """Seconds of each cell of a plan on this machine.

    `basis` says in words what the estimates rest on.
    """

    def __init__(
        self, cells: Sequence[Cell], records: Iterable[Mapping[str, Any]], machine: str
    ) -> None:
        self.reference = {cell.key: reference_seconds(cell, s) for cell, s in _sized(cells)}
        plain = [{"key": c.key, "kind": c.kind, "spec": c.spec, "needs": c.needs} for c in cells]
        self.groups = _groups(plain)
        self.known: dict[Group, float] = {}
        kept = [r for r in records if r.get("environment", {}).get("machine") == machine]
        groups = _groups(kept)
        for record in kept:
            self._note(groups.get(record["key"]), record)
        self._pace: float | None = None

    def observe(self, cell: Cell, record: Mapping[str, Any]) -> bool:
        """Take in what a cell took; return whether that is new."""
        return self._note(self.groups[cell.key], record)

    def seconds(self, cell: Cell) -> float:
        """Return the estimate for a cell."""
        known = self.known.get(self.groups[cell.key])
        return START_S + (self.reference[cell.key] * self.pace() if known is None else known)

    def pace(self) -> float:
        """Return how many seconds this machine takes for a reference second."""
        ratios = self._ratios()
        if len(ratios) >= ENOUGH:
            return float(np.median(ratios))
        if self._pace is None:
            self._pace = probe() / _table()["probe_s"]
        return self._pace

    def basis(self) -> str:
        """Return what the estimates rest on, in words."""
        measured = sum(g in self.known for g in self.groups.values())
        if measured == len(self.groups):
            return "measured on this machine"
        speed = f"reference costs, of which this machine takes {self.pace():.1f} times as long"
        return f"{measured} of {len(self.groups)} cells measured here, the others: {speed}"

    def _ratios(self) -> list[float]:
        """Return measured over reference seconds of each group of the plan that was measured."""
        reference = {self.groups[key]: seconds for key, seconds in self.reference.items()}
        return [self.known[g] / s for g, s in reference.items() if g in self.known]

    def _note(self, of: Group | None, record: Mapping[str, Any]) -> bool:
        if of is None or record.get("status") != "ok" or not record.get("wall_s"):
            return False
        changed = self.known.get(of) != record["wall_s"]
        self.known[of] = float(record["wall_s"])
        return changed


def reference_seconds(cell: Cell, million_events: float) -> float:
    """Return what a cell takes on the reference machine, on a log with as many events."""
    table = _table()
    costs: dict[str, list[float]] = table[cell.kind]
    name = plugin_name(str(cell.spec.get("model", "")))
    fixed, per_million, per_unit = costs.get(name, costs["other"])
    if cell.kind == "generator":
        settings: Mapping[str, Any] = cell.spec.get("settings") or {}
        passes = settings.get("epochs") or LEAST_EPOCHS
        rows = 0.0 if settings.get("epochs") else settings.get("rows", table["rows"] * 1e6) / 1e6
        units = max(rows, passes * million_events)
    else:
        units = (cell.spec.get("model_settings") or {}).get("budget", table["budget"])
    return fixed + per_million * million_events + per_unit * units


def makespan(
    todo: Mapping[str, Cell],
    seconds: Callable[[Cell], float],
    urgency: Mapping[str, tuple[float, int]],
    workers: int,
    elapsed: Mapping[str, float] | None = None,
) -> float:
    """Return how many seconds the cells take when `workers` run at a time, the most urgent first.

    `elapsed`: of cells that are running already, the seconds since they began.
    """
    elapsed = elapsed or {}
    waiting = {key: {k for k in cell.needs if k in todo} for key, cell in todo.items()}
    behind: dict[str, list[str]] = {key: [] for key in todo}
    for key, needs in waiting.items():
        for need in needs:
            behind[need].append(key)
    ready = [(_urgent_first(urgency[k]), k) for k in todo if not waiting[k] and k not in elapsed]
    heapq.heapify(ready)
    running = [(max(seconds(todo[k]) - s, 0.0), k) for k, s in elapsed.items() if k in todo]
    heapq.heapify(running)
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, key = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds(todo[key]), key))
        now, done = heapq.heappop(running)
        for key in behind[done]:
            waiting[key].discard(done)
            if not waiting[key]:
                heapq.heappush(ready, (_urgent_first(urgency[key]), key))
    return now


def by_kind(cells: Collection[Cell]) -> str:
    """Return how many cells there are of each kind, in words."""
    counts: dict[str, int] = {}
    for cell in cells:
        counts[cell.kind] = counts.get(cell.kind, 0) + 1
    return ", ".join(f"{n} {kind}" for kind, n in counts.items())


def in_words(seconds: float) -> str:
    """Return a duration to the precision that an estimate has."""
    if seconds < 90:
        return f"{max(round(seconds, -1), 10):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def probe() -> float:
    """Return the CPU seconds of a fixed piece of work: sorting, arithmetic, plain Python.

    The least of three, because other programs can only slow it down.
    """
    rng = np.random.default_rng(0)
    values, square = rng.random(300_000), rng.random((400, 400), dtype=np.float32)
    found = []
    for _ in range(3):
        began = time.process_time()
        np.sort(values)
        for _ in range(4):
            square @ square
        sum(i * i for i in range(200_000))
        found.append(time.process_time() - began)
    return max(min(found), 1e-3)


def _groups(cells: Sequence[Mapping[str, Any]]) -> dict[str, Group]:
    """Return, by key, what cells that take about as long have in common.

    That is their kind, their settings but for the seed, and the log that they are about, which is
    the first thing that a cell needs, or that what it needs needs.
    """
    by_key = {cell["key"]: cell for cell in cells}
    found = {}
    for cell in cells:
        root: Mapping[str, Any] | None = cell
        while root is not None and root["needs"]:
            root = by_key.get(root["needs"][0])
        if root is not None:
            spec = {k: v for k, v in cell["spec"].items() if k != "seed"}
            found[cell["key"]] = (cell["kind"], _text(spec), _text(root["spec"]))
    return found


def _text(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True)


def _urgent_first(urgency: tuple[float, int]) -> tuple[float, int]:
    return -urgency[0], -urgency[1]


def _sized(cells: Sequence[Cell]) -> Iterable[tuple[Cell, float]]:
    """Yield each cell with the millions of events that its cost grows with.

    Those are all events of the log where it is made; otherwise those of the users learnt from, and
    what a task's questions about labelled rows cost as much as.
    """
    made: dict[Any, tuple[float, float, float]] = {}  # log -> millions of events, users, labels
    for cell in cells:
        if cell.kind in ("log", "closed_loop"):
            made[cell.label.get("log")] = _size(cell)
        events, users, labels = made.get(cell.label.get("log"), (1.0, 1.0, 0.0))
        if cell.kind == "model":
            events += labels * _table()["labelled"].get(cell.label.get("task"), 0.0)
        learn = cell.spec.get("learn_users")
        yield cell, events if learn is None else events * min(learn / users, 1.0)


def _size(log: Cell) -> tuple[float, float, float]:
    """Return millions of events, users, and millions of labels where they are known."""
    if log.folder is not None:
        files = read_manifest(log.folder).get("files", {})
        rows = sum(f["rows"] for name, f in files.items() if name.startswith("events/"))
        labels = files.get("labels.parquet", {}).get("rows", 0)
        return rows / 1e6, 1.0, labels / 1e6
    spec = log.spec
    users, days = float(spec.get("users", 1000)), float(spec.get("days", 60))
    return users * days * EVENTS_PER_USER_DAY / 1e6, users, 0.0


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(REFERENCE.read_text(encoding="utf-8"))
