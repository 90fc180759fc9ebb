"""Describe the machine and the code that ran a cell; every record holds the description."""

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
    """Return versions, machine and commit of this process, as plain data for a record."""
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
    """Return the commit, and whether files changed since; both None outside a git checkout."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def _git(*arguments: str) -> str | None:
    """Return what git prints about the folder of this file; None where it fails."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
