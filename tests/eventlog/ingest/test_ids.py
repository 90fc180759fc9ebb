"""Ids are texts of which each character counts, whatever a program did to them on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventlog import EventLog
from eventlog.ingest.ingest import import_file, imported

UUIDS = [bytes(range(k, k + 16)) for k in (0, 200)]
Reader = Callable[[list[str], Path], list[str]]


def of_csv(ids: list[str], folder: Path) -> list[str]:
    rows = "".join(f'"{i}",2024-01-{1 + k:02d},view_item,"{i}"\n' for k, i in enumerate(ids))
    (folder / "a.csv").write_text(f"user_id,timestamp,event,item_id\n{rows}")
    log = imported(folder / "a.csv", folder / "log", allow_rejects=["missing user_id"])
    assert log.events["user_id"].astype(str).tolist() == log.events["item_id"].tolist()
    return [*log.events["user_id"]]


def of_json(values: list[str], folder: Path) -> list[str]:
    """Values as they are written in JSON."""
    rows = (f'{{"user_id": {v}, "timestamp": "2024-01-01", "event": "view"}}\n' for v in values)
    (folder / "a.jsonl").write_text("".join(rows))
    return [*imported(folder / "a.jsonl", folder / "log").events["user_id"]]


@pytest.mark.parametrize(
    ("read", "given", "expected"),
    [
        (of_csv, ["1.0", "2.0", "3"], ["1", "2", "3"]),
        (of_csv, ["1.0", "", "10.0"], ["1", "10"]),
        (of_csv, ["1.0", "2.5"], ["1.0", "2.5"]),
        (of_csv, ["1.0", "007"], ["007", "1.0"]),
        (of_csv, ["007", "7"], ["007", "7"]),
        (of_csv, ["-1", "+1", "1"], ["+1", "-1", "1"]),
        (of_csv, ["1,234", "0x1F", "1e20"], ["0x1F", "1,234", "1e20"]),
        (of_csv, ["\u00a0a", "a\u2003", "\u200ba", "a \ufeff"], ["a"] * 4),
        (of_csv, ["a", "-", "NA", "(null)", "none"], ["a"]),
        (of_csv, ['=""007""', "8", "'=1"], ["007", "8", "=1"]),
        (of_json, ["1", '"1"', "1.0"], ["1"] * 3),
        (of_json, ["1e20", "100000000000000000000"], ["100000000000000000000"] * 2),
        (of_json, [f"{2**53 + 1}.0", f"{2**53}"], [f"{2**53}", f"{2**53 + 1}"]),
        (of_json, ["9007199254740993", "1.5"], ["1.5", "9007199254740993"]),
        (of_json, ['{"$oid": "65b"}', '{"$oid": "65a"}'], ["65a", "65b"]),
        (of_json, ['{"$numberLong": "7"}'], ["7"]),
    ],
)  # fmt: skip
def test_ids_as_they_are_written(
    read: Reader, given: list[str], expected: list[str], tmp_path: Path
) -> None:
    assert read(given, tmp_path) == expected


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([1.0, 2.0]), ["1", "2"]),
        (pa.array(np.array([16777216, 16777218], np.float32)), ["16777216", "16777218"]),
        (pa.array([2**63, 2**64 - 1], pa.uint64()), [f"{2**64 - 1}", f"{2**63}"]),
        (pa.array(["1", "2"]).cast(pa.decimal128(38, 9)), ["1", "2"]),
        (pa.array([10**21 + 1, 10**21], pa.decimal128(38, 0)), [f"{10**21}", f"{10**21 + 1}"]),
        (pa.array([2, 1, 2]).dictionary_encode(), ["1", "2", "2"]),
        (pa.array(UUIDS, pa.binary(16)), [value.hex() for value in UUIDS]),
        (pa.array([b"b", b"a"]), ["a", "b"]),
    ],
)  # fmt: skip
def test_ids_of_any_type_of_parquet(ids: pa.Array, expected: list[str], tmp_path: Path) -> None:
    times = pa.array(pd.date_range("2024", periods=len(ids), tz="UTC"))
    table = pa.table({"user_id": ids, "timestamp": times, "event": ["view"] * len(ids)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [*imported(tmp_path / "a.parquet", tmp_path / "log").events["user_id"]] == expected


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series([1, 2, 1], dtype="Int64"),
        pd.Series([1.0, 2.0, 1.0]),
        pd.Series([1, 2.0, "1"], dtype=object),
        pd.Series(["1", " 2", "1 "], dtype="string"),
        pd.Series([1, 2, 1]).astype("category"),
        pd.Series([1.0, 2.0, 1.0]).astype("category"),
    ],
)
def test_ids_of_any_type_of_pandas(ids: pd.Series) -> None:
    times = pd.date_range("2024", periods=3)
    log = EventLog.from_pandas(pd.DataFrame({"user_id": ids, "time": times, "event": "view"}))
    assert [*log.events["user_id"]] == ["1", "1", "2"]


def test_what_was_done_to_ids_is_said(tmp_path: Path) -> None:
    def notes(ids: list[Any]) -> str:
        rows = [{"user_id": i, "timestamp": "2024-01-01", "event": "view"} for i in ids]
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(import_file(tmp_path / "a.jsonl", tmp_path / "log"))

    assert "the .0 at the end of the ids in user_id means nothing" in notes(["1.0", "2"])
    assert "1.23457E+12, which a spreadsheet rounded" in notes(["1.23457E+12", "2"])
    assert "spreadsheet" not in notes(["1E5", "E+12"])


@pytest.mark.parametrize(
    ("items", "mark"),
    [
        (["a|b|c", "d"], "|"),
        (["a|b", "a|b|c"], "|"),
        (["a,b", "b"], ","),
        (["a; b", "b"], ";"),
        (["sku1|red", "sku2|red"], None),  # a key of two columns
        (["shirt,red", "jeans"], None),
        (["A shirt, red", "red"], None),
    ],
)
def test_several_items_in_one_text_are_pointed_out(
    items: list[str], mark: str | None, tmp_path: Path
) -> None:
    rows = "".join(f'u{k},2024-01-01,buy,"{item}"\n' for k, item in enumerate(items))
    (tmp_path / "a.csv").write_text(f"user_id,timestamp,event,item_id\n{rows}")
    said = str(import_file(tmp_path / "a.csv", tmp_path / "log"))
    if mark is None:
        assert "several items" not in said
    else:
        assert f"{items[0]!r}, which may be several items" in said and repr(mark) in said


def test_of_two_alike_names_the_schemas_own_counts(tmp_path: Path) -> None:
    text = "UserID,user_id,timestamp,event,Price,price\n7,a,2024-01-01,buy,2,1\n"
    (tmp_path / "a.csv").write_text(text)
    events = imported(tmp_path / "a.csv", tmp_path / "log").events
    assert [*events["user_id"], *events["price"]] == ["a", 1.0]
    assert [*events["UserID"], *events["Price"]] == [7, 2]
