"""A search says which category is looked at next, also where the item is one the user has had."""

from __future__ import annotations

import numpy as np
import pandas as pd

import generators
from eventlog import EventLog

CATEGORIES = ["shoes", "lamps", "tea", "books"]


def search_log(users: int, *, seed: int = 0) -> EventLog:
    """Return a log whose searches name the category of the item viewed after them.

    Half of these items are ones that the user has viewed before; a checkout has no category, and
    the item bought after it is any of the session's.
    """
    rng, rows = np.random.default_rng(seed), []
    for user in range(users):
        had: dict[str, list[int]] = {name: [] for name in CATEGORIES}
        at = pd.Timestamp("2026-03-02", tz="UTC") + pd.Timedelta(days=rng.uniform(0, 20))
        for _ in range(1 + rng.poisson(4)):
            at, seen = at + pd.Timedelta(days=1 + rng.exponential(2)), list[tuple[str, str]]()
            for _ in range(1 + rng.poisson(2)):
                of = str(rng.choice(CATEGORIES))
                item = int(rng.integers(12))
                if had[of] and rng.random() < 0.5:
                    item = int(rng.choice(had[of]))
                had[of].append(item)
                seen.append((f"{of}-{item}", of))
                rows.append((f"u{user}", at, "search", None, None, of))
                at += pd.Timedelta(seconds=20)
                rows.append((f"u{user}", at, "view_item", *seen[-1], None))
                at += pd.Timedelta(seconds=20)
            rows.append((f"u{user}", at, "begin_checkout", None, None, None))
            at += pd.Timedelta(seconds=20)
            rows.append((f"u{user}", at, "purchase", *seen[rng.integers(len(seen))], None))
    names = ["user_id", "timestamp", "event", "item_id", "category", "query"]
    return EventLog.from_pandas(pd.DataFrame(rows, columns=names))


def answered(log: EventLog) -> tuple[float, float]:
    """Return the share of searches whose category is that of the next row, of all and of those
    followed by an item that the user has had.
    """
    events = log.ordered().events
    by_user = events.groupby(events["user_id"].astype(str))
    after = by_user["category"].shift(-1).astype(str)
    again = events.duplicated(["user_id", "item_id"]).astype(float)
    again = again.groupby(events["user_id"].astype(str)).shift(-1)
    searches = (events["event"].astype(str) == "search") & again.notna()
    right = (after == events["query"].astype(str))[searches]
    return float(right.mean()), float(right[again[searches] == 1].mean())


def test_what_a_search_names_is_looked_at_next() -> None:
    """Copies did not know of the search: .72 of the rows of another log were right."""
    log = search_log(300)
    assert answered(log) == (1.0, 1.0)
    every, again = answered(generators.fit(log, model="markov", seed=1).sample(300, seed=1))
    assert every > 0.85
    assert again > 0.5
