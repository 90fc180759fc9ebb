from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.execution.results import Store, pack, unpack
from eventlog._runtime.errors import InputError


def record(key: str, status: str = "ok", **more: object) -> dict[str, object]:
    return {"key": key, "kind": "model", "status": status, **more}


def test_the_first_good_record_stands(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(record("a", "error", error="no"))
    assert store.finished("a") is None
    assert store.latest("a")["error"] == "no"
    store.append(record("a", value=1))
    store.append(record("a", value=2))
    store.append(record("a", "timeout"))
    assert store.finished("a")["value"] == 1
    assert Store(tmp_path).finished("a")["value"] == 1


def test_any_torn_end_is_skipped_and_the_next_record_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "whole")
    store.append(record("a"))
    store.append(record("b"))
    text = store.path.read_bytes()
    first = text.index(b"\n") + 1
    for cut in range(first, len(text)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "results.jsonl").write_bytes(text[:cut])
        torn = Store(folder)
        assert torn.finished("a") is not None
        assert torn.finished("b") is None
        torn.append(record("c"))
        again = Store(folder)
        assert again.finished("a") is not None
        assert again.finished("c") is not None


def _append_many(folder: str, name: str) -> None:
    store = Store(folder)
    for i in range(50):
        store.append(record(f"{name}{i}", text="x" * 5_000))


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(str(tmp_path), name)) for name in "pq"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["key"] for line in lines) == sorted(
        f"{n}{i}" for n in "pq" for i in range(50)
    )


def test_a_store_sees_what_another_appended(tmp_path: Path) -> None:
    one, two = Store(tmp_path), Store(tmp_path)
    two.append(record("a"))
    assert one.finished("a") is None
    one.refresh()
    assert one.finished("a") is not None


@given(arrays(np.float32, st.integers(0, 20), elements=st.floats(width=32)))
def test_unpack_undoes_pack(values: np.ndarray) -> None:
    assert np.array_equal(unpack(pack(values)), values.astype(np.float64), equal_nan=True)


def test_an_empty_folder_has_no_plan(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results"):
        Store(tmp_path).plan()


def test_a_file_is_no_results_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="is a file"):
        Store(tmp_path / "f")
