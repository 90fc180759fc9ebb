"""Import: what is written comes back, what is broken is named, what is set aside is counted."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventlog import EventLog, InputError, UnknownNameError
from eventlog.check import check
from eventlog.encode import Encoder
from eventlog.export import export
from eventlog.ingest import gather
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import MISSING_IDS, Mapping, load, preset
from eventlog.ingest.reading.batches import read_batches
from eventlog.ingest.reading.streams import local_file

HEADER = "user_id,timestamp,event,item_id,price\n"
GOOD = [
    f"u{i % 7},2026-01-0{1 + i % 9}T10:00:{i % 60:02d}Z,view_item,i{i},{i}.5" for i in range(300)
]


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def zstd(text: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(text)
    return packed.getvalue().to_pybytes()


def table(*rows: str) -> str:
    return HEADER + "\n".join([*GOOD, *rows]) + "\n"


# --- what is written comes back -------------------------------------------------------------------

# Any text but control characters and surrogates; not the texts that stand for "no value", nor
# blanks at the ends.
TEXT = (
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8)
    .map(str.strip)
    .filter(
        lambda s: (
            s
            and s not in ("NULL", "null", "NaN", "nan", "None", "\\N", "<NA>", "NaT", *MISSING_IDS)
            and not s.startswith("{")
        )
    )
)
ROW = st.tuples(
    st.sampled_from(["a", "b", "ü,;", 'q"q', "007", "v1.0"]),
    st.integers(662_688_000_000, 4_000_000_000_000),
    st.sampled_from(["view_item", "buy me"]),
    st.none() | TEXT,
    st.none() | st.floats(0, 1e6, width=32),
    st.none() | st.integers(0, 10_000),
    st.none() | TEXT,
)

FILES = [("csv", "x.csv"), ("csv", "x.csv.gz"), ("jsonl", "x.jsonl"), ("parquet", "x.parquet")]


@settings(max_examples=12, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.sampled_from(FILES))
@example(
    [("a", 662_688_000_000, "view_item", None, 4.0227432726602265e-15, None, None)],
    ("jsonl", "x.jsonl"),
)
def test_export_then_import_gives_the_same_log(rows: list[tuple], target: tuple[str, str]) -> None:
    frame = pd.DataFrame(
        rows, columns=["user_id", "timestamp", "event", "item_id", "price", "quantity", "note"]
    )
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="ms", utc=True)
    frame["price"] = frame["price"].astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.parquet"
        frame.to_parquet(raw)
        import_file(raw, Path(folder) / "first", mapping=None)
        first = EventLog.read(Path(folder) / "first")
        file = export(first, Path(folder) / target[1], format=target[0])
        import_file(file, Path(folder) / "second")
        second = EventLog.read(Path(folder) / "second")
    # The content as given, in the log's order.
    expected = frame.iloc[
        np.lexsort(
            (
                frame["timestamp"].astype("int64"),
                np.unique(frame["user_id"], return_inverse=True)[1],
            )
        )
    ]
    for log in (first, second):
        assert log.events["event_id"].tolist() == list(range(len(rows)))
        for name in ("user_id", "timestamp", "event"):
            assert log.events[name].astype(expected[name].dtype).tolist() == expected[name].tolist()
        np.testing.assert_array_equal(
            log.events["price"].to_numpy(np.float32), expected["price"].to_numpy(np.float32)
        )
        np.testing.assert_array_equal(
            log.events["quantity"].to_numpy(float), expected["quantity"].to_numpy(float)
        )
        given, got = expected["item_id"], log.events["item_id"].astype(object)
        assert [None if pd.isna(v) else v for v in got] == [
            None if pd.isna(v) else v for v in given
        ]
        assert check(log) == [] or all(f.level == "warning" for f in check(log))
    assert (
        first.events["session_id"].astype(str).tolist()
        == second.events["session_id"].astype(str).tolist()
    )


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", table("u1,broken,view_item,i1,1"))
    for name in ("one", "two"):
        import_file(file, tmp_path / name)
    one, two = (
        {
            p.relative_to(tmp_path / n).as_posix(): p.read_bytes()
            for p in sorted((tmp_path / n).rglob("*"))
            if p.is_file()
        }
        for n in ("one", "two")
    )
    assert one == two


def test_a_file_too_large_for_memory_gives_the_same_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "a.csv", table("u3,2026-01-01,view_item,i1,", "u1,x,view_item,i1,1"))
    import_file(file, tmp_path / "whole")
    monkeypatch.setattr("eventlog.ingest.reading.streams.BLOCK", 1500)
    monkeypatch.setattr(gather, "SPILL_ROWS", 40)
    monkeypatch.setattr(gather, "ROWS_PER_PART", 60)
    summary = import_file(file, tmp_path / "parts")
    whole, parts = EventLog.read(tmp_path / "whole"), EventLog.read(tmp_path / "parts")
    assert len(list((tmp_path / "parts" / "events").iterdir())) > 1
    assert check(tmp_path / "parts") == []
    assert summary.rejects == {"unparseable timestamp": (1, 303)}
    columns = [c for c in whole.events if c != "event_id"]
    order = ["user_id", "timestamp", "item_id"]
    left, right = (
        log.events[columns].astype(str).sort_values(order, ignore_index=True)
        for log in (whole, parts)
    )
    pd.testing.assert_frame_equal(left, right)
    assert not [p for p in (tmp_path / "parts").iterdir() if p.name.startswith(".")]


def test_a_log_folder_keeps_its_labels_when_it_is_imported(
    tmp_path: Path, small_log: EventLog
) -> None:
    messy = small_log.events.sample(frac=1, random_state=1)
    folder = EventLog(
        events=messy,
        labels=small_log.labels,
        truth={"events": messy[["event_id", "price"]]},
        manifest={"currency": "EUR"},
    )
    folder.write(tmp_path / "messy")
    import_file(tmp_path / "messy", tmp_path / "tidy")
    tidy = EventLog.read(tmp_path / "tidy")
    assert small_log.labels is not None and tidy.labels is not None
    assert not [f for f in check(tidy) if f.level == "error"]
    before = small_log.labels.merge(small_log.events, on="event_id")[
        ["user_id", "timestamp", "event"]
    ].astype(str)
    after = tidy.labels.merge(tidy.events, on="event_id")[["user_id", "timestamp", "event"]].astype(
        str
    )
    assert sorted(map(tuple, before.to_numpy())) == sorted(map(tuple, after.to_numpy()))
    truth = tidy.truth["events"].merge(tidy.events, on="event_id", suffixes=("_truth", ""))
    np.testing.assert_array_equal(truth["price_truth"], truth["price"])
    assert tidy.manifest["currency"] == "EUR"


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


# --- meaning --------------------------------------------------------------------------------------


def test_label_columns_are_moved_to_labels(tmp_path: Path) -> None:
    rows = [
        "u1,2026-01-01,purchase,yes,2026-02-01",
        "u1,2026-01-02,purchase,no,",
        "u2,2026-01-01,purchase,,",
    ]
    file = write(tmp_path, "a.csv", "user_id,time,event,is_fraud,chargeback_at\n" + "\n".join(rows))
    summary = import_file(file, tmp_path / "log")
    log = EventLog.read(tmp_path / "log")
    assert log.labels is not None and summary.labels == 2
    assert not {"is_fraud", "chargeback_at"} & set(log.events)
    assert log.labels["value"].tolist() == [1.0, 0.0]
    assert log.labels["known_at"].dt.strftime("%m-%d").tolist() == ["02-01", "01-02"]
    assert any(
        "is_fraud is a label (fraud), known at chargeback_at" in note for note in summary.notes
    )


def test_columns_beyond_the_schema_are_kept_and_typed(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "a.csv",
        "user,when_,ts,action,points,code,note\n"
        + "".join(
            f"u{i},x,{1_700_000_000 + i},click,{i}.5,00{i},{'' if i else 'hello'}\n"
            for i in range(5)
        ),
    )
    summary = import_file(file, tmp_path / "log")
    events = EventLog.read(tmp_path / "log").events
    assert events["points"].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert events["code"].astype(str).tolist() == ["000", "001", "002", "003", "004"]
    assert events["note"].isna().tolist() == [False, True, True, True, True]
    assert events["event"].astype(str).unique().tolist() == ["view_item"]
    assert events["timestamp"].min() == pd.Timestamp(1_700_000_000, unit="s", tz="UTC")
    assert "assumed that user is user_id" in summary.notes
    assert (
        "kept in addition to the schema's columns: code (text), note (text), points (float64), "
        "when_ (text)" in summary.notes
    )


def test_columns_that_are_no_values(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user_id": [17.0, 18.0],
            "time": pd.Timestamp("2026-01-01"),
            "event": "view",
            "tags": [["a"], []],
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    summary = import_file(tmp_path / "a.parquet", tmp_path / "log")
    assert EventLog.read(tmp_path / "log").events["user_id"].astype(str).tolist() == ["17", "18"]
    assert "nested columns left out: tags;" in str(summary)
    frame.assign(tags=[b"\xff", b"\xfe"]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b.parquet has a column that cannot be read"):
        import_file(tmp_path / "b.parquet", tmp_path / "log2")


def mapping_file(folder: Path, text: str) -> Path:
    return write(folder, "my.toml", text)


BASE = (
    '[columns]\nuser_id = "wer"\n[time]\ncolumn = "wann"\nformat = "%d.%m.%Y %H:%M"\n'
    'timezone = "Europe/Berlin"\n'
)


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    toml = mapping_file(
        tmp_path,
        'currency = "EUR"\n'
        + BASE.replace("[time]", 'price = "preis"\n[time]')
        + (
            '[file]\nencoding = "latin-1"\ndelimiter = ";"\ndecimal = ","\n[event]\ncolumn = '
            '"was"\n[roles]\n"gekauft" = "purchase"\n'
            '[[labels]]\ncolumn = "betrug"\nkind = "fraud"\nvalues = {ja = 1, nein = '
            "0}\ndelay_days = 2\n"
            '[users]\nort = "ort"\n[[rules]]\ncolumn = "preis"\nequals = "99"\nreject = "test '
            'order"\n'
        ),
    )
    rows = [
        "müller;01.07.2026 12:00;gekauft;3,50;ja;Köln",
        "x;01.01.2026 12:00;gekauft;2;nein;Bonn",
        "x;02.01.2026 12:00;gekauft;99;nein;Bonn",
    ]
    file = write(
        tmp_path, "a.csv", ("wer;wann;was;preis;betrug;ort\n" + "\n".join(rows)).encode("latin-1")
    )
    summary = import_file(file, tmp_path / "log", mapping=load(toml), allow_rejects=["test order"])
    log = EventLog.read(tmp_path / "log")
    assert summary.rejects == {"test order": (1, 4)}
    assert log.events["timestamp"].dt.hour.tolist() == [10, 11]  # summer and winter time
    assert log.events["price"].tolist() == [3.5, 2.0]
    assert log.role().tolist() == ["purchase", "purchase"]
    assert log.manifest["currency"] == "EUR"
    assert log.users is not None and log.labels is not None
    assert dict(
        zip(log.users["user_id"].astype(str), log.users["ort"].astype(str), strict=True)
    ) == {"müller": "Köln", "x": "Bonn"}
    assert (log.labels["known_at"] - log.events["timestamp"]).dt.days.tolist() == [2, 2]
    missing = write(tmp_path, "b.csv", b"wer;was\nx;y\n")
    with pytest.raises(
        InputError, match="has no column 'preis' for price; its columns are wer, was"
    ):
        import_file(missing, tmp_path / "log2", mapping=load(toml))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            BASE + '[event]\nconstant = "x"\n[tiem]\n',
            "No key of mapping .*my.toml is called 'tiem'; did you mean 'time'",
        ),
        (
            BASE.replace("format", "fromat") + '[event]\nconstant = "x"\n',
            r"No key of .*my.toml, \[time\] is called 'fromat'; did you mean 'format'",
        ),
        (BASE + '[event]\nconstant = "x"\n[roles]\nx = "purchas"\n', "did you mean 'purchase'"),
        (BASE.replace("user_id", "userid") + '[event]\nconstant = "x"\n', "did you mean 'user_id'"),
        (BASE, r"either a column or a constant in \[event\]"),
        (BASE + "[event]\nconstant = 3\n", r"my.toml: event.constant is 3; it must be a text"),
        (
            BASE.replace("format", 'unit = "m"\nformat') + '[event]\nconstant = "x"\n',
            "time.unit is .m.; it must be one of auto, days, hours, minutes, ms",
        ),
        ("[columns\n", "is not valid TOML"),
        (
            BASE + '[event]\nconstant = "x"\n[[rules]]\ncolumn = "a"\nevent = "b"\n',
            "needs exactly one of",
        ),
        (
            BASE + '[event]\nconstant = "x"\n[[labels]]\ncolumn = "a"\n',
            r"my.toml, \[labels\[0\]\] lacks kind",
        ),
    ],
)
def test_a_wrong_mapping_names_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load(mapping_file(tmp_path, text))


def test_numbers_and_text_mixed_in_json_become_text(tmp_path: Path) -> None:
    lines = [
        {"user_id": 5, "time": "2026-01-01", "event": "view"},
        {"user_id": "a", "time": "2026-01-01", "event": "view"},
    ]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    import_file(file, tmp_path / "log")
    assert EventLog.read(tmp_path / "log").events["user_id"].astype(str).tolist() == ["5", "a"]


def test_a_quote_inside_a_value_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    rows = [
        'u1,2026-01-01,view_item,5" pipe,1',
        'u1,2026-01-02,view_item,"two\nlines, ""quoted""",1',
    ]
    file = write(tmp_path, "a.csv", ("\ufeff" + HEADER + "\n".join(rows)).encode())
    import_file(file, tmp_path / "log")
    assert EventLog.read(tmp_path / "log").events["item_id"].astype(str).tolist() == [
        '5" pipe',
        'two\nlines, "quoted"',
    ]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv.gz", gzip.compress),
        ("a.csv.bz2", bz2.compress),
        ("a.csv.zst", zstd),
        ("a.csv.xz", lzma.compress),
    ],
)
def test_a_packed_file_gives_the_same_events(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    plain = imported(write(tmp_path, "a.csv", table()), tmp_path / "plain").events
    pd.testing.assert_frame_equal(
        imported(write(tmp_path, name, pack(table().encode())), tmp_path / "log").events, plain
    )


def test_numbers_and_times_as_other_countries_write_them(tmp_path: Path) -> None:
    rows = [
        f"u{i % 5};{1 + i % 28:02d}.{1 + i % 12:02d}.2024 10:{i % 60:02d};view;1.{i:03d},50"
        for i in range(40)
    ]
    log = imported(
        write(tmp_path, "a.csv", "user_id;time;event;price\n" + "\n".join(rows)), tmp_path / "log"
    )
    assert sorted(log.events["price"]) == [1000.5 + i for i in range(40)]
    assert set(log.events["timestamp"].dt.strftime("%d.%m.%Y %H:%M")) == {
        row.split(";")[1] for row in rows
    }
    assert "numbers have a decimal comma" in log.manifest["assumed"]
    american = write(
        tmp_path,
        "b.csv",
        'user_id,time,event,price\nu1,12/31/2024 5:06 PM,view,"1,234.50"\nu2,1/2/2024 12:00 '
        "AM,view,7\n",
    )
    log = imported(american, tmp_path / "american")
    assert sorted(log.events["price"]) == [7, 1234.5]
    assert set(log.events["timestamp"].astype(str)) == {
        "2024-12-31 17:06:00+00:00",
        "2024-01-02 00:00:00+00:00",
    }


def test_an_encoding_may_be_given_beside_the_mapping(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", table("Jos\u00e9,2026-01-01,view_item,i1,1").encode("latin-1"))
    assert "Jos\u00e9" in set(
        imported(file, tmp_path / "log", encoding="latin-1").events["user_id"].astype(str)
    )


def test_fields_of_nested_objects_are_found(tmp_path: Path) -> None:
    lines = [
        {
            "user": {"id": f"u{i % 5}"},
            "time": "2024-01-01T00:00:00Z",
            "event": "view",
            "item": {"id": i % 7, "tags": ["a"]},
        }
        for i in range(20)
    ]
    log = imported(write(tmp_path, "a.json", "\n".join(map(json.dumps, lines))), tmp_path / "log")
    assert set(log.events["user_id"]) == {f"u{i}" for i in range(5)}
    assert set(log.events["item_id"]) == {str(i) for i in range(7)}


def test_sessions_end_after_the_gap(tmp_path: Path) -> None:
    rows = [
        "a,2026-01-01T10:00,view",
        "a,2026-01-01T10:30,view",
        "a,2026-01-01T11:00:01,view",
        "b,2026-01-01T11:00:02,view",
    ]
    file = write(tmp_path, "a.csv", "user_id,time,event\n" + "\n".join(rows))
    import_file(file, tmp_path / "log")
    assert EventLog.read(tmp_path / "log").events["session_id"].astype(str).tolist() == [
        "a:1",
        "a:1",
        "a:2",
        "b:1",
    ]


def test_the_real_logs(tmp_path: Path, real_data: Path) -> None:
    retail = import_file(
        real_data / "online-retail" / "online_retail.csv.gz",
        tmp_path / "retail",
        mapping=preset("online-retail"),
    )
    assert (retail.rows, retail.rejects["missing user_id"][0]) == (541_909, 135_080)
    assert sum(n for n, _ in retail.rejects.values()) + retail.kept == retail.rows
    cdnow = import_file(
        real_data / "cdnow" / "CDNOW_master.txt", tmp_path / "cdnow", mapping=preset("cdnow")
    )
    assert (cdnow.kept, cdnow.users) == (69_659, 23_570)


def test_batches_number_their_rows_as_the_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.ingest.reading.streams.BLOCK", 200)
    file = write(tmp_path, "a.csv", "n\n" + "".join(f"{i}\n" for i in range(2, 500)))
    batches = list(read_batches(local_file(file), Mapping().file, set()))
    assert len(batches) > 1
    values = np.concatenate([b.table["n"].to_numpy().astype(int) for b in batches])
    np.testing.assert_array_equal(values, np.concatenate([b.rows for b in batches]))


def test_ids_are_not_numbers(tmp_path: Path) -> None:
    rows = "".join(
        f"u{i % 4},{1_700_000_000 + i},click,{i % 3},{'' if i == 0 else i % 2}.0,{i}.5\n"
        for i in range(12)
    ).replace(",.0,", ",,")
    file = write(tmp_path, "a.csv", "user,ts,action,shop_id,terminal,points\n" + rows)
    text = (
        'ids = ["terminal"]\n[columns]\nuser_id = "user"\n'
        '[time]\ncolumn = "ts"\nunit = "s"\n[event]\ncolumn = "action"\n'
    )
    summary = import_file(file, tmp_path / "log", mapping=load(write(tmp_path, "m.toml", text)))
    assert any(note.endswith("the names end in _id: shop_id") for note in summary.notes)
    for folder in (tmp_path / "log", tmp_path / "again"):
        log = EventLog.read(folder) if folder.exists() else imported(tmp_path / "log", folder)
        assert log.manifest["ids"] == ["shop_id", "terminal"]
        assert set(log.events["shop_id"].astype(str)) == {"0", "1", "2"}
        assert set(log.events["terminal"].dropna().astype(str)) == {"0", "1"}
        encoder = Encoder.fit(log)
        assert encoder.high_cardinality == ["shop_id", "terminal"]
        assert set(encoder.scales) == {"points", "gap"}
        assert len(set(encoder.encode(log).ids["terminal"])) == 3  # missing too


@pytest.mark.parametrize(
    ("ids", "what"), [("terminal", "no column 'terminal'"), ("user", "gives it a meaning")]
)
def test_ids_that_cannot_be(ids: str, what: str, tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "user,ts,action\nu,1700000000,click\n")
    text = (
        f'ids = ["{ids}"]\n[columns]\nuser_id = "user"\n'
        '[time]\ncolumn = "ts"\nunit = "s"\n[event]\ncolumn = "action"\n'
    )
    with pytest.raises(InputError, match=what):
        import_file(file, tmp_path / "log", mapping=load(write(tmp_path, "m.toml", text)))
