"""Records of another shape are refused with the field that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fixtures.board_records import Results

from benchmark.execution.record_shape import problem
from benchmark.execution.results import Store
from benchmark.report import compare, leaderboard
from eventlog import InputError


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    results = Results()
    results.board({"lstm": [0.7, 0.71], "base_rate": [0.5]})
    return results.store(tmp_path_factory.mktemp("results")).records


def test_what_a_run_writes_is_right(records: list[dict[str, Any]]) -> None:
    assert [problem(record) for record in records] == [None] * len(records)
    failed = {**records[1], "status": "error", "error": "ValueError: no"}
    assert problem(failed) is None


def test_a_plan_has_the_data_of_each_model(records: list[dict[str, Any]]) -> None:
    plan = json.loads(json.dumps(next(r for r in records if r["kind"] == "plan")))
    next(c for c in plan["cells"] if c["kind"] == "model")["label"]["task"] = "another"
    assert problem(plan) == "has a model of 'another' on 'shop', but no data of it"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: r.update(kind=3), "has no kind"),
        (lambda r: r.pop("label"), "has label None"),
        (lambda r: r.update(label={"log": []}), "has label"),
        (lambda r: r["label"].pop("model"), "has no model in its label"),
        (lambda r: r["label"].update(seed="x"), "has no seed in its label"),
        (lambda r: r.update(status="fine"), "has status 'fine'"),
        (lambda r: r.update(metrics={"roc_auc": "high"}), "has metrics"),
        (lambda r: r.update(metrics={"roc_auc": float("nan")}), "has metrics"),
        (lambda r: r.update(replicates={"roc_auc": "abc"}), "has replicates"),
        (lambda r: r.update(chance=None), "has chance None"),
        (lambda r: r.update(flags="x"), "has flags 'x'"),
        (lambda r: r["environment"].pop("dirty"), "has environment"),
        (lambda r: r.update(status="error", error=None), "has error None"),
    ],
)
def test_a_field_of_another_shape_is_named(
    change: Callable[[dict[str, Any]], object],
    text: str,
    records: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    record = json.loads(json.dumps(next(r for r in records if r["kind"] == "model")))
    change(record)
    found = problem(record)
    assert found is not None
    assert found.startswith(text)
    (tmp_path / "results.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(InputError, match="has a record that"):
        Store(tmp_path).plan()


def test_a_number_that_no_float_holds_is_named(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    record = next(r for r in records if r["kind"] == "model") | {"chance": 10**400}
    (tmp_path / "results.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(InputError, match="has chance inf"):
        Store(tmp_path).plan()


def test_a_line_that_was_cut_short_is_left_out(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "results.jsonl").write_text(text + text.splitlines()[1][:50] + "\n")
    assert len(Store(tmp_path).records) == len(records)


@pytest.mark.parametrize("kind", ["log", "data", "model"])
def test_a_record_that_lacks_a_field_is_refused_or_compared(
    kind: str, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    place = next(i for i, record in enumerate(records) if record["kind"] == kind)
    for field in records[place]:
        changed = [dict(record) for record in records]
        del changed[place][field]
        folder = tmp_path / field
        folder.mkdir()
        text = "".join(json.dumps(record) + "\n" for record in changed)
        (folder / "results.jsonl").write_text(text)
        with suppress(InputError):  # any other error is a fault
            assert list(compare.lines(Store(folder), Store(folder)))


@pytest.mark.parametrize("kind", ["log", "data", "model"])
def test_a_leaderboard_can_lack_a_record(
    kind: str, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    place = next(i for i, record in enumerate(records) if record["kind"] == kind)
    text = "".join(json.dumps(r) + "\n" for i, r in enumerate(records) if i != place)
    (tmp_path / "results.jsonl").write_text(text)
    leaderboard.write(Store(tmp_path), tmp_path / "page")
    assert (tmp_path / "page" / "leaderboard.md").read_text()
