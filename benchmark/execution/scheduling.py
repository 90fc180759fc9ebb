"""Which cell goes first where several could: the one with the longest chain of work behind it, so
that no core is idle at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from benchmark.execution.plan import Cell
from benchmark.execution.results import Store


class Pace:
    """How long cells may take, and so which goes first: the one with the longest chain of work
    behind it, itself included.

    Of equals the first of the plan. What a kind of cell takes is learnt from the records there are
    and from those that come in: a model trained on one source, or with one seed, tells of the
    others.
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
        self._rank()

    def learn(self, cell: Cell, said: Mapping[str, Any]) -> None:
        """Take in what a cell took."""
        if self._note({"kind": cell.kind, "label": cell.label, **said}):
            self._rank()

    def _note(self, record: Mapping[str, Any]) -> bool:
        if record.get("status") != "ok" or not record.get("wall_s"):
            return False
        name = self._name(record["kind"], record["label"])
        news = self.seconds.get(name) != record["wall_s"]
        self.seconds[name] = float(record["wall_s"])
        return news

    @staticmethod
    def _name(kind: str, label: Mapping[str, Any]) -> tuple[Any, ...]:
        return kind, label.get("log"), label.get("task"), label.get("model")

    def _rank(self) -> None:
        self.urgency: dict[str, tuple[float, int]] = {}
        # what a cell needs stands before it
        for place, (key, cell) in enumerate(reversed(self.todo.items())):
            own = self.seconds.get(
                self._name(cell.kind, cell.label), self.FIRST_GUESS.get(cell.kind, 10)
            )
            self.urgency[key] = (
                own + max((self.urgency[k][0] for k in self.consumers.get(key, ())), default=0.0),
                place,
            )
