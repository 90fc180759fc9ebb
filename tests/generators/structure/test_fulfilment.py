"""A wholesaler's log: orders are sent and delivered later, accounts have plans, points add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog
from eventlog.check import check
from generators.structure.finding.finder import find_structure
from generators.structure.relations.follow_up import FollowUp

DAY_S = 86_400
LIMIT = {"free": 1_000, "pro": 5_000, "large": 20_000}
DISCOUNT = {"free": 0.0, "pro": 5.0, "large": 12.5}
COUNTRY = {"Lisbon": "PT", "Porto": "PT", "Madrid": "ES", "Leeds": "GB"}
ITEMS = 40


def wholesale_log(users: int = 260, *, sessions: bool = True) -> EventLog:
    """Return a log in which all but what users look at and order follows from something else."""
    rng, rows, accounts = np.random.default_rng(5), list[dict[str, Any]](), []
    price = rng.lognormal(3, 0.7, ITEMS).round(2)
    pack = rng.choice([1, 6, 12, 24], ITEMS)
    for u in range(users):
        plan, city = str(rng.choice(list(LIMIT))), str(rng.choice(list(COUNTRY)))
        account = {"user_id": f"a{u}", "plan": plan, "credit_limit": LIMIT[plan], "city": city}
        accounts.append({**account, "country": COUNTRY[city], "rep": f"{city}-{rng.integers(2)}"})
        time, number, points = float(rng.uniform(0, 40)) * DAY_S, 0, 0
        for visit in range(int(rng.poisson(5)) + 1):
            time += DAY_S * (1 + rng.exponential(5)) // DAY_S * DAY_S + rng.uniform(0, 3_600)
            here = {"user_id": f"a{u}", "session_id": f"s{u}.{visit}", "depot": city[:2]}
            looked = rng.integers(0, ITEMS, int(rng.poisson(3)) + 1)
            rows += [
                {**here, "t": time + 40 * k, "event": "look", "item": int(i)}
                for k, i in enumerate(looked)
            ]
            if rng.random() < 0.5:
                number, sent = number + 1, time + DAY_S * rng.uniform(0.5, 2)
                order = {"order_id": f"o{u}.{number}", "number": number}
                order["carrier"] = str(rng.choice(["north", "south", "west"]))
                for i in dict.fromkeys(looked[:3]):
                    paid = round(price[i] * (1 - DISCOUNT[plan] / 100), 2)
                    pieces = int(pack[i] * rng.integers(1, 4))
                    points += int(paid * pieces // 10)
                    line = {"paid": paid, "pieces": pieces, "amount": round(paid * pieces, 2)}
                    line |= {"t": time + 400, "event": "line", "item": int(i), "points": points}
                    rows.append({**here, **order, **line})
                later = {"user_id": f"a{u}", "depot": city[:2], **order}
                rows.append({**later, "t": sent, "event": "sent"})
                if rng.random() < 0.9:
                    came = sent + DAY_S * rng.uniform(1, 4)
                    rows.append({**later, "t": came, "event": "delivered"})
    frame = pd.DataFrame(rows)
    item = frame.pop("item")
    known = item.notna().to_numpy()
    code = item.fillna(0).astype(int).to_numpy()
    frame["item_id"] = np.where(
        known, np.array([f"i{k}" for k in range(ITEMS)], object)[code], None
    )
    frame["list_price"] = np.where(known, price[code], np.nan)
    frame["pack"] = np.where(known, pack[code], np.nan)
    frame = frame if sessions else frame.drop(columns="session_id")
    roles = {"look": "view", "line": "purchase", "sent": "other"}
    return log_of_rows(frame, "2026-02-02 09:00", roles, pd.DataFrame(accounts))


@pytest.fixture(scope="module")
def log() -> EventLog:
    return wholesale_log()


@pytest.fixture(scope="module", params=["markov", "vae"])
def twin(request: pytest.FixtureRequest, log: EventLog) -> EventLog:
    settings = {"epochs": 2} if request.param == "vae" else {}
    model = generators.fit(log, model=request.param, seed=1, settings=settings)
    return model.sample(300, seed=2).ordered()


def _days(rows: pd.DataFrame, before: pd.DataFrame) -> pd.Series:
    """Return the days of `rows` since the last row of the same order in `before`."""
    both = rows.assign(order_id=rows["order_id"].astype(str)).merge(
        before.assign(order_id=before["order_id"].astype(str)).drop_duplicates(
            "order_id", keep="last"
        ),
        on="order_id",
        how="left",
    )
    return (both["timestamp_x"] - both["timestamp_y"]).dt.total_seconds() / DAY_S


def _values(rows: pd.DataFrame, key: str, of: str) -> int:
    """Return how many values of a column a value of `key` has at most."""
    return int(rows.groupby(rows[key].astype(str))[of].nunique().max())


def test_an_order_is_sent_and_delivered_once(twin: EventLog) -> None:
    """Of the orders of a sample a third were sent twice, and half of them before or long after."""
    assert not [found for found in check(twin) if found.level == "error"]
    events = twin.events
    line, sent, came = (events[events["event"] == n] for n in ("line", "sent", "delivered"))
    assert sent["order_id"].is_unique
    assert came["order_id"].is_unique
    assert _days(sent, line).between(0.45, 2.05).all()
    assert _days(came, sent).between(0.95, 4.05).all()
    assert sent["session_id"].isna().all()
    assert len(sent) > 0.9 * line["order_id"].nunique()
    assert len(came) / len(sent) == pytest.approx(0.9, abs=0.05)


def test_what_belongs_to_an_order_stays_with_it(twin: EventLog) -> None:
    ordered = twin.events[twin.events["order_id"].notna()]
    assert _values(ordered, "order_id", "carrier") == 1
    assert ordered["carrier"].notna().all()
    first = ordered.drop_duplicates("order_id")
    assert (first["number"] == first.groupby("user_id", observed=True).cumcount() + 1).all()
    assert _values(ordered, "order_id", "number") == 1


def test_columns_of_users_agree(twin: EventLog) -> None:
    """One account in a hundred had the limit of another plan, or a city in another country."""
    assert twin.users is not None
    assert (twin.users["plan"].astype(str).map(LIMIT) == twin.users["credit_limit"]).all()
    for key, of in (("city", "country"), ("rep", "city")):
        assert _values(twin.users, key, of) == 1
    events = twin.events.merge(twin.users, on="user_id")
    assert (events["depot"].astype(str) == events["city"].astype(str).str[:2]).all()


def test_amounts_follow_from_the_plan_the_pack_and_each_other(twin: EventLog) -> None:
    line = twin.events[twin.events["event"] == "line"].merge(twin.users, on="user_id")
    paid = line["list_price"] * (1 - line["plan"].astype(str).map(DISCOUNT) / 100)
    # of users who did not order their discount is not known
    assert ((line["paid"] - paid).abs() < 0.011).mean() > 0.96
    assert (line["pieces"] % line["pack"] == 0).mean() > 0.98
    assert ((line["amount"] - line["paid"] * line["pieces"]).abs() < 0.011).all()
    points = (line["amount"] // 10).groupby(line["user_id"].astype(str)).cumsum()
    assert (points == line["points"]).mean() > 0.99


def test_rows_outside_sessions_keep_their_values(log: EventLog) -> None:
    """A number that is the same in a session was missing in all rows that belong to none."""
    rng = np.random.default_rng(3)
    number = rng.integers(0, 50, log.events["session_id"].nunique())
    code = log.events["session_id"].astype("category").cat.codes.to_numpy()
    value = np.where(code >= 0, number[code], rng.integers(0, 50, len(code))).astype(float)
    marked = EventLog(log.events.assign(budget=value), log.users, manifest=log.manifest)
    structure = find_structure(marked, min_users=5)
    assert any("budget is the same in all rows of a session" in s for s in structure.sentences())
    again = structure.restore(structure.reduce(marked), np.random.default_rng(1))
    kept = again.events["session_id"].isna()
    assert again.events.loc[~kept, "budget"].notna().all()
    assert again.events.loc[kept & (again.events["event_id"] >= 0), "budget"].notna().all()


def test_follow_ups_are_found_without_sessions() -> None:
    structure = find_structure(wholesale_log(sessions=False), min_users=5)
    found = [(r.event, r.after) for r in structure.relations if isinstance(r, FollowUp)]
    assert found == [("sent", "line"), ("delivered", "sent")]
