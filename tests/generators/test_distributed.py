"""A sample is the same bytes on any engine and any number of workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog, InputError
from eventlog.log import digest
from generators import distributed
from generators.__main__ import main
from generators.sampling import parts


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = generators.fit(shop_log(users=60, rows=8, seed=3), model="markov", seed=1)
    return generators.save(model, tmp_path_factory.mktemp("m") / "model")


def written(log: EventLog, folder: Path) -> str:
    return digest(log.write(folder))


def test_parts_are_the_whole_whoever_draws_them(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CHUNK", 20)
    here = written(
        generators.load(fitted).sample(50, seed=4, where={"country": "DE"}), tmp_path / "here"
    )
    serial = written(
        distributed.sample(fitted, 50, seed=4, engine="serial", where={"country": "DE"}),
        tmp_path / "serial",
    )
    assert here == serial
    users = EventLog.read(tmp_path / "here").events["user_id"]
    assert users.nunique() == 50
    assert written(generators.load(fitted).sample(50, seed=5), tmp_path / "other") != here


# Two parts; workers are processes of their own, and know no patched constant.
TWO_PARTS = parts.CHUNK + 50


@pytest.fixture(scope="module")
def local(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Bytes of a sample of TWO_PARTS users."""
    sample = generators.load(fitted).sample(TWO_PARTS, seed=4)
    return written(sample, tmp_path_factory.mktemp("local") / "log")


@pytest.mark.parametrize("workers", [1, 2])
def test_dask_gives_the_bytes_of_the_local_sample(
    fitted: Path, local: str, tmp_path: Path, workers: int
) -> None:
    pytest.importorskip("distributed")
    twin = distributed.sample(fitted, TWO_PARTS, seed=4, engine="dask", workers=workers)
    assert written(twin, tmp_path / "dask") == local


def test_the_command_says_what_does_not_go_together(fitted: Path, tmp_path: Path) -> None:
    sample = ["sample", str(fitted), "--users", "5", "--out", str(tmp_path / "out")]
    serial = [*sample, "--engine", "serial"]
    with pytest.raises(InputError, match="--engine"):
        main([*sample, "--workers", "2"])
    with pytest.raises(InputError, match="leave it out"):
        main([*serial, "--set", "fraud_rate=0.5"])
    with pytest.raises(InputError, match="address"):
        main([*serial, "--address", "tcp://x:1"])
    assert main(serial) == 0


def test_a_generator_that_is_one_whole_says_so(
    fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "load", lambda *_, **__: object())
    distributed._loaded.cache_clear()
    with pytest.raises(InputError, match="in parts"):
        distributed.sample(fitted, 5, seed=0, engine="serial")
