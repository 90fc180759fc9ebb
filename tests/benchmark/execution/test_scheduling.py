from __future__ import annotations

from benchmark.execution.costs import Costs
from benchmark.execution.plan import Cell
from benchmark.execution.scheduling import CriticalPath


def test_the_longest_chain_of_work_goes_first_as_far_as_is_known() -> None:
    def cell(kind: str, name: str, *needs: Cell, task: str | None = None) -> Cell:
        return Cell(
            kind,
            {"log": "x", "task": task, "model": name},
            {"model": name, "task": task},
            tuple(c.key for c in needs),
            "",
            60,
        )

    log = cell("log", "x")
    slow, quick = cell("generator", "slow", log), cell("generator", "quick", log)
    data, late = cell("data", "x", log, task="churn"), cell("data", "y", log, slow, task="churn")
    one, two = cell("model", "one", data, task="churn"), cell("model", "two", data, task="churn")
    todo = {c.key: c for c in (log, slow, quick, data, late, one, two)}
    consumers = {c.key: [d.key for d in todo.values() if c.key in d.needs] for c in todo.values()}
    path = CriticalPath(todo, consumers, Costs(list(todo.values()), [], ""))

    def order() -> list[Cell]:
        return sorted(todo.values(), key=lambda c: path.priority[c.key], reverse=True)

    assert order() == [log, slow, quick, data, late, one, two]
    path.observe(two, {"status": "ok", "wall_s": 300.0})  # now what it needs is urgent, too
    assert order() == [log, data, two, slow, quick, late, one]
    path.observe(one, {"status": "timeout", "wall_s": 999.0})  # says nothing about the others
    assert order() == [log, data, two, slow, quick, late, one]
