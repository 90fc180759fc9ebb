from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fixtures.benchmark_runs import QUICK, command, go

from benchmark.execution import engines, runner
from eventlog._runtime.errors import InputError


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_a_system_without_process_groups_is_told_in_one_sentence(
    engine: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Windows lacks, taken away here; nothing is written before the message."""
    monkeypatch.delattr(os, "setsid")
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(InputError, match="use --engine serial, or Linux, macOS or WSL"):
        runner.run_suite("all", log=tiny_folder, out=tmp_path / "out", engine_name=engine)
    assert not (tmp_path / "out").exists()


def test_the_serial_engine_runs_there(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "setsid")
    monkeypatch.delattr(os, "getuid")
    engines.check_system("serial")
    with engines.engine("serial") as (executor, work, at_once):
        assert at_once == 1
        assert work is engines.inline
        assert executor.submit(abs, -1).result() == 1


HIDES = (
    "import os, time; os.fork() or (os.setsid(), os.fork() or os.execlp('sleep', 'sleep', '{s}'), "
    "os._exit(0)); os.wait()"
)


def runs(seconds: str) -> bool:
    return subprocess.run(["pgrep", "-f", f"sleep {seconds}$"], capture_output=True).returncode == 0


def until(wanted: bool, seconds: str, *, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while runs(seconds) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return runs(seconds) == wanted


@pytest.mark.parametrize("engine", ["processes", "serial"])
def test_a_model_that_hangs_in_score_is_stopped_with_all_that_hides(
    engine: str, tiny_folder: Path, tmp_path: Path, plugin
) -> None:
    seconds = {"processes": "64301", "serial": "64302"}[engine]
    path = plugin("hangs", fit=HIDES.format(s=seconds), score="import time; time.sleep(600)")
    outcome = go(
        tiny_folder,
        tmp_path / "out",
        models=[path],
        settings=[*QUICK, "tasks=['churn']", "limit_s=6"],
        engine_name=engine,
    )
    assert "stopped after its limit of 6 s" in next(iter(outcome.failed.values()))
    assert until(False, seconds, within_s=5)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_run(
    how: signal.Signals, tiny_folder: Path, tmp_path: Path, plugin
) -> None:
    seconds = f"6430{3 + (how == signal.SIGKILL)}"
    path = plugin("hangs", fit=HIDES.format(s=seconds) + "; time.sleep(600)")
    arguments = command(tiny_folder, tmp_path / "out", "--tasks", "churn")
    arguments[arguments.index("--models") + 1] = path
    run = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # a shell's background job ignores it, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert until(True, seconds, within_s=120)
    if how == signal.SIGINT:
        os.killpg(run.pid, how)  # as a terminal does
    else:
        run.kill()
    run.wait(timeout=60)
    assert until(False, seconds, within_s=30)
    assert subprocess.run(["pgrep", "-f", str(tmp_path / "out")]).returncode == 1
