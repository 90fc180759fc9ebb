"""Nothing that somebody else wrote is replaced, and a killed run leaves nothing for good."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from eventlog import EventLog, InputError
from eventlog._runtime.files import (
    check_file_replaceable,
    check_replaceable,
    new_file,
    new_folder,
    parse_json,
)

STRANGERS = {
    "an extension of a browser": {"manifest_version": 3, "name": "tabs", "files": ["a.js"]},
    "another program's, with files": {"files": {"thesis.txt": {"sha256": "0" * 64}}},
    "a list": [1, 2],
    "no JSON": None,
    "files as text": {"schema_version": 1, "versions": {}, "files": {"thesis.txt": "x"}},
}


@pytest.mark.parametrize("manifest", STRANGERS.values(), ids=STRANGERS)
def test_a_manifest_json_alone_does_not_make_a_folder_ours(
    manifest: object, small_log: EventLog, tmp_path: Path
) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    (folder / "manifest.json").write_text("{" if manifest is None else json.dumps(manifest))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(InputError, match="not written by this program"):
        small_log.write(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.parametrize("place", ["notes.txt", "events/notes.txt", "photos/a.jpg", "link"])
def test_a_log_that_holds_a_file_of_ones_own_is_not_replaced(
    place: str, small_log: EventLog, tmp_path: Path
) -> None:
    log = small_log.write(tmp_path / "log")
    file = log / place
    file.parent.mkdir(exist_ok=True)
    if place == "link":
        file.symlink_to(tmp_path)
    else:
        file.write_text("mine")
    with pytest.raises(InputError, match=f"does not list {place}"):
        small_log.write(log)
    assert file.exists()


def test_an_existing_log_is_replaced_only_on_request(small_log: EventLog, tmp_path: Path) -> None:
    log = small_log.write(tmp_path / "log")
    (log / ".DS_Store").write_bytes(b"of the file manager")
    with pytest.raises(InputError, match=f"a log of {len(small_log):,} events.*--overwrite"):
        check_replaceable(log, overwrite=False)
    check_replaceable(log, overwrite=True)
    assert len(EventLog.read(small_log.write(log))) == len(small_log)
    file = tmp_path / "events.csv"
    file.write_text("mine")
    with pytest.raises(InputError, match="4 bytes"):
        check_file_replaceable(file, overwrite=False)
    check_file_replaceable(file, overwrite=True)


def test_a_link_stays_and_its_target_is_replaced(small_log: EventLog, tmp_path: Path) -> None:
    small_log.write(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    small_log.only_users(["u000"]).write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert set(EventLog.read(tmp_path / "real").events["user_id"]) == {"u000"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


def _write_and_wait(folder: Path) -> None:
    with new_folder(folder / "log") as inside, new_file(folder / "page.html") as page:
        (inside / "half").write_text("half of it")
        page.write_text("half of it")
        (folder / "begun").touch()
        time.sleep(60)


def test_what_a_killed_run_left_is_removed_and_a_running_one_is_let_be(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_write_and_wait, args=(tmp_path,))
    process.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    unfinished = {p.name for p in tmp_path.iterdir() if p.name.endswith((".tmp", ".html"))}
    assert len(unfinished) == 2
    for check in (lambda: check_replaceable(tmp_path / "log"), lambda: check_page(tmp_path)):
        check()
        assert unfinished <= {p.name for p in tmp_path.iterdir()}, "it is still being written"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    check_replaceable(tmp_path / "log")
    check_page(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["begun"]


def check_page(folder: Path) -> None:
    check_file_replaceable(folder / "page.html", overwrite=False)


def test_a_log_that_was_set_aside_by_a_killed_run_comes_back(
    small_log: EventLog, tmp_path: Path
) -> None:
    small_log.write(tmp_path / "log").rename(tmp_path / ".log.0123abcd.old")
    (tmp_path / ".log.notes.old").mkdir()  # not a name that we give
    check_replaceable(tmp_path / "log")
    assert len(EventLog.read(tmp_path / "log")) == len(small_log)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".log.notes.old", "log"]


def test_a_name_that_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too long a name"):
        check_replaceable(tmp_path / ("x" * 250))


def test_whole_numbers_of_json_are_exact_as_long_as_a_float_could_hold_them() -> None:
    assert parse_json(f"[{2**64 + 1}, -7]") == [2**64 + 1, -7]
    assert parse_json(f"[{10**400}, {-(10**400)}]") == [float("inf"), float("-inf")]
