"""A travel site's log: searches by place and dates, bookings of many parts, reviews after them."""

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

COUNTRY = {"Rome": "IT", "Milan": "IT", "Paris": "FR", "Nice": "FR"}
HOTELS = 40
DAY_S = 86_400
FEE = 9.0


def travel_log(users: int = 260) -> EventLog:
    """Return a log whose searches have a place and no item, and whose bookings are reviewed."""
    rng, rows = np.random.default_rng(7), list[dict[str, Any]]()
    place = rng.choice(list(COUNTRY), HOTELS)
    price = rng.lognormal(4.4, 0.4, HOTELS).round()
    for u in range(users):
        time, usual, booked = float(rng.uniform(0, 40)) * DAY_S, str(rng.choice(list(COUNTRY))), 0
        for visit in range(int(rng.poisson(5)) + 1):
            time += DAY_S * rng.exponential(6)
            city = usual if rng.random() < 0.7 else str(rng.choice(list(COUNTRY)))
            arrive, nights = int(time // DAY_S) + int(rng.integers(1, 60)), int(rng.integers(1, 8))
            day = pd.Timestamp("2026-01-10") + pd.Timedelta(days=arrive)
            here = {"user_id": f"g{u}", "session_id": f"g{u}.{visit}", "city": city}
            here |= {"arrive": f"{day:%Y-%m-%d}", "nights": nights}
            rows.append({**here, "t": time, "event": "search"})
            rows[-1]["query"] = f"{city} {day:%Y-%m-%d}"
            seen = rng.choice(np.flatnonzero(place == city), int(rng.integers(1, 5)))
            for k, hotel in enumerate(seen):
                time += 5 + rng.exponential(50)
                rows.append({**here, "t": time, "event": "look", "hotel": hotel, "place": k + 1})
            if rng.random() < 0.4:
                booked, time = booked + 1, time + 90
                cost, off = price[hotel] * nights, float(rng.integers(0, 20))
                tax = round((cost - off) * float(rng.choice([0.05, 0.1])), 2)
                booking = {"order_id": f"b{u}.{booked}", "hotel": hotel, "cost": cost, "off": off}
                booking |= {"tax": tax, "fee": FEE, "total": round(cost - off + tax + FEE, 2)}
                rows.append({**here, **booking, "t": time, "event": "book"})
                if rng.random() < 0.6:
                    review = {"user_id": f"g{u}", "city": city, "event": "review"}
                    review |= {"order_id": booking["order_id"], "hotel": hotel}
                    review |= {"stars": int(rng.integers(1, 6)), "t": time + DAY_S * 9.5}
                    rows.append(review)
    frame = pd.DataFrame(rows)
    hotel = frame.pop("hotel")
    frame["item_id"] = hotel.fillna(0).astype(int).map(lambda k: f"h{k}").where(hotel.notna(), None)
    frame["country"] = frame["city"].map(COUNTRY)
    roles = {"look": "view", "book": "purchase", "search": "search", "review": "other"}
    return log_of_rows(frame, "2026-01-10", roles)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return travel_log()


@pytest.fixture(scope="module")
def twin(log: EventLog) -> EventLog:
    return generators.fit(log, model="markov", seed=1).sample(300, seed=2).ordered()


def test_an_item_is_of_the_group_of_its_row(log: EventLog, twin: EventLog) -> None:
    """Searches have a city and no item, and a hotel was in another city in three rows of four."""
    real = log.events.dropna(subset="item_id").drop_duplicates("item_id")
    city_of = dict(zip(real["item_id"].astype(str), real["city"].astype(str), strict=True))
    there = twin.events.dropna(subset="item_id")
    assert (there["item_id"].astype(str).map(city_of) == there["city"].astype(str)).all()
    assert (twin.events["city"].astype(str).map(COUNTRY) == twin.events["country"]).all()
    assert twin.events["city"].notna().all()
    assert twin.items is not None
    assert "city" in twin.items
    # what is looked at first is where was searched, and mostly all of it
    city = twin.events["city"].astype(str).to_numpy()
    search = np.flatnonzero(twin.events["event"] == "search")
    search = search[search < len(city) - 1]
    followed = search[twin.events["event"].to_numpy()[search + 1] == "look"]
    assert len(followed) > 0.97 * len(search)
    session = twin.events["session_id"].astype(str).to_numpy()
    followed = followed[session[followed] == session[followed + 1]]
    assert (city[followed] == city[followed + 1]).all()
    looks = twin.events[twin.events["event"] != "review"]
    cities = looks.groupby(looks["session_id"].astype(str))["city"].nunique()
    assert (cities == 1).mean() > 0.7


def test_its_structure_is_written_and_read_again(log: EventLog, tmp_path: Path) -> None:
    found, path = find_structure(log.ordered(), min_users=5), tmp_path / "structure.toml"
    path.write_text(as_toml(found), encoding="utf-8")
    again = find_structure(log.ordered(), min_users=5, declared=read_declared(path, log))
    assert sorted(again.sentences()) == sorted(found.sentences())


def test_counters_count_from_where_the_log_does(twin: EventLog) -> None:
    """A counter that begins at the second row of a session was one too high in all rows."""
    look = twin.events[twin.events["event"] == "look"]
    assert (look.groupby(look["session_id"].astype(str)).cumcount() + 1 == look["place"]).all()


def test_a_total_has_as_many_parts_as_it_has(twin: EventLog) -> None:
    book = twin.events[twin.events["event"] == "book"]
    total = book["cost"] - book["off"] + book["tax"] + FEE
    assert ((total - book["total"]).abs() < 0.011).mean() > 0.97


def test_dates_of_a_session_stay_beyond_midnight(twin: EventLog) -> None:
    sessions = twin.events.dropna(subset="session_id")
    assert sessions.groupby(sessions["session_id"].astype(str))["arrive"].nunique().max() == 1
    search = twin.events[twin.events["event"] == "search"]
    wanted = search["city"].astype(str) + " " + search["arrive"].astype(str)
    assert (search["query"].astype(str) == wanted).all()


def test_a_review_is_of_what_was_booked(log: EventLog, twin: EventLog) -> None:
    """Its stars follow from nothing, and are as frequent as in the log."""
    review, book = (twin.events[twin.events["event"] == n] for n in ("review", "book"))
    assert review["order_id"].is_unique
    both = review.astype({"order_id": str}).merge(book.astype({"order_id": str}), on="order_id")
    assert len(both) == len(review) > 50
    assert (both["item_id_x"].astype(str) == both["item_id_y"].astype(str)).all()
    real = log.events["stars"].value_counts(normalize=True).sort_index()
    found = review["stars"].value_counts(normalize=True).sort_index()
    assert np.abs(real - found).max() < 0.12
