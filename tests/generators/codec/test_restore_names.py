"""A saved generator is data: whatever its folder says, no file runs unless the caller names it."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import InputError
from eventlog._runtime.errors import UnknownNameError
from eventlog._runtime.executors import pool
from eventlog._runtime.plugins import load_module, names
from eventlog.check import check
from generators import distributed
from generators.__main__ import main
from generators.persistence import FORMAT

EVIL = """
from pathlib import Path
Path({marker!r}).write_text("ran")
from generators.models.markov import Markov as Base
class Markov(Base):
    pass
"""
MINE = """
import numpy as np
from generators.base import Generator
from eventlog import EventLog
class Mine(Generator):
    def fit(self, log, *, seed, epsilon=None, delta=None, public=()):
        self.log, self.privacy = log, {"epsilon": None, "statement": "none"}
    def sample(self, users, *, seed):
        return self.log
    def state(self):
        return {"x": np.zeros(1)}, {"events": len(self.log)}
    def restore(self, arrays, data):
        self.n = data["events"]
"""


@pytest.fixture
def evil(tmp_path: Path) -> tuple[Path, Path]:
    """A folder whose manifest names a Python file inside it, with right checksums; and the file
    that it would write."""
    folder, marker = tmp_path / "evilmodel", tmp_path / "it_ran"
    folder.mkdir()
    (folder / "weights.py").write_text(EVIL.format(marker=str(marker)))
    (folder / "model.json").write_text('{"settings":{},"data":{}}')
    (folder / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    write_manifest(folder, generator=str(folder / "weights.py"))
    return folder, marker


def write_manifest(folder: Path, **changes: Any) -> None:
    files = {
        n: {"sha256": hashlib.sha256((folder / n).read_bytes()).hexdigest()}
        for n in ("model.json", "model.safetensors")
    }
    whole = {
        "format": FORMAT,
        "class": "Markov",
        "own_file": False,
        "privacy": {"epsilon": 1.0, "ledger": []},
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(whole | changes))


@pytest.mark.parametrize(
    "name",
    [
        "evilmodel/weights.py",
        "weights.py",
        "./weights",
        "models/../weights",
        "evilmodel.weights",
        "..",
        "",
        " markov",
        "markov\n",
        "C:\\weights",
        "os",
        "__init__",
        "markov.py",
    ],
)
def test_a_manifest_cannot_name_a_file(
    evil: tuple[Path, Path], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, marker = evil
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write_manifest(folder, generator=name)
    with pytest.raises(InputError) as error:
        generators.load(folder)
    assert "\n" not in str(error.value)
    assert not marker.exists()


def test_the_refusal_is_one_sentence_on_every_way_in(
    evil: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, marker = evil
    sentence = "never says which file to run"
    with pytest.raises(InputError, match=sentence):
        generators.load(folder)
    with pytest.raises(InputError, match=sentence):
        main(["sample", str(folder), "--users", "5", "--out", str(tmp_path / "out")])
    log = str(shop_log(users=12).write(tmp_path / "log"))
    with pytest.raises(InputError, match=sentence):
        main(
            [
                "report",
                "--real",
                log,
                "--synthetic",
                log,
                "--model",
                str(folder),
                "--out",
                str(tmp_path / "report"),
            ]
        )
    assert not marker.exists()


@pytest.mark.parametrize("engine", ["serial", "processes", "dask"])
def test_no_engine_runs_what_the_folder_names(evil: tuple[Path, Path], engine: str) -> None:
    if engine == "dask":
        pytest.importorskip("distributed")
    folder, marker = evil
    with pytest.raises(InputError, match="never says which file to run"):
        distributed.sample(folder, 5, seed=0, engine=engine)
    with pool(engine, workers=1) as executor:  # nor does a worker that is sent the folder itself
        part = executor.submit(distributed.part_of, str(folder), None, 5, 0, 0, {})
        with pytest.raises(InputError, match="never says which file to run"):
            part.result(timeout=120)
    assert not marker.exists()


def test_own_file_in_a_manifest_does_not_run_either(evil: tuple[Path, Path]) -> None:
    folder, marker = evil
    write_manifest(folder, generator=str(folder / "weights.py"), own_file=True)
    with pytest.raises(
        InputError,
        match=r"in a file called weights\.py; name the file to run it: --model weights\.py$",
    ):
        generators.load(folder)
    assert not marker.exists()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "jane.doe" / "mine.py"
    file.parent.mkdir()
    file.write_text(MINE)
    return file


def test_an_own_file_leaves_its_name_and_digest_but_no_path(mine: Path, tmp_path: Path) -> None:
    folder = generators.save(
        generators.fit(shop_log(users=12), model=str(mine)), tmp_path / "model"
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["generator"], manifest["class"], manifest["own_file"]) == (
        "mine.py",
        "Mine",
        True,
    )
    assert manifest["source_sha256"] == hashlib.sha256(mine.read_bytes()).hexdigest()
    written = b"".join(f.read_bytes() for f in folder.iterdir())
    assert b"jane.doe" not in written
    assert str(tmp_path).encode() not in written
    with pytest.raises(
        InputError, match=r"fitted by Mine in a file called mine\.py; name the file to run it"
    ):
        generators.load(folder)
    assert type(generators.load(folder, model=str(mine))).__name__ == "Mine"
    with pytest.raises(InputError, match="fitted by Mine, but markov defines Markov"):
        generators.load(folder, model="markov")


def test_an_own_file_that_changed_is_loaded_with_a_warning(mine: Path, tmp_path: Path) -> None:
    folder = generators.save(
        generators.fit(shop_log(users=12), model=str(mine)), tmp_path / "model"
    )
    newer = tmp_path / "newer" / "mine.py"
    newer.parent.mkdir()
    newer.write_text(MINE + "# a note\n")
    with pytest.warns(UserWarning, match=r"mine\.py has changed since"):
        generators.load(folder, model=str(newer))


def test_the_class_must_match_what_an_own_file_defines(mine: Path, tmp_path: Path) -> None:
    folder = generators.save(
        generators.fit(shop_log(users=12), model=str(mine)), tmp_path / "model"
    )
    other = tmp_path / "other.py"
    other.write_text(MINE.replace("Mine", "Other"))
    with pytest.raises(InputError, match=r"fitted by Mine, but .* defines Other"):
        generators.load(folder, model=str(other))


def test_errors_of_an_own_file_are_its_authors(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE.replace('data["events"]', 'data["nothing"]'))
    folder = generators.save(
        generators.fit(shop_log(users=12), model=str(file)), tmp_path / "model"
    )
    with pytest.raises(KeyError, match="nothing"):
        generators.load(folder, model=str(file))


def test_an_installed_generator_loads_without_its_file(tmp_path: Path) -> None:
    if "calibrated" not in names("generators.models"):
        pytest.skip("the entry point is not installed")
    folder = generators.save(
        generators.fit(shop_log(users=40), model="calibrated", settings={"trials": 1}),
        tmp_path / "model",
    )
    assert json.loads((folder / "manifest.json").read_text())["generator"] == "calibrated"
    assert [
        f for f in check(generators.load(folder).sample(10, seed=1)) if f.level == "error"
    ] == []


def test_a_name_read_from_data_is_never_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")
    assert load_module("generators.models", str(file), kind="generator").x == 1
    with pytest.raises(UnknownNameError):
        load_module("generators.models", str(file), kind="generator", files=False)


def test_a_folder_called_like_a_generator_is_not_taken_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = generators.save(
        generators.fit(shop_log(users=30, rows=5, items=20), model="markov"), tmp_path / "markov"
    )
    monkeypatch.chdir(tmp_path)
    assert len(distributed.sample(folder, 5, seed=0, engine="serial", model="markov")) > 0


def test_an_unknown_name_travels_from_a_worker() -> None:
    sent = pickle.dumps(UnknownNameError("generator", "markow", ["markov"]))
    error = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert str(error) == "No generator is called 'markow'; did you mean 'markov'?"
    assert error.known == ["markov"]


def test_the_log_of_an_own_generator_names_no_path(tmp_path: Path) -> None:
    file = tmp_path / "jane.doe" / "mine.py"
    file.parent.mkdir()
    file.write_text("from generators.models.markov import Markov\nclass Mine(Markov):\n    pass\n")
    log = generators.fit(shop_log(users=30, rows=5, items=20), model=str(file)).sample(5, seed=0)
    assert log.manifest["generator"] == "Mine"
