"""What a run of a suite did, and how it says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmark.execution.plan import REAL, Cell

Record = dict[str, Any]


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
