"""Decide which of several ready cells goes first, so that no core is idle at the end of a run.

The rule is the critical path: the cell with the longest chain of work behind it (Kelley and Walker
1959).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from benchmark.execution.plan import Cell
from benchmark.execution.results import Store


class CriticalPath:
    """Estimate for each cell how many seconds of work it and its longest chain of consumers take.

    `priority` maps a cell's key to (seconds, position): the highest goes first, and of equals the
    first of the plan. What a kind of cell takes is learnt from the records there are and from those
    that come in; a model trained on one source, or with one seed, predicts the others.
    """

    FIRST_GUESS: ClassVar[dict[str, float]] = {
        "log": 5,
        "generator": 120,
        "data": 4,
        "model": 10,
        "reference": 4,
        "fidelity": 15,
    }

    def __init__(
        self, todo: dict[str, Cell], consumers: Mapping[str, Sequence[str]], store: Store
    ) -> None:
        self.todo, self.consumers = todo, consumers
        self.seconds: dict[tuple[Any, ...], float] = {}
        for record in store.records:
            self._note(record)
        self._update()

    def observe(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Take in how long a cell took."""
        if self._note({"kind": cell.kind, "label": cell.label, **record}):
            self._update()

    def _note(self, record: Mapping[str, Any]) -> bool:
        """Keep a record's seconds; return whether they are new."""
        if record.get("status") != "ok" or not record.get("wall_s"):
            return False
        group = self._group(record["kind"], record["label"])
        changed = self.seconds.get(group) != record["wall_s"]
        self.seconds[group] = float(record["wall_s"])
        return changed

    @staticmethod
    def _group(kind: str, label: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what cells that take about as long have in common."""
        return kind, label.get("log"), label.get("task"), label.get("model")

    def _update(self) -> None:
        self.priority: dict[str, tuple[float, int]] = {}
        # Backwards: a consumer comes after what it needs.
        for position, (key, cell) in enumerate(reversed(self.todo.items())):
            guess = self.FIRST_GUESS.get(cell.kind, 10)
            own = self.seconds.get(self._group(cell.kind, cell.label), guess)
            after = (self.priority[k][0] for k in self.consumers.get(key, ()))
            self.priority[key] = own + max(after, default=0.0), position
