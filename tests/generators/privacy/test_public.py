"""What is declared public is a list from elsewhere: what was made from users' events is never
published by one word.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog, InputError
from eventlog._runtime.errors import UnknownNameError
from generators.privacy.public import Public


def _log() -> EventLog:
    log = shop_log(users=40, seed=2)
    known = log.events[["item_id", "category", "price"]].dropna().drop_duplicates("item_id")
    return replace(log, items=known.reset_index(drop=True))


@pytest.mark.parametrize("name", ["items", "item_id", "category", "event", "country"])
def test_a_list_that_was_made_from_the_events_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}=FILE"):
        generators.fit(_log(), model="markov", epsilon=1.0, public=[name])


def test_a_catalogue_that_came_with_the_log_is_public_in_one_word_and_its_categories_with_it() -> (
    None
):
    log = _log()
    log = replace(log, manifest={**log.manifest, "provenance": {"items": "given"}})
    found = Public.declared(log, ["items"])
    assert found.items is not None
    assert set(found.items["item_id"]) == set(log.items["item_id"])  # type: ignore[index]
    assert found.values["category"] == sorted(log.items["category"].astype(str).unique())
    with pytest.raises(InputError, match="event=FILE"):
        Public.declared(log, ["event"])


def test_one_customers_item_is_not_in_a_model_whose_public_list_does_not_name_it(
    tmp_path: Path,
) -> None:
    log = _log()
    assert log.items is not None
    rare = str(log.events["item_id"].value_counts().index[-1])
    log.items[log.items["item_id"] != rare].to_csv(tmp_path / "catalogue.csv", index=False)
    (tmp_path / "events.txt").write_text("view_item\nadd_to_cart\npurchase\n")
    public = f"items={tmp_path / 'catalogue.csv'},event={tmp_path / 'events.txt'}"
    fitted = generators.fit(log, model="markov", epsilon=1.0, public=public)
    generators.save(fitted, tmp_path / "model")
    raw = (tmp_path / "model" / "model.json").read_text() + (
        tmp_path / "model" / "manifest.json"
    ).read_text()
    assert f'"{rare}"' not in raw
    assert str(tmp_path) not in raw, "no local path"
    assert fitted.privacy["public"] == ["event", "items"]
    assert "sha256" in fitted.privacy["public_lists"]["items"]
    assert fitted.codec_.events.values == ["add_to_cart", "purchase", "view_item"]


def test_lists_from_memory_and_wrong_names() -> None:
    log = _log()
    found = Public.declared(
        log, {"country": ["DE", "GB"], "items": pd.DataFrame({"item_id": ["i1", "i2"]})}
    )
    assert found.values == {"country": ["DE", "GB"]}
    assert Public.declared(log, {"country": ["DE"]}, private=False).values == {}, (
        "without a budget nothing is declared"
    )
    with pytest.raises(UnknownNameError):
        Public.declared(log, ["colour"])
