"""An account's log: salaries come each month, a card is activated once, payments follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog
from generators.structure.finding.finder import find_structure
from generators.structure.relations.recurrence import Recurrence

DAY_S = 86_400
START = pd.Timestamp("2026-01-01")


def account_log(users: int = 260) -> EventLog:
    """Return a log of five months; each user has a payday of their own."""
    rng, rows = np.random.default_rng(41), list[dict[str, Any]]()
    for u in range(users):
        income, day = round(float(rng.lognormal(7.5, 0.4)), 2), int(rng.integers(1, 28))
        opened, user = float(rng.uniform(0, 20)) * DAY_S, {"user_id": f"k{u}"}
        for month in range(1, 6):
            paid = pd.Timestamp(2026, month, day) - START + pd.Timedelta(hours=6)
            if paid.total_seconds() > opened:
                salary = {"event": "salary", "amount": income, "t": paid.total_seconds()}
                rows.append({**user, **salary})
        payments = opened + np.sort(rng.uniform(0, 100, int(rng.poisson(25)) + 3)) * DAY_S
        for k, time in enumerate(payments):
            shop = {"item_id": f"m{rng.integers(40)}", "amount": round(rng.lognormal(3, 0.6), 2)}
            rows.append({**user, **shop, "event": "payment", "t": time})
            if k == 3:
                rows.append({**user, "event": "activation", "t": time + 9 * 3_600})
    roles = {"payment": "purchase", "salary": "other", "activation": "other"}
    return log_of_rows(pd.DataFrame(rows), f"{START:%Y-%m-%d}", roles)


@pytest.fixture(scope="module")
def log() -> EventLog:
    return account_log()


@pytest.fixture(scope="module")
def twin(log: EventLog) -> EventLog:
    return generators.fit(log, model="markov", seed=1).sample(300, seed=2).ordered()


def test_a_salary_comes_a_month_later(log: EventLog, twin: EventLog) -> None:
    """28, 30 or 31 days were drawn at random: of 100 salaries 26 to 30 were of no next month."""
    found = find_structure(log, min_users=5).relations
    assert any(isinstance(r, Recurrence) and r.months for r in found)
    salary = twin.events[twin.events["event"] == "salary"]
    user = salary["user_id"].astype(str)
    month = salary["timestamp"].dt.month + 12 * salary["timestamp"].dt.year
    assert (month.groupby(user).diff().dropna() == 1).mean() > 0.99
    days = salary["timestamp"].dt.day.groupby(user).nunique()
    assert (days == 1).mean() > 0.9  # but from the 29th on
    assert (salary["amount"].groupby(user).nunique() == 1).all()


def test_what_a_user_has_once_comes_once(log: EventLog, twin: EventLog) -> None:
    """It came twice to 6 of 100 users, and to as many never."""
    times = {}
    for name, of in (("log", log), ("twin", twin)):
        once = of.events["event"] == "activation"
        times[name] = once.groupby(of.events["user_id"].astype(str)).sum()
    assert times["twin"].max() == 1
    assert times["twin"].mean() > 0.95 * times["log"].mean()


def test_a_salary_goes_on_where_a_log_is_continued(log: EventLog) -> None:
    """What followed from a row of the past was left out."""
    model = generators.fit(log, model="markov", seed=1)
    later = model.continue_log(log, days=40, seed=3).events
    salary = later[later["event"] == "salary"].astype({"user_id": str})
    assert salary["user_id"].nunique() > 0.9 * later["user_id"].nunique()
    last = log.events[log.events["event"] == "salary"].astype({"user_id": str})
    usual = last.drop_duplicates("user_id").set_index("user_id")["amount"]
    assert (salary["amount"] == salary["user_id"].map(usual)).mean() > 0.99
    assert salary["timestamp"].min() > log.events["timestamp"].max()
    per_user = salary["user_id"].value_counts()
    assert per_user.max() <= 2  # in 40 days


def test_a_budget_learns_no_event_that_comes_once(log: EventLog) -> None:
    model = generators.fit(log, model="markov", seed=1, epsilon=5.0, delta=1e-5)
    assert not model.codec_.rules.once  # type: ignore[attr-defined]
