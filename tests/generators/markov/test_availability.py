"""What can happen depends on the items that a user has had: it is drawn as often as it can be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy


def log_of(rows: list[tuple[str, int, int, str, str]]) -> EventLog:
    """Return the log of rows: user, day, minute, event, item; a session is a day."""
    user, day, minute, event, item = (np.array(column) for column in zip(*rows, strict=True))
    events = pd.DataFrame(
        {
            "user_id": user,
            "session_id": np.char.add(np.char.add(user, "-"), day.astype(str)),
            "timestamp": pd.Timestamp("2025-01-01", tz="UTC")
            + pd.to_timedelta(day * 1_440 + minute, unit="min"),
            "event": event,
            "item_id": item,
        }
    )
    events = sort_events(tidy(events))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return EventLog(events=events)


def returns_log(*, users: int = 400, rows: int = 14, seed: int = 1) -> EventLog:
    """Return a log in which half of the refunds are of something that was never bought.

    Users with something to send back do so in 30 % of the rows. Where there is nothing, 20 % of the
    rows are refunds all the same.
    """
    rng = np.random.default_rng(seed)
    table = []
    for user in range(users):
        bought, new = list[int](), rng.permutation(60).tolist()
        for k in range(rows):
            refund = rng.random() < (0.3 if bought else 0.2)
            item = bought.pop() if refund and bought else new.pop()
            if not refund:
                bought.append(item)
            event = "refund" if refund else "purchase"
            table.append((f"u{user:04d}", k // 7 * 9 + user % 50, k, event, f"i{item}"))
    return log_of(table)


def refunds(log: EventLog) -> tuple[float, float]:
    """Return the share of refunds among rows, and of those without a purchase among refunds."""
    events = log.ordered().events
    sold = events["event"].astype(str) == "purchase"
    pair = [events[c].astype(str) for c in ("user_id", "item_id")]
    bought = sold.groupby(pair).cummax()
    return float((~sold).mean()), float((~bought[~sold]).mean())


def test_a_rule_is_broken_as_often_as_in_the_log() -> None:
    log = returns_log()
    sample = generators.fit(log, model="markov", seed=1).sample(800, seed=1)
    assert refunds(sample) == pytest.approx(refunds(log), abs=0.03)


def test_rare_items_of_a_user_are_several() -> None:
    """Half of the rows are of items that one user has, and no user has an item twice."""
    rng = np.random.default_rng(1)
    table = [
        (f"u{u:04d}", k // 6 * 8 + u % 50, k, "purchase", f"r{u}-{k}" if k % 2 else f"i{item}")
        for u in range(300)
        for k, item in enumerate(rng.permutation(50)[:12].tolist())
    ]
    log = log_of(table)
    for model, settings in (("markov", {}), ("vae", {"epochs": 4, "width": 16, "latent": 4})):
        fitted = generators.fit(log, model=model, seed=1, settings=settings)
        events = fitted.sample(300, seed=1).events
        assert events.duplicated(["user_id", "item_id"]).mean() < 0.1
