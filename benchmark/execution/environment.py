"""Where and with what a cell was run: it stands in every record."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.execution import fingerprint


@cache
def environment() -> dict[str, Any]:
    """Where and with what a cell was run."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": _processor(),
        "cores": os.cpu_count(),
        "versions": fingerprint.versions(),
        **_commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or "unknown",
    )


def _commit() -> dict[str, Any]:
    """The commit of the code and whether files were changed since; None outside a git checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            found = subprocess.run(
                ["git", "-C", str(here), *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return found.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}
