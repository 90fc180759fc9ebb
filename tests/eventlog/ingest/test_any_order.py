"""The same rows give the same log, whatever their order, their files and their format.

Ties are the exception: of events of one user at one time the order in the file decides, since it is
often the only sign of what came first. So the rows here differ in (user, time).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import EventLog
from eventlog.ingest import spool
from eventlog.ingest.ingest import import_file, imported

START = 1_700_000_000_000
COLUMNS = ("user_id", "timestamp", "event", "item_id", "price", "quantity", "age", "since", "note")
ROW = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["a", "b", "ü;", "007", "9007199254740993"]),
        "event": st.sampled_from(["view", "Add To Cart", "purchase", "odd one"]),
        "item_id": st.none() | st.sampled_from(["i1", "i2", "18000000000000000001"]),
        "price": st.none() | st.integers(1, 10**9).map(lambda cents: cents / 100 + 0.01),
        "quantity": st.none() | st.sampled_from([1, 2, 0.35]),
        "age": st.none() | st.integers(18, 99),
        "since": st.none() | st.dates(pd.Timestamp("2000-01-01").date()).map(str),
        "note": st.none() | st.sampled_from(["1.10", "1.9", "NA", "x", "2024-01-01"]),
    }
)


def files_of(log: Path) -> dict[str, bytes | object]:
    """The bytes of each table, and what the manifest says beyond the source."""
    found: dict[str, bytes | object] = {
        p.relative_to(log).as_posix(): p.read_bytes() for p in sorted(log.rglob("*.parquet"))
    }
    manifest = json.loads((log / "manifest.json").read_text())
    return {**found, "manifest": {k: v for k, v in manifest.items() if k != "source"}}


def write(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.astype({"item_id": object}).to_parquet(path)
    else:  # a key without a value is left out, as many services do
        rows = [
            {k: v for k, v in row.items() if v is not None and v == v}
            for row in frame.astype(object).to_dict("records")
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@settings(max_examples=10, deadline=None)
@given(
    st.lists(ROW, min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.integers(1, 3),
    st.sampled_from([".csv", ".jsonl", ".parquet"]),
)
def test_order_files_and_format_do_not_count(
    rows: list[dict], random: object, parts: int, suffix: str
) -> None:
    frame = pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "timestamp"])
    ms = START + 977 * np.arange(len(frame))
    stamps = pd.to_datetime(ms, unit="ms", utc=True).strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3]
    frame.insert(1, "timestamp", stamps + "Z")
    frame = frame.astype(dict.fromkeys(("item_id", "since", "note"), object))
    order = list(range(len(frame)))
    random.shuffle(order)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(frame, folder / "whole.csv")
        import_file(folder / "whole.csv", folder / "one")
        (folder / "files").mkdir()
        pieces = [p for p in np.array_split(order, parts) if len(p)]
        for i, piece in enumerate(pieces):
            write(frame.iloc[piece], folder / "files" / f"part-{i}{suffix}")
        import_file(folder / "files", folder / "two")
        one, two = files_of(folder / "one"), files_of(folder / "two")
        # A column of which no row has a value is not in JSON lines.
        empty = [c for c in COLUMNS if frame[c].isna().all()]
        if suffix == ".csv" or not empty:
            assert two == one
        shutil.rmtree(folder / "two")


def late(n_views: int, n_sold: int, *, first: bool) -> str:
    """JSON lines in which the keys of purchases come last, or first."""
    views = [
        {"user_id": f"u{i % 7}", "timestamp": START + i * 1000, "event": "view", "item_id": f"i{i}"}
        for i in range(n_views)
    ]
    sold = [
        {"user_id": f"u{i % 7}", "timestamp": START + 10**9 + i * 1000, "event": "Transaction"}
        | {"order_id": f"o{i}", "price": 9.5, "is_fraud": i % 10 == 0}
        for i in range(n_sold)
    ]
    rows = sold + views if first else views + sold
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("first", [True, False])
def test_keys_and_spellings_that_come_late_count_like_early_ones(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.ingest.reading.streams.BLOCK", 2000)
    (tmp_path / "a.jsonl").write_text(late(200, 60, first=first))
    log = imported(tmp_path / "a.jsonl", tmp_path / "log")
    assert log.events["event"].astype(str).value_counts().to_dict() == {
        "view_item": 200,
        "purchase": 60,
    }
    assert log.events["price"].notna().sum() == 60 and log.events["order_id"].notna().sum() == 60
    assert log.labels is not None and log.labels["value"].sum() == 6
    assert set(log.events) == {
        "event_id", "user_id", "timestamp", "event", "session_id", "item_id", "order_id", "price",
    }  # fmt: skip


def test_rows_beyond_memory_are_kept_in_files_and_give_the_same_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.ingest.reading.streams.BLOCK", 2000)
    (tmp_path / "a.jsonl").write_text(late(300, 50, first=False))
    import_file(tmp_path / "a.jsonl", tmp_path / "one")
    monkeypatch.setattr(spool, "IN_MEMORY", 5000)
    import_file(tmp_path / "a.jsonl", tmp_path / "two")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == [
        "events", "labels.parquet", "manifest.json", "rejects.parquet",
    ]  # fmt: skip


def test_spellings_of_events_that_come_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.ingest.reading.streams.BLOCK", 1000)
    names = ["view"] * 200 + ["Add To Cart", "Transaction", "Add to cart", "productViewed"]
    rows = "".join(f"u,{START + i},{name}\n" for i, name in enumerate(names))
    (tmp_path / "a.csv").write_text(f"user_id,time,event\n{rows}")
    log = imported(tmp_path / "a.csv", tmp_path / "log")
    assert log.events["event"].astype(str).tolist()[-4:] == [
        "add_to_cart", "purchase", "add_to_cart", "view_item",
    ]  # fmt: skip


def test_equal_times_keep_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "user_id,time,event\nu,2024-01-01,view\nu,2024-01-01,purchase\nu,2024-01-01,add_to_cart\n"
    )
    events = EventLog.read(import_file(tmp_path / "a.csv", tmp_path / "log").out).events
    assert events["event"].astype(str).tolist() == ["view_item", "purchase", "add_to_cart"]
