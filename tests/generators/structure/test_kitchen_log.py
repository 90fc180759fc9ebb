"""A food delivery: dishes of many kitchens are looked at, and those of an order are of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog
from generators.base import Generator

DAY_S = 86_400
KITCHENS = 7


def kitchen_log(users: int = 240, mixed: float = 0.0) -> EventLog:
    """Return a log of looks, carts and payments.

    A share `mixed` of the orders is of two kitchens.
    """
    rng, rows = np.random.default_rng(17), list[dict[str, Any]]()
    for u in range(users):
        time = float(rng.uniform(0, 20)) * DAY_S
        for visit in range(int(rng.poisson(4)) + 1):
            time += DAY_S * rng.exponential(6)
            here = {"user_id": f"k{u}", "session_id": f"{u}.{visit}"}
            wanted = int(rng.integers(KITCHENS))
            dishes = list(map(int, rng.choice(12, 3, replace=False) * KITCHENS + wanted))
            if rng.random() < mixed:
                dishes[0] = (dishes[0] + 1) % (12 * KITCHENS)
            for dish in [*map(int, rng.integers(0, 12 * KITCHENS, 3)), *dishes]:
                time += 20 + rng.exponential(40)
                rows.append({**here, "t": time, "event": "look", "dish": dish})
            bought = [d for d in dishes if rng.random() < 0.7]
            for event in ("add", "pay"):
                for dish in bought:
                    time += 10 + rng.exponential(5)
                    rows.append({**here, "t": time, "event": event, "dish": dish})
    frame = pd.DataFrame(rows)
    dish = frame.pop("dish")
    frame["item_id"], frame["kitchen"] = "d" + dish.astype(str), "K" + (dish % KITCHENS).astype(str)
    return log_of_rows(frame, "2026-01-10", {"look": "view", "add": "cart", "pay": "purchase"})


def of_one_kitchen(log: EventLog, *events: str) -> float:
    """Return the share of sessions with several dishes in rows of `events` that are of one."""
    rows = log.events[log.events["event"].isin(events)]
    by_session = rows.groupby(rows["session_id"].astype(str))
    several = by_session["item_id"].nunique() > 1
    assert several.sum() > 300
    return float((by_session["kitchen"].nunique()[several] == 1).mean())


@pytest.fixture(scope="module")
def log() -> EventLog:
    return kitchen_log()


@pytest.fixture(scope="module", params=["markov", "vae"])
def fitted(request: pytest.FixtureRequest, log: EventLog) -> Generator:
    settings = {} if request.param == "markov" else {"epochs": 3}
    return generators.fit(log, model=request.param, seed=1, settings=settings)


def test_an_order_is_of_one_kitchen_and_looks_are_not(fitted: Generator, log: EventLog) -> None:
    rules = fitted.codec_.rules  # type: ignore[attr-defined]
    assert (rules.theme, sorted(rules.themed)) == ("kitchen", ["add", "pay"])
    sample = fitted.sample(300, seed=2)
    assert of_one_kitchen(log, "add") == of_one_kitchen(log, "pay") == 1.0
    assert of_one_kitchen(sample, "add") > 0.995
    assert of_one_kitchen(sample, "pay") > 0.99
    assert of_one_kitchen(sample, "look") < 0.4


def test_what_a_tenth_of_the_orders_does_is_no_rule() -> None:
    model = generators.fit(kitchen_log(mixed=0.1), model="markov", seed=1)
    assert model.codec_.rules.theme == ""  # type: ignore[attr-defined]


def test_under_a_budget_nothing_is_asked_of_it(log: EventLog) -> None:
    model = generators.fit(log, model="markov", seed=1, epsilon=5.0, delta=1e-5, noise_seed=1)
    assert model.codec_.rules.theme == ""  # type: ignore[attr-defined]
