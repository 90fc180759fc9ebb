from __future__ import annotations

import math
from pathlib import Path

import pytest
from fixtures.board_records import Results

from benchmark.report import resolution
from eventlog._runtime.errors import UnknownNameError


def test_a_suite_that_was_not_run_is_planned(tmp_path: Path) -> None:
    suite = tmp_path / "shop.toml"
    suite.write_text(
        'tasks = ["churn"]\n[logs.shop]\nscenario = "shop"\nusers = 10000\ndays = 60\n'
    )
    lines = list(resolution.lines(str(suite), profile="default", results=tmp_path / "none"))
    assert len(lines) == 2
    assert "planned: about 1,660 questions, 1,144 with answer 1" in lines[1]
    small, large = (
        float(list(resolution.lines("churn", profile=p, results=tmp_path))[1].split()[3])
        for p in ("default", "full")
    )
    assert large < small < 0.1


def test_a_suite_that_was_run_is_measured(tmp_path: Path) -> None:
    results = Results()
    results.board({"base_rate": [0.5] * 3, "a": [0.8] * 3, "b": [0.7, 0.71, 0.7]})
    results.store(tmp_path)
    line = list(resolution.lines("all", profile="default", results=tmp_path))[2]
    assert line.split()[:3] == ["shop", "churn", "roc_auc"]
    assert "measured: 1,000 questions, 3 models, 3 fits" in line
    assert 0.01 < float(line.split()[3]) < 0.1
    # of another profile nothing is known
    other = list(resolution.lines("all", profile="full", results=tmp_path))
    assert all("measured" not in text for text in other)


def test_a_dataset_that_ships_and_a_cap_on_users_are_known(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(
        'tasks = ["recommendation"]\n[logs.x]\nscenario = "shop"\nusers = 50000\n'
        '[logs.y]\ndataset = "online-retail"\n'
        "[settings.tasks.recommendation]\nmax_users = 1000\n"
    )
    lines = list(resolution.lines(str(suite), profile="default", results=tmp_path))[1:]
    assert "about 3,610 questions" in lines[0]
    assert "about 9,386 questions" in lines[1]


def test_what_is_not_known_is_not_guessed(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    (tmp_path / "log").mkdir()
    suite.write_text('tasks = ["churn"]\n[logs.x]\nscenario = "fraud-wave"\n')
    line = list(resolution.lines(str(suite), profile="default", results=tmp_path))[1]
    assert " ?" in line
    assert "not known before" in line


def test_a_wrong_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'churn'"):
        list(resolution.lines("chrun", profile="default", results=tmp_path))


def test_a_resolution_without_a_figure_prints_a_question_mark() -> None:
    assert " ? " in str(resolution.Resolution("a\nb", "churn", "roc_auc", math.nan, "why"))
    assert "\n" not in str(resolution.Resolution("a\nb", "churn", "roc_auc", 0.1, "why"))
