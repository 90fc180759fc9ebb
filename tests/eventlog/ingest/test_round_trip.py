"""What an import writes is what was given, whichever way it took."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.event_files import table, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventlog import EventLog
from eventlog.check import check
from eventlog.export import export
from eventlog.ingest import gather
from eventlog.ingest.ingest import import_file
from eventlog.ingest.mapping import MISSING_IDS

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
    monkeypatch.setattr(gather, "SPILL_VALUES", 200)
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
