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
import pytest
from fixtures.event_files import HEADER, table, write, zstd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventlog import EventLog, InputError
from eventlog.check import check
from eventlog.encode import Encoder
from eventlog.export import export
from eventlog.ingest import gather
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import MISSING_IDS, Mapping, load, preset
from eventlog.ingest.reading.batches import read_batches
from eventlog.ingest.reading.streams import local_file

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
