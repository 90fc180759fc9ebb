"""Which item comes next? Ranked over the full catalogue, at steps of the test window.

A step is a run of rows of one user on one item (viewed, put in the cart, bought): it has the place
where the run began and its strongest event, so that a view followed by its own purchase is one
question and not a free hit.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import pandas as pd

from benchmark.task import (
    ASKED_COLUMNS,
    NotApplicable,
    Questions,
    Task,
    Truth,
    queries_before,
    users_of,
)
from eventlog import EventLog
from eventlog._runtime.settings import Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.log import to_ms
from eventlog.schema import FUNNEL
from eventlog.split import TimeSplit

ROLES = ("view", "wishlist", "cart", "purchase")


class Recommendation(Task):
    """Next item.

    `max_per_user`: test steps asked of one user, the first ones. `max_users`: users asked about,
    drawn by their ids. `valid_share`: the last part of training, in time.
    """

    kind = "next_item"
    headline = "ndcg@10"
    shown = ("ndcg@10", "hr@10", "mrr@10", "coverage@10")
    trivial = "popularity"
    oracle_tables = ("events",)
    oracle_columns = ASKED_COLUMNS
    oracle_knows = (
        "knows the page on the screen and the probabilities with which this shopper chose from it; "
        "it ranks by them"
    )

    def __init__(
        self,
        *,
        max_per_user: Annotated[int, Range(1)] = 10,
        max_users: Annotated[int, Range(1)] | None = None,
        valid_share: Annotated[float, Range(0.0, 0.9)] = 0.1,
        min_targets: Annotated[int, Range(0)] = 20,
    ) -> None:
        self.max_per_user = max_per_user
        self.max_users = max_users
        self.valid_share = valid_share
        self.min_targets = min_targets

    def view(self, log: EventLog) -> EventLog:
        """Return the log's steps."""
        return steps(log)

    def train_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions:
        """Ask about every step except a user's first.

        The last `valid_share` of the time is for validation.
        """
        row = _asked(sequences)
        target = sequences.columns["item"][row]
        self._enough(row, "to learn from before the cut")
        border = to_ms(log.time_at(1 - self.valid_share))
        return Questions(queries_before(sequences, row), target, sequences.time[row] >= border)

    def asked_users(self, log: EventLog, split: TimeSplit) -> np.ndarray:
        """Return the users with a step after the cut, at most `max_users` of them."""
        step = np.isin(log.role(), ROLES) & (log.events["timestamp"] >= split.cut).to_numpy()
        if "item_id" in log.events:
            step &= log.events["item_id"].notna().to_numpy()
        users = users_of(log, step)
        return users[self._drawn(users)]

    def _drawn(self, users: np.ndarray) -> np.ndarray:
        """Return (n,) bool: the `max_users` of the user ids that have the lowest hashes."""
        if self.max_users is None or len(users) <= self.max_users:
            return np.ones(len(users), dtype=bool)
        rank = pd.util.hash_array(users, categorize=False)
        return rank <= np.partition(rank, self.max_users - 1)[self.max_users - 1]

    def test_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Queries:
        """Ask about the first `max_per_user` steps of each user after the cut.

        Known is every earlier step, also one after the cut.
        """
        row = _asked(sequences)
        row = row[sequences.time[row] >= to_ms(split.cut)]
        user = sequences.row_user()[row]
        asked, place = np.unique(user, return_inverse=True)
        drawn = self._drawn(sequences.users[asked])[place]
        row, user = row[drawn], user[drawn]
        first = np.searchsorted(user, user)  # place of the user's first question
        row = row[np.arange(len(row)) - first < self.max_per_user]
        self._enough(row, "after the cut")
        return queries_before(sequences, row)

    def test_answers(
        self, log: EventLog, sequences: Sequences, queries: Queries, split: TimeSplit
    ) -> np.ndarray:
        """Return item codes.

        An item that the training source lacks has the code of the unknown, and is a miss for every
        model.
        """
        return sequences.columns["item"][queries.end]

    def oracle(self, truth: Truth, log: EventLog, test: Examples, split: TimeSplit) -> np.ndarray:
        """Return the rank of what was chosen under the shopper's true choice probabilities.

        A step is asked about at its first row.
        """
        return truth.oracle_next_item_rank(log, test.sequences.event_id[test.queries.end])

    def _enough(self, row: np.ndarray, where: str) -> None:
        if len(row) < self.min_targets:
            raise NotApplicable(
                f"there are {len(row)} steps with a history {where}, at least {self.min_targets} "
                "are needed"
            )


def steps(log: EventLog) -> EventLog:
    """Return a log whose rows are steps.

    Place and event_id are those of a step's first row; the event and the other columns are those of
    its strongest row. Raises NotApplicable.
    """
    events = log.events
    if "item_id" not in events or events["item_id"].isna().all():
        raise NotApplicable("the log has no item_id")
    strength = {role: i for i, role in enumerate(FUNNEL)}
    # NaN: not a step
    role = pd.Series(log.role()).map({r: strength[r] for r in ROLES}).to_numpy(dtype=float)
    row = np.flatnonzero(~np.isnan(role) & events["item_id"].notna().to_numpy())
    if len(row) == 0:
        raise NotApplicable(f"no event with an item is a {', '.join(ROLES[:-1])} or {ROLES[-1]}")
    user, item = (
        events[c].astype("category").cat.codes.to_numpy()[row] for c in ("user_id", "item_id")
    )
    begins = np.append(True, (user[1:] != user[:-1]) | (item[1:] != item[:-1]))
    run = np.cumsum(begins) - 1
    # The first of the strongest rows of each run: sort by run, strongest first, input order last.
    strongest = np.lexsort((np.arange(len(row)), -role[row], run))[np.flatnonzero(begins)]
    taken = events.iloc[row[strongest]].reset_index(drop=True)
    for name in ("event_id", "timestamp"):
        taken[name] = events[name].iloc[row[begins]].reset_index(drop=True)
    return dataclasses.replace(log, events=taken)


def _asked(sequences: Sequences) -> np.ndarray:
    """Return (n,) flat rows of steps that have an earlier one."""
    first = np.zeros(sequences.n_rows, dtype=bool)
    first[sequences.offsets[:-1][np.diff(sequences.offsets) > 0]] = True
    return np.flatnonzero(~first & (sequences.columns["item"] > 0))
