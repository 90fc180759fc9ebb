from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

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
