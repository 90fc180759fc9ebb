"""The clock under a budget: the step on which times are, and gaps that are multiples of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy
from generators.codec.clock import DAY_MS, on_step, private_step
from generators.codec.coders import Bins
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.queries import PrivateQueries

USERS = 3_000


def _orders(users: int) -> EventLog:
    """Orders of days without an hour; half of the users have one, others a few and one has 60."""
    rng = np.random.default_rng(4)
    rows = np.where(rng.random(users) < 0.5, 1, rng.geometric(0.3, users) + 1)
    rows[0] = 60
    user = np.repeat(np.arange(users), rows)
    first = rng.integers(60, size=users)
    day = first[user] + np.where(np.diff(user, prepend=-1) > 0, 0, rng.integers(1, 300, len(user)))
    events = pd.DataFrame(
        {
            "user_id": [f"u{k:05d}" for k in user],
            "timestamp": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(day, "D"),
            "event": "purchase",
            "price": rng.lognormal(3, 0.5, len(user)).round(2),
        }
    )
    return EventLog(events=sort_events(tidy(events)))


def _asked(time: np.ndarray, *, users: int = USERS) -> int:
    ledger = PrivacyLedger.open(3.0, None, users, noise_seed=5)
    queries = PrivateQueries(n_users=users, rng=ledger.rng(1), min_users=5, ledger=ledger, plan=50)
    return private_step(queries, np.arange(len(time)), time)


@pytest.mark.parametrize("step", [DAY_MS, 3_600_000, 60_000])
def test_the_step_of_nearly_all_times_is_found(step: int) -> None:
    time = np.random.default_rng(1).integers(1, 10_000, USERS) * step
    assert _asked(time) == step
    time[:15] += 1
    assert _asked(time) == step, "a few users off it do not matter"
    time[: USERS // 4] += 1
    assert _asked(time) < step, "a quarter of them do"


def test_times_without_a_step_are_taken_as_seconds() -> None:
    assert _asked(np.random.default_rng(1).integers(0, 10**12, USERS)) == 1_000
    assert _asked(np.arange(12) * DAY_MS, users=12) == 1_000, "twelve users are not heard"


@given(
    edges=st.lists(st.floats(1.0, 1e7), min_size=2, max_size=20, unique=True).map(sorted),
    days=st.integers(1, 100),
)
def test_a_multiple_of_the_step_keeps_its_interval_and_is_what_a_time_in_it_is_cut_to(
    edges: list[float], days: int
) -> None:
    bins = Bins(np.zeros(1), np.array(edges[:-1]), np.array(edges[1:]), True)
    made, gap = on_step(bins, DAY_MS), days * 86_400.0
    inside = (made.low <= gap) & (gap < made.high)
    assert inside.any() == ((bins.low <= gap) & (gap < bins.high)).any()
    assert (made.low % 86_400 == 0).all() and (made.low < made.high).all()


ORDERING = 6_000  # users


@pytest.fixture(scope="module")
def orders() -> EventLog:
    return _orders(ORDERING)


@pytest.fixture(scope="module")
def sample(orders: EventLog) -> EventLog:
    """Return a sample under a budget."""
    return generators.fit(orders, model="markov", epsilon=6.0, seed=1).sample(ORDERING, seed=2)


def test_a_log_of_days_stays_one_under_a_budget(sample: EventLog) -> None:
    """Before, rows were at all hours, and gaps of half a day became none."""
    events = sample.ordered().events
    assert (events["timestamp"] == events["timestamp"].dt.floor("D")).all()
    user = events["user_id"].to_numpy()
    same = np.diff(events["timestamp"].astype("datetime64[ms, UTC]").astype("int64")) == 0
    assert same[user[1:] == user[:-1]].mean() < 0.1  # .01 in the log


def test_users_have_as_many_rows_under_a_budget_as_in_the_log(
    orders: EventLog, sample: EventLog
) -> None:
    """Before, two of five users of one row had two, and noise made users of hundreds of rows."""
    rows, made = (x.events.groupby("user_id", observed=True).size() for x in (orders, sample))
    assert (made == 1).mean() == pytest.approx((rows == 1).mean(), abs=0.05)
    assert made.mean() == pytest.approx(rows.mean(), rel=0.1)
