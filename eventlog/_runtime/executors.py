"""Where work runs: one `concurrent.futures.Executor` for population shards, for sampling and for
the cells of a benchmark.

    serial      one after another in this process: for a debugger processes   this machine's cores
    dask        a cluster (`address`), or a small one on this machine; what a dead worker had is run
    again elsewhere

    with pool("dask", address="tcp://10.0.0.1:8786") as executor:
        parts = list(executor.map(simulate, tasks))

A task and its result are plain data or a path on storage that all workers see. A task must not
depend on where it runs.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from eventlog._runtime.errors import InputError, UnknownNameError, WorkError

ENGINES = ("serial", "processes", "dask")
PATIENCE = 60  # seconds to wait for a cluster's first worker


class SerialExecutor(Executor):
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` now; the future that comes back is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed on, as every executor does
            future.set_exception(error)
        return future


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_engine(name: str, address: str | None = None) -> None:
    """Raise UnknownNameError unless there is an engine of that name, InputError for an address that
    it has no use for.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if address is not None and name != "dask":
        raise InputError(f"--address is for the engine dask, not for {name}.")


@contextmanager
def pool(
    engine: str = "processes",
    *,
    workers: int | None = None,
    address: str | None = None,
    needs: Mapping[str, float] | None = None,
) -> Iterator[Executor]:
    """An executor, closed when the block ends. `workers`: at a time on this machine (default:
    cores).

    `needs` is what each task takes of a Dask worker's resources, such as {"CPU": 1} or {"GPU": 1}
    (`dask worker --resources "CPU=4 GPU=1"`); a resource that no worker names is not asked for.
    Raises InputError where the name or the address is wrong or dask is not installed, WorkError
    where no worker comes.
    """
    check_engine(engine, address)
    if engine == "serial":
        yield SerialExecutor()
    elif engine == "processes":
        before = set(multiprocessing.active_children())
        with ProcessPoolExecutor(
            workers or cores(), mp_context=multiprocessing.get_context("forkserver")
        ) as processes:
            try:
                yield processes
            except KeyboardInterrupt:  # who interrupts does not want to wait for the parts that run
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
            # Not pure: two equal tasks are two tasks. What a dead worker had, the scheduler gives
            # to another by itself.
            yield client.get_executor(pure=False, **({"resources": wanted} if wanted else {}))


@contextmanager
def _dask(address: str | None, workers: int | None) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise InputError(
            "The engine dask needs the packages dask and distributed; install them with pip "
            "install -e '.[dask]'."
        ) from None
    if address is None:
        # A worker a core, each with one task at a time, and free to start processes of its own (a
        # cell runs in one).
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
