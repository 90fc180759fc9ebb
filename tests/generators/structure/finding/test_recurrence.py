"""Items that come again after the same time do so in a sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog
from eventlog.check import check
from generators.structure.finding.recurrence import find_recurrences
from generators.structure.relations.recurrence import Recurrence
from generators.structure.structure import Structure
from generators.structure.tables import DAY_MS, Tables

DAYS, USERS = 150, 160


def pharmacy_log(*, again: float = 0.9, seed: int = 1) -> EventLog:
    """Return rows of a pharmacy: 40 % of the users order what they have bought again after 28 days.

    They do so in a visit of its own, of whatever else they do.
    """
    rng, rows = np.random.default_rng(seed), []
    for user in range(USERS):
        refills, visits = rng.random() < 0.4, []
        times = np.sort(rng.uniform(0, DAYS, rng.poisson(6) + 1))
        queue = [(float(t), -1) for t in times]
        while queue:
            queue.sort()
            day, item = queue.pop(0)
            if day >= DAYS:
                continue
            looked = [item] if item >= 0 else list(rng.integers(0, 60, rng.integers(1, 5)))
            visits.append((day, looked, item >= 0))
            bought = item >= 0 or rng.random() < 0.5
            if bought and refills and (item < 0 or rng.random() < again):
                queue.append((day + 28 + rng.normal(0, 0.5), int(looked[0])))
            for k, one in enumerate(looked):
                at = day * DAY_MS + 40_000 * k
                rows.append((user, at, "look", one, len(visits)))
            if bought:
                rows.append((user, at + 60_000, "order", looked[0], len(visits)))
    frame = pd.DataFrame(rows, columns=["u", "t", "event", "i", "visit"])
    events = pd.DataFrame(
        {
            "user_id": "u" + frame["u"].astype(str),
            "timestamp": pd.Timestamp("2026-01-01", tz="UTC")
            + pd.to_timedelta(frame["t"].astype("int64"), "ms"),
            "event": frame["event"],
            "session_id": "v" + frame["u"].astype(str) + "." + frame["visit"].astype(str),
            "item_id": "drug " + frame["i"].astype(str),
            "price": 3.0 + frame["i"] % 17,
        }
    )
    roles = {"look": "view", "order": "purchase"}
    return EventLog(events, manifest={"roles": roles}).ordered()


def refills(log: EventLog) -> float:
    """Return how many of 100 orders have the item again after 26 to 30 days."""
    orders = log.ordered().events.query("event == 'order'")
    lag = orders.groupby(["user_id", "item_id"], observed=True)["timestamp"].diff()
    days = lag.dt.total_seconds() / 86_400
    return float(100 * days.between(26, 30).mean())


def test_a_recurrence_is_found_with_its_shares() -> None:
    found = find_recurrences(Tables.of(pharmacy_log()), 5)
    assert [r.event for r in found] == ["order"]
    assert 26 * DAY_MS < np.median(found[0].lag) < 30 * DAY_MS
    assert found[0].users == pytest.approx(0.4, abs=0.12)
    assert found[0].first > 0.85
    assert found[0].again == pytest.approx(0.9, abs=0.1)


def test_random_times_are_no_recurrence() -> None:
    log = pharmacy_log()
    rng = np.random.default_rng(3)
    sessions = log.events["session_id"].astype(str)
    shift = pd.Series(rng.uniform(0, 60, sessions.nunique()), index=sessions.unique())
    moved = log.events["timestamp"] + pd.to_timedelta(sessions.map(shift).to_numpy(), "D")
    log = EventLog(log.events.assign(timestamp=moved), manifest=log.manifest).ordered()
    assert find_recurrences(Tables.of(log), 5) == []
    assert find_recurrences(Tables.of(shop_log(users=150, rows=30)), 5) == []


def test_what_comes_again_is_taken_out_and_put_back() -> None:
    log = pharmacy_log()
    relation = find_recurrences(Tables.of(log), 5)[0]
    structure = Structure([relation])
    reduced = structure.reduce(log)
    assert refills(reduced) < 0.3 * refills(log)
    back = structure.restore(reduced, np.random.default_rng(1))
    assert not check(back)
    assert refills(back) == pytest.approx(refills(log), rel=0.3)
    assert len(back.events) == pytest.approx(len(log.events), rel=0.12)
    # a visit that comes again has the item that it is for, and nothing else
    assert back.events.groupby("session_id", observed=True)["user_id"].nunique().max() == 1
    assert Structure.from_json(structure.to_json()).relations[0] == relation


def test_a_sample_has_items_again_as_often_as_the_log() -> None:
    log = pharmacy_log()
    fitted = generators.fit(log, model="markov", seed=1)
    assert any(isinstance(r, Recurrence) for r in fitted.codec_.structure.relations)
    sample = fitted.sample(300, seed=2)
    assert not check(sample)
    assert refills(sample) == pytest.approx(refills(log), rel=0.4)
