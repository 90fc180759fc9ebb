"""Is this order fraudulent? Asked of every order when it is placed.

The order itself is visible, nothing after it. A shop learns of fraud late (a chargeback takes
weeks). So training uses orders that were at least `maturity_days` old at the cut, with the labels
known by then; younger ones are left out, because a young order without a label is not yet honest.
The test uses every order after the cut with its final label (Dal Pozzolo et al. 2018, delayed
supervision).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd

from benchmark.task import NotApplicable, Questions, Task, Truth, users_of
from eventlog import EventLog
from eventlog._runtime.settings import Range
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.log import to_ms
from eventlog.split import TimeSplit


class Fraud(Task):
    """Fraud per order.

    `maturity_days` is by default the 90 % quantile of the label delays seen before the cut.
    """

    kind = "binary"
    headline = "pr_auc"
    shown = ("pr_auc", "recall@1%fpr", "roc_auc", "brier", "ece")

    def __init__(
        self,
        *,
        maturity_days: Annotated[float, Range(0.0)] | None = None,
        valid_share: Annotated[float, Range(0.0, 0.9)] = 0.15,
        min_frauds: Annotated[int, Range(0)] = 10,
    ) -> None:
        self.maturity_days = maturity_days
        self.valid_share = valid_share
        self.min_frauds = min_frauds

    def train_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions:
        """Ask about mature orders, with the labels known at the cut.

        The last `valid_share` of them, in time, is for validation.
        """
        end, label = _orders(log)
        time = sequences.time[end - 1]
        mature = time < to_ms(split.cut) - self._maturity_ms(log)
        end, label, time = end[mature], label[mature], time[mature]
        border = np.quantile(time, 1 - self.valid_share) if len(time) else 0
        valid = time > border
        if label[valid].sum() < 2 or (~valid).sum() == 0:
            valid = np.zeros(len(end), dtype=bool)  # too few frauds to stop early by
        self._enough(label[~valid], "that are mature at the cut")
        return Questions(_queries(sequences, end), label, valid)

    def asked_users(self, log: EventLog, split: TimeSplit) -> np.ndarray:
        """Return who orders after the cut."""
        return users_of(log, (log.role() == "purchase") & (log.events["timestamp"] >= split.cut))

    def test_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Queries:
        """Ask about every order after the cut."""
        end, label = _orders(log)
        late = sequences.time[end - 1] >= to_ms(split.cut)
        self._enough(label[late], "after the cut")
        return _queries(sequences, end[late])

    def test_answers(
        self, log: EventLog, sequences: Sequences, queries: Queries, split: TimeSplit
    ) -> np.ndarray:
        """Return the final label, whenever it became known."""
        end, label = _orders(log)
        return label[np.searchsorted(end, queries.end)]

    def oracle(self, truth: Truth, log: EventLog, test: Examples, split: TimeSplit) -> np.ndarray:
        """Return the simulator's probability of fraud, given what happened up to the order."""
        return truth.oracle_fraud(log, test.sequences.event_id[test.queries.end - 1])

    def _maturity_ms(self, log: EventLog) -> int:
        if self.maturity_days is not None:
            return int(self.maturity_days * DAY_MS)
        labels = _labels(log)
        placed = (
            log.events.set_index("event_id")["timestamp"].reindex(labels["event_id"]).to_numpy()
        )
        delay = (labels["known_at"].to_numpy() - placed).astype("timedelta64[ms]").astype(np.int64)
        return int(np.quantile(delay, 0.9)) if len(delay) else 0

    def _enough(self, label: np.ndarray, where: str) -> None:
        n, frauds = len(label), int(label.sum())
        if frauds < self.min_frauds or frauds == n:
            raise NotApplicable(
                f"there are {frauds} frauds among {n} orders {where}, {self.min_frauds} and some "
                "honest are needed"
            )


def _labels(log: EventLog) -> pd.DataFrame:
    if log.labels is None or not (log.labels["kind"] == "fraud").any():
        raise NotApplicable("the log has no fraud labels")
    return log.labels[log.labels["kind"] == "fraud"]


def _orders(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat row after the last purchase row of each order, and (n,) float32 labels.

    Rows are ascending; a label is 1 where any row of the order is labelled a fraud. A purchase
    without an order_id is an order of its own. The rows of `log.events` are those of its Sequences.
    """
    labels = _labels(log)
    purchase = np.flatnonzero(log.role() == "purchase")
    if len(purchase) == 0:
        raise NotApplicable("the log has no purchases")
    events = log.events.iloc[purchase]
    user = events["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    order = (
        events["order_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
        if "order_id" in events
        else np.full(len(user), -1)
    )
    order = np.where(order >= 0, order, order.max(initial=0) + 1 + np.arange(len(order)))
    group = (
        pd.DataFrame({"user": user, "order": order})
        .groupby(["user", "order"], sort=False)
        .ngroup()
        .to_numpy()
    )
    fraud = (
        events["event_id"]
        .isin(labels.loc[labels["value"].astype(float) > 0, "event_id"])
        .to_numpy()
    )
    last = np.zeros(group.max() + 1, dtype=np.int64)
    np.maximum.at(last, group, purchase)
    label = np.bincount(group, weights=fraud) > 0
    place = np.argsort(last, kind="stable")
    return last[place] + 1, label[place].astype(np.float32)


def _queries(sequences: Sequences, end: np.ndarray) -> Queries:
    return Queries(user=sequences.row_user()[end - 1], end=end, time=sequences.time[end - 1])
