"""Presets: each reads a tiny file in its published layout."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from fixtures.event_files import write
from fixtures.preset_files import PRESETS

from eventlog import EventLog, UnknownNameError
from eventlog._runtime.plugins import names
from eventlog.check import check
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import preset


@pytest.mark.parametrize("name", names("eventlog.ingest.presets", suffix=".toml"))
def test_each_preset_reads_its_published_layout(name: str, tmp_path: Path) -> None:
    if name == "instacart":
        return  # two tables of a database: test_databases.py
    assert name in PRESETS, f"add a file of {name} to PRESETS: its name, a few rows, the events"
    file_name, text, expected = PRESETS[name]
    import_file(
        write(tmp_path, file_name, text), tmp_path / "log", mapping=preset(name), made_with=name
    )
    log = EventLog.read(tmp_path / "log")
    item = (
        log.events["item_id"].astype(object)
        if "item_id" in log.events
        else pd.Series([None] * len(log))
    )
    found = zip(
        log.events["user_id"].astype(str),
        log.events["event"].astype(str),
        [None if pd.isna(v) else v for v in item],
        strict=True,
    )
    assert list(found) == expected
    assert not [f for f in check(tmp_path / "log") if f.level == "error"]
    assert log.manifest["mapping"] == name


def test_details_of_presets(tmp_path: Path) -> None:
    def read(name: str, file_name: str, text: str) -> EventLog:
        import_file(write(tmp_path, file_name, text), tmp_path / "log", mapping=preset(name))
        return EventLog.read(tmp_path / "log")

    ga4 = read("ga4", *PRESETS["ga4"][:2])
    assert ga4.events["session_id"].astype(str).unique().tolist() == ["1.2:77"]
    assert ga4.events["order_id"].astype(object).tolist()[1:] == ["T1", "T1"]
    assert ga4.events["quantity"].tolist()[1:] == [2, 1]
    assert ga4.events["category"].isna().tolist() == [True, False, True]
    assert ga4.events["country"].astype(str).unique().tolist() == ["Germany"]
    retail = read("online-retail", *PRESETS["online-retail"][:2])
    assert retail.events["quantity"].tolist() == [6, 1]
    assert retail.items is not None and retail.items["description"].astype(str).tolist() == [
        "HEART"
    ]
    reasons = pq.read_table(tmp_path / "log" / "rejects.parquet")["reason"].to_pylist()
    assert reasons == ["not a product", "missing user_id"]
    clicks = read("yoochoose", "yoochoose-clicks.dat", "1,2014-04-07T10:51:09.277Z,214536502,0\n")
    assert clicks.events["event"].astype(str).tolist() == ["view_item"]
    assert clicks.events["timestamp"].tolist() == [pd.Timestamp("2014-04-07T10:51:09.277Z")]
    for file_name, text in (
        ("ratings.csv", "userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n"),
        ("ratings.dat", "1::2::3.5::1112486027\n"),
        (
            "ml.inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3.5\t1112486027\n",
        ),
    ):
        movies = read("movielens", file_name, text)
        assert movies.events[["user_id", "item_id", "rating"]].astype(str).to_numpy().tolist() == [
            ["1", "2", "3.5"]
        ]
    with pytest.raises(UnknownNameError, match="did you mean 'taobao'"):
        preset("taobo")


def test_details_of_further_presets(tmp_path: Path) -> None:
    def read(name: str) -> EventLog:
        file = write(tmp_path, PRESETS[name][0], PRESETS[name][1])
        return imported(file, tmp_path / name, mapping=preset(name))

    assert read("otto").events["timestamp"].iloc[0] == pd.Timestamp("2022-08-28T22:00:00.278Z")
    digi = read("diginetica").events
    assert digi["timestamp"].iloc[0] == pd.Timestamp("2016-05-09T00:08:46.309Z")
    assert "userId" not in digi
    assert read("tmall").events["timestamp"].dt.strftime("%Y-%m-%d").tolist() == [
        "2014-08-29",
        "2014-11-11",
    ]
    paysim = read("paysim")
    assert paysim.events["price"].tolist() == [9839.64, 92445516.64]
    assert paysim.labels is not None and paysim.labels["value"].tolist() == [0, 0, 0, 1]
    assert (paysim.events["timestamp"].diff().iloc[1]) == pd.Timedelta(hours=742)
    segment = read("segment")
    assert segment.events["price"].tolist()[1:] == [9.5, 1.0, 9.5]
    assert segment.manifest["currency"] == "EUR"
    assert segment.manifest["rejects"] == {"not an event": 1}
    shopify = read("shopify").events
    assert shopify["quantity"].tolist()[1:] == [2, 2, 1]
    assert shopify["order_id"].astype(object).tolist()[2:] == ["o1", "o1"]
    assert set(shopify) == {
        "event_id",
        "user_id",
        "timestamp",
        "event",
        "session_id",
        "item_id",
        "order_id",
        "category",
        "brand",
        "price",
        "quantity",
    }
    user, item = "A2IIIDRK3PRRZY", "0000000116"
    for year, row in ((2014, f"{user},{item}"), (2018, f"{item},{user}")):
        file = write(tmp_path, f"{year}.csv", f"{row},4.0,1514764800\n")
        reviews = imported(file, tmp_path / str(year), mapping=preset("amazon-reviews")).events
        assert reviews[["user_id", "item_id"]].astype(str).to_numpy().tolist() == [[user, item]]
        assert reviews["timestamp"].iloc[0] == pd.Timestamp("2018-01-01", tz="UTC")
    sample = write(tmp_path, "CDNOW_sample.txt", " 00004 0001 19970101  2   29.33\n")
    bought = imported(sample, tmp_path / "sample", mapping=preset("cdnow")).events
    assert [*bought["user_id"], *bought["price"]] == ["00004", 29.33]
