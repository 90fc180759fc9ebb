"""Workers end with the process that started them, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import os, sys, time
from pathlib import Path
from eventlog._runtime.executors import pool

if __name__ == "__main__":
    with pool("processes", workers=2, unfinished=Path(sys.argv[1])) as executor:
        print(*{executor.submit(os.getpid).result() for _ in range(20)}, flush=True)
        executor.submit(time.sleep, 60)
        time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_parent_leaves_no_workers_and_no_unfinished_folder(tmp_path: Path) -> None:
    script, folder = tmp_path / "parent.py", tmp_path / "unfinished"
    script.write_text(PARENT)
    folder.mkdir()
    (folder / "part").write_text("half")
    parent = subprocess.Popen([sys.executable, script, folder], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers
    assert all(map(is_running, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while (any(map(is_running, workers)) or folder.exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_running, workers))
    assert not folder.exists()
