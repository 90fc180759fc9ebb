"""Split a log into training and test: by time (the default), leave-one-out or by user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.arrays import Queries, Sequences
from eventlog.log import EventLog


@dataclass(frozen=True)
class TimeSplit:
    """One cut in time: training sees what was known before `cut`, the test asks about the rest."""

    cut: pd.Timestamp
    end: pd.Timestamp

    @property
    def horizon(self) -> pd.Timedelta:
        """Length of the test window."""
        return self.end - self.cut


def by_time(log: EventLog, *, test_share: float = 1 / 6) -> TimeSplit:
    """Cut so that the last `test_share` of the log's time span is the test window.

    Raises InputError if either side of the cut would be empty.
    """
    if not 0 < test_share < 1:
        raise InputError(f"test_share is {test_share}; it must lie between 0 and 1.")
    split = TimeSplit(cut=log.time_at(1 - test_share), end=log.span[1])
    known = int((log.events["timestamp"] < split.cut).sum())
    if known == 0 or known == len(log):
        raise InputError(
            f"A split by time needs events on both sides of {split.cut}; the log spans "
            f"{log.span[0]} to {log.span[1]}."
        )
    return split


def leave_one_out(sequences: Sequences, *, back: int = 1) -> Queries:
    """Ask for each user's row `back` from the end (1 = the last), if there are rows before it."""
    counts = np.diff(sequences.offsets)
    user = np.flatnonzero(counts > back)
    end = sequences.offsets[user + 1] - back
    return Queries(user=user, end=end, time=sequences.time[end])


def draw_users(
    log: EventLog, n: int, *, before: pd.Timestamp, rng: np.random.Generator
) -> np.ndarray:
    """Return the ids of `n` users drawn from those with an event before an instant, ascending.

    All of them where there are no more. Whatever happens later does not change the draw.

    Args:
        log: its events; user_id and timestamp are read.
        n: how many.
        before: the instant.
        rng: the same state and the same ids give the same draw.
    """
    known = log.events.loc[log.events["timestamp"] < before, "user_id"]
    ids = np.sort(known.astype("category").cat.remove_unused_categories().cat.categories.to_numpy())
    return ids if len(ids) <= n else ids[np.sort(rng.permutation(len(ids))[:n])]


def by_user(log: EventLog, *, share: float, rng: np.random.Generator) -> tuple[EventLog, EventLog]:
    """Return two logs with disjoint users; the second holds about `share` of them.

    Raises InputError if either side would be empty.
    """
    users = np.array(sorted(log.events["user_id"].astype(str).unique()), dtype=object)
    n = round(len(users) * share)
    if not 0 < n < len(users):
        raise InputError(
            f"A split of {len(users)} user(s) with share {share} leaves one side empty; at least "
            "two users are needed."
        )
    chosen = set(rng.permutation(len(users))[:n].tolist())
    second = {u for i, u in enumerate(users) if i in chosen}
    return log.only_users(set(users) - second), log.only_users(second)
