"""A market's log: addresses, dates of items, cards, ranges, and what is known where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog
from generators.structure.declared import as_toml, read_declared
from generators.structure.finding.finder import find_structure
from generators.structure.relations.bands import Bands
from generators.structure.relations.constants import IdConstant
from generators.structure.relations.formula import Balance
from generators.structure.relations.template import Template
from generators.structure.relations.times import TimeDifference
from generators.structure.relations.where import OfItem, Where
from generators.structure.structure import Structure

ITEMS = 60
DAY_S = 86_400
WORDS = ("red", "blue", "old", "new", "rare", "big")
GROUPS, AGES = ("young", "middle", "senior", "old"), (25, 40, 60)
START = pd.Timestamp("2026-01-10")
CAMPAIGN = {"mail": "spring", "banner": "brand"}


def market_log(users: int = 260) -> EventLog:
    """Return a log of lots that are searched for, looked at, and bought by card or by invoice."""
    rng, rows = np.random.default_rng(23), list[dict[str, Any]]()
    price = rng.lognormal(3, 0.6, ITEMS).round(2)
    slug = [f"{rng.choice(WORDS)}-{rng.choice(WORDS)}-lot" for _ in range(ITEMS)]
    since = [f"{pd.Timestamp('2025-06-01') + pd.Timedelta(days=7 * k):%Y-%m-%d}" for k in range(60)]
    for u in range(users):
        time, age = float(rng.uniform(0, 40)) * DAY_S, int(rng.integers(18, 80))
        balance = round(float(rng.lognormal(4, 0.5)), 2)
        cards = [(f"card{u}.{k}", str(rng.choice(["debit", "credit"]))) for k in range(1 + u % 3)]
        for visit in range(int(rng.poisson(5)) + 1):
            time += DAY_S * rng.exponential(5)
            source = str(rng.choice(["search", "direct", *CAMPAIGN]))
            here: dict[str, Any] = {"user_id": f"m{u}", "session_id": f"{u}.{visit}"}
            here |= {"source": source, "campaign": CAMPAIGN.get(source), "age": age}
            here["age_group"] = ["young", "middle", "senior", "old"][
                int(np.searchsorted(AGES, age))
            ]
            words = str(rng.choice(WORDS))
            find = {"query": words, "url": f"/find?q={words}&src={source}"}
            rows.append({**here, **find, "t": time, "event": "find"})
            for lot in rng.integers(0, ITEMS, int(rng.integers(1, 5))):
                time += 5 + rng.exponential(60)
                item = {"item_id": f"L{lot}", "listed": since[lot]}
                look = {"url": f"/lot/L{lot}/{slug[lot]}?src={source}"}
                rows.append({**here, **item, **look, "t": time, "event": "look"})
                if rng.random() > 0.3:
                    continue
                pieces = int(rng.choice([1, 1, 2, 5, 12, 30]))
                cost, off = price[lot] * pieces, {1: 0, 2: 0, 5: 5, 12: 10, 30: 10}[pieces]
                paid = round(cost * (1 - off / 100), 2)
                buy = {"pieces": pieces, "cost": round(cost, 2), "off": off, "paid": paid}
                buy |= {"free_shipping": bool(paid >= 50), "means": "invoice"}
                if rng.random() < 0.7:
                    card, kind = cards[int(rng.integers(len(cards)))]
                    buy |= {"means": "card", "card": card, "card_kind": kind}
                    buy["code"] = int(rng.integers(100, 999))
                if balance < paid:
                    top_up = float(rng.choice([20, 50, 100, 500])) + round(paid - balance, 2)
                    balance = round(balance + top_up, 2)
                    added = {"added": round(top_up, 2), "balance": balance, "url": "/top-up"}
                    rows.append({**here, **added, "t": time + 10, "event": "top-up"})
                balance = round(balance - paid, 2)
                due = START + pd.Timedelta(seconds=time, days=14)
                buy |= {
                    "url": "/paid",
                    "balance": balance,
                    "t": time + 20,
                    "due": f"{due:%d.%m.%Y}",
                }
                rows.append({**here, **item, **buy, "event": "buy"})
    roles = {"look": "view", "buy": "purchase", "find": "search", "top-up": "other"}
    return log_of_rows(pd.DataFrame(rows), f"{START:%Y-%m-%d}", roles)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return market_log()


@pytest.fixture(scope="module")
def found(log: EventLog) -> Structure:
    return find_structure(log, min_users=5)


@pytest.fixture(scope="module")
def twin(log: EventLog) -> EventLog:
    return generators.fit(log, model="markov", seed=1).sample(300, seed=2).ordered()


def test_what_was_found_is_written_and_read_again(
    log: EventLog, found: Structure, tmp_path: Path
) -> None:
    """A file that had a time, or a balance from each user's own start, was refused."""
    assert Structure.from_json(found.to_json()) == found
    kinds = {type(r) for r in found.relations}
    assert kinds >= {Balance, Bands, IdConstant, OfItem, Template, TimeDifference, Where}
    path = tmp_path / "structure.toml"
    path.write_text(as_toml(found), encoding="utf-8")
    again = find_structure(log, min_users=5, declared=read_declared(path, log))
    assert list(again.relations) == list(found.relations)


def test_an_address_contains_what_it_should(log: EventLog, twin: EventLog) -> None:
    """One event's address names an item in words, another's a query, others are always the same."""
    looks = log.events["url"][log.events["event"] == "look"].astype(str)
    slug = dict(looks.str.extract("/lot/(L[0-9]+)/([^?]+)").itertuples(index=False))
    rows = twin.events.astype({"item_id": str, "source": str, "query": str})
    end = "?src=" + rows["source"]
    wanted = {
        "look": "/lot/" + rows["item_id"] + "/" + rows["item_id"].map(slug) + end,
        "find": "/find?q=" + rows["query"] + "&src=" + rows["source"],
        "buy": pd.Series("/paid", index=rows.index),
    }
    for event, url in wanted.items():
        of = rows["event"] == event
        assert (rows["url"].astype(str) == url)[of].all(), event
    assert twin.items is not None
    assert set(twin.items) <= {"item_id", "listed"}


def test_a_date_of_an_item_is_the_items(log: EventLog, twin: EventLog) -> None:
    """It was learnt as days from the row, and an item had as many dates as rows."""
    days = {
        str(i): str(day)
        for i, day in log.events[["item_id", "listed"]].dropna().itertuples(index=False)
    }
    rows = twin.events.dropna(subset="item_id")
    assert (rows["listed"].astype(str) == rows["item_id"].astype(str).map(days)).all()


def test_what_an_id_names_has_one_value(log: EventLog, twin: EventLog) -> None:
    rows = twin.events.dropna(subset="card").astype({"card": str, "card_kind": str})
    assert len(rows) > 200
    assert rows.groupby("card")["card_kind"].nunique().max() == 1
    assert rows.groupby("user_id", observed=True)["card"].nunique().max() > 1


def test_a_column_is_known_where_another_says_so(twin: EventLog) -> None:
    buys = twin.events[twin.events["event"] == "buy"]
    by_card = buys["means"].astype(str) == "card"
    assert 0.5 < by_card.mean() < 0.9
    for name in ("code", "card", "card_kind"):
        assert (buys[name].notna() == by_card).mean() > 0.995, name
    source = twin.events["source"].astype(str)
    assert (twin.events["campaign"].notna() == source.isin(CAMPAIGN)).all()
    assert (twin.events["campaign"].dropna().astype(str) == source.map(CAMPAIGN).dropna()).all()
    sessions = source.groupby(twin.events["session_id"].astype(str)).nunique()
    assert (sessions == 1).all()


def test_ranges_of_numbers_decide(twin: EventLog) -> None:
    age = twin.events["age"].to_numpy()
    wanted = np.array(GROUPS)[np.searchsorted(AGES, age)]
    assert (twin.events["age_group"].astype(str) == wanted).all()
    buys = twin.events[twin.events["event"] == "buy"]
    assert ((buys["paid"] >= 50) == (buys["free_shipping"].astype(str) == "True")).all()
    off = buys["pieces"].map({1: 0, 2: 0, 5: 5, 12: 10, 30: 10})
    assert (off == buys["off"]).all()
    assert ((buys["cost"] * (1 - buys["off"] / 100) - buys["paid"]).abs() < 0.011).all()


def test_a_balance_goes_on_from_what_a_user_had(log: EventLog, twin: EventLog) -> None:
    rows = twin.events.dropna(subset="balance")
    moved = rows["added"].fillna(0) - rows["paid"].fillna(0)
    step = rows.groupby("user_id", observed=True)["balance"].diff()
    assert ((step - moved)[step.notna()].abs() < 0.011).all()
    assert rows["balance"].min() >= 0
    begins = ~rows["user_id"].duplicated()
    start = (rows["balance"] - moved)[begins]
    real = log.events.dropna(subset="balance").drop_duplicates("user_id")
    real_start = real["balance"] - real["added"].fillna(0) + real["paid"].fillna(0)
    assert start.nunique() > 50
    assert start.quantile(0.25) < 2 * real_start.median()
