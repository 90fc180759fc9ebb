"""What can happen depends on the items that a user has had: it is drawn as often as it can be."""

from __future__ import annotations

import numpy as np
import pandas as pd

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy


def returns_log(*, users: int = 400, rows: int = 14, seed: int = 1) -> EventLog:
    """Return a log of purchases and refunds.

    A user with an item that can be sent back sends one back in 30 % of the rows; where there is
    none, a refund is of an item that was never bought, in 2 % of the rows. No item is bought twice
    in a session by three users in four; the others buy one again in half of the rows.
    """
    rng = np.random.default_rng(seed)
    table = []
    for user in range(users):
        repeats = user % 4 == 0
        bought: list[int] = []
        inside: list[int] = []
        day = 0
        for k in range(rows):
            if k % 7 == 0:
                inside, day = [], day + 1 + int(rng.integers(0, 20))
            event, item = "purchase", int(rng.integers(0, 60))
            if rng.random() < (0.3 if bought else 0.02):
                event = "refund"
                item = bought.pop() if bought else item
            else:
                if inside and rng.random() < 0.5 * repeats:
                    item = inside[int(rng.integers(0, len(inside)))]
                elif item in inside:
                    item = next(i for i in range(60) if i not in inside)
                bought.append(item)
                inside.append(item)
            time = pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(days=day, minutes=k)
            table.append((f"u{user:04d}", f"s{user}-{day}", time, event, f"i{item}"))
    names = ["user_id", "session_id", "timestamp", "event", "item_id"]
    events = sort_events(tidy(pd.DataFrame(table, columns=names)))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return EventLog(events=events)


def shares(log: EventLog) -> tuple[float, float, float]:
    """Return the share of refunds, of those without a purchase, and of repeats in a session."""
    events = log.ordered().events
    pair = events["user_id"].astype(str) + "|" + events["item_id"].astype(str)
    sold = events["event"].astype(str) == "purchase"
    had = (sold.astype(int) - (~sold).astype(int)).groupby(pair).cumsum() - sold.astype(int) + (~sold)
    again = events[sold].duplicated(["user_id", "session_id", "item_id"]).mean()
    return float((~sold).mean()), float((had[~sold] <= 0).mean()), float(again)


def test_a_rule_is_broken_as_often_as_in_the_log() -> None:
    log = returns_log()
    refunds, broken, again = shares(log)
    sample = generators.fit(log, model="markov", seed=1).sample(800, seed=1)
    got = shares(sample)
    print(refunds, broken, again, got)
    assert abs(got[0] - refunds) < 0.05
    assert abs(got[1] - broken) < 0.05
    assert abs(got[2] - again) < 0.03
