"""What a log never does, its sample does not do, and no rule holds a user fast."""

from __future__ import annotations

import numpy as np
import pandas as pd

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy

LAST_ROWS = 30  # of each user's last session


def shop_with_rare_refunds(users: int = 300, *, seed: int = 0) -> EventLog:
    """Three sessions of five views and a long last one. A tenth of the sessions end with a purchase
    whose refund ends the next; 3 % end with the refund of something that was never bought.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, str, int]] = []  # user, ms, event, item
    for user in range(users):
        time, bought = 1_760_000_000_000 + int(rng.integers(0, 10**9)), -1
        for views in (5, 5, 5, LAST_ROWS):
            viewed = rng.integers(0, 60, views)
            events = [("view_item", int(item)) for item in viewed]
            if bought >= 0:
                events.append(("refund", bought))
                bought = -1
            elif rng.random() < 0.1:
                bought = int(viewed[-1])
                events.append(("purchase", bought))
            elif rng.random() < 0.03:
                events.append(("refund", 60 + int(rng.integers(0, 60))))
            for event, item in events:
                time += int(rng.integers(5_000, 60_000))
                rows.append((user, time, event, item))
            time += int(rng.integers(1, 8) * 86_400_000)
    frame = pd.DataFrame(rows, columns=["user_id", "timestamp", "event", "item_id"])
    frame["user_id"] = frame["user_id"].map("u{:04d}".format)
    frame["item_id"] = frame["item_id"].map("i{:03d}".format)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="ms", utc=True)
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return EventLog(events=events, manifest={"made_by": "tests"})


def longest_runs(log: EventLog) -> pd.Series:
    """Most rows of each event in a row, less than half an hour apart."""
    events = log.events
    event, user = events["event"].astype(str), events["user_id"].astype(str)
    goes_on = (
        (event == event.shift())
        & (user == user.shift())
        & (events["timestamp"].diff() < pd.Timedelta("30min"))
    )
    return event.groupby((~goes_on).cumsum()).agg(["first", "size"]).groupby("first")["size"].max()


def test_a_rare_event_that_ends_its_sessions_does_not_fill_a_long_one() -> None:
    log = shop_with_rare_refunds()
    model = generators.fit(log, model="markov", seed=1)
    twin = model.sample(300, seed=2)
    allowed = longest_runs(log)
    found = longest_runs(twin)
    assert (found <= allowed.reindex(found.index)).all()
    refunds = [(log_.events["event"] == "refund").sum() / 300 for log_ in (log, twin)]
    assert refunds[1] < 1.6 * refunds[0]

    codec = model.codec_  # type: ignore[attr-defined]
    other = next(n for n in codec.events.values if n.startswith("refund ("))
    assert codec.rules.longest_run[codec.events.values.index(other) + 1] == allowed["refund"]


def test_a_budget_sets_no_limit() -> None:
    model = generators.fit(
        shop_with_rare_refunds(100), model="markov", seed=1, epsilon=5.0, delta=1e-5
    )
    assert not any(model.codec_.rules.longest_run)  # type: ignore[attr-defined]
