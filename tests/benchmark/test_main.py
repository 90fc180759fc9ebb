from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmark", *arguments], capture_output=True, text=True, timeout=120
    )


def test_help_imports_nothing_heavy() -> None:
    began = time.perf_counter()
    assert "COMMAND" in call("--help").stdout
    assert time.perf_counter() - began < 2  # 0.1 s on a quiet machine
    heavy = (
        "import sys; sys.argv = ['x', 'list']; from benchmark.__main__ import main; "
        "main(['list']); "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'lightgbm') if m in sys.modules])"
    )
    assert subprocess.run(
        [sys.executable, "-c", heavy], capture_output=True, text=True
    ).stdout.splitlines()[-1] in ("[]", "['pandas']")


@pytest.mark.parametrize(
    "command",
    [
        "eventlog import",
        "eventlog check",
        "eventlog clean",
        "eventlog describe",
        "eventlog export",
        "simulator run",
        "simulator realism",
        "simulator calibrate",
        "generators fit",
        "generators sample",
        "generators report",
        "benchmark run",
        "benchmark merge",
    ],
)
def test_every_help_comes_at_once(command: str) -> None:
    package, name = command.split()
    text = (
        f"import sys\nfrom {package}.__main__ import main\ntry:\n    main(['{name}', "
        "'--help'])\nexcept SystemExit:\n    "
        "print([m for m in ('numpy', 'pandas', 'torch', 'pyarrow') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True
        ).stdout.splitlines()[-1]
        == "[]"
    )


@pytest.mark.parametrize("command", ["run", "leaderboard", "compare", "merge", "list"])
def test_each_help_has_an_example(command: str) -> None:
    assert "example" in call(command, "--help").stdout


def test_list_has_a_line_each() -> None:
    out = call("list").stdout
    for name in ("recommendation", "churn", "fraud", "popularity", "lstm", "all"):
        assert any(
            line.split()[:1] == [name] and len(line.split()) > 3 for line in out.splitlines()
        ), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--suite", "al"], "did you mean 'all'"),
        (["run", "--log", "nowhere"], "does not exist"),
        (["run", "--models", "lstmm"], "did you mean 'lstm'"),
        (["run", "--seeds", "x"], "seeds"),
        (["run", "--seeds", "0"], "no seed"),
        (["run", "--workers", "0"], "positive"),
        (["run", "--engine", "proceses"], "did you mean 'processes'"),
        (["leaderboard", "nowhere"], "no results"),
        (["rum"], "invalid choice"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    more = (
        ["--out", str(tmp_path / "results"), "--profile", "smoke"] if arguments[0] == "run" else []
    )
    done = call(*arguments, *more)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()
