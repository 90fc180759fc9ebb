"""Which item follows which: exactly where a log has an order, by taste where it has not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy
from generators.models.markov import Markov

ITEMS, ROWS = 60, 12


def log_of(items: np.ndarray) -> EventLog:
    """A log of (users, rows) items that are viewed one after the other in one category."""
    users, rows = items.shape
    frame = pd.DataFrame(
        {
            "user_id": np.repeat([f"u{u:04d}" for u in range(users)], rows),
            "timestamp": pd.to_datetime(
                1_760_000_000_000 + 60_000 * np.tile(np.arange(rows), users), unit="ms", utc=True
            ),
            "event": "view_item",
            "item_id": np.char.mod("i%03d", items.ravel()),
            "category": "all",
        }
    )
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return EventLog(events=events, manifest={"made_by": "tests"})


def numbers_of(log: EventLog) -> np.ndarray:
    return log.events["item_id"].astype(str).str[1:].astype(int).to_numpy()


def in_order(log: EventLog) -> float:
    """Share of rows whose item has the next number after that of the row before."""
    item, user = numbers_of(log), log.events["user_id"].astype(str).to_numpy()
    same = user[1:] == user[:-1]
    return float(((item[1:] == (item[:-1] + 1) % ITEMS)[same]).mean())


def of_one_taste(log: EventLog) -> float:
    """Share of pairs of a user's rows, neighbours or not, whose items are of the same third."""
    third = pd.Series(numbers_of(log) % 3).groupby(log.events["user_id"].astype(str).to_numpy())
    return float(third.agg(lambda of: (of.value_counts(normalize=True) ** 2).sum()).mean())


def test_episodes_follow_each_other() -> None:
    rng = np.random.default_rng(0)
    log = log_of((rng.integers(0, ITEMS, (400, 1)) + np.arange(ROWS)) % ITEMS)
    model = generators.fit(log, model="markov", seed=1)
    assert isinstance(model, Markov)
    assert model.tables_["strength"][0] <= 8
    assert in_order(model.sample(400, seed=2)) > 0.8


def test_a_taste_is_kept_beyond_the_item_before() -> None:
    rng = np.random.default_rng(0)
    third = rng.integers(0, 3, (400, 1))
    own = rng.random((400, ROWS)) < 0.9
    taste = np.where(own, third, rng.integers(0, 3, (400, ROWS)))
    log = log_of(3 * rng.integers(0, ITEMS // 3, (400, ROWS)) + taste)
    model = generators.fit(log, model="markov", seed=1)
    assert isinstance(model, Markov)
    assert model.tables_["strength"][0] >= 64
    assert of_one_taste(model.sample(400, seed=2)) == pytest.approx(of_one_taste(log), abs=0.12)
