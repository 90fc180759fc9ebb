"""The command line: options that do not go together are refused in one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eventlog import InputError
from generators.__main__ import main, parser


def test_days_without_a_log_to_continue_is_refused() -> None:
    given = ["sample", "nowhere", "--users", "5", "--days", "3", "--out", "unused"]
    with pytest.raises(InputError, match="--days says how long to continue a log"):
        main(given)
    done = subprocess.run(
        [sys.executable, "-m", "generators", *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("value", ["1.10", "1E5", "null", "true", "1_0", "10.0", "a=b", "", '"x"'])
def test_a_condition_is_text_as_it_was_typed(value: str) -> None:
    arguments = parser().parse_args(
        ["sample", "model", "--out", "log", "--where", f"version={value}"]
    )
    assert arguments.where == [("version", value)]
