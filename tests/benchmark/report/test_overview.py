"""What the page says over several tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.board_records import Results

from benchmark.execution.results import pack
from benchmark.report import leaderboard, overview
from benchmark.report.aggregate import Board, boards

MODELS = {"base_rate": [0.5] * 3, "a": [0.8, 0.81, 0.8], "b": [0.7, 0.7, 0.71], "c": [0.6] * 3}


def all_boards(results: Results, folder: Path) -> list[Board]:
    store = results.store(folder)
    return boards(store, store.plan()["cells"])


def page(results: Results, folder: Path) -> str:
    return leaderboard.write(results.store(folder), folder, plots=False).read_text()


def test_mean_headroom_needs_tables_with_a_ceiling(tmp_path: Path) -> None:
    results = Results()
    for k in range(overview.MIN_TABLES):
        models = MODELS if k else {n: v for n, v in MODELS.items() if n != "c"}
        results.board(models, log=f"shop{k}", references={"ceiling:history": 0.9})
    found = overview.mean_headroom(all_boards(results, tmp_path))
    assert list(found) == ["a", "b", "base_rate"]  # c entered one table less
    value, low, high, tables = found["a"]
    assert value == pytest.approx(0.76, abs=0.01)
    assert low < value < high
    assert tables == overview.MIN_TABLES
    text = page(results, tmp_path / "page")
    assert "## Over all tables" in text
    assert "Bradley" not in text
    few = Results()
    few.board(MODELS, references={"ceiling:history": 0.9})
    assert "## Over all tables" not in page(few, tmp_path / "few")


def shuffled(true: float, after: float) -> dict[str, object]:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.01, 400)
    return {
        "metrics": {"roc_auc": after},
        "true": {"roc_auc": true},
        "replicates": {"roc_auc": pack(after + shared + rng.normal(0, 0.002, 400))},
        "true_replicates": {"roc_auc": pack(true + shared + rng.normal(0, 0.002, 400))},
        "questions": 900,
    }


def test_a_task_that_loses_nothing_says_so(tmp_path: Path) -> None:
    results = Results()
    for task, after in (("churn", 0.8), ("fraud", 0.6)):
        more = {
            "lstm": {"family": "sequence", "shuffled": shuffled(0.8, after)},
            "gru": {"family": "sequence", "shuffled": shuffled(0.7, 0.6)},
        }
        models = {"base_rate": [0.5], "lstm": [0.8], "gru": [0.7], "trees": [0.9]}
        results.board(models, task=task, more=more)
    text = page(results, tmp_path)
    rows = [r for r in text.splitlines() if r.startswith("| ") and "roc_auc" in r and "lstm" in r]
    nothing, much = rows[:2]
    assert nothing.startswith("| churn")
    assert "loses nothing that shows" in nothing
    assert much.startswith("| fraud")
    assert "order matters" in much
    assert "67% [" in much  # (.8 - .6) / (.8 - .5)
    assert "at test time only" in text
    board = all_boards(results, tmp_path / "again")[0]
    row = overview.best_shuffled(board)
    assert row is not None
    assert row.name == "lstm"


def test_a_score_at_chance_loses_no_share(tmp_path: Path) -> None:
    results = Results()
    more = {"lstm": {"family": "sequence", "shuffled": shuffled(0.49, 0.5)}}
    results.board({"base_rate": [0.5], "lstm": [0.5]}, more=more)
    assert "not above chance" in page(results, tmp_path)


def test_simulated_and_real_logs_are_compared_over_common_models(tmp_path: Path) -> None:
    results = Results()
    turned = {"base_rate": [0.5] * 3, "a": [0.6] * 3, "b": [0.7] * 3, "c": [0.8] * 3}
    results.board(MODELS, log="shop", error=1e-4)
    results.board({**MODELS, "d": [0.9] * 3}, log="retail", simulated=False, error=1e-4)
    results.board(turned, log="cdnow", simulated=False, error=1e-4)
    text = page(results, tmp_path)
    section = text.split("same order as real logs?")[1].split("## Log")[0]
    same, reverse = (r for r in section.splitlines() if r.startswith("| churn"))
    assert [c.strip() for c in same.split("|")][4:6] == ["1.00 [1.00, 1.00]", "4"]
    assert [c.strip() for c in reverse.split("|")][4:6] == [
        "0.00 [0.00, 0.00]",
        "4",
    ]  # three pairs of six are turned
    alone = Results()
    alone.board(MODELS)
    assert "same order as real logs" not in page(alone, tmp_path / "alone")
