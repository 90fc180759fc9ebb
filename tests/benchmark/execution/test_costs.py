from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fixtures.benchmark_runs import go
from fixtures.tiny import tiny_log

from benchmark import suite
from benchmark.execution import costs
from benchmark.execution.costs import Costs, in_words, makespan
from benchmark.execution.plan import Cell, plan

HERE = {"machine": "here"}


def cell(name: str, *needs: Cell, kind: str = "model", **spec: Any) -> Cell:
    return Cell(kind, {"model": name}, {"model": name, **spec}, tuple(c.key for c in needs), "", 60)


def record(of: Cell, wall_s: float, **more: Any) -> dict[str, Any]:
    facts = {"key": of.key, "kind": of.kind, "spec": of.spec, "needs": list(of.needs)}
    return {**facts, "status": "ok", "wall_s": wall_s, "environment": HERE, **more}


def test_what_was_measured_here_is_the_estimate() -> None:
    log = cell("x", kind="log", users=500)
    one, two = cell("a", log, seed=0), cell("a", log, seed=1)
    other = cell("a", log, seed=0, max_steps=8)
    elsewhere = cell("a", cell("x", kind="log", users=50_000), seed=0)
    known = [record(log, 9.0), record(one, 100.0)]
    found = Costs([log, one, two, other], known, "here")
    assert found.seconds(one) == found.seconds(two) == pytest.approx(100, abs=1)  # seeds alike
    assert found.seconds(other) < 60  # other settings are not the same work
    assert Costs([log, one], known, "another machine").seconds(one) < 60
    assert Costs([log, one], [record(log, 9), record(elsewhere, 900.0)], "here").seconds(one) < 60
    failed = [record(one, 500.0, status="timeout")]
    assert Costs([log, one], failed, "here").seconds(one) < 60


def test_without_records_the_estimate_grows_with_the_log_and_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def total(users: int, speed: float) -> float:
        monkeypatch.setattr(costs, "probe", lambda: speed)
        given = ["logs.shop.learn_users=100000", f"logs.shop.users={users}"]
        cells = plan(suite.load("churn", models=["logistic"], overrides=given))
        return sum(map(Costs(cells, [], "here").seconds, cells))

    assert total(20_000, 0.02) < total(80_000, 0.02)
    assert 1.5 * total(20_000, 0.02) < total(20_000, 0.04)


def test_questions_about_labelled_rows_count(tmp_path: Path) -> None:
    """On a card log each order is a question, on a shop's one event in thirty."""
    log = tiny_log()
    rows = log.events["event_id"]
    every = pd.DataFrame({"event_id": rows, "kind": "fraud", "value": 0.0})
    every["known_at"] = log.events["timestamp"]
    cells = plan(
        suite.load("all", log=dataclasses.replace(log, labels=every).write(tmp_path / "card"))
    )
    found = Costs(cells, [], "here").reference
    by_task = {
        task: found[c.key]
        for c in cells
        for task in ("fraud", "churn")
        if c.kind == "model"
        and c.label["model"] == "lightgbm"
        and c.label["task"] == task
        and c.label["source"] == "real"
    }
    assert by_task["fraud"] - by_task["churn"] == pytest.approx(2.5 * 30 * len(log) / 1e6)


def test_what_is_measured_says_how_fast_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "probe", lambda: 1e9)  # not asked
    log = cell("x", kind="log")
    cells = [log, *(cell(f"m{i}", log) for i in range(9))]
    guess = costs.reference_seconds(cells[-1], 0.08)
    seen = [record(c, 3 * costs.reference_seconds(c, 0.08)) for c in cells[:-1]]
    found = Costs(cells, seen, "here").seconds(cells[-1])
    assert found == pytest.approx(costs.START_S + 3 * guess, rel=0.05)


def test_the_makespan_is_that_of_workers_who_never_wait_in_vain() -> None:
    log = cell("log")
    parts = [cell(f"p{i}", log) for i in range(4)]
    last = cell("last", *parts)
    todo = {c.key: c for c in (log, *parts, last)}
    urgency = {key: (1.0, i) for i, key in enumerate(todo)}
    took = {log.key: 5.0, last.key: 1.0, **{p.key: 10.0 for p in parts}}

    def span(workers: int, **more: Any) -> float:
        return makespan(todo, lambda c: took[c.key], urgency, workers, **more)

    assert [span(w) for w in (1, 2, 4, 100)] == [46, 26, 16, 16]
    assert span(2, elapsed={log.key: 4.0}) == 22  # the log is nearly there
    assert span(2, elapsed={log.key: 400.0}) == 21  # and never takes less than no time


def test_a_run_says_before_how_long_it_takes_and_then_how_long_is_left(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("benchmark.execution.dispatch.FORECAST_S", 0.0)
    go(tiny_folder, tmp_path / "out", engine_name="serial", models=["popularity", "recency"])
    said = capsys.readouterr().err.splitlines()
    assert re.match(r"\d+ of \d+ cells to run, \d+ found finished: \d+ data, \d+ model", said[0])
    assert re.match(r"an estimated \d+ (s|min) of work, \d+ (s|min) with 1 at a time", said[1])
    assert re.search(r"; about \d+ s left$", said[2])
    assert "left" not in said[-1].partition(": ")[2]


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "10 s"), (34, "30 s"), (200, "3 min"), (9000, "2.5 h")]
)
def test_an_estimate_is_said_to_the_precision_that_it_has(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_every_cell_of_every_suite_has_an_estimate() -> None:
    cells = plan(suite.load("all", profile="full"))
    assert all(s > 0 for s in map(Costs(cells, [], "here").seconds, cells))
