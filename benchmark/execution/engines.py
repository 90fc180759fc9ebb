"""Engines: where cells run. Each is a `concurrent.futures.Executor` and a function to submit to it.

=========  =========================================================================================
serial     one after another, all but those of models in this process: for a debugger; a time
           limit holds for models only
processes  as many at a time as there are cores
dask       as many as the cluster has threads; results must be on storage that all workers see
=========  =========================================================================================

Except in `serial`, each cell runs in a child process of its own, so that one that crashes, or that
is stopped at its time limit, takes nothing with it. That needs a fork server and process groups,
which only POSIX systems have. A model's cell has such a process everywhere but on Windows, because
the model must not begin as a copy of a process that has read the log. See also
`eventlog._runtime.executors`.
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

from benchmark.execution import descendants, fingerprint
from benchmark.execution.cell_output import CellOutput, take_over
from benchmark.execution.environment import environment
from benchmark.execution.plan import CELLS
from eventlog._runtime import console
from eventlog._runtime.errors import InputError
from eventlog._runtime.executors import check_engine, cores, pool
from eventlog._runtime.system import isolates_processes

if TYPE_CHECKING:
    from benchmark.execution.jobs import Job

# The fork server loads these once; a cell then starts in a tenth of a second.
PRELOAD = [
    "benchmark.execution.engines",
    *(f"{CELLS}.{kind}" for kind in ("data", "model", "generator", "fidelity", "log")),
    "torch",
    "lightgbm",
    "sklearn.metrics",
    "sklearn.linear_model",
    "scipy.stats",
    "pyarrow.parquet",
]
# Set to one thread each, because cells share the cores.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
QUEUE = 100_000  # cells handed to a cluster at once: all that are ready

_start = threading.Lock()
_children: set[Any] = set()


def check_system(name: str) -> None:
    """Raise InputError where the engine called `name` cannot run on this operating system."""
    if name != "serial" and not isolates_processes():
        raise InputError(
            f"The engine {name} runs each cell in a process group of its own, which "
            f"{platform.system()} does not have; use --engine serial, or Linux, macOS or WSL."
        )


@contextmanager
def engine(
    name: str, workers: int | None = None, address: str | None = None
) -> Iterator[tuple[Executor, Callable[[Job], dict[str, Any]], int]]:
    """Yield the executor, the function to submit to it, and how many cells to keep in flight.

    `workers`: cells at a time on this machine (default: cores). `address`: the scheduler of a Dask
    cluster. Running cells are stopped when the block ends early. Raises InputError for a wrong name
    or address, or an engine that this system cannot run.
    """
    check_engine(name, address)
    check_system(name)
    if name == "processes":
        with _processes(workers or cores()) as executor:
            yield executor, isolated, workers or cores()
        return
    with pool(name, workers=workers, address=address, needs={"CPU": 1}) as executor:
        if name == "serial":
            yield executor, inline, 1
        else:
            # The cluster's scheduler holds the queue, so that a worker that joins late finds work.
            yield executor, Remote(fingerprint.program()), QUEUE


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    """Yield threads that each wait for a cell's process.

    A pool of processes would break as soon as one of them is killed.
    """
    executor = ThreadPoolExecutor(workers, thread_name_prefix="cell")
    try:
        yield executor
    except BaseException:
        # No further cell begins, and one that has just begun is stopped in the next round.
        closing = threading.Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
        closing.start()
        while closing.is_alive():
            for child in list(_children):
                _stop(child)
            closing.join(timeout=0.1)
        raise
    executor.shutdown()


@dataclass(frozen=True)
class Remote:
    """Run cells on another machine, unless its code differs from the sender's."""

    program: str  # `fingerprint.program()` of the sender

    def __call__(self, job: Job) -> dict[str, Any]:
        """Run a cell in a child process of this worker; the record says where it ran."""
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
    """Run a cell in this process, a model's in a child process, and return its record."""
    from benchmark.execution.jobs import execute

    return isolated(job) if job.kind == "model" and isolates_processes() else execute(job)


def isolated(job: Job) -> dict[str, Any]:
    """Run a cell in a child process and return its record.

    The child is stopped at the cell's time limit; one that dies leaves an error with the reason.
    """
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    output = CellOutput(job.name, context)
    child = context.Process(target=_child, args=(there, output.end, job))
    with _start, _one_thread_each(), _no_main():
        context.set_forkserver_preload(PRELOAD)
        with _may_have_children():
            child.start()
    there.close()
    output.listen()
    _children.add(child)
    try:
        return _receive(child, here, job.limit_s)
    finally:
        here.close()  # a child that is still there takes this for its parent's end
        child.join(timeout=1)
        _stop(child)
        child.join()
        output.close()
        _children.discard(child)


def _receive(child: Any, pipe: Connection, limit_s: float) -> dict[str, Any]:
    """Wait for a child's record, or for its end, which shows as a record too."""
    # Wait for the process as well: its own children may outlive it and hold the pipe open.
    if not wait([pipe, child.sentinel], limit_s):
        return {
            "status": "timeout",
            "error": f"stopped after its limit of {limit_s:g} s",
            "wall_s": limit_s,
        }
    try:
        if not pipe.poll():
            raise EOFError
        record: dict[str, Any] = pipe.recv()
        return record
    except EOFError:
        child.join(timeout=5)
        code = child.exitcode
        reason = descendants.DIED.get(code or 0, f"its process ended with exit code {code}")
        return {"status": "error", "error": reason}


def _stop(child: Any) -> None:
    """End a cell's process and all processes that it started.

    It is asked first, because only it knows what hides in a session of its own.
    """
    if child.is_alive():
        child.terminate()
        child.join(timeout=2)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()  # it has ended, or has no group of its own yet


def _child(pipe: Connection, output: Connection, job: Job) -> None:
    """Run a cell as the main function of its process."""
    from benchmark.execution.jobs import execute

    # Ctrl-C reaches the whole group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    # Inherited from a Dask worker; see _may_have_children.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    os.setsid()
    descendants.adopt_orphans()
    take_over(output)
    _volunteer_for_oom()
    console.speaker = job.name
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    record = execute(job)
    descendants.end_all()
    pipe.send(record)


def _volunteer_for_oom() -> None:
    """Ask Linux to stop this process before any other when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # not Linux, or not allowed


def _end_with_parent(pipe: Connection) -> None:
    """Kill this process group when the parent has ended and nobody waits for the cell any more.

    The parent never writes, so the pipe becomes readable only when it closes.
    """
    pipe.poll(None)
    _end()


def _end(*_: object) -> None:
    """Kill all that this process started, and its own group."""
    descendants.end_all()
    os.killpg(0, signal.SIGKILL)


@contextmanager
def _may_have_children() -> Iterator[None]:
    """Let a daemonic process start children.

    A Dask worker under a nanny is one, and multiprocessing forbids it children because they could
    outlive it; a cell's process ends with its parent.
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
    """Set the environment that the fork server starts with and its children inherit."""
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
    """Hide the caller's main module from multiprocessing, which would run it again in every child.

    A cell needs nothing from it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
