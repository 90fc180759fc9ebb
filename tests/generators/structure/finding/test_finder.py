"""What is determined is found, taken out and put back; chance is not taken for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog
from eventlog.check import check
from eventlog.log import sort_events, tidy
from generators.structure.finding.finder import find_structure
from generators.structure.structure import OWN, OWN_PREFIXES, Structure, escaped, unescaped


def with_columns(log: EventLog, **columns: Any) -> EventLog:
    return replace(log, events=log.events.assign(**columns))


@pytest.fixture(scope="module")
def log() -> EventLog:
    return shop_log(users=120, seed=3).ordered()


@pytest.fixture(scope="module")
def rich(log: EventLog) -> EventLog:
    """The shop's log with a column of every kind that follows from others."""
    rng = np.random.default_rng(7)
    events, user = log.events, log.events["user_id"].cat.codes.to_numpy()
    item = events["item_id"].cat.codes.to_numpy()
    n, size = len(events), int(item.max()) + 1
    grams = np.append(rng.integers(50, 5000, size), 0)[item].astype(float)
    amount = rng.integers(1, 6, n).astype(float)
    unit = np.round(np.exp(rng.normal(3, 1, n)), 2)
    sold = (events["event"] == "purchase").to_numpy()
    total = np.round(unit * amount, 2)
    paid = pd.Series(np.where(sold, total, 0.0)).groupby(user).cumsum().to_numpy()
    place = rng.normal(0, 20, user.max() + 1)[user] + rng.normal(0, 0.01, n)
    shop = rng.integers(0, 12, n)
    return with_columns(
        log,
        grams=np.where(item >= 0, grams, np.nan),
        amount=amount,
        unit=unit,
        total=total,
        tax=np.round(total * 0.19, 2),
        due=np.round(total + np.round(total * 0.19, 2), 2),
        paid=np.round(paid, 2),
        visit_row=np.arange(n) - pd.Series(np.arange(n)).groupby(user).transform("min") + 1,
        age=rng.integers(18, 80, user.max() + 1)[user],
        latitude=np.round(place, 5),
        shop=pd.Categorical([f"shop {k}" for k in shop]),
        region=pd.Categorical([f"region {k % 4}" for k in shop]),
        weekday=events["timestamp"].dt.weekday.to_numpy(),
        ship_date=(
            events["timestamp"].dt.floor("D") + pd.to_timedelta(rng.integers(1, 4, n), "D")
        ).astype(events["timestamp"].dtype),
        row_no=1_000 + 3 * np.argsort(np.argsort(events["timestamp"].to_numpy(), kind="stable")),
    )


@pytest.fixture(scope="module")
def twin(rich: EventLog) -> EventLog:
    return generators.fit(rich, model="markov", seed=1).sample(120, seed=2)


def test_every_kind_is_found(rich: EventLog) -> None:
    found = {r.column: type(r).__name__ for r in find_structure(rich, min_users=5).relations}
    expected = {
        "grams": "Dependency",
        "total": "Formula",
        "tax": "Formula",
        "due": "Formula",
        "paid": "RunningSum",
        "visit_row": "RunningSum",
        "age": "UserConstant",
        "latitude": "UserLevel",
        "region": "Dependency",
        "weekday": "Calendar",
        "ship_date": "TimeDifference",
        "row_no": "RunningNumber",
    }
    assert {n: found.get(n) for n in expected} == expected
    assert not {"amount", "unit", "shop", "quantity"} & set(found)


def test_a_sample_keeps_what_is_determined(rich: EventLog, twin: EventLog) -> None:
    events = twin.events
    assert list(events.columns) == list(rich.events.columns)
    assert [f.text for f in check(twin) if f.level == "error"] == []
    real = rich.events.dropna(subset=["item_id"]).groupby("item_id", observed=True)["grams"].first()
    known = events[events["item_id"].isin(real.index)]
    grams = real.reindex(known["item_id"].astype(str)).to_numpy()
    assert (known["grams"].to_numpy() == grams).all()
    assert np.abs(events["total"] - events["unit"] * events["amount"]).max() < 0.0051
    assert np.abs(events["tax"] - events["total"] * 0.19).max() < 0.0051
    assert np.abs(events["due"] - events["total"] - events["tax"]).max() < 0.011
    by_user = events.groupby("user_id", observed=True)
    assert (by_user["age"].nunique() == 1).all()
    assert (by_user["visit_row"].diff().dropna() == 1).all()
    assert by_user["latitude"].std().median() < 0.05
    steps = by_user["paid"].diff().fillna(0)[events["event"] != "purchase"]
    assert np.abs(steps).max() < 0.011
    assert (events["weekday"] == events["timestamp"].dt.weekday).all()
    pairs = set(zip(rich.events["shop"], rich.events["region"], strict=True))
    assert set(zip(events["shop"], events["region"], strict=True)) <= pairs
    ahead = (events["ship_date"] - events["timestamp"].dt.floor("D")).dt.days
    assert ahead.between(1, 3).all()
    assert (events["ship_date"] == events["ship_date"].dt.floor("D")).all()
    assert pd.api.types.is_integer_dtype(events["visit_row"])


def test_numbers_of_a_sample_are_not_those_of_the_log(rich: EventLog, twin: EventLog) -> None:
    assert not set(twin.events["row_no"]) & set(rich.events["row_no"])
    in_time = twin.events.sort_values(["timestamp", "row_no"], kind="stable")["row_no"]
    assert in_time.is_monotonic_increasing


def test_chance_is_no_structure(log: EventLog) -> None:
    rng = np.random.default_rng(1)
    n = len(log)
    noise = with_columns(
        log,
        a=rng.integers(0, 3, n),
        b=rng.integers(0, 1000, n),
        c=rng.normal(size=n),
        d=pd.Categorical(rng.choice(list("xyz"), n)),
    )
    found = {r.column for r in find_structure(noise, min_users=5).relations}
    assert not {"a", "b", "c", "d"} & found


def test_what_is_reduced_and_restored_is_the_log(rich: EventLog) -> None:
    structure = find_structure(rich, min_users=1)
    exact = ["total", "tax", "due", "paid", "visit_row", "age", "region", "weekday", "grams"]
    back = structure.restore(structure.reduce(rich), np.random.default_rng(0))
    for name in exact:
        assert (
            np.abs(back.events[name] - rich.events[name]).max() < 0.011
            if (pd.api.types.is_numeric_dtype(rich.events[name]))
            else (back.events[name].astype(str) == rich.events[name].astype(str)).all()
        ), name
    assert (back.events["timestamp"] == rich.events["timestamp"]).all()


def test_exceptions_are_as_frequent_as_in_the_log(log: EventLog) -> None:
    rng = np.random.default_rng(2)
    n = len(log)
    a, b = rng.integers(1, 9, n).astype(float), np.round(rng.gamma(2, 20, n), 2)
    total = np.where(rng.random(n) < 0.01, np.round(rng.gamma(2, 50, n), 2), np.round(a * b, 2))
    odd = with_columns(log, a=a, b=b, total=total)
    (relation,) = [r for r in find_structure(odd, min_users=5).relations if r.column == "total"]
    assert relation.exceptions == pytest.approx(0.01, abs=0.006)
    events = generators.fit(odd, model="markov", seed=1).sample(200, seed=1).events
    off = (np.abs(events["total"] - events["a"] * events["b"]) > 0.0051).mean()
    assert 0.002 < off < 0.02


ANY_NAMES = [
    *(*sorted(OWN), "label:x", "favourite x", "column:item", "a.b"),
    *("given 3: event", "event given country"),
]


@pytest.mark.parametrize("names", [ANY_NAMES[k::4] for k in range(4)], ids=" ".join)
@pytest.mark.parametrize("numeric", [False, True])
def test_columns_of_a_team_may_have_any_names(
    log: EventLog, names: list[str], numeric: bool
) -> None:
    """A fit for each of the names, 44 of them, took a sixth of all tests of generators."""
    rng, own = np.random.default_rng(0), dict[str, Any]()
    for name in names:
        values = rng.integers(0, 3, len(log))
        own[name] = values * 2.5 if numeric else pd.Categorical(np.array(list("xyz"))[values])
    twin = generators.fit(with_columns(log, **own), model="markov", seed=1).sample(40, seed=1)
    assert list(twin.events.columns) == [*log.events.columns, *names]
    for name in names:
        real = pd.Series(own[name]).astype(str).value_counts(normalize=True)
        found = twin.events[name].astype(str).value_counts(normalize=True)
        assert np.abs(real - found.reindex(real.index).fillna(0)).max() < 0.15, name


def test_names_are_escaped_one_to_one() -> None:
    names = [*OWN, *(p + "x" for p in OWN_PREFIXES), "brand", "column:column:gap", "x column:"]
    learnt = [escaped(n) for n in names]
    assert len(set(learnt)) == len(names)
    assert [unescaped(n) for n in learnt] == names
    assert not set(learnt) & OWN


def test_days_of_a_time_zone_stay_days(log: EventLog) -> None:
    local = log.events["timestamp"].dt.tz_convert("America/New_York").dt.normalize()
    days = local.dt.tz_convert("UTC").astype("datetime64[ms, UTC]")
    daily = replace(log, events=log.events.assign(timestamp=days)).ordered()
    twin = generators.fit(daily, model="markov", seed=1).sample(80, seed=1)
    hours = twin.events["timestamp"].dt.tz_convert("America/New_York").dt.hour
    assert (hours == 0).all()


def funnel_log(users: int, *, without_cart: int) -> EventLog:
    """Users who view, put into the cart and buy items; a few more buy one without a cart."""
    rng = np.random.default_rng(4)
    rows = []
    for user in range(users):
        time = pd.Timestamp("2026-03-02", tz="UTC") + pd.Timedelta(days=float(rng.uniform(0, 20)))
        for _ in range(4):
            time += pd.Timedelta(days=float(rng.exponential(3)) + 0.1)
            for item in rng.zipf(1.4, 3) % 30:
                for event in ("view_item", "add_to_cart", "purchase"):
                    if event != "view_item" and rng.random() < 0.4:
                        break
                    time += pd.Timedelta("20s")
                    rows.append((f"u{user}", time, event, f"i{item}"))
        if user < without_cart:
            rows.append((f"u{user}", time + pd.Timedelta("1d"), "purchase", "i9"))
    frame = pd.DataFrame(rows, columns=["user_id", "timestamp", "event", "item_id"])
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return EventLog(events=events, manifest={"made_by": "tests"})


def share_after_cart(log: EventLog) -> float:
    role = log.events["event"].astype(str)
    key = log.events["user_id"].astype(str) + " " + log.events["item_id"].astype(str)
    in_cart = (role == "add_to_cart").groupby(key).cummax()
    return float(in_cart[role == "purchase"].mean())


@pytest.mark.parametrize("without", [0, 1, 60])
def test_purchases_without_a_cart_are_as_rare_as_in_the_log(without: int) -> None:
    log = funnel_log(240, without_cart=without)
    twin = generators.fit(log, model="markov", seed=1).sample(240, seed=1)
    assert set(twin.events["event"]) == {"view_item", "add_to_cart", "purchase"}
    assert share_after_cart(twin) == pytest.approx(share_after_cart(log), abs=0.05)


def test_a_structure_is_written_and_read(rich: EventLog) -> None:
    structure = find_structure(rich, min_users=5)
    assert Structure.from_json(structure.to_json()) == structure
