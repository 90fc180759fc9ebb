"""Kinds of structure that team logs have: each is found, and holds in a sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import shop_log
from hypothesis import given
from hypothesis import strategies as st

import generators
from eventlog import EventLog
from eventlog.check import check
from eventlog.sessions import session_ids
from generators.structure.finding.finder import find_structure
from generators.structure.finding.formulas import Numbers
from generators.structure.finding.rates import find_rate, rates_of
from generators.structure.tables import Tables

BANDS = {(c, e): f"{c[0]}{e[0]}" for c in ("DE", "FR", "UK", "US") for e in ("yes", "no")}
CURRENCY = {"DE": "EUR", "FR": "EUR", "UK": "GBP", "US": "USD"}
ZONE_HOURS = {"DE": 1, "FR": 1, "UK": 0, "US": -5}
VAT = {"DE": 0.19, "FR": 0.2, "UK": 0.2, "US": 0.0825}
FEE = {pair: 4.5 + 1.37 * k for k, pair in enumerate(BANDS)}
POINTS = {"purchase": 10, "add_to_cart": -1}


def with_kinds(log: EventLog) -> EventLog:
    """Return `log` with columns that follow from others, and some from which they follow."""
    rng = np.random.default_rng(11)
    d = log.events.copy()
    d["session_id"] = session_ids(d)
    n, user = len(d), d["user_id"].cat.codes.to_numpy()
    d["country"] = np.array(list(CURRENCY), dtype=object)[rng.integers(0, 4, user.max() + 1)[user]]
    d["express"] = np.where(rng.random(n) < 0.3, "yes", "no")
    d["pieces"] = rng.integers(1, 6, n).astype(float)
    d["unit"] = np.round(np.exp(rng.normal(3, 1, n)), 2)
    d["received"] = d["timestamp"] + pd.to_timedelta(rng.integers(200, 2000, n), "ms")
    starts = (d["session_id"] != d["session_id"].shift()).to_numpy()
    moves = np.where(starts, rng.random(n) < 0.2, False)
    d["version"] = pd.Series(moves).groupby(user).cumsum().to_numpy() + user % 3
    return EventLog(follow(d), labels=log.labels, manifest=log.manifest)


def follow(d: pd.DataFrame) -> pd.DataFrame:
    """Return `d` with all columns that follow from others, computed again."""
    users = d.groupby("user_id", observed=True, sort=False)
    sessions = d.groupby("session_id", observed=True, sort=False)
    country, event = d["country"].astype(object), d["event"].astype(object)
    amount = (d["pieces"] * d["unit"]).round(2)
    visit = amount.groupby(d["session_id"].astype(object)).transform("sum").round(2)
    pairs = list(zip(country, d["express"].astype(object), strict=True))
    vat = (amount * country.map(VAT)).round(2)
    viewed = event == "view_item"
    return d.assign(
        currency=country.map(CURRENCY),
        band=[BANDS[p] for p in pairs],
        amount=amount,
        vat=vat,
        gross=(amount + vat).round(2),
        shipping=(d["pieces"] * [FEE[p] for p in pairs]).round(2),
        visit_amount=visit,
        share_of_visit=(amount / visit).round(4),
        visit_rows=sessions["event"].transform("size"),
        entry=sessions["event"].transform("first").astype(object),
        before=users["event"].shift().astype(object),
        dearest=sessions["unit"].cummax(),
        view_no=viewed.groupby(d["session_id"].astype(object)).cumsum().where(viewed),
        balance=event.map(POINTS).fillna(0).groupby(d["user_id"].astype(object)).cumsum() + 50,
        bulk=np.where(d["pieces"] >= 3, "Y", "N"),
        fahrenheit=(d["unit"] * 1.8 + 32).round(1),
        delay_ms=(d["received"] - d["timestamp"]).dt.total_seconds() * 1000,
        local=d["timestamp"] + pd.to_timedelta(country.map(ZONE_HOURS), "h"),
    )


@pytest.fixture(scope="module")
def log() -> EventLog:
    return with_kinds(shop_log(users=120, seed=3).ordered())


def test_every_kind_is_found(log: EventLog) -> None:
    found = {r.column: type(r).__name__ for r in find_structure(log, min_users=5).relations}
    expected = {
        "currency": "Dependency",
        "band": "Dependency",
        "amount": "Formula",
        "vat": "Formula",
        "gross": "Rate",
        "shipping": "Rate",
        "visit_amount": "GroupTotal",
        "share_of_visit": "Formula",
        "visit_rows": "GroupTotal",
        "entry": "GroupTotal",
        "before": "Lagged",
        "dearest": "GroupTotal",
        "view_no": "RunningSum",
        "balance": "RunningSum",
        "bulk": "Comparison",
        "fahrenheit": "Formula",
        "delay_ms": "Formula",
        "version": "Growing",
        "distance of local": "Dependency",
    }
    assert {n: found.get(n) for n in expected} == expected
    assert not {"pieces", "unit", "express", "distance of received"} & set(found)


def test_every_kind_holds_in_a_sample(log: EventLog) -> None:
    sample = generators.fit(log, model="markov", seed=1).sample(100, seed=2)
    assert [f.text for f in check(sample) if f.level == "error"] == []
    events = sample.events
    assert list(events.columns) == list(log.events.columns)
    again = follow(events)
    for name in again.columns.difference(["user_id", "event_id"]):
        made, computed = events[name], again[name]
        if pd.api.types.is_float_dtype(made):
            close = np.isclose(made, computed, rtol=0, atol=0.06, equal_nan=True)
            assert close.mean() > 0.98, name
        else:
            same = made.astype(object).fillna("") == computed.astype(object).fillna("")
            assert same.mean() > 0.98, name
    steps = events.groupby("user_id", observed=True)["version"].diff().dropna()
    assert (steps >= 0).all() and (steps > 0).any()
    first = events.groupby("session_id", observed=True)["version"].transform("first")
    assert (events["version"] == first).all()


def test_noise_follows_from_nothing(log: EventLog) -> None:
    rng = np.random.default_rng(3)
    n = len(log)
    noise = {
        "flag": np.where(rng.random(n) < 0.4, "yes", "no"),
        "dice": rng.integers(1, 7, n),
        "amount_of_it": np.round(rng.gamma(2, 5, n), 2),
        "colour": rng.choice(["red", "green", "blue"], n),
    }
    plain = shop_log(users=120, seed=3).ordered()
    plain = EventLog(plain.events.assign(**noise), manifest=plain.manifest)
    assert not set(noise) & {r.column for r in find_structure(plain, min_users=5).relations}


@given(
    rates=st.lists(st.decimals(-99, 99, places=3).map(float), min_size=2, max_size=6),
    decimals=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_rates_are_the_numbers_that_were_multiplied(
    rates: list[float], decimals: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(len(rates)), 40)
    base = np.round(rng.gamma(2, 5_000, len(code)), 2)
    found = rates_of(code, (base * np.array(rates)[code]).round(decimals), base, decimals)
    made = base * found[code]
    np.testing.assert_allclose(made, base * np.array(rates)[code], atol=1.1 * 10.0**-decimals)
    if decimals > 1:
        np.testing.assert_allclose(found, rates, atol=1e-9)


def test_a_number_that_only_its_key_decides_has_no_rate() -> None:
    """Nor one whose base is nearly always 1."""
    rng = np.random.default_rng(5)
    key = rng.integers(0, 4, 4_000)
    base = np.where(rng.random(4_000) < 0.99, 1.0, 3.0)
    value = np.array([9.0, 19.0, 29.0, 49.0])[key]
    events = pd.DataFrame({"value": value, "base": base, "user_id": np.arange(4_000) // 8})
    numbers = Numbers(Tables(events, None, {}), ["value", "base"])
    assert find_rate(numbers, "value", ["base"], {"key": key}, rng) is None
    events["value"] = value * base
    numbers = Numbers(Tables(events, None, {}), ["value", "base"])
    found = find_rate(numbers, "value", ["base"], {"key": key}, rng)
    assert found is not None and found.share == 1.0
