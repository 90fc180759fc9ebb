"""Users of a sample keep to their quantities, and orders come to about as much as in the log."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import generators
from eventlog import EventLog

MODELS = [("vae", {"epochs": 6}), ("markov", {})]
SESSIONS = 6  # of a user


def orders_log(*, total: float, users: int = 200) -> EventLog:
    """Return a log of orders: users keep to a quantity, and orders come to about `total`."""
    rng, rows = np.random.default_rng(4), []
    price = np.round(np.exp(rng.normal(1.0, 0.4, 60)), 2)
    for user in range(users):
        usual = np.exp(rng.normal(2.2, 0.8))  # pieces of a line
        day = np.sort(rng.choice(90, SESSIONS, replace=False))
        for k in range(SESSIONS):
            wanted, spent = total * np.exp(rng.normal(0, 0.3)), 0.0
            second = int(rng.integers(30_000, 60_000))
            while spent < wanted:
                item = int(rng.integers(60))
                pieces = max(1, round(usual * np.exp(rng.normal(0, 0.25))))
                spent += pieces * price[item]
                second += 20
                at = pd.Timestamp("2026-01-05", tz="UTC") + pd.Timedelta(day[k], "D")
                rows.append((user, at + pd.Timedelta(second, "s"), k, item, price[item], pieces))
    names = ["user_id", "timestamp", "session_id", "item_id", "price", "quantity"]
    events = pd.DataFrame(rows, columns=names).sort_values("timestamp", ignore_index=True)
    ids = {"event_id": np.arange(len(events)), "event": "purchase"}
    events = events.assign(
        **ids,
        session_id=events["user_id"].astype(str) + "-" + events["session_id"].astype(str),
        user_id="u" + events["user_id"].astype(str),
        item_id="i" + events["item_id"].astype(str),
    )
    return EventLog(events=events)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return orders_log(total=150.0)


@pytest.fixture(scope="module", params=MODELS, ids=[m for m, _ in MODELS])
def sample(request: pytest.FixtureRequest, log: EventLog) -> EventLog:
    model, settings = request.param
    return generators.fit(log, model=model, seed=1, settings=settings).sample(200, seed=2)


def of_users(log: EventLog) -> pd.Series:
    """Return each user's mean of the logarithm of quantities."""
    events = log.events
    return np.log(events["quantity"].astype(float)).groupby(events["user_id"].astype(str)).mean()


def orders(log: EventLog) -> pd.DataFrame:
    """Return the logarithms of what orders come to, and of their lines."""
    events = log.events
    amount = events["price"].astype(float) * events["quantity"].astype(float)
    found = amount.groupby(events["session_id"].astype(str)).agg(["sum", "size"])
    return np.log(found)


def test_users_differ_in_their_quantities_as_in_the_log(log: EventLog, sample: EventLog) -> None:
    """Without habits those of `vae` had .7 of the log's deviation."""
    real, drawn = of_users(log), of_users(sample)
    assert drawn.mean() == pytest.approx(real.mean(), abs=0.15)
    assert drawn.std() == pytest.approx(real.std(), rel=0.15)


def test_orders_of_large_lines_have_few(log: EventLog, sample: EventLog) -> None:
    """What was spent says when an order ends; `vae` spread it by .85 before, the log does by .3."""
    real, drawn = orders(log), orders(sample)
    assert drawn["sum"].mean() == pytest.approx(real["sum"].mean(), abs=0.15)
    assert drawn["sum"].std() < 1.8 * real["sum"].std()
    line = {name: of["sum"] - of["size"] for name, of in (("real", real), ("drawn", drawn))}
    assert np.corrcoef(line["real"], real["size"])[0, 1] < -0.8
    assert np.corrcoef(line["drawn"], drawn["size"])[0, 1] < -0.7


def test_habits_add_nothing_under_a_budget(log: EventLog) -> None:
    private = generators.fit(log, model="markov", seed=1, epsilon=3.0, noise_seed=1)
    assert private.codec_.effects().spending.price == -1
    assert not private.biases_
