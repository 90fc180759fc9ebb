"""What operating systems do differently: locks, users' folders, memory, ways to start a process.

Linux and macOS have all of it. Where a system lacks something, the function says what its caller
gets instead.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# How processes are started: quickly where the system can, without copying threads or locks.
START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def own_folder(name: str) -> Path:
    """Return this user's temporary folder called `name`, which may not exist yet.

    On Windows the temporary folder is the user's own already.
    """
    user = os.getuid() if hasattr(os, "getuid") else "own"
    return Path(tempfile.gettempdir()) / f"shoptwin-{name}-{user}"


def lock(path: Path) -> int | None:
    """Return an open handle that locks `path` until it is closed or the process ends.

    None where another process holds the lock, where `path` is gone, and on Windows, which locks no
    folders.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = None
    try:
        handle = os.open(path, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return handle


def peak_memory(*, of_children: bool = False) -> int | None:
    """Return the most memory that this process has held, in MiB; None on Windows.

    `of_children`: the most that one of the processes has held that it started and that have ended.
    """
    try:
        import resource
    except ImportError:
        return None
    unit = 1024 if sys.platform != "darwin" else 1024**2  # KiB on Linux, bytes on macOS
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    return round(resource.getrusage(who).ru_maxrss / unit)


# Parameters of glibc's malloc, and what they are by default (mallopt(3)).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULTS = {M_TRIM_THRESHOLD: 128 * 1024, M_MMAP_MAX: 65_536}
KEEP = {M_TRIM_THRESHOLD: 2**31 - 1, M_MMAP_MAX: 0}


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep the large blocks that this process frees, for those that it asks for next.

    glibc gives each of them back to the system, which has to clear the pages of the next one. Work
    that makes arrays of many megabytes again and again spends a third of its time on that. In the
    end what is free goes back. Without glibc (macOS, Windows, musl) nothing changes.
    """
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if library is None or not hasattr(library, "gnu_get_libc_version"):
        yield
        return
    for parameter, value in KEEP.items():
        library.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in DEFAULTS.items():
            library.mallopt(parameter, value)
        library.malloc_trim(0)


def isolates_processes() -> bool:
    """Return whether a process can be started, and ended, together with all that it starts."""
    return hasattr(os, "setsid") and START == "forkserver"
