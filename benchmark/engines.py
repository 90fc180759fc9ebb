"""Engines: where cells run. Each is a concurrent.futures.Executor and a function to submit to it.

    serial      one after another in this process: for a debugger; a time limit does not hold
    processes   as many at a time as there are cores, each cell in a child process of its own, so that one that crashes, or is
                stopped at its time limit, takes nothing with it

A distributed engine is one more entry in ENGINES: its executor gets the same function and the same plain jobs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from eventlog.errors import UnknownNameError

if TYPE_CHECKING:
    from .cells import Job

# Loaded once by the fork server; a cell then starts in a tenth of a second.
PRELOAD = ["benchmark.cells", "torch", "lightgbm", "sklearn.metrics", "sklearn.linear_model", "scipy.stats", "pyarrow.parquet"]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")  # one each: cells share out the cores
DIED = {-9: "it was killed (by hand, or because memory ran out)", -11: "it crashed (segmentation fault)", -6: "it aborted"}

_start = threading.Lock()
_children: set[Any] = set()


class SerialExecutor(Executor):
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` now; the future that comes back is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  handed on through the future, as every executor does
            future.set_exception(error)
        return future


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_name(name: str) -> None:
    """Raise UnknownNameError unless there is an engine of that name."""
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)


@contextmanager
def engine(name: str, workers: int | None = None) -> Iterator[tuple[Executor, Callable[[Job], dict[str, Any]], int]]:
    """The executor, the function to submit, and how many cells to keep in flight. Children are stopped when the block ends early."""
    check_name(name)
    workers = workers or cores()
    executor = ENGINES[name](workers)
    try:
        yield executor, inline if name == "serial" else isolated, 1 if name == "serial" else workers
    except BaseException:
        for child in list(_children):
            child.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def inline(job: Job) -> dict[str, Any]:
    """Run a cell in this process."""
    from .cells import execute

    return execute(job)


def isolated(job: Job) -> dict[str, Any]:
    """Run a cell in a child process, stopped at its time limit; a child that dies is an error with the reason."""
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(there, job), daemon=True)
    with _start, _one_thread_each(), _no_main():
        context.set_forkserver_preload(PRELOAD)
        child.start()
    there.close()
    _children.add(child)
    try:
        if not here.poll(job.limit_s):
            child.kill()
            return {"status": "timeout", "error": f"stopped after its limit of {job.limit_s:g} s", "wall_s": job.limit_s}
        record: dict[str, Any] = here.recv()
        return record
    except EOFError:
        child.join()
        return {"status": "error", "error": DIED.get(child.exitcode or 0, f"its process ended with exit code {child.exitcode}")}
    finally:
        child.join(timeout=5)
        if child.is_alive():
            child.kill()
            child.join()
        _children.discard(child)
        here.close()


def _child(pipe: Connection, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    pipe.send(inline(job))


def _end_with_parent(pipe: Connection) -> None:
    """The parent never writes: the pipe becomes readable when it died, and then nobody waits for this cell."""
    pipe.poll(None)
    os._exit(1)


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
    """Hide the caller's main module from multiprocessing, which would run it again in every child: a cell needs nothing from it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


ENGINES: dict[str, Callable[[int], Executor]] = {
    "serial": lambda workers: SerialExecutor(),
    "processes": lambda workers: ThreadPoolExecutor(workers, thread_name_prefix="cell"),
}
