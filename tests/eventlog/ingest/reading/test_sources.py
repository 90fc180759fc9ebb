"""Where rows come from: several files, folders, patterns, archives, addresses, standard input."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pandas as pd
import pytest

from eventlog import EventLog, InputError
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.reading.sources import by_name, find_files

HEADER = "user_id,time,event\n"


def rows(n: int, start: int = 0) -> str:
    return "".join(f"u{i},2024-01-{1 + i:02d},view\n" for i in range(start, start + n))


def months(folder: Path) -> Path:
    folder.mkdir()
    for i in (1, 2, 10):
        (folder / f"part-{i}.csv").write_text(HEADER + rows(2, i))
    (folder / "_SUCCESS").write_text("")
    (folder / ".part-1.csv.crc").write_text("x")
    return folder


def users(log: EventLog) -> list[str]:
    return sorted(log.events["user_id"].astype(str))


EXPECTED = ["u1", "u10", "u11", "u2", "u2", "u3"]


def test_several_files_a_folder_a_pattern_and_an_archive_are_one_log(tmp_path: Path) -> None:
    folder = months(tmp_path / "months")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("__MACOSX/._part-1.csv", "x")
        archive.writestr("export/README.txt", "x")
        for path in sorted(folder.glob("part-*")):
            archive.write(path, f"export/{path.name}")
    inputs = {
        "folder": folder,
        "pattern": str(folder / "part-*.csv"),
        "archive": tmp_path / "all.zip",
        "list": sorted(folder.glob("part-*.csv")),
        "address": f"file://{folder}",
        "remote pattern": f"file://{folder}/part-*.csv",
    }
    for name, given in inputs.items():
        log = imported(given, tmp_path / name)
        assert users(log) == EXPECTED, name
        files = [entry["file"] for entry in log.manifest["source"]["files"]]
        assert sorted(files) == ["part-1.csv", "part-10.csv", "part-2.csv"], name


def test_files_are_read_by_name_with_numbers_by_value(tmp_path: Path) -> None:
    found = find_files([months(tmp_path / "m")], tmp_path)
    assert [Path(file.name).name for file in found] == ["part-1.csv", "part-2.csv", "part-10.csv"]
    assert sorted(["b2", "a10", "a9", "a"], key=by_name) == ["a", "a9", "a10", "b2"]


def test_columns_of_hive_folders(tmp_path: Path) -> None:
    for country, n in (("DE", 1), ("NL", 2), ("__HIVE_DEFAULT_PARTITION__", 3)):
        folder = tmp_path / "log" / f"country={country}" / "day=2024-01-01"
        folder.mkdir(parents=True)
        frame = pd.read_csv(io.StringIO(HEADER + rows(n)))
        frame.to_parquet(folder / "part-0.parquet")
    log = imported(tmp_path / "log", tmp_path / "out")
    assert log.events["country"].astype(object).value_counts(dropna=False).to_dict() == {
        float("nan"): 3, "NL": 2, "DE": 1,
    } or log.events["country"].isna().sum() == 3  # fmt: skip
    assert log.events["country"].astype(str).value_counts()["NL"] == 2
    assert log.events["day"].unique().tolist() == [pd.Timestamp("2024-01-01", tz="UTC")]


def test_row_numbers_and_columns_are_those_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + rows(20))
    (tmp_path / "b.csv").write_text("event,user_id,time,extra\nview,u9,never,5\nview,u9,2024,6\n")
    summary = import_file(
        [tmp_path / "a.csv", tmp_path / "b.csv"],
        tmp_path / "log",
        allow_rejects=["unparseable timestamp"],
    )
    rejects = pd.read_parquet(tmp_path / "log" / "rejects.parquet")
    assert rejects[["row", "file"]].to_numpy().tolist() == [
        [2, str(tmp_path / "b.csv")],
        [3, str(tmp_path / "b.csv")],
    ]
    assert summary.kept == 20
    (tmp_path / "items.csv").write_text("item_id,name\n1,x\n")
    with pytest.raises(InputError, match=r"items.csv has no column 'user_id' .* --items"):
        import_file([tmp_path / "a.csv", tmp_path / "items.csv"], tmp_path / "no")


def test_nothing_found_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.md", "hello")
    for given, piece in (
        (tmp_path / "*.csv", "matches no file"),
        (tmp_path / "bad.zip", "is a damaged zip archive"),
        (tmp_path / "empty.zip", "holds no file to read"),
        ("memory://none/a.csv", "cannot be read"),
        ("gopher://x/a.csv", "cannot be read"),
    ):
        with pytest.raises(InputError, match=piece):
            import_file(given, tmp_path / "log")


def test_a_file_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    folder = months(tmp_path / "months")
    (tmp_path / "link.csv").symlink_to(folder / "part-1.csv")
    for given in (
        [folder / "part-1.csv", folder / "part-1.csv"],
        [folder / "part-1.csv", folder],
        [tmp_path / "link.csv", str(folder / "*.csv")],
    ):
        with pytest.raises(InputError, match=r"part-1\.csv is given twice.* count twice"):
            import_file(given, tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_a_column_that_only_some_files_have_is_noted(tmp_path: Path) -> None:
    for name, item in (("a", "item_id"), ("b", "sku"), ("c", "sku")):
        (tmp_path / f"{name}.csv").write_text(f"user_id,time,event,{item}\nu,2024-01-01,view,x\n")
    notes = import_file(str(tmp_path / "*.csv"), tmp_path / "log").notes
    assert any("b.csv and 1 more files without a column 'item_id'" in note for note in notes)


def test_an_address_of_another_store(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/day=2024-01-01/a.csv.gz", gzip.compress((HEADER + rows(2)).encode()))
    store.pipe("/bucket/day=2024-01-02/b.csv", (HEADER + rows(1, 2)).encode())
    frame = pd.read_csv(io.StringIO(HEADER + rows(3)))
    store.pipe("/flat/a.parquet", frame.to_parquet())
    log = imported("memory://bucket", tmp_path / "log")
    assert users(log) == ["u0", "u1", "u2"] and log.events["day"].nunique() == 2
    assert users(imported("memory://flat/a.parquet", tmp_path / "flat")) == ["u0", "u1", "u2"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "gz", "parquet"])
def test_standard_input(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEADER + rows(3)
    frame = pd.read_csv(io.StringIO(text))
    lines = "".join(json.dumps(row) + "\n" for row in frame.to_dict("records"))
    data = {
        "csv": text.encode(),
        "jsonl": lines.encode(),
        "gz": gzip.compress(lines.encode()),
        "parquet": frame.to_parquet(),
    }[kind]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    log = imported("-", tmp_path / "log")
    assert users(log) == ["u0", "u1", "u2"]
    assert log.manifest["source"]["file"].startswith("standard-input.")


def test_tables_of_items_and_users_come_beside_the_events(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        "user_id,time,event,product_id\nu1,2024-01-01,view,007\nu2,2024-01-02,view,8\n"
    )
    (tmp_path / "items.csv").write_text(
        "product_id,category_code,category,price,launched\n007,x.y,shoes,9.5,2020-01-01\n"
        "9,z,,16777217,\n"
    )
    (tmp_path / "users.jsonl").write_text('{"id": "u1", "age": 31, "country": "DE"}\n')
    log = imported(
        tmp_path / "e.csv",
        tmp_path / "log",
        items=tmp_path / "items.csv",
        users=tmp_path / "users.jsonl",
    )
    assert log.items is not None and log.users is not None
    assert log.items["item_id"].astype(str).tolist() == ["007", "9"]
    assert log.items["price"].tolist() == [9.5, 16777217]
    assert str(log.items["launched"].dtype) == "datetime64[ms, UTC]"
    assert log.users[["user_id", "age", "country"]].astype(str).to_numpy().tolist() == [
        ["u1", "31", "DE"]
    ]
    assert log.provenance("items") == "derived", "nobody said that it is public"
    (tmp_path / "twice.csv").write_text("item_id,name\n1,x\n1,y\n")
    with pytest.raises(InputError, match="two different rows for '1'"):
        imported(tmp_path / "e.csv", tmp_path / "log2", items=tmp_path / "twice.csv")


def test_a_list_of_objects_is_read_like_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.read_csv(io.StringIO(HEADER + rows(5)))
    wide = [{**row, "x": 18_000_000_000_000_000_000} for row in frame.to_dict("records")]
    (tmp_path / "a.json").write_text("\ufeff " + json.dumps(wide, indent=2), encoding="utf-8")
    log = imported(tmp_path / "a.json", tmp_path / "log")
    assert users(log) == ["u0", "u1", "u2", "u3", "u4"]
    assert log.events["x"].astype(str).tolist() == ["18000000000000000000"] * 5
    monkeypatch.setattr("eventlog.ingest.reading.json_lines.LONGEST", 100)
    with pytest.raises(InputError, match="jq -c"):
        imported(tmp_path / "a.json", tmp_path / "log2")


EMPTY = {"a.parquet": b"", "b.jsonl": b"\n\n", "c.csv": HEADER.encode(), "d.csv": b""}


@pytest.mark.parametrize("name", EMPTY)
def test_a_file_without_rows_is_passed_over_beside_others(name: str, tmp_path: Path) -> None:
    folder = months(tmp_path / "months")
    (folder / name).write_bytes(EMPTY[name])
    if name.endswith(".parquet"):
        pd.DataFrame({"user_id": []}).to_parquet(folder / name)
    summary = import_file(folder, tmp_path / "log")
    assert users(EventLog.read(tmp_path / "log")) == EXPECTED
    assert f"files without rows: {folder / name}" in str(summary)
    for path in folder.glob("part-*"):
        path.unlink()
    with pytest.raises(InputError, match="nothing to import"):
        import_file(folder, tmp_path / "none")


@pytest.mark.parametrize("name", ["part-3.csv", "part-3.zip"])
def test_a_pipe_beside_a_file_is_refused(name: str, tmp_path: Path) -> None:
    file = months(tmp_path / "months") / "part-1.csv"
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"part-3.* is not a regular file"):
        import_file([file, tmp_path / name], tmp_path / "log")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
@pytest.mark.parametrize("listed", [False, True])
def test_json_in_another_encoding(encoding: str, listed: bool, tmp_path: Path) -> None:
    records = [{"user_id": "é", "time": f"2024-01-0{k}", "event": "view"} for k in (1, 2)]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    text = f"[{','.join(lines)}]" if listed else "\n".join(lines)
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(text.encode(encoding)))
    assert users(imported(path, tmp_path / "log", encoding=encoding)) == ["é", "é"]
    path.write_bytes(gzip.compress(text.encode("latin-1")))
    with pytest.raises(InputError, match=r"is not (utf-16|ascii) text"):
        imported(path, tmp_path / "no", encoding="utf-16" if encoding == "utf-16" else "ascii")
