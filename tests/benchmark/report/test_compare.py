"""Two runs, with one fit and with several: what changed is more than noise of users and fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fixtures.board_records import Results

from benchmark.report import compare


def run(folder: Path, a: Sequence[float], b: Sequence[float], *, questions: str = "q") -> list[str]:
    stores = []
    for name, values in (("one", a), ("two", b)):
        results = Results()
        results.board(
            {"base_rate": [0.5] * len(values), "x": values, "y": [0.6, 0.61, 0.6][: len(values)]},
            questions=questions if name == "two" else "q",
        )
        stores.append(results.store(folder / name))
    return [line for line in compare.lines(*stores) if " x: " in line]


def test_a_large_change_is_found_and_a_small_one_is_noise(tmp_path: Path) -> None:
    (line,) = run(tmp_path / "a", [0.70, 0.71, 0.70], [0.80, 0.81, 0.80])
    assert "changed (p < 0.001)" in line or "changed (p 0.00" in line
    (line,) = run(tmp_path / "b", [0.70, 0.71, 0.70], [0.701, 0.711, 0.70])
    assert "within noise" in line
    (line,) = run(tmp_path / "c", [0.70, 0.71, 0.70], [0.70, 0.71, 0.70])
    assert line.endswith("the same")


def test_fits_that_vary_hide_what_users_alone_would_show(tmp_path: Path) -> None:
    (line,) = run(tmp_path, [0.66, 0.70, 0.74], [0.74, 0.68, 0.80])
    assert "within noise" in line


def test_one_fit_each_says_so(tmp_path: Path) -> None:
    (line,) = run(tmp_path, [0.70], [0.80])
    assert "of one fit each" in line


def test_other_questions_are_not_paired(tmp_path: Path) -> None:
    (line,) = run(tmp_path, [0.70, 0.71, 0.70], [0.80, 0.81, 0.80], questions="other")
    assert "other questions" in line
