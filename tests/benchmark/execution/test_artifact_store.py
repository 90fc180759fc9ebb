"""Artefacts behind a URL: whole or absent, fetched once, and a wrong URL is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.execution import artifact_store
from eventlog._runtime.errors import InputError

pytest.importorskip("fsspec")


def write(folder: Path) -> None:
    (folder / "a.txt").write_text("1")
    (folder / "inner").mkdir()
    (folder / "inner" / "b.txt").write_text("2")


@pytest.mark.parametrize("root", ["memory://bucket", "file"])
def test_what_is_published_is_fetched_elsewhere(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = artifact_store.join(
        (tmp_path / "bucket").as_uri() if root == "file" else f"{root}/{tmp_path.name}", "key"
    )
    monkeypatch.setenv("SHOPTWIN_CACHE", str(tmp_path / "here"))
    assert not artifact_store.exists(place)
    artifact_store.publish(place, write)
    assert artifact_store.exists(place)
    monkeypatch.setenv("SHOPTWIN_CACHE", str(tmp_path / "there"))
    found = artifact_store.fetch(place)
    assert found.is_relative_to(tmp_path / "there")
    assert {
        p.relative_to(found).as_posix(): p.read_text() for p in found.rglob("*") if p.is_file()
    } == {"a.txt": "1", "inner/b.txt": "2"}


def test_what_fails_in_the_middle_is_not_there(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        write(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        artifact_store.publish(tmp_path / "key", fails)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_url_is_one_sentence() -> None:
    with pytest.raises(InputError, match="cannot be opened: Protocol not known"):
        artifact_store.exists("nowhere://bucket/key")
