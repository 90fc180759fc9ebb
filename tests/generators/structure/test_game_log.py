"""A game's log: wallets and levels that events change, local hours, addresses, days that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog
from generators.structure.finding.finder import find_structure
from generators.structure.relations.formula import Balance, Elapsed

OFFSET = {"JP": 9, "DE": 1, "US": -5}
PACKS = {"small": 10.0, "large": 60.0}
DAY_S = 86_400


def game_log(users: int = 150) -> EventLog:
    """Return a log of players who win, buy and spend; 40 of the wallet are a player's to begin."""
    rng, rows, players = np.random.default_rng(2), list[dict[str, Any]](), []
    for u in range(users):
        country, time = str(rng.choice(list(OFFSET))), float(rng.uniform(0, 30)) * DAY_S
        installed, gems, level = int(time // DAY_S), 40.0, 1
        day = pd.Timestamp("2026-03-01") + pd.Timedelta(days=installed)
        players.append({"user_id": f"p{u}", "country": country, "installed": f"{day:%Y-%m-%d}"})
        for visit in range(int(rng.poisson(6)) + 2):
            for _ in range(int(rng.poisson(4)) + 1):
                what = str(rng.choice(["play", "ad", "buy", "spend"], p=[0.5, 0.2, 0.1, 0.2]))
                row: dict[str, Any] = {"event": what}
                if what == "play":
                    row["won"] = str(rng.choice(["yes", "no"]))
                    level, gems = level + (row["won"] == "yes"), gems + 5 * (row["won"] == "yes")
                elif what == "buy":
                    row["item_id"] = str(rng.choice(list(PACKS)))
                    row["bought"] = PACKS[row["item_id"]] + float(rng.integers(0, 5))
                    gems += row["bought"]
                elif what == "spend":
                    gems -= 20
                else:
                    row["paid"] = round(float(rng.gamma(2, 0.002)), 6)
                row |= {"user_id": f"p{u}", "session_id": f"p{u}.{visit}", "t": time}
                row |= {"gems": gems, "level": level, "days": int(time // DAY_S) - installed}
                row["page"] = f"/{what}"
                if what == "buy":
                    row["page"] = f"/shop/{row['item_id']}?player=p{u}&level={level}"
                row["hour"] = (int(time // 3_600) + OFFSET[country]) % 24
                rows.append(row)
                time += 30 + rng.exponential(60)
            time += DAY_S * rng.exponential(3)
    roles = {"buy": "purchase", "play": "other", "ad": "other", "spend": "other"}
    return log_of_rows(pd.DataFrame(rows), "2026-03-01", roles, pd.DataFrame(players))


@pytest.fixture(scope="module")
def log() -> EventLog:
    return game_log()


@pytest.fixture(scope="module")
def twin(log: EventLog) -> EventLog:
    return generators.fit(log, model="markov", seed=1).sample(200, seed=2).ordered()


def test_a_balance_is_what_its_events_add(log: EventLog, twin: EventLog) -> None:
    """Each row's number was drawn by itself: 7 rows in 100 followed from the one before."""
    found = {r.column for r in find_structure(log, min_users=5).relations if type(r) is Balance}
    assert found == {"gems", "level"}
    for events, least in ((log.events, 1.0), (twin.events, 0.99)):
        won = (events["event"] == "play") & (events["won"].astype(str) == "yes")
        added = 5.0 * won - 20.0 * (events["event"] == "spend") + events["bought"].fillna(0)
        user = events["user_id"].astype(str)
        assert (40 + added.groupby(user).cumsum() == events["gems"]).mean() >= least
        assert (1 + won.groupby(user).cumsum() == events["level"]).mean() >= least


def test_hours_are_those_of_the_users_country(twin: EventLog) -> None:
    events = twin.events.merge(twin.users, on="user_id")
    offset = events["country"].astype(str).map(OFFSET)
    assert ((events["timestamp"].dt.hour + offset) % 24 == events["hour"]).all()


def test_days_are_counted_from_the_date_of_the_first_row(twin: EventLog) -> None:
    assert twin.users is not None
    day = twin.events["timestamp"].dt.floor("D")
    first = day.groupby(twin.events["user_id"].astype(str)).transform("min")
    assert ((day - first).dt.days == twin.events["days"]).all()
    installed = twin.users.set_index(twin.users["user_id"].astype(str))["installed"]
    begun = twin.events["user_id"].astype(str).map(installed.astype(str))
    assert (begun == first.dt.strftime("%Y-%m-%d")).all()


def test_small_amounts_are_no_time(log: EventLog, twin: EventLog) -> None:
    """Amounts below half were taken for whole hours since the row before, of which there are 0."""
    relations = find_structure(log, min_users=5).relations
    assert "paid" not in {r.column for r in relations if type(r) is Elapsed}
    paid = twin.events["paid"].dropna()
    assert paid.mean() == pytest.approx(log.events["paid"].mean(), rel=0.1)


def test_addresses_are_put_together_from_what_they_contain(log: EventLog, twin: EventLog) -> None:
    """They were cut, or learnt as they were: an address had another item, and a user's own id."""
    events = twin.events
    shop = "/shop/" + events["item_id"].astype(str) + "?player=" + events["user_id"].astype(str)
    shop += "&level=" + events["level"].astype(int).astype(str)
    wanted = shop.where(events["event"] == "buy", "/" + events["event"].astype(str))
    assert (events["page"].astype(str) == wanted).all()
    assert not set(events["page"]) & set(log.events.loc[log.events["event"] == "buy", "page"])
