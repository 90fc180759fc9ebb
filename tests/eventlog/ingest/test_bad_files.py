"""Files that are broken are refused in one sentence; bad rows are set aside and counted."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fixtures.event_files import GOOD, HEADER, table, write, zstd

from eventlog import EventLog, InputError, UnknownNameError
from eventlog.ingest.ingest import import_file

# --- files that are broken as a whole -------------------------------------------------------------

BROKEN = {
    "missing column": (
        "a.csv",
        "user_id,event\nu1,view\n",
        ["has no column that could be timestamp", "user_id, event"],
    ),
    "no event column": (
        "a.csv",
        "user_id,time\nu1,2026-01-01\n",
        ["has no column that could be event", "--mapping"],
    ),
    "empty": ("a.csv", "", ["is empty (0 bytes)"]),
    "blank": ("a.csv", "\n\n  \n", ["is empty (blank lines only)"]),
    "header only": ("a.csv", HEADER, ["has a header and no rows"]),
    "parquet named csv": ("a.csv", b"PAR1" + bytes(40), ["is named .csv, but holds Parquet"]),
    "gzip named csv": ("a.csv", gzip.compress(HEADER.encode()), ["is named .csv, but holds gzip"]),
    "csv named gzip": ("a.csv.gz", HEADER, ["is named .csv.gz, but holds text, not gzip"]),
    "csv named parquet": ("a.parquet", HEADER, ["is named .parquet, but holds text, not Parquet"]),
    "spreadsheet named csv": ("a.csv", b"PK\x03\x04" + bytes(30), ["a zip archive or spreadsheet"]),
    "torn parquet": ("a.parquet", b"PAR1" + bytes(40), ["is a damaged Parquet file"]),
    "torn gzip": ("a.csv.gz", gzip.compress(table().encode())[:-20], ["is a damaged gzip file"]),
    "json named csv": ("a.csv", '{"user_id": 1}\n', ["holds JSON"]),
    "binary": ("a.csv", b"user_id,time\nu1,\0\0\n", ["is not a text file: byte 16 (row 2)"]),
    "utf-16": ("a.csv", table().encode("utf-16"), ["is UTF-16 text"]),
    "unknown ending": ("a.xyz", table(), ["known endings: .csv"]),
    "encoding": (
        "a.csv",
        table().encode() + b"u1,2026-01-01,view_item,caf\xe9,1\n",
        ["is not utf-8 text: row 302, byte", "(0xe9)", "latin-1"],
    ),
    "ragged": (
        "a.csv",
        table("u1,2026-01-01,view_item"),
        ["has 3 fields in row 302, but 5 were expected"],
    ),
    "a title before the header": (
        "a.csv",
        "Report of March\n\n" + table(),
        ["has 5 fields in row 2, but 1 were expected", "skip_rows"],
    ),
    "words for a label": (
        "a.csv",
        "user_id,time,event,is_fraud\n" + "u1,2026-01-01,view_item,stolen\n" * 30,
        ["is_fraud is 'stolen'", "values = {"],
    ),
    "quote never closed": (
        "a.csv",
        table('u1,2026-01-01,view_item,i1,"1', *GOOD),
        ["row 302 (from line 302) has a quote that is never closed"],
    ),
    "quote swallows rows": (
        "a.csv",
        table('"u1,2026-01-01,view_item,i1,1', '"u2",2026-01-01,view_item,i1,1'),
        ["broken quoting: row 302", "text after a closing quote"],
    ),
    "two columns of one name": (
        "a.csv",
        "user_id,time,time\n1,2,3\n",
        ["two columns called 'time' in row 1"],
    ),
    "broken json": ("a.jsonl", '{"user_id": 1}\n{"user_id": \n', ["has no valid JSON in row 2"]),
    "json list": ("a.json", "[1, 2]\n", ["has 1 in row 1"]),
    "json numbers": ("a.jsonl", "1\n2\n", ["has 1 in row 1"]),
    "json null first": ("a.jsonl", ' null\n{"user_id": 1}\n', ["has null in row 1"]),
    "json too deep": ("a.jsonl", '{"a": "]"}\n{"a":' + "[" * 200, ["100 levels", "in row 2"]),
    "json deep behind texts": (
        "a.jsonl",
        '{"a": "' + "]" * 300 + '", "b": ' + "[" * 200,
        ["100 levels", "in row 1"],
    ),
    "spreadsheet": ("a.xlsx", b"PK\x03\x04" + bytes(30), ["is a spreadsheet", "as CSV"]),
    "torn bzip2": ("a.csv.bz2", bz2.compress(table().encode())[:-20], ["is a damaged bzip2 file"]),
    "torn zstd": ("a.csv.zst", zstd(table().encode())[:-20], ["is a damaged zstd file"]),
    "no amount": (
        "a.csv",
        HEADER + "".join(f"u1,2026-01-01,view,i1,about {i + 1}\n" for i in range(300)),
        ["unparseable price", "row 2, where price is 'about 1'", "leave it out of"],
    ),
    "ids of something else": (
        "a.csv",
        "event_id," + HEADER + "".join(f"type7,{row}\n" for row in GOOD),
        ["duplicated event_id", "row 3, where event_id is 'type7'", "leave event_id out"],
    ),
    "day or month first": (
        "a.csv",
        "user_id,time,event\nu1,05/06/2024,view\nu2,06/07/2024,view\n",
        ["time has times such as '05/06/2024'", "%d/%m/%Y or %m/%d/%Y", "[time]"],
    ),
    "no such time": (
        "a.csv",
        "user_id,time,event\nu1,Q3,view\n",
        ["where time is 'Q3'", "say in [time]"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    name, content, pieces = BROKEN[case]
    file = write(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        import_file(file, tmp_path / "log")
    for piece in [str(file), *pieces]:
        assert piece in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name], "nothing is written"


def test_an_absent_file_and_a_folder_that_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_file(tmp_path / "none.csv", tmp_path / "log")
    with pytest.raises(InputError, match="without events/part"):
        import_file(tmp_path, tmp_path / "log")
    file = write(tmp_path, "a.csv", table())
    with pytest.raises(InputError, match="choose another --out"):
        import_file(file, file)


# --- rows that are set aside ----------------------------------------------------------------------

SET_ASIDE = {
    "missing user_id": ",2026-01-01,view_item,i1,1",
    "missing timestamp": "u1,,view_item,i1,1",
    "unparseable timestamp": "u1,yesterday,view_item,i1,1",
    "timestamp before 1990": "u1,1970-01-01,view_item,i1,1",
    "timestamp after 2100": "u1,2222-01-01,view_item,i1,1",
    "missing event": "u1,2026-01-01,,i1,1",
    "negative price": "u1,2026-01-01,view_item,i1,-1",
    "unparseable price": "u1,2026-01-01,view_item,i1,cheap",
}


@pytest.mark.parametrize("reason", SET_ASIDE)
def test_a_bad_row_is_set_aside_with_its_reason_and_counted(reason: str, tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", table(SET_ASIDE[reason], GOOD[0]))
    summary = import_file(file, tmp_path / "log")
    assert summary.rejects == {reason: (1, 302)}
    assert (summary.rows, summary.kept) == (302, 301)
    assert f"set aside {reason}: 1 (first in row 302" in str(summary)
    rejects = pq.read_table(tmp_path / "log" / "rejects.parquet").to_pylist()
    assert [(r["row"], r["reason"]) for r in rejects] == [(302, reason)]
    assert [r["price"] or "" for r in rejects] == [SET_ASIDE[reason].split(",")[-1]]
    manifest = json.loads((tmp_path / "log" / "manifest.json").read_text())
    assert manifest["rejects"] == {reason: 1}
    assert manifest["files"]["rejects.parquet"]["rows"] == 1
    assert len(EventLog.read(tmp_path / "log", verify=True)) == 301


def test_too_many_bad_rows_are_an_error_unless_they_are_expected(tmp_path: Path) -> None:
    file = write(
        tmp_path, "a.csv", table(*[SET_ASIDE["missing user_id"]] * 5, SET_ASIDE["negative price"])
    )
    with pytest.raises(
        InputError,
        match=(
            r"6 of 306 rows .*missing user_id: 5, first in row 302; negative price: 1, first in "
            r"row 307"
        ),
    ):
        import_file(file, tmp_path / "log")
    assert not (tmp_path / "log").exists()
    summary = import_file(file, tmp_path / "log", allow_rejects=["missing user_id"])
    assert summary.kept == 300
    with pytest.raises(UnknownNameError, match="did you mean 'missing user_id'"):
        import_file(file, tmp_path / "log", allow_rejects=["missing user"])


def test_ragged_rows_can_be_set_aside_where_that_is_allowed(tmp_path: Path) -> None:
    file = write(
        tmp_path, "a.csv", HEADER + GOOD[0] + "\nu1,2026\n" + GOOD[1] + "\nu1,bad,view_item,i1,1\n"
    )
    summary = import_file(
        file, tmp_path / "log", allow_rejects=["wrong number of fields", "unparseable timestamp"]
    )
    assert summary.rejects == {"wrong number of fields": (1, 3), "unparseable timestamp": (1, 5)}
    assert pq.read_table(tmp_path / "log" / "rejects.parquet")["row"].to_pylist() == [3, 5]


def test_event_ids_that_occur_twice_are_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # doubles in other batches count, too
    monkeypatch.setattr("eventlog.ingest.reading.streams.BLOCK", 2000)
    rows = [f"e{i},{row}" for i, row in enumerate(GOOD)] + [f"e7,{GOOD[7]}", f"e299,{GOOD[299]}"]
    file = write(tmp_path, "a.csv", "event_id," + HEADER + "\n".join(rows))
    assert import_file(file, tmp_path / "log").rejects == {"duplicated event_id": (2, 302)}
