from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import eventlog
from eventlog import EventLog, UnknownNameError, datasets
from eventlog.check import check
from eventlog.ingest.ingest import import_file
from eventlog.ingest.mapping import preset
from eventlog.manifest import read_manifest


@pytest.fixture(scope="module")
def retail() -> EventLog:
    return eventlog.load("online-retail")


def test_every_dataset_is_a_sound_log_with_its_attribution() -> None:
    for name in datasets.names():
        folder = datasets.folder_of(name)
        assert len(EventLog.read(folder, verify=True)) > 0
        assert not [f for f in check(folder) if f.level == "error"]
        facts = read_manifest(folder)
        assert facts["licence"] in (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")


def test_online_retail_is_what_the_publisher_says(retail: EventLog) -> None:
    # 541,909 rows, of which 135,080 have no customer; 1,916 more are no product.
    assert len(retail) == 541_909 - 135_080 - 1_916
    assert retail.events["user_id"].nunique() == 4_363
    assert str(retail.span[0].tz_convert("Europe/London"))[:10] == "2010-12-01"
    assert str(retail.span[1].tz_convert("Europe/London"))[:10] == "2011-12-09"
    assert (retail.role() == "refund").sum() == 8_539


def test_a_dataset_equals_the_import_of_its_rows(retail: EventLog, tmp_path: Path) -> None:
    users = retail.events["user_id"].cat.categories[:150]
    events = retail.only_users(users).events
    refund = events["event"] == "refund"
    local = events["timestamp"].dt.tz_convert("Europe/London")
    pd.DataFrame(
        {
            "InvoiceNo": events["order_id"].astype(str),
            "StockCode": events["item_id"].astype(str),
            "Description": "",
            "Quantity": events["quantity"].where(~refund, -events["quantity"]),
            "InvoiceDate": local.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "UnitPrice": events["price"],
            "CustomerID": events["user_id"].astype(str) + ".0",
            "Country": events["country"].astype(str),
        }
    ).to_csv(tmp_path / "retail.csv", index=False)
    import_file(tmp_path / "retail.csv", tmp_path / "log", mapping=preset("online-retail"))
    again = EventLog.read(tmp_path / "log").events
    for name in events.columns.drop("event_id"):
        left, right = events[name], again[name]
        if isinstance(left.dtype, pd.CategoricalDtype):
            left, right = left.astype(str), right.astype(str)
        pd.testing.assert_series_equal(left, right, check_dtype=False)


def test_an_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'online-retail'"):
        eventlog.load("online_retail")
