import numpy as np
import pytest

import benchmark.calibrated
import generators
import simulator
from eventlog.check import check
from eventlog.errors import InputError

HERE = benchmark.calibrated.__file__
CHANGED = {"catalogue.items": 200, "catalogue.categories": 8, "checkout.cart": -2.8, "checkout.begin": -1.2, "shoppers.visits": 0.4}


@pytest.fixture(scope="module")
def shop():
    """A log without truth, whose own names the generator must take over."""
    log = simulator.simulate("shop", users=250, days=21, seed=9, settings=CHANGED)
    log.truth = {}
    log.events["event"] = log.events["event"].cat.rename_categories({"view_item": "looked"})
    log.events = log.events[log.events["event"] != "login"].drop(columns=["query", "channel"])
    log.events["event"] = log.events["event"].cat.remove_unused_categories()
    log.manifest = {"roles": {"looked": "view"}, "currency": "EUR"}
    return log


@pytest.fixture(scope="module")
def fitted(shop):
    return generators.fit(shop, model=HERE, seed=3, settings={"trials": 2})


def test_a_sample_is_a_log_of_the_same_make(shop, fitted):
    sample = fitted.sample(120, seed=1)
    assert [f for f in check(sample) if f.level == "error"] == []
    assert sample.events["user_id"].nunique() == 120
    assert set(sample.events) == set(shop.events)
    assert set(sample.events["event"].astype(str)) <= set(shop.events["event"].astype(str))
    assert sample.role().tolist().count("view") > 100
    assert sample.span[0] >= shop.span[0]
    assert sample.span[1] <= shop.span[1]
    assert set(sample.events["item_id"].dropna()) <= set(shop.items["item_id"])
    assert set(sample.labels["event_id"]) <= set(sample.events["event_id"])
    lines = [log.events.loc[log.role() == "purchase", "price"] for log in (shop, sample)]
    assert abs(np.log(lines[0]).mean() - np.log(lines[1]).mean()) < 0.05
    assert not sample.truth


def test_popular_items_stay_popular(shop, fitted):
    theirs, ours = (log.events["item_id"].value_counts() for log in (shop, fitted.sample(150, seed=2)))
    assert theirs.corr(ours.reindex(theirs.index).fillna(0), method="spearman") > 0.3


def test_what_is_saved_samples_the_same(fitted, tmp_path):
    generators.save(fitted, tmp_path / "model")
    again = generators.load(tmp_path / "model", model=HERE)
    assert again.sample(40, seed=5).events.equals(fitted.sample(40, seed=5).events)
    assert again.privacy["epsilon"] is None


def test_with_epsilon_all_that_is_kept_is_the_release(shop):
    model = generators.fit(shop, model=HERE, seed=3, epsilon=5.0, settings={"trials": 2})
    assert model.data_["items"] is None
    assert model.privacy["epsilon"] == 5.0
    assert sum(entry["epsilon"] for entry in model.privacy["ledger"]) <= 5.0
    sample = model.sample(30, seed=1)
    assert [f for f in check(sample) if f.level == "error"] == []
    assert not set(sample.events["item_id"].dropna()) & set(shop.items["item_id"])
    with pytest.raises(InputError, match="no conditions"):
        model.sample(30, seed=1, where={"country": "DE"})
