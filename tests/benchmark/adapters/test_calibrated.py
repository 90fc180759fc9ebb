import numpy as np
import pandas as pd
import pytest
from fixtures.odd_user import ROLES, SECRET, with_odd_user
from fixtures.shop_logs import shop_log

import generators
import simulator
from benchmark.adapters import calibrated
from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import read_json
from eventlog.check import check
from generators.privacy import judgement
from simulator import api

HERE = calibrated.__file__
CHANGED = {
    "catalogue.items": 200,
    "catalogue.categories": 8,
    "checkout.cart": -2.8,
    "checkout.begin": -1.2,
    "shoppers.visits": 0.4,
}


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
    theirs, ours = (
        log.events["item_id"].value_counts() for log in (shop, fitted.sample(150, seed=2))
    )
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
    sample = model.sample(30, seed=1)
    assert [f for f in check(sample) if f.level == "error"] == []
    assert not set(sample.events["item_id"].dropna()) & set(shop.items["item_id"])
    with pytest.raises(InputError, match="no conditions"):
        model.sample(30, seed=1, where={"country": "DE"})


def leaves(data, at=""):
    """Every value of nested data with its path; a dictionary's keys and a list's length count as
    values, too.
    """
    if isinstance(data, dict):
        yield f"{at}#keys", str(sorted(data))
        for key, value in data.items():
            yield from leaves(value, f"{at}/{key}")
    elif isinstance(data, list):
        yield f"{at}#length", str(len(data))
        for k, value in enumerate(data):
            yield from leaves(value, f"{at}[{k}]")
    else:
        yield at, repr(data)


@pytest.fixture
def artefacts(tmp_path):
    """What leaves the building when a log is fitted: path of a value -> value, and all bytes."""

    def make(log, noise_seed):
        name = str(noise_seed)
        model = calibrated.Calibrated(trials=1)
        model.fit(log, seed=0, epsilon=4.0, noise_seed=noise_seed)
        folder = generators.save(model, tmp_path / f"{name}-model")
        sample = model.sample(20, seed=1)
        written = sample.write(tmp_path / f"{name}-sample")
        found = {}
        for file in (folder / "model.json", folder / "manifest.json", written / "manifest.json"):
            found |= {
                f"{file.parent.name.split('-')[-1]}/{file.name}{at}": v
                for at, v in leaves(read_json(file))
            }
        for table in ("events", "users", "items", "labels"):
            frame = getattr(sample, table)
            found[f"sample/{table}"] = str(
                None if frame is None else [(c, str(frame[c].dtype)) for c in frame]
            )
        whole = b"".join(
            path.read_bytes()
            for part in (folder, written)
            for path in part.rglob("*")
            if path.is_file()
        )
        return {at: v for at, v in found.items() if "sha256" not in at}, whole

    return make


def test_nothing_that_leaves_the_building_tells_for_certain_that_a_user_is_there(
    artefacts, monkeypatch
):
    """Neighbouring logs, each fitted thrice with other noise: nothing is the same within each and
    differs between them.
    """
    # What the fit looks at is simulated once: the looks see nothing but the settings, which stand
    # in the model.
    really, shop = (
        api.simulate,
        simulator.simulate(
            "shop", users=60, days=25, seed=1, settings={"calendar.start": "2026-01-01"}
        ),
    )
    monkeypatch.setattr("simulator.calibration.calibrate._users", lambda target: 60)
    monkeypatch.setattr(
        api,
        "simulate",
        lambda *args, **asked: shop if asked["users"] == 60 else really(*args, **asked),
    )
    log = shop_log(users=600, items=40, seed=4)
    log.events = log.events[
        log.events["timestamp"] < pd.Timestamp("2026-01-25", tz="UTC")
    ].reset_index(drop=True)
    log.labels = log.labels[log.labels["event_id"].isin(log.events["event_id"])].reset_index(
        drop=True
    )
    log.manifest = {"roles": ROLES, "currency": "EUR"}
    without = [artefacts(log, k)[0] for k in range(3)]
    for side, at in enumerate(("first", "middle", "last"), start=1):
        odd = with_odd_user(log, at=at)
        with_, written = zip(*(artefacts(odd, 3 * side + k) for k in range(3)), strict=True)
        assert not any(SECRET.encode() in whole for whole in written)
        for path in set().union(*without, *with_):
            a, b = ({found.get(path) for found in side} for side in (without, with_))
            assert len(a) > 1 or len(b) > 1 or a == b, path


def test_the_statement_is_recomposed_and_says_where_the_noise_came_from(shop):
    fitted = [
        generators.fit(shop, model=HERE, epsilon=5.0, noise_seed=seed, settings={"trials": 1})
        for seed in (None, 4)
    ]
    assert [model.privacy["noise_source"] for model in fitted] == ["system", "seed"]
    for model in fitted:
        composed = judgement._composed(model.privacy["ledger"], model.privacy["delta"])
        assert composed == pytest.approx(5.0, rel=1e-3)
        assert model.privacy["public"] == []
    public = generators.fit(
        EventLog(
            shop.events,
            items=shop.items,
            manifest=shop.manifest | {"provenance": {"items": "given"}},
        ),
        model=HERE,
        epsilon=5.0,
        public={"items": shop.items, "event": ["purchase"]},
        settings={"trials": 1},
    )
    # what was treated as public, which event names were not
    assert public.privacy["public"] == ["items"]
    assert "sha256" in public.privacy["public_lists"]["items"]
    composed = judgement._composed(public.privacy["ledger"], public.privacy["delta"])
    assert 4.9 < composed <= 5.0 and composed == pytest.approx(
        public.privacy["epsilon_spent"], rel=1e-3
    )
    assert any(entry["what"] == "items: pairs" for entry in public.privacy["ledger"])
    assert set(public.sample(30, seed=2).events["item_id"].dropna()) <= set(shop.items["item_id"])
    with pytest.raises(InputError, match="made from the events"):
        generators.fit(shop, model=HERE, epsilon=5.0, public=["items"], settings={"trials": 1})
