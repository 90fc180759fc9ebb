"""Every tutorial's script runs exactly as its page prints it, in an empty folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "docs" / "tutorials").glob("*.[sp][hy]"))
MADE = {
    "rank-models": ("shoplog/manifest.json", "page/leaderboard.md"),
    "share-a-log": ("shared/internal/report/report.html", "book.json"),
    "add-your-own": ("page/leaderboard.md",),
    "notebook": ("results/leaderboard/index.html",),
    "known-truth": ("truthlog/truth/coupons.parquet",),
}


def test_there_is_a_script_for_each_page() -> None:
    assert {script.stem for script in SCRIPTS} == set(MADE)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_page_prints_the_whole_script(script: Path) -> None:
    page = script.with_suffix(".md").read_text(encoding="utf-8")
    assert f"```{{literalinclude}} {script.name}\n" in page
    assert ":lines:" not in page


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_runs(script: Path, tmp_path: Path) -> None:
    python = Path(sys.executable)
    environment = {
        **os.environ,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = [python, script] if script.suffix == ".py" else ["bash", "-eu", script]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    for name in MADE[script.stem]:
        assert (tmp_path / name).exists(), f"{name} was not made:\n{done.stderr[-2000:]}"


def test_each_cell_of_the_notebook_shows_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "tutorials" / "notebook.py").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for cell in text.split("# %% ")[1:]:
        *work, last = ast.parse(cell.partition("\n")[2]).body
        exec(compile(ast.Module(work, []), "cell", "exec"), names)
        assert isinstance(last, ast.Expr)
        shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        assert len(repr(shown)) < 1_500
        assert hasattr(shown, "_repr_html_") or isinstance(shown, Path)
