"""The worked examples of docs/guides/add-your-own.md, run as it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.execution.results import Store
from eventlog import EventLog
from eventlog.check import check

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def call(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=200, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["my_model", "my_generator", "my_task"])
def test_the_docs_show_the_whole_file(name: str) -> None:
    page = (ROOT / "docs" / "guides" / "add-your-own.md").read_text()
    assert f"{{literalinclude}} ../examples/{name}.py" in page


def test_a_model_and_a_task_of_ones_own(tiny_folder: Path, tmp_path: Path) -> None:
    call(
        "benchmark",
        "run",
        "--log",
        str(tiny_folder),
        "--out",
        str(tmp_path),
        "--generators",
        "none",
        "--tasks",
        f"recommendation,{EXAMPLES / 'my_task.py'}",
        "--models",
        f"popularity,logistic,{EXAMPLES / 'my_model.py'}",
    )
    found = {
        (r["label"]["task"], r["label"]["model"]): r["status"]
        for r in Store(tmp_path).records
        if r["kind"] == "model"
    }
    assert (
        found["my_task", "logistic"]
        == found["my_task", "base_rate"]
        == found["recommendation", "my_model"]
        == "ok"
    )
    assert set(found.values()) == {"ok"}


def test_a_generator_of_ones_own(tiny_folder: Path, tmp_path: Path) -> None:
    path = str(EXAMPLES / "my_generator.py")
    call(
        "generators",
        "fit",
        str(tiny_folder),
        "--model",
        path,
        "--seed",
        "1",
        "--out",
        str(tmp_path / "model"),
    )
    call(
        "generators",
        "sample",
        str(tmp_path / "model"),
        "--model",
        path,
        "--users",
        "40",
        "--seed",
        "1",
        "--out",
        str(tmp_path / "twin"),
    )
    twin, real = EventLog.read(tmp_path / "twin"), EventLog.read(tiny_folder)
    assert not [f for f in check(tmp_path / "twin") if f.level == "error"]
    assert set(twin.events["item_id"].dropna().astype(str)) <= set(
        real.events["item_id"].dropna().astype(str)
    )
    assert real.span[0] <= twin.span[0]
    assert twin.span[1] <= real.span[1]
    call(
        "benchmark",
        "run",
        "--suite",
        "generators",
        "--log",
        str(tiny_folder),
        "--generators",
        path,
        "--models",
        "popularity,markov",
        "--tasks",
        "recommendation",
        "--out",
        str(tmp_path / "out"),
        "--set",
        "fidelity_columns=false",
    )
    kinds = {
        r["kind"]: r["status"]
        for r in Store(tmp_path / "out").records
        if r["kind"] in ("generator", "fidelity")
    }
    assert kinds == {"generator": "ok", "fidelity": "ok"}
