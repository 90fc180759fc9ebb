"""Presets: each reads a tiny file in its published layout."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from eventlog import EventLog, UnknownNameError
from eventlog._runtime.plugins import names
from eventlog.check import check
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import preset


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


GA4 = [
    {
        "event_date": "20260101",
        "event_timestamp": "1767225600000000",
        "event_name": "page_view",
        "user_pseudo_id": "1.2",
        "items": [],
        "event_params": [
            {"key": "ga_session_id", "value": {"int_value": "77"}},
            {"key": "page_title", "value": {"string_value": "Home"}},
        ],
        "device": {"category": "mobile"},
        "geo": {"country": "Germany"},
        "traffic_source": {"medium": "organic"},
    },
    {
        "event_date": "20260101",
        "event_timestamp": "1767225660000000",
        "event_name": "purchase",
        "user_pseudo_id": "1.2",
        "event_params": [{"key": "ga_session_id", "value": {"int_value": "77"}}],
        "ecommerce": {"transaction_id": "T1"},
        "items": [
            {
                "item_id": "A",
                "item_name": "Ann",
                "item_category": "c",
                "price": 2.5,
                "quantity": "2",
            },
            {
                "item_id": "B",
                "item_name": "Bob",
                "item_category": "(not set)",
                "price": 4,
                "quantity": "1",
            },
        ],
        "device": {"category": "mobile"},
        "geo": {"country": "Germany"},
        "traffic_source": {"medium": "organic"},
    },
]
PRESETS: dict[str, tuple[str, str, list[tuple[str, str, str | None]]]] = {
    "retailrocket": (
        "events.csv",
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n"
        "1433221400000,257597,addtocart,355908,\n1433222276276,599528,transaction,356475,4000\n",
        [
            ("257597", "view_item", "355908"),
            ("257597", "add_to_cart", "355908"),
            ("599528", "purchase", "356475"),
        ],
    ),
    "rees46": (
        "2019-Oct.csv",
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n"
        "2019-10-01 00:00:00 "
        "UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde\n"
        "2019-10-01 00:00:09 UTC,purchase,3900821,2053013552326770905,appliances.environment,"
        "aqua,33.20,554748717,9333dfbd\n",
        [("541312140", "view_item", "44600062"), ("554748717", "purchase", "3900821")],
    ),
    "yoochoose": (
        "yoochoose-buys.dat",
        "420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n"
        "281626,2014-04-06T09:40:13.032Z,214535653,1883,1\n",
        [("281626", "purchase", "214535653"), ("420374", "purchase", "214537888")],
    ),
    "taobao": (
        "UserBehavior.csv",
        "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,fav,1511561733\n2,1,1,buy,1511561734\n",
        [
            ("1", "view_item", "2268318"),
            ("1", "add_to_wishlist", "2333346"),
            ("2", "purchase", "1"),
        ],
    ),
    "ga4": (
        "events.jsonl",
        "\n".join(map(json.dumps, GA4)),
        [("1.2", "page_view", None), ("1.2", "purchase", "A"), ("1.2", "purchase", "B")],
    ),
    "online-retail": (
        "o.csv",
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n"
        "C536379,85123A,HEART,-1,2010-12-01 09:41:00,2.55,17850.0,United Kingdom\n"
        "536370,POST,POSTAGE,3,2010-12-01 08:45:00,18,12583.0,France\n"
        "536414,22139,,56,2010-12-01 11:52:00,0,,United Kingdom\n",
        [("17850", "purchase", "85123A"), ("17850", "refund", "85123A")],
    ),
    "cdnow": (
        "m.txt",
        " customer_id  date number_of_cds  dollar_value\r\n 00001 19970101  1   11.77\r\n 00002 "
        "19970112  5   77.00\r\n",
        [("00001", "purchase", None), ("00002", "purchase", None)],
    ),
    "movielens": (
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        [("186", "review", "302"), ("196", "review", "242")],
    ),
}
OTTO = [
    {
        "session": 1,
        "events": [
            {"aid": 11, "ts": 1661724000278, "type": "clicks"},
            {"aid": 11, "ts": 1661724058352, "type": "carts"},
        ],
    },
    {"session": 2, "events": [{"aid": 12, "ts": 1661724000378, "type": "orders"}]},
]
AMAZON = [
    {
        "rating": 5.0,
        "title": "Good",
        "text": "It is.",
        "images": [],
        "asin": "B1",
        "parent_asin": "B0",
        "user_id": "AE1",
        "timestamp": 1588687728923,
        "helpful_vote": 0,
        "verified_purchase": True,
    },
    {
        "rating": 1.0,
        "title": "Bad",
        "text": "",
        "images": [{"hi": None}],
        "asin": "B2",
        "parent_asin": "B2",
        "user_id": "AE2",
        "timestamp": 1588687728924,
        "helpful_vote": 2,
        "verified_purchase": False,
    },
]
SEGMENT = [
    {
        "type": "track",
        "anonymousId": "x",
        "timestamp": "2024-03-01T10:00:00.000Z",
        "event": "Product Viewed",
        "properties": {"product_id": "p0", "price": 9.5},
    },
    {"type": "page", "userId": "u", "timestamp": "2024-03-01T10:00:01.000Z", "name": "Home"},
    {
        "type": "identify",
        "userId": "u",
        "timestamp": "2024-03-01T10:00:02.000Z",
        "traits": {"a": 1},
    },
    {
        "type": "track",
        "userId": "u",
        "timestamp": "2024-03-01T10:00:03.000Z",
        "event": "Order Completed",
        "properties": {
            "order_id": "o3",
            "currency": "EUR",
            "products": [
                {"product_id": "p3", "price": 9.5, "quantity": 2},
                {"product_id": "p4", "price": 1},
            ],
        },
    },
]
SHOPIFY = [
    {
        "id": "e1",
        "name": "product_viewed",
        "clientId": "c1",
        "timestamp": "2024-03-01T10:00:00.000Z",
        "data": {
            "productVariant": {
                "id": "v1",
                "price": {"amount": 79.5, "currencyCode": "USD"},
                "product": {"id": "p1", "vendor": "V", "type": "shoes"},
            }
        },
    },
    {
        "id": "e2",
        "name": "product_added_to_cart",
        "clientId": "c1",
        "timestamp": "2024-03-01T10:00:05.000Z",
        "data": {
            "cartLine": {
                "quantity": 2,
                "merchandise": {
                    "price": {"amount": 79.5, "currencyCode": "USD"},
                    "product": {"id": "p1"},
                },
            }
        },
    },
    {
        "id": "e3",
        "name": "checkout_completed",
        "clientId": "c1",
        "timestamp": "2024-03-01T10:01:00.000Z",
        "data": {
            "checkout": {
                "currencyCode": "USD",
                "order": {"id": "o1"},
                "lineItems": [
                    {
                        "quantity": 2,
                        "variant": {"price": {"amount": 79.5}, "product": {"id": "p1"}},
                    },
                    {"quantity": 1, "variant": {"price": {"amount": 5.0}, "product": {"id": "p2"}}},
                ],
            }
        },
    },
]
PRESETS |= {
    "otto": (
        "otto-recsys-train.jsonl",
        "\n".join(map(json.dumps, OTTO)),
        [("1", "view_item", "11"), ("1", "add_to_cart", "11"), ("2", "purchase", "12")],
    ),
    "diginetica": (
        "train-item-views.csv",
        "sessionId;userId;itemId;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n"
        "1;NA;31331;1031018;2016-05-09\n2;17;32118;0;2016-05-09\n",
        [("1", "view_item", "81766"), ("1", "view_item", "31331"), ("2", "view_item", "32118")],
    ),
    "amazon-reviews": (
        "All_Beauty.jsonl",
        "\n".join(map(json.dumps, AMAZON)),
        [("AE1", "review", "B0"), ("AE2", "review", "B2")],
    ),
    "hm": (
        "transactions_train.csv",
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2018-09-20,000058a1,0663713001,0.050830508474576264,2\n"
        "2018-09-20,00007d2d,0541518023,0.03049152542372881,1\n",
        [("000058a1", "purchase", "0663713001"), ("00007d2d", "purchase", "0541518023")],
    ),
    "mind": (
        "behaviors.tsv",
        "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n"
        "2\tU91836\t11/12/2019 6:11:30 PM\t\tN20678-0\n",
        [
            ("U13740", "view_item", "N55689"),
            ("U13740", "view_item_list", "N35729"),
            ("U91836", "view_item_list", "N20678"),
        ],
    ),
    "tmall": (
        "user_log_format1.csv",
        "user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type\n"
        "328862,323294,833,2882,2661.0,829,0\n328862,844400,1271,2882,2661.0,1111,2\n",
        [("328862", "view_item", "323294"), ("328862", "purchase", "844400")],
    ),
    "paysim": (
        "PS_log.csv",
        "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,"
        "newbalanceDest,isFraud,isFlaggedFraud\n"
        "1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0\n"
        "743,CASH_OUT,92445516.64,C840083671,181.0,0.0,C38997010,21182.0,0.0,1,0\n",
        [("C1231006815", "purchase", None), ("C840083671", "purchase", None)],
    ),
    "segment": (
        "segment.jsonl",
        "\n".join(map(json.dumps, SEGMENT)),
        [
            ("u", "page_view", None),
            ("u", "purchase", "p3"),
            ("u", "purchase", "p4"),
            ("x", "view_item", "p0"),
        ],
    ),
    "shopify": (
        "events.jsonl",
        "\n".join(map(json.dumps, SHOPIFY)),
        [
            ("c1", "view_item", "p1"),
            ("c1", "add_to_cart", "p1"),
            ("c1", "purchase", "p1"),
            ("c1", "purchase", "p2"),
        ],
    ),
}


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
