"""Each export format, read back by what reads it where that is installed."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from eventlog import EventLog, InputError
from eventlog._runtime.files import check_replaceable
from eventlog.export import export, formats
from eventlog.ingest.ingest import imported

TEXTS = ["=HYPERLINK(\"http://evil\")", "+1", "-2+3", "@u", "\tx", "'=a", "''=a", "'quote", "-5",
         "-5.25", "plain", "=1+2"]  # fmt: skip


@pytest.fixture
def whole_log(small_log: EventLog) -> EventLog:
    users = pd.DataFrame({"user_id": small_log.events["user_id"].astype(str).unique()})
    items = pd.DataFrame({"item_id": small_log.events["item_id"].astype(str).unique()})
    return replace(
        small_log,
        users=users.assign(city=["Ulm", None] * (len(users) // 2)),
        items=items.assign(weight=1.5, name="a;b"),
    )


@pytest.mark.parametrize("format", [f for f in formats() if f != "duckdb"])
def test_every_format_is_written_whole_and_may_be_replaced(
    format: str, whole_log: EventLog, tmp_path: Path
) -> None:
    path = tmp_path / "shop"
    for _ in range(2):
        assert export(whole_log, path, format=format) == path
    if path.is_dir():
        check_replaceable(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]


def test_no_cell_of_a_csv_file_is_a_formula_and_none_is_lost(tmp_path: Path) -> None:
    rows = [
        {"user_id": f"u{k % 3}", "timestamp": f"2026-01-01T00:{k:02d}:00Z", "event": "view_item",
         "item_id": text, "price": 1.5, "=cmd": text}
        for k, text in enumerate(TEXTS)
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = imported(tmp_path / "a.jsonl", tmp_path / "log")
    file = export(log, tmp_path / "a.csv", format="csv")
    with open(file, newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert not [c for c in cells if c.startswith(("=", "+", "@", "\t", "-2"))]
    assert {"-5", "-5.25", "'quote", "plain"} <= set(cells), "these run nothing"
    again = imported(file, tmp_path / "again")
    columns = ["user_id", "timestamp", "item_id", "=cmd"]
    pd.testing.assert_frame_equal(
        again.events[columns].astype(str), log.events[columns].astype(str)
    )
    plain = export(log, tmp_path / "b.csv", format="csv", formulas=True)
    assert set(pd.read_csv(plain)["item_id"]) == set(log.events["item_id"])


def test_a_dataset_of_hugging_face_has_a_card_that_names_its_tables(
    whole_log: EventLog, tmp_path: Path
) -> None:
    yaml = pytest.importorskip("yaml")
    folder = export(whole_log, tmp_path / "my|shop", format="huggingface")
    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["pretty_name"] == "my|shop"
    paths = {c["config_name"]: c["data_files"][0]["path"] for c in head["configs"]}
    assert set(paths) == {"events", "users", "items", "labels"}
    for name, pattern in paths.items():
        rows = sum(pq.read_metadata(p).num_rows for p in folder.glob(pattern))
        assert rows == len(getattr(whole_log, name))
    datasets = pytest.importorskip("datasets")
    events = datasets.load_dataset(str(folder), "events", split="train")
    assert events["event_id"] == whole_log.events["event_id"].tolist()


def test_sdv_reads_tables_and_metadata(whole_log: EventLog, tmp_path: Path) -> None:
    folder = export(whole_log, tmp_path / "shop", format="sdv")
    metadata = json.loads((folder / "metadata.json").read_text())
    assert {r["parent_table_name"] for r in metadata["relationships"]} == {"users", "items"}
    for name, table in metadata["tables"].items():
        frame = pd.read_csv(folder / f"{name}.csv")
        assert list(frame) == list(table["columns"])
        assert frame[table["primary_key"]].is_unique
        for column, kind in table["columns"].items():
            if kind["sdtype"] == "datetime":
                times = pd.to_datetime(frame[column], format=kind["datetime_format"], utc=True)
                assert times.tolist() == getattr(whole_log, name)[column].tolist()
            if kind["sdtype"] == "numerical":
                assert pd.api.types.is_numeric_dtype(frame[column])
    fewer = replace(whole_log, users=whole_log.users.iloc[1:])
    folder = export(fewer, tmp_path / "fewer", format="sdv")
    relations = json.loads((folder / "metadata.json").read_text())["relationships"]
    assert [r["parent_table_name"] for r in relations] == ["items"], "a user is not listed"


def test_rectools_reads_interactions_and_features(whole_log: EventLog, tmp_path: Path) -> None:
    folder = export(whole_log, tmp_path / "shop", format="rectools")
    frame = pd.read_parquet(folder / "interactions.parquet")
    has = whole_log.events["item_id"].notna()
    assert list(frame)[:4] == ["user_id", "item_id", "weight", "datetime"]
    assert len(frame) == has.sum()
    assert frame["datetime"].dt.tz is None
    items = pd.read_parquet(folder / "item_features.parquet")
    assert set(items["feature"]) == {"weight", "name"}
    assert list(items) == ["id", "feature", "value"]
    rectools = pytest.importorskip("rectools.dataset")
    dataset = rectools.Dataset.construct(frame, item_features_df=items, cat_item_features=["name"])
    assert dataset.interactions.df.shape[0] == len(frame)


def test_postgres_loads_what_its_types_say(whole_log: EventLog, tmp_path: Path) -> None:
    folder = export(whole_log, tmp_path / 'my"shop', format="postgres")
    script = (folder / "load.sql").read_text()
    assert 'CREATE SCHEMA "my""shop";' in script
    assert '"timestamp" timestamptz' in script
    # SQLite takes the same CREATE TABLE, without schemas.
    with sqlite3.connect(":memory:") as database:
        for statement in script.split(";\n"):
            if "CREATE TABLE" in statement:
                database.execute(statement[statement.index("CREATE") :].replace('"my""shop".', ""))
        names = [row[1] for row in database.execute("PRAGMA table_info(events)")]
    assert names == list(pd.read_csv(folder / "events.csv", nrows=1))


def test_duckdb_holds_every_table(whole_log: EventLog, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    file = export(whole_log, tmp_path / "shop.duckdb", format="duckdb")
    with duckdb.connect(str(file), read_only=True) as database:
        events = database.execute("SELECT * FROM events ORDER BY event_id").df()
        tables = {name for (name,) in database.execute("SHOW TABLES").fetchall()}
    assert events["event_id"].tolist() == whole_log.events["event_id"].tolist()
    assert tables == {"events", "users", "items", "labels"}


def test_a_library_that_is_missing_is_one_sentence(
    whole_log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(InputError, match=r"duckdb.*\[duckdb\]"):
        export(whole_log, tmp_path / "a.duckdb", format="duckdb")
    assert not list(tmp_path.iterdir())


def test_a_compressed_line_without_end_is_refused_early(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.csv.gz", "wb") as file:
        file.write(b"user_id,timestamp,event\n")
        for _ in range(70):
            file.write(b"x" * (1 << 20))
    with pytest.raises(InputError, match="a line of more than 64 MiB"):
        imported(tmp_path / "a.csv.gz", tmp_path / "log")
