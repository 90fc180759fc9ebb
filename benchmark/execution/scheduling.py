"""Decide which of several ready cells goes first, so that no core is idle at the end of a run.

The rule is the critical path: the cell with the longest chain of work behind it (Kelley and Walker
1959).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.execution.costs import Costs, makespan
from benchmark.execution.plan import Cell


class CriticalPath:
    """Rank cells by how many seconds of work they and their longest chain of consumers take.

    `priority` maps a cell's key to (seconds, position): the highest goes first, and of equals the
    first of the plan. What cells take is learnt from the records that come in.
    """

    def __init__(
        self, todo: dict[str, Cell], consumers: Mapping[str, Sequence[str]], costs: Costs
    ) -> None:
        self.todo, self.consumers, self.costs = todo, consumers, costs
        self._update()

    def observe(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Take in how long a cell took."""
        if self.costs.observe(cell, record):
            self._update()

    def seconds_left(
        self, keys: Iterable[str], workers: int, elapsed: Mapping[str, float]
    ) -> float:
        """Return how long the cells `keys` take; `elapsed` as in `costs.makespan`."""
        chosen = set(keys)
        left = {key: cell for key, cell in self.todo.items() if key in chosen}
        return makespan(left, self.costs.seconds, self.priority, workers, elapsed)

    def _update(self) -> None:
        self.priority: dict[str, tuple[float, int]] = {}
        # Backwards: a consumer comes after what it needs.
        for position, (key, cell) in enumerate(reversed(self.todo.items())):
            after = (self.priority[k][0] for k in self.consumers.get(key, ()))
            own = self.costs.seconds(cell)
            self.priority[key] = own + max(after, default=0.0), position
