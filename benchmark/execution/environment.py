"""Describe the machine and the code that ran a cell; every record holds the description."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.execution import fingerprint

PROBE_S = 0.08  # CPU seconds of each of the two probes
SIDE = 768  # of the matrices
COPIED = 1 << 23  # float32 numbers: 32 MiB, far beyond the L2 of a core


@cache
def environment() -> dict[str, Any]:
    """Return versions, machine and commit of this process, as plain data for a record."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": _processor(),
        "cores": os.cpu_count(),
        "versions": fingerprint.versions(),
        "speed": speed(),
        **_commit(),
    }


@cache
def speed() -> dict[str, float]:
    """Measure how fast one core computes and moves memory: GFLOP/s and GB/s, in about 0.2 s.

    `gflops` is of a product of two float32 matrices that fit in the cache, `gb_s` counts what is
    read and what is written by a copy that does not. Both are per CPU second, of the best of
    several tries, so that other work on the machine changes them little.
    """
    rng = np.random.default_rng(0)
    a, b = rng.random((2, SIDE, SIDE), dtype=np.float32)
    out = np.empty_like(a)
    product = _fastest(lambda: np.matmul(a, b, out=out))
    source = np.ones(COPIED, dtype=np.float32)
    target = np.empty_like(source)  # the first, untimed try brings in its pages
    copy = _fastest(lambda: np.copyto(target, source))
    return {
        "gflops": round(2 * SIDE**3 / product / 1e9, 1),
        "gb_s": round(2 * source.nbytes / copy / 1e9, 1),
    }


def _fastest(work: Callable[[], object]) -> float:
    """Return the least CPU seconds that `work` took in PROBE_S seconds of tries, after a first."""
    work()
    best, spent = float("inf"), 0.0
    while spent < PROBE_S:
        began = time.process_time()
        work()
        took = max(time.process_time() - began, 1e-6)
        best, spent = min(best, took), spent + took
    return best


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
