"""Exports hold every event, in formats that others read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from eventlog import EventLog, InputError, UnknownNameError
from eventlog.describe import describe
from eventlog.export import export


def test_text_formats_hold_every_event(small_log: EventLog, tmp_path: Path) -> None:
    csv = pd.read_csv(export(small_log, tmp_path / "a.csv", format="csv"))
    zipped = pd.read_csv(export(small_log, tmp_path / "a.csv.gz", format="csv"))
    pd.testing.assert_frame_equal(csv, zipped)
    lines = [
        json.loads(line)
        for line in export(small_log, tmp_path / "a.jsonl", format="jsonl").read_text().splitlines()
    ]
    events = small_log.events
    assert (
        csv["event_id"].tolist()
        == [line["event_id"] for line in lines]
        == events["event_id"].tolist()
    )
    assert (
        csv["user_id"].tolist()
        == [line["user_id"] for line in lines]
        == events["user_id"].astype(str).tolist()
    )
    assert pd.to_datetime(csv["timestamp"]).tolist() == events["timestamp"].tolist()
    assert (
        [line["price"] for line in lines]
        == csv["price"].tolist()
        == events["price"].astype(float).tolist()
    )
    assert pq.read_table(
        export(small_log, tmp_path / "a.parquet", format="parquet")
    ).num_rows == len(events)


def test_recbole_files_have_typed_headers(small_log: EventLog, tmp_path: Path) -> None:
    items = pd.DataFrame({"item_id": ["i1"], "name": ["a\tb\nc"], "weight": [1.5]})
    folder = export(replace(small_log, items=items), tmp_path / "shop", format="recbole")
    inter = pd.read_csv(
        folder / "shop.inter", sep="\t", quoting=3, dtype=str, keep_default_na=False
    )
    assert list(inter.columns[:3]) == ["user_id:token", "item_id:token", "timestamp:float"]
    assert {"price:float", "event:token"} <= set(inter.columns)
    assert len(inter) == len(small_log)
    seconds = inter["timestamp:float"].astype(float)
    assert (
        pd.to_datetime(seconds, unit="s", utc=True).dt.round("ms").tolist()
        == small_log.events["timestamp"].tolist()
    )
    assert (
        folder / "shop.item"
    ).read_text() == "item_id:token\tname:token\tweight:float\ni1\ta b c\t1.5\n"
    no_items = replace(small_log, events=small_log.events.drop(columns="item_id"))
    with pytest.raises(InputError, match="no item_id"):
        export(no_items, tmp_path / "none", format="recbole")
    assert not (tmp_path / "none").exists()


def test_wrong_targets(small_log: EventLog, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        export(small_log, tmp_path, format="csv")
    with pytest.raises(UnknownNameError, match="did you mean 'parquet'"):
        export(small_log, tmp_path / "a", format="parket")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        export(small_log, tmp_path / "file", format="recbole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_description_counts_what_is_there(small_log: EventLog) -> None:
    tables = describe(small_log).tables
    overview = tables["Log"].set_index("")["value"]
    assert overview["events"] == f"{len(small_log):,}"
    assert overview["sessions"] == f"{small_log.events['session_id'].nunique():,}"
    assert tables["Events"]["rows"].sum() == len(small_log)
    assert (
        tables["Columns"].set_index("column").loc["item_id", "distinct"]
        == f"{small_log.events['item_id'].nunique():,}"
    )
    assert small_log.labels is not None
    assert tables["Labels"]["positive"].tolist() == [len(small_log.labels)]
    counts = small_log.events["event"].value_counts()
    assert (
        tables["Funnel"].set_index("ratio").loc["purchase / view", "value"]
        == f"{counts['purchase'] / counts['view_item']:.2%}"
    )


def test_json_lines_keep_a_number_below_ten_decimals(small_log: EventLog, tmp_path: Path) -> None:
    tiny = replace(
        small_log,
        events=small_log.events.assign(
            price=pd.Series(5.9604645e-08, small_log.events.index, dtype="float32")
        ),
    )
    lines = export(tiny, tmp_path / "a.jsonl", format="jsonl").read_text().splitlines()
    assert json.loads(lines[0])["price"] == pytest.approx(5.9604645e-08, rel=1e-7)
    plain = export(small_log, tmp_path / "b.jsonl", format="jsonl").read_text().splitlines()
    assert '"price":' in plain[0]
    # and no digits that a price does not have
    assert len(plain[0].split('"price":')[1].split(",")[0]) < 8
