"""The script of the first hour runs to its end, at a reduced size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_first_hour_works(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "USERS": "500",  # of fewer, too few users share an event name for epsilon 3
    }
    done = subprocess.run(
        ["bash", "-eu", ROOT / "docs" / "first-hour.sh"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "the first hour took" in done.stdout
    assert (tmp_path / "results" / "leaderboard" / "index.html").exists()
    assert (tmp_path / "report" / "report.html").exists()
