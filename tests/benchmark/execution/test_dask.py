"""A scheduler and three workers, each on an address of its own: one is killed in the middle, one
joins late.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.benchmark_runs import CHEAP, board, command, go

import simulator
from benchmark.execution.results import Store
from eventlog._runtime.errors import InputError
from eventlog._runtime.executors import pool
from eventlog.log import digest
from simulator.output import shards

distributed = pytest.importorskip("distributed")


class Cluster:
    """Processes of `dask scheduler` and `dask worker`, stopped at the end."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder = folder
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes = [
            self._start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        ]

    def worker(self, number: int) -> subprocess.Popen[bytes]:
        process = self._start(
            "worker",
            self.address,
            "--host",
            f"127.0.0.{number}",
            "--nthreads",
            "1",
            "--no-dashboard",
            "--resources",
            "CPU=1",
            "--local-directory",
            str(self.folder / f"worker-{number}"),
            "--nanny",
        )
        self.processes.append(process)
        return process

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=Path(__file__).parents[3],
        )

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.stop()


def test_a_killed_and_a_late_worker_change_nothing(
    cluster: Cluster, tiny_folder: Path, tmp_path: Path, plugin
) -> None:
    slow = plugin("slow", fit="import time; time.sleep(1)")
    models = [*CHEAP, "logistic", slow]
    local = go(tiny_folder, tmp_path / "local", models=models, seeds=2)
    assert not local.failed
    first = cluster.worker(2)
    cluster.worker(3)
    arguments = command(
        tiny_folder,
        tmp_path / "dask",
        "--engine",
        "dask",
        "--address",
        cluster.address,
        "--seeds",
        "2",
    )
    arguments[arguments.index("--models") + 1] = ",".join(models)
    # the workers' code, wherever one stands
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    run = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path, env=env
    )
    end = time.monotonic() + 100
    while (
        len(Store(tmp_path / "dask").records) < 7 and time.monotonic() < end and run.poll() is None
    ):
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)  # the nanny, its worker, and the cell that runs in it
    first.wait()
    cluster.worker(4)
    said = run.communicate(timeout=150)[1].decode()
    assert run.returncode == 0, said
    assert board(tmp_path / "dask") == board(tmp_path / "local")
    keys = [r["key"] for r in Store(tmp_path / "dask").records if r["kind"] in ("model", "data")]
    assert len(keys) == len(set(keys))


def test_a_cluster_simulates_the_bytes_of_one_process(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a handful of shards; they are cut here, whoever plays them
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 5_000)
    cluster.worker(2)
    cluster.worker(3)
    made = {
        name: digest(simulator.run("shop", users=300, days=40, seed=7, out=tmp_path / name, **how))
        for name, how in {
            "serial": {"engine": "serial"},
            "dask": {"engine": "dask", "address": cluster.address},
        }.items()
    }
    assert len(list((tmp_path / "dask" / "events").glob("part-*.parquet"))) > 2
    assert made["dask"] == made["serial"]


def test_a_small_cluster_of_its_own_stops_what_hangs(
    tiny_folder: Path, tmp_path: Path, plugin
) -> None:
    outcome = go(
        tiny_folder,
        tmp_path,
        models=[
            "recency",
            plugin("hang", fit="import time; time.sleep(60)"),
            plugin("die", fit="import os; os.kill(os.getpid(), 9)"),
        ],
        seeds=[0],
        engine_name="dask",
        workers=1,
        settings=["settings.tasks.churn.min_customers=5", "tasks=['churn']", "limit_s=5"],
    )
    assert sorted(reason.split(":")[0] for reason in outcome.failed.values()) == [
        "error",
        "timeout",
    ]
    assert outcome.ran == 5


def test_a_wrong_address_is_one_sentence(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No Dask scheduler answers"):
        go(tiny_folder, tmp_path, engine_name="dask", address="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="with the engine dask only"):
        go(tiny_folder, tmp_path, address="tcp://127.0.0.1:9")


def test_the_serial_pool_maps() -> None:
    with pool("serial") as executor:
        assert list(executor.map(abs, [-1, 2])) == [1, 2]
