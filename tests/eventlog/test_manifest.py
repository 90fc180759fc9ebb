"""A manifest may come from anywhere: what it says is checked, and nothing outside is read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventlog import Encoder, EventLog, InputError
from eventlog.check import check
from eventlog.clean import clean_folder
from eventlog.ingest.ingest import import_file
from eventlog.log import digest, read_manifest, verify_checksums

PART = "events/part-00000.parquet"


@pytest.fixture
def folder(small_log: EventLog, tmp_path: Path) -> Path:
    return small_log.write(tmp_path / "log")


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(files=[]), r"'files' in .*manifest.json is \[\]; it must be an object"),
        (lambda m: m.pop("files"), "'files' in .*manifest.json is None"),
        (lambda m: m["files"].update({PART: "x"}), f"'{PART}' has no sha256"),
        (lambda m: m["files"].update({PART: {}}), f"'{PART}' has no sha256"),
        (lambda m: m["files"][PART].update(rows="many"), f"'{PART}' has 'many' rows"),
        (lambda m: m["files"][PART].update(rows=True), f"'{PART}' has True rows"),
        (lambda m: m["files"].update({"/dev/zero": {"sha256": "x"}}), "'/dev/zero' is not a path"),
        (lambda m: m["files"].update({"../../x": {"sha256": "x"}}), "'../../x' is not a path"),
        (lambda m: m["files"].update({"a/../../x": {"sha256": "x"}}), "is not a path inside"),
        (lambda m: m.update(roles=["a"]), "'roles' in .* is .*; it must be an object"),
        (lambda m: m.update(roles={"purchase": ["a"]}), r"gives 'purchase' \['a'\]"),
        (lambda m: m.update(provenance={"items": 1}), "gives 'items' 1; it must be a text"),
        (lambda m: m.update(schema_version="x" * 90), "has schema version x{40}, but"),
    ],
)
def test_a_manifest_of_another_shape_is_one_sentence_everywhere(
    change: Callable[[dict[str, Any]], object], message: str, folder: Path
) -> None:
    changed(folder, change)
    for use in (read_manifest, digest, check, EventLog.read, lambda p: next(EventLog.parts(p))):
        with pytest.raises(InputError, match=message):
            use(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 3000, '{"schema_version": NaN}'])
def test_a_broken_manifest_is_one_sentence(text: str, folder: Path) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json"):
        read_manifest(folder)


def test_files_without_an_end_are_not_read(folder: Path) -> None:
    (folder / PART).unlink()
    os.mkfifo(folder / PART)
    manifest = read_manifest(folder)
    for use in (
        EventLog.read,
        lambda path: verify_checksums(path, manifest),
        lambda path: clean_folder(path, path.parent / "clean"),
        Encoder.fit,
    ):
        with pytest.raises(InputError, match="regular file"):
            use(folder)
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"manifest\.json"):
        read_manifest(folder)


def test_check_names_every_file_that_is_wrong_or_not_listed(folder: Path) -> None:
    shutil.copy(
        folder / "users.parquet" if (folder / "users.parquet").exists() else folder / PART,
        folder / "truth.parquet",
    )
    shutil.copy(folder / PART, folder / "events" / "part-00007.parquet")
    (folder / "notes.txt").write_text("mine")
    changed(folder, lambda m: m["files"][PART].update(rows=3))
    (folder / "labels.parquet").unlink()
    found = {(f.level, f.file, f.text) for f in check(folder)}
    text = "is not listed in manifest.json"
    part = "events/part-00007.parquet"
    assert ("error", part, f"{text}, though it is read as part of the log") in found
    assert {("warning", "notes.txt", text), ("warning", "truth.parquet", text)} <= found
    texts = [f.text for f in check(folder) if f.file == "manifest.json"]
    assert any("but the manifest says 3" in text for text in texts)
    assert any("labels.parquet is listed in the manifest but missing" in text for text in texts)


def part_with(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(folder / PART)), folder / PART)


def far(table: pa.Table) -> pa.Table:
    times = pa.array([2**61] * table.num_rows, pa.timestamp("us", tz="UTC"))
    return table.set_column(table.column_names.index("timestamp"), "timestamp", times)


def twice(table: pa.Table) -> pa.Table:
    return pa.Table.from_arrays([*table.columns, table["event"]], [*table.column_names, "event"])


def numbers(table: pa.Table) -> pa.Table:
    at = table.column_names.index("user_id")
    return table.set_column(at, "user_id", pa.array([1.5] * table.num_rows))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (far, "outside the years 1 to 9999"),
        (twice, "two columns called 'event'"),
        (numbers, "user_id has type float64, but the schema says id"),
        (lambda t: t.drop_columns("timestamp"), "no column 'timestamp'"),
    ],
)
def test_parts_that_are_no_events_are_refused(
    change: Callable[[pa.Table], pa.Table], message: str, folder: Path
) -> None:
    part_with(folder, change)
    with pytest.raises(InputError, match=message):
        EventLog.read(folder)
    with pytest.raises(InputError, match=message):
        clean_folder(folder, folder.parent / "clean")


@pytest.mark.parametrize("name", ["users", "items", "labels"])
def test_tables_without_their_key_are_refused(name: str, folder: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(folder / f"{name}.parquet")
    for read in (EventLog.read, lambda path: import_file(path, folder.parent / "again")):
        with pytest.raises(InputError, match=rf"{name}\.parquet, column .*required"):
            read(folder)


def test_a_currency_that_is_no_text_is_refused(folder: Path) -> None:
    changed(folder, lambda manifest: manifest.update(currency=["EUR"]))
    with pytest.raises(InputError, match=r"'currency' in .* must be a text"):
        EventLog.read(folder)


def test_events_without_a_name_have_no_role(small_log: EventLog) -> None:
    events = small_log.events.assign(event=small_log.events["event"].where(lambda e: e.index > 0))
    assert EventLog(events).role()[0] == "other"
    none = small_log.events.assign(event=pd.Categorical([None] * len(events)))
    assert set(EventLog(none).role()) == {"other"}
