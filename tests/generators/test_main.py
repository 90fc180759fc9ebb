"""The command line: options that do not go together are refused in one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eventlog import InputError
from generators.__main__ import main


def test_days_without_a_log_to_continue_is_refused() -> None:
    given = ["sample", "nowhere", "--users", "5", "--days", "3", "--out", "unused"]
    with pytest.raises(InputError, match="--days says how long to continue a log"):
        main(given)
    done = subprocess.run(
        [sys.executable, "-m", "generators", *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
