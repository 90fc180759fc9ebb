"""Where work runs: one `concurrent.futures.Executor` for simulation, sampling and benchmarks.

Engines::

    serial      one task after another in this process, for a debugger
    processes   the cores of this machine
    dask        a cluster (`address`), or a small one on this machine; the tasks of a dead worker
                run again on another

Example::

    with pool("dask", address="tcp://10.0.0.1:8786") as executor:
        parts = list(executor.map(simulate, tasks))

A task and its result are plain data, or a path on storage that all workers can reach. A task must
not depend on where it runs.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventlog._runtime.errors import InputError, UnknownNameError, WorkError
from eventlog._runtime.extras import require
from eventlog._runtime.system import START

ENGINES = ("serial", "processes", "dask")
PATIENCE = 60  # seconds to wait for a cluster's first worker


class SerialExecutor(Executor):
    """Runs each task immediately, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` now and return a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - in the future, as with every executor
            future.set_exception(error)
        return future


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_engine(name: str, address: str | None = None) -> None:
    """Check the name of an engine and its address.

    Raises UnknownNameError for a wrong name, InputError for an address that the engine cannot use.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if address is not None and name != "dask":
        raise InputError(f"--address works with the engine dask only, not with {name}.")


def end_with_parent(unfinished: Path | None = None) -> None:
    """Make this worker end when the process that started it does, even if that is killed.

    A worker waits for work on a pipe that other workers hold open too, so it would wait for good.
    `unfinished` is a folder that nobody will finish then; it is removed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker

    def watch() -> None:
        parent.join()
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


@contextmanager
def pool(
    engine: str = "processes",
    *,
    workers: int | None = None,
    address: str | None = None,
    needs: Mapping[str, float] | None = None,
    unfinished: Path | None = None,
) -> Iterator[Executor]:
    """Yield an executor and close it when the block ends.

    Args:
        engine: serial, processes or dask.
        workers: tasks at a time on this machine; None: its number of cores.
        address: of a Dask scheduler; None: a small cluster on this machine.
        needs: what each task takes of a Dask worker's resources, such as {"CPU": 1} or {"GPU": 1}
            (`dask worker --resources "CPU=4 GPU=1"`). Resources that no worker has are ignored.
        unfinished: a folder that the processes remove if this one is killed.

    Raises:
        InputError: the name or the address is wrong, or dask is not installed.
        WorkError: no worker appears.
    """
    check_engine(engine, address)
    if engine == "serial":
        yield SerialExecutor()
    elif engine == "processes":
        before = set(multiprocessing.active_children())
        with ProcessPoolExecutor(
            workers or cores(),
            mp_context=multiprocessing.get_context(START),
            initializer=end_with_parent,
            initargs=(unfinished,),
        ) as processes:
            try:
                yield processes
            except KeyboardInterrupt:  # do not wait for running tasks
                processes.shutdown(wait=False, cancel_futures=True)
                for child in set(multiprocessing.active_children()) - before:
                    child.terminate()
                raise
    else:
        with _dask(address, workers) as client:
            named = {
                r
                for w in client.scheduler_info(n_workers=-1)["workers"].values()
                for r in w["resources"]
            }
            wanted = {name: amount for name, amount in (needs or {}).items() if name in named}
            # Not pure: two equal tasks are two tasks. The scheduler itself moves the tasks of a
            # dead worker to another.
            yield client.get_executor(pure=False, **({"resources": wanted} if wanted else {}))


@contextmanager
def _dask(address: str | None, workers: int | None) -> Iterator[Any]:
    distributed = require("distributed", extra="dask", purpose="The engine dask")
    if address is None:
        # A worker for each core, with one task at a time; tasks may start processes of their own,
        # as benchmark cells do.
        cluster = distributed.LocalCluster(
            n_workers=workers or cores(),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
        )
    else:
        cluster = None
    try:
        client = distributed.Client(cluster or address, timeout=10)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"No Dask scheduler answers at {address}: {error}.") from None
    try:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise WorkError(
                f"The cluster at {address} has no worker after {PATIENCE} s; start one with 'dask "
                f"worker {address}'."
            ) from None
        yield client
    finally:
        client.close()
        if cluster is not None:
            cluster.close()
