"""End the processes that a plug-in started, those that hide in a session of their own too.

On Linux a process can adopt the orphans among its descendants, and /proc says who descends from
whom. On other systems only the processes of a plug-in's own group are found.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
DIED = {
    -9: "it was killed (by hand, or because memory ran out)",
    -11: "it crashed (segmentation fault; a model crashes so where torch or native code writes "
    "into an array that it was given)",
    -6: "it aborted",
}


@dataclass(frozen=True)
class Process:
    """A running process, as /proc describes it."""

    pid: int
    parent: int
    session: int
    command: str


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, on Linux."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Let Linux kill this process when its parent, of the given id, ends."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def running() -> list[Process]:
    """Return the descendants of this process that run."""
    found = {p.pid: p for p in _processes()}
    ours = {os.getpid()}
    while more := {p.pid for p in found.values() if p.parent in ours} - ours:
        ours |= more
    return [found[pid] for pid in sorted(ours - {os.getpid()})]


def end_all(*, within_s: float = 2.0) -> list[Process]:
    """Kill all descendants, and return those that ran."""
    ended: dict[int, Process] = {}
    stop = time.monotonic() + within_s
    while (left := running()) and time.monotonic() < stop:
        for process in left:
            ended[process.pid] = process
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap()
        time.sleep(0.005)
    return list(ended.values())


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _processes() -> list[Process]:
    found = []
    for name in os.listdir("/proc") if LINUX else ():
        if not name.isdigit():
            continue
        try:
            facts = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
            words = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue  # it has ended
        # The name is in brackets and may hold brackets and spaces itself.
        state, parent, _, session = facts.rpartition(")")[2].split()[:4]
        if state not in "ZX":
            text = words.decode(errors="replace").strip()
            found.append(Process(int(name), int(parent), int(session), text))
    return found
