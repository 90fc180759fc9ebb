"""Engines: where cells run. Each is a concurrent.futures.Executor (see eventlog._runtime.executors)
and a function to submit to it.

    serial      one after another in this process: for a debugger; a time limit does not hold
    processes   as many at a time as there are cores dask        as many as the cluster has threads;
    the results folder must be on storage that all workers see

Except in `serial` each cell runs in a child process of its own, so that one that crashes, or is
stopped at its time limit, takes nothing with it.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from benchmark.execution import fingerprint
from benchmark.execution.environment import environment
from eventlog._runtime import console
from eventlog._runtime.executors import check_engine, cores, pool

if TYPE_CHECKING:
    from benchmark.execution.jobs import Job

# Loaded once by the fork server; a cell then starts in a tenth of a second.
PRELOAD = [
    "benchmark.execution.engines",
    "benchmark.execution.jobs",
    "torch",
    "lightgbm",
    "sklearn.metrics",
    "sklearn.linear_model",
    "scipy.stats",
    "pyarrow.parquet",
]
# one each: cells share out the cores
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
DIED = {
    -9: "it was killed (by hand, or because memory ran out)",
    -11: "it crashed (segmentation fault)",
    -6: "it aborted",
}

QUEUE = 100_000  # cells handed to a cluster at once: all that are ready

_start = threading.Lock()
_children: set[Any] = set()


@contextmanager
def engine(
    name: str, workers: int | None = None, address: str | None = None
) -> Iterator[tuple[Executor, Callable[[Job], dict[str, Any]], int]]:
    """The executor, the function to submit, and how many cells to keep in flight. Children are
    stopped when the block ends early.
    """
    check_engine(name, address)
    if name == "processes":
        workers = workers or cores()
        # A thread only waits for its cell's process: a pool of processes breaks when one of them is
        # killed.
        executor = ThreadPoolExecutor(workers, thread_name_prefix="cell")
        try:
            yield executor, isolated, workers
        except BaseException:
            for child in list(_children):
                _stop(child)
            raise
        finally:
            executor.shutdown(cancel_futures=True)
        return
    with pool(name, workers=workers, address=address, needs={"CPU": 1}) as found:
        # The scheduler of a cluster holds the queue, so that a worker that joins late finds work.
        yield (
            found,
            inline if name == "serial" else Remote(fingerprint.program()),
            1 if name == "serial" else QUEUE,
        )


@dataclass(frozen=True)
class Remote:
    """`isolated` on another machine: refuses where that runs other code, and says where it ran."""

    program: str

    def __call__(self, job: Job) -> dict[str, Any]:
        """Run a cell in a child process of this worker."""
        if fingerprint.program() != self.program:
            return {
                "status": "error",
                "error": (
                    f"the worker on {platform.node()} runs other code than the sender; install the "
                    "same commit"
                ),
            }
        return {**isolated(job), "environment": environment()}


def inline(job: Job) -> dict[str, Any]:
    """Run a cell in this process."""
    from benchmark.execution.jobs import execute

    return execute(job)


def isolated(job: Job) -> dict[str, Any]:
    """Run a cell in a child process, stopped at its time limit; a child that dies is an error with
    the reason.
    """
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(there, job))
    with _start, _one_thread_each(), _no_main():
        context.set_forkserver_preload(PRELOAD)
        with _may_have_children():
            child.start()
    there.close()
    _children.add(child)
    try:
        # Its answer, or its end: processes that it started, and that outlive it, hold the pipe
        # open.
        if not wait([here, child.sentinel], job.limit_s):
            return {
                "status": "timeout",
                "error": f"stopped after its limit of {job.limit_s:g} s",
                "wall_s": job.limit_s,
            }
        if not here.poll():
            raise EOFError
        record: dict[str, Any] = here.recv()
        return record
    except EOFError:
        child.join(timeout=5)
        return {
            "status": "error",
            "error": DIED.get(
                child.exitcode or 0, f"its process ended with exit code {child.exitcode}"
            ),
        }
    finally:
        here.close()  # a child that is still there takes this for its parent's end
        child.join(timeout=1)
        _stop(child)
        child.join()
        _children.discard(child)


def _stop(child: Any) -> None:
    """Kill a cell's process and all that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()  # it is gone, or has no group of its own yet


def _child(pipe: Connection, job: Job) -> None:
    # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    os.dup2(2, 1)  # what a model prints is no part of the report
    _give_way()
    console.speaker = job.name
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    pipe.send(inline(job))


def _give_way() -> None:
    """Where memory runs out, the system stops a cell before anything else."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # not Linux, or not allowed


def _end_with_parent(pipe: Connection) -> None:
    """The parent never writes: the pipe closes when it died, and then nobody waits for this
    cell.
    """
    pipe.poll(None)
    os.killpg(0, signal.SIGKILL)


@contextmanager
def _may_have_children() -> Iterator[None]:
    """A Dask worker under a nanny is a daemonic process, which multiprocessing allows no children;
    ours end with their parent.
    """
    settings = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = settings.get("daemon")
    settings["daemon"] = False
    try:
        yield
    finally:
        settings["daemon"] = before


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """The environment that the fork server starts with, and its children inherit."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_main() -> Iterator[None]:
    """Hide the caller's main module from multiprocessing, which would run it again in every child:
    a cell needs nothing from it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
