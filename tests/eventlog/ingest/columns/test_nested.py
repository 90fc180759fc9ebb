"""Objects and lists: fields keep their siblings, lists of any make become rows."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventlog import EventLog, InputError
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import load, preset

MAPPING = (
    '[columns]\nuser_id = "user_id"\nitem_id = "{item}"\n[time]\ncolumn = "time"\n[event]\n'
    'constant = "purchase"\n[file]\nexplode = "items"\n{more}\n'
)


def basket(folder: Path, item: str, more: str = "", **columns: object) -> list[str | None]:
    """The items of two users' baskets."""
    table = pa.table({"user_id": ["a", "b"], "time": ["2024-01-01", "2024-01-02"], **columns})
    pq.write_table(table, folder / "a.parquet")
    (folder / "m.toml").write_text(MAPPING.format(item=item, more=more))
    log = imported(folder / "a.parquet", folder / "log", mapping=load(folder / "m.toml"))
    return [v if isinstance(v, str) else None for v in log.events["item_id"].astype(object)]


KINDS = [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 2), pa.list_view, pa.large_list_view]


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_every_kind_of_list_becomes_rows(kind: int, tmp_path: Path) -> None:
    made = KINDS[kind]
    plain = [["x", "y"], ["z", "w"]]
    if kind in (3, 4):  # Parquet has no views: they come from frames in memory
        columns = {
            "user_id": ["a", "b"],
            "time": ["2024-01-01", "2024-01-02"],
            "items": pa.array(plain, made(pa.string())),
        }
        (tmp_path / "m.toml").write_text(MAPPING.format(item="items", more=""))
        log = EventLog.from_arrow(pa.table(columns), mapping=load(tmp_path / "m.toml"))
        assert log.events["item_id"].astype(str).tolist() == ["x", "y", "z", "w"]
        return
    items = pa.array(plain, made(pa.string()))
    assert basket(tmp_path, "items", items=items) == ["x", "y", "z", "w"]
    objects = [[{"id": v} for v in values] for values in plain]
    items = pa.array(objects, made(pa.struct([("id", pa.large_string())])))
    assert basket(tmp_path, "items.id", items=items) == ["x", "y", "z", "w"]


@pytest.mark.parametrize(
    ("outer", "inner"), [("list", "element"), ("list", "item"), ("bag", "array_element")]
)
def test_lists_of_three_levels_are_lists(outer: str, inner: str, tmp_path: Path) -> None:
    element = pa.struct([("item_id", pa.string()), ("price", pa.float64())])
    kind = pa.struct([(outer, pa.list_(pa.struct([(inner, element)])))])
    rows = [{outer: [{inner: {"item_id": i, "price": 1.5}} for i in items]} for items in ("xy", "")]
    items = pa.array([*rows], kind)
    assert basket(tmp_path, "items.item_id", items=items) == ["x", "y", None]


def test_ga4_as_bigquery_exports_it_to_parquet(tmp_path: Path) -> None:
    element = pa.struct([("key", pa.string()), ("value", pa.struct([("int_value", pa.int64())]))])
    three = pa.struct([("list", pa.list_(pa.struct([("element", element)])))])
    item = pa.struct([("item_id", pa.string()), ("price", pa.float64())])
    items = pa.struct([("list", pa.list_(pa.struct([("element", item)])))])
    session = {"list": [{"element": {"key": "ga_session_id", "value": {"int_value": 7}}}]}
    table = pa.table(
        {
            "event_timestamp": [1767225600000000, 1767225600000001],
            "event_name": ["purchase", "page_view"],
            "user_pseudo_id": ["1.2", "1.2"],
            "event_params": pa.array([session, session], three),
            "items": pa.array(
                [{"list": [{"element": {"item_id": i, "price": 2.5}} for i in "AB"]}, None], items
            ),
        }
    )
    pq.write_table(table, tmp_path / "ga4.parquet")
    log = imported(tmp_path / "ga4.parquet", tmp_path / "log", mapping=preset("ga4"))
    assert log.events["item_id"].astype(object).tolist()[:2] == ["A", "B"]
    assert set(log.events["session_id"]) == {"1.2:7"}
    assert log.events["price"].tolist()[:2] == [2.5, 2.5]


@pytest.mark.parametrize(
    ("cells", "item", "more", "expected"),
    [
        (["x y", "z"], "items", 'separator = " "', ["x", "y", "z"]),
        (["x | y", ""], "items", 'separator = "|"', ["x", "y", None]),
        (["|x||y|", "z"], "items", 'separator = "|"', ["x", "y", "z"]),
        (["{x,y}", "{}"], "items", 'separator = ","', ["x", "y", None]),
        (["['x', 'y']", "z"], "items", 'separator = ","', ["x", "y", "z"]),
        (["['x', 'y']", "[1]"], "items", "", ["x", "y", "1"]),
        (["[{'id': 'x', 'n': None}]", '[{"id": "y"}]'], "items.id", "", ["x", "y"]),
        (['["x", "y"]', "[]"], "items", "", ["x", "y", None]),
        (['[{"id": 1}, {"id": 2}]', '[{"id": "z"}]'], "items.id", "", ["1", "2", "z"]),
        (['[{"id": 18000000000000000001}]', '[{"id": 18000000000000000002}]'], "items.id", "",
         ["18000000000000000001", "18000000000000000002"]),
    ],
)  # fmt: skip
def test_lists_that_are_written_as_text(
    cells: list[str], item: str, more: str, expected: list[str | None], tmp_path: Path
) -> None:
    assert basket(tmp_path, item, more, items=cells) == expected


@pytest.mark.parametrize("text", ["x y", "['x' 'y']", '[{"id": "x"}', "{x,y}", '"[1]"', "[{1}]"])
def test_text_that_is_no_list_is_one_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r" in it is no list in JSON; .*separator"):
        basket(tmp_path, "items", items=[text, "[]"])


def test_an_object_of_lists_is_a_list_of_objects(tmp_path: Path) -> None:
    items = [{"id": ["x", "y"], "n": [1, 2]}, {"id": ["z"], "n": [3]}]
    assert basket(tmp_path, "items.id", items=items) == ["x", "y", "z"]
    with pytest.raises(InputError, match="its lists have different lengths, 2, 1"):
        basket(tmp_path, "items.id", items=[{"id": ["x", "y"], "n": [1]}, None])


def test_missing_elements_are_none_and_lists_inside_lists_are_named(tmp_path: Path) -> None:
    assert basket(tmp_path, "items", items=[["x", None], [None]]) == ["x", None]
    with pytest.raises(InputError, match="has 'items' for item_id as lists"):
        basket(tmp_path, "items", items=[[["x"]], []])


def test_a_basket_that_stays_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'user_id,time,order_id,items_json\nu,2024-01-01,1,"[{""sku"":""A""}]"\n'
    )
    summary = import_file(tmp_path / "a.csv", tmp_path / "log")
    assert any("[file] explode = 'items_json'" in note for note in summary.notes)


def test_a_mapped_field_keeps_its_siblings(tmp_path: Path) -> None:
    rows = [
        {
            "user": {"id": f"u{i}", "tier": "gold", "geo": {"lat": 48.5 + i}},
            "time": "2024-01-01",
            "item": {"sku": "s", "weight": i, "tags": ["a"]},
        }
        for i in range(3)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "m.toml").write_text(
        '[columns]\nuser_id = "user.id"\nitem_id = "item.sku"\n[time]\ncolumn = "time"\n[event]\n'
        'constant = "view_item"\n[users]\ntier = "user.tier"\n'
    )
    mapping = load(tmp_path / "m.toml")
    summary = import_file(tmp_path / "a.jsonl", tmp_path / "log", mapping=mapping)
    events = EventLog.read(tmp_path / "log").events
    assert events["user.geo.lat"].tolist() == [48.5, 49.5, 50.5]
    assert events["item.weight"].tolist() == [0, 1, 2]
    assert not {"user.id", "user.tier", "item.sku"} & set(events)
    assert "nested columns left out: item.tags;" in str(summary)


def test_a_whole_object_can_be_dropped(tmp_path: Path) -> None:
    row = {"user_id": "u", "time": "2024-01-01", "event": "view", "geo": {"a": 1, "b": {"c": 2}}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    (tmp_path / "m.toml").write_text(
        'drop = ["geo"]\n[columns]\nuser_id = "user_id"\ncountry = "geo.a"\n'
        '[time]\ncolumn = "time"\n[event]\ncolumn = "event"\n'
    )
    log = imported(tmp_path / "a.jsonl", tmp_path / "log", mapping=load(tmp_path / "m.toml"))
    assert log.events["country"].astype(str).tolist() == ["1"]
    assert not [c for c in log.events if str(c).startswith("geo")]


def test_of_several_columns_the_first_with_a_value_counts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "userId,anonymousId,time\nu,x,2024-01-01\n,y,2024-01-02\n,,2024-01-03\n"
    )
    (tmp_path / "m.toml").write_text(
        'allow_rejects = "missing user_id"\n[columns]\nuser_id = ["userId", "anonymousId"]\n'
        '[time]\ncolumn = "time"\n[event]\nconstant = "view_item"\n'
    )
    log = imported(tmp_path / "a.csv", tmp_path / "log", mapping=load(tmp_path / "m.toml"))
    assert log.events["user_id"].astype(str).tolist() == ["u", "y"]
    assert log.manifest["rejects"] == {"missing user_id": 1}


def test_no_label_stays_among_the_inputs(tmp_path: Path) -> None:
    row = {"user_id": "u", "time": "2024-01-01", "event": "purchase", "is_fraud": 0}
    row |= {"meta": {"isFraud": 1, "chargeback": 0}, "device": {"type": "m"}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    log = imported(tmp_path / "a.jsonl", tmp_path / "log")
    assert set(log.events) == {"event_id", "user_id", "timestamp", "event", "session_id", "device"}
    assert log.labels is not None and len(log.labels) == 3
    assert log.labels["kind"].nunique() == 3, "an event has one label of a kind"


def test_event_names_as_services_write_them(tmp_path: Path) -> None:
    names = {
        "Product Viewed": "view_item",
        "Product Added": "add_to_cart",
        "Order Completed": "purchase",
        "checkout_completed": "purchase",
        "Viewed Product": "view_item",
        "addToCart": "add_to_cart",
        "Begin Checkout": "begin_checkout",
        "remove-from-cart": "remove_from_cart",
        "Something Else": "Something Else",
    }
    rows = "".join(f"u,2024-01-{1 + i:02d},{name}\n" for i, name in enumerate(names))
    (tmp_path / "a.csv").write_text(f"user_id,time,event\n{rows}")
    log = imported(tmp_path / "a.csv", tmp_path / "log")
    assert log.events["event"].astype(str).tolist() == list(names.values())
