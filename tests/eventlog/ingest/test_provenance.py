"""The manifest says whether a table was given or derived from the events, and keeps saying so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec import structs

import simulator
from eventlog import EventLog, InputError
from eventlog._runtime.files import read_json, write_json
from eventlog.clean import clean
from eventlog.export import export
from eventlog.ingest.ingest import imported
from eventlog.ingest.mapping import EventSource, preset
from eventlog.split import by_user
from simulator import event_codes

NAMES = ("items", "users", "event")


@pytest.fixture(scope="module")
def shop() -> EventLog:
    """A simulated log: its catalogue and event names are known from code."""
    return simulator.simulate("small", users=30, days=10, seed=1)


def invoices(path: Path) -> Path:
    """A file in the manner of Online Retail, with an item that one customer bought."""
    rows = ["InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"]
    for c in range(40):
        day = f"2011-01-{1 + c % 28:02d} 10:00:00"
        rows.append(f"{536000 + c},{22000 + c % 3},ITEM,1,{day},2.5,{17000 + c}.0,France")
    rows.append("999999,99SECRET,SECRET KIT,1,2011-05-05 10:00:00,49.9,17005.0,France")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_an_import_derives_its_items_from_the_events(tmp_path: Path) -> None:
    log = imported(invoices(tmp_path / "r.csv"), tmp_path / "log", mapping=preset("online-retail"))
    assert log.items is not None and "99SECRET" in log.items["item_id"].astype(str).tolist()
    assert [log.provenance(n) for n in ("items", "item_id", "users", "category")] == ["derived"] * 4
    assert read_json(tmp_path / "log" / "manifest.json")["provenance"]["items"] == "derived"


def test_event_names_are_given_where_no_column_of_the_file_can_add_one(tmp_path: Path) -> None:
    file = invoices(tmp_path / "r.csv")
    log = imported(file, tmp_path / "log", mapping=preset("online-retail"))
    assert log.provenance("event") == "given"
    assert log.event_names == ["purchase", "refund"], "also the one that no row has"
    by_column = structs.replace(preset("online-retail"), event=EventSource(column=("Country",)))
    log = imported(file, tmp_path / "other", mapping=by_column)
    assert log.provenance("event") == "derived" and log.event_names is None
    assert "event_names" not in log.manifest


def test_the_simulated_shop_gives_its_catalogue_and_names(shop: EventLog, tmp_path: Path) -> None:
    assert [shop.provenance(n) for n in NAMES] == ["given", "derived", "given"]
    columns = ("item_id", "category", "country")
    assert [shop.provenance(n) for n in columns] == ["given", "given", "derived"]
    assert shop.event_names == list(event_codes.names(emails=False))
    few = simulator.simulate("small", users=20, days=2, seed=2)
    assert few.event_names == shop.event_names, "the names that can occur, not those that did"
    written = EventLog.read(simulator.run("small", users=20, days=2, seed=2, out=tmp_path / "log"))
    assert written.manifest["provenance"] == shop.manifest["provenance"]
    assert written.event_names == shop.event_names


def test_what_is_made_of_a_log_says_the_same(shop: EventLog, tmp_path: Path) -> None:
    cut = shop.time_at(0.7)
    users = shop.events["user_id"].unique()[:5]
    folder = shop.write(tmp_path / "log")
    first, second = by_user(shop, share=0.5, rng=np.random.default_rng(0))
    made = {
        "before": shop.before(cut),
        "only_users": shop.only_users(users),
        "clean": clean(shop)[0],
        "by_user": first,
        "by_user, second": second,
        "read": EventLog.read(folder),
        "part": next(iter(EventLog.parts(folder))),
        "import": imported(folder, tmp_path / "again"),
    }
    for what, log in made.items():
        assert log.manifest["provenance"] == shop.manifest["provenance"], what
        assert log.event_names == shop.event_names, what


def test_exported_rows_are_derived_when_they_come_back(shop: EventLog, tmp_path: Path) -> None:
    file = export(shop, tmp_path / "rows.csv", format="csv")
    log = imported(file, tmp_path / "log")
    assert [log.provenance(n) for n in NAMES] == ["derived"] * 3


def test_a_folder_under_other_event_names_has_no_given_list(shop: EventLog, tmp_path: Path) -> None:
    from eventlog.ingest.log_source import folder_mapping

    folder = shop.write(tmp_path / "log")
    own = folder_mapping(folder, list(shop.events))
    renamed = structs.replace(own, event=EventSource(column=("event",), names={"search": "suche"}))
    log = imported(folder, tmp_path / "renamed", mapping=renamed)
    assert log.provenance("event") == "derived" and log.event_names is None
    assert log.provenance("items") == "given"
    with_table = structs.replace(own, items={"colour": ("brand",)})
    assert imported(folder, tmp_path / "made", mapping=with_table).provenance("items") == "derived"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"provenance": None},
        {"provenance": {"items": "yes"}},
        {"provenance": {"items": True}},
        {"event_names": ["a"]},
        {"provenance": {"event": "given"}, "event_names": "a"},
    ],
)
def test_what_is_not_said_is_derived(said: dict[str, object], small_log: EventLog) -> None:
    log = replace(small_log, items=pd.DataFrame({"item_id": ["i1"]}), manifest=said)
    assert {log.provenance(n) for n in ("items", "item_id", "users")} == {"derived"}
    assert log.event_names is None


def test_a_table_that_lacks_a_column_does_not_give_it(small_log: EventLog) -> None:
    given = {"provenance": {"items": "given"}}
    log = replace(small_log, items=pd.DataFrame({"item_id": ["i1"]}), manifest=given)
    assert (log.provenance("item_id"), log.provenance("category")) == ("given", "derived")
    assert replace(log, items=None).provenance("item_id") == "derived"


def test_a_provenance_that_is_no_object_is_refused(small_log: EventLog, tmp_path: Path) -> None:
    folder = small_log.write(tmp_path / "log")
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**manifest, "provenance": ["items"]})
    with pytest.raises(InputError, match=r"'provenance' in .* must be an object"):
        EventLog.read(folder)
