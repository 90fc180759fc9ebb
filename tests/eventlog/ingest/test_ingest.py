"""What an import makes of a file: values, labels, sessions and ids."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.event_files import HEADER, table, write, zstd

from eventlog import EventLog, InputError
from eventlog.encode import Encoder
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import Mapping, load, preset
from eventlog.ingest.reading.batches import read_batches
from eventlog.ingest.reading.streams import local_file


def test_labels_that_are_not_0_or_1_are_pointed_out(tmp_path: Path) -> None:
    rows = "".join(f"u,2026-01-0{i},purchase,{2 - i}\n" for i in (1, 2, 3))
    file = write(tmp_path, "a.csv", "user_id,time,event,is_fraud\n" + rows)

    notes = import_file(file, tmp_path / "log").notes

    assert any("labels of kind fraud have values such as -1" in note for note in notes)


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


def test_a_number_that_rises_with_the_rows_names_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.ingest.reading.streams.BLOCK", 400)
    rows = "".join(
        f"u{i % 7},{1_700_000_000 + i},click,{10 + 3 * i},{(i * 7) % 60},{'' if i == 30 else i},"
        f"{0 if i == 59 else i + 1}\n"
        for i in range(60)
    )
    head = "user_id,timestamp,event,ingest_id,shop_id,trace_id,batch_id\n"
    file = write(tmp_path, "a.csv", head + rows)
    import_file(file, tmp_path / "log")
    for folder in (tmp_path / "log", tmp_path / "again"):
        log = EventLog.read(folder) if folder.exists() else imported(tmp_path / "log", folder)
        by_time = log.events.sort_values("timestamp")
        assert by_time["ingest_id"].tolist() == [10 + 3 * i for i in range(60)]
        # one does not rise, one is missing in a row, one falls in the last row
        assert log.manifest["ids"] == ["batch_id", "shop_id", "trace_id"]
        assert by_time["trace_id"].dropna().astype(str).tolist()[:3] == ["0", "1", "2"]
