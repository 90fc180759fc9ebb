"""Who stops buying? For each customer at a time t: no purchase within the horizon after t.

Trained at several earlier times whose windows end before the cut, tested at the cut. Only what was
known at t is visible. The label is what a shop can observe; the simulator's oracle knows when each
shopper truly left.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd

from benchmark.task import ASKED_COLUMNS, NotApplicable, Questions, Task, Truth, users_of
from eventlog import EventLog
from eventlog._runtime.settings import Range
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.log import to_ms
from eventlog.split import TimeSplit

SEED = 11  # of the draw of validation users; fixed, so that every model sees the same


class Churn(Task):
    """Churn of customers.

    `horizon_days` is by default the length of the test window. Training asks at `anchors` times,
    half a horizon apart.
    """

    kind = "binary"
    headline = "roc_auc"
    shown = ("roc_auc", "pr_auc", "pr_auc_returning", "lift@10%", "brier", "ece")
    oracle_knows = (
        "knows the whole state of the shop and of its shoppers at the cut, and plays what may "
        "follow many times; only chance is left"
    )
    oracle_tables = ("users",)
    oracle_columns = ASKED_COLUMNS

    def __init__(
        self,
        *,
        horizon_days: Annotated[float, Range(0.0)] | None = None,
        anchors: Annotated[int, Range(1)] = 4,
        valid_share: Annotated[float, Range(0.0, 0.9)] = 0.15,
        min_customers: Annotated[int, Range(0)] = 40,
    ) -> None:
        self.horizon_days = horizon_days
        self.anchors = anchors
        self.valid_share = valid_share
        self.min_customers = min_customers

    def train_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions:
        """Ask about each customer at each anchor.

        A drawn share of customers is for validation, at their latest anchor; their other anchors
        are not used.
        """
        bought = _purchases(sequences)
        horizon = self._horizon_ms(split)
        begin, latest = to_ms(log.span[0]), to_ms(split.cut) - horizon
        anchors = [
            t
            for k in range(self.anchors)
            if (t := latest - k * horizon // 2) >= begin + horizon // 2
        ]
        if not anchors:
            raise NotApplicable(
                "before the cut there is no room for a history and a window of "
                f"{horizon / DAY_MS:.4g} days"
            )
        parts = [_customers(sequences, bought, t) for t in anchors]
        queries = Queries(
            *(np.concatenate([getattr(q, f) for q in parts]) for f in ("user", "end", "time"))
        )
        target = np.concatenate([_label(bought, q, horizon) for q in parts])
        drawn = np.random.default_rng(SEED).random(len(sequences)) < self.valid_share
        valid = drawn[queries.user] & (queries.time == latest)
        keep = valid | ~drawn[queries.user]
        self._enough(target[keep & ~valid], "to learn from before the cut")
        return Questions(queries[keep], target[keep], valid[keep])

    def asked_users(self, log: EventLog, split: TimeSplit) -> np.ndarray:
        """Return who bought before the cut."""
        return users_of(log, (log.role() == "purchase") & (log.events["timestamp"] < split.cut))

    def test_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Queries:
        """Ask about every customer (a purchase before the cut) at the cut."""
        return _customers(sequences, _purchases(sequences), to_ms(split.cut))

    def test_answers(
        self, log: EventLog, sequences: Sequences, queries: Queries, split: TimeSplit
    ) -> np.ndarray:
        """Return 1 where no purchase follows within the horizon."""
        label = _label(_purchases(sequences), queries, self._horizon_ms(split))
        self._enough(label, "at the cut")
        return label

    def oracle(self, truth: Truth, log: EventLog, test: Examples, split: TimeSplit) -> np.ndarray:
        """Return the simulator's probability that the shopper does not buy within the horizon."""
        users = test.sequences.users[test.queries.user]
        return truth.oracle_churn(
            log, users, split.cut, pd.Timedelta(milliseconds=self._horizon_ms(split))
        )

    def _horizon_ms(self, split: TimeSplit) -> int:
        window = to_ms(split.end) - to_ms(split.cut)
        horizon = window if self.horizon_days is None else int(self.horizon_days * DAY_MS)
        if horizon > window:
            raise NotApplicable(
                f"horizon_days is {self.horizon_days}, but only {window / DAY_MS:.1f} days follow "
                "the cut"
            )
        return horizon

    def _enough(self, label: np.ndarray, where: str) -> None:
        n, left = len(label), int(label.sum())
        if n < self.min_customers or not 0 < left < n:
            raise NotApplicable(
                f"there are {n} customers {where} ({left} left), at least {self.min_customers} of "
                "both kinds are needed"
            )


def _purchases(sequences: Sequences) -> Sequences:
    bought = sequences.select(sequences.role == "purchase")
    if bought.n_rows == 0:
        raise NotApplicable("the log has no purchases")
    return bought


def _customers(sequences: Sequences, bought: Sequences, time: int) -> Queries:
    """Return a question at `time` (ms) for everybody with a purchase before it."""
    everybody = np.arange(len(sequences))
    user = everybody[
        bought.rows_before(everybody, np.full(len(sequences), time)) > bought.offsets[:-1]
    ]
    at = np.full(len(user), time, dtype=np.int64)
    return Queries(user=user, end=sequences.rows_before(user, at), time=at)


def _label(bought: Sequences, queries: Queries, horizon: int) -> np.ndarray:
    """Return (n,) float32: 1 where no purchase lies in [time, time + horizon] ms.

    `bought` holds the purchases of the same users.
    """
    first = bought.rows_before(queries.user, queries.time)
    after = bought.rows_before(queries.user, queries.time + horizon + 1)
    return (after == first).astype(np.float32)
