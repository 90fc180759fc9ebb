"""Is this order fraudulent? Asked of every order when it is placed.

The order itself is visible, nothing after it. A shop learns of fraud late (a chargeback takes
weeks). So training uses orders that were at least `maturity_days` old at the cut, with the labels
known by then; younger ones are left out, because a young order without a label is not yet honest.
The test uses every order after the cut with its final label (Dal Pozzolo et al. 2018, delayed
supervision). While it goes on, a model is told each label when the shop learns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from benchmark.task import NotApplicable, Questions, Task, Truth, users_of
from eventlog import EventLog
from eventlog._runtime.settings import Range
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.log import to_ms
from eventlog.split import TimeSplit

NEVER = np.iinfo(np.int64).max


class Fraud(Task):
    """Fraud per order.

    `maturity_days` is by default the 90 % quantile of the delays of the frauds known at the cut.
    """

    kind = "binary"
    headline = "pr_auc"
    shown = ("pr_auc", "recall@1%fpr", "roc_auc", "brier", "ece")
    oracle_tables = ("events",)
    oracle_knows = (
        "sees what the shop sees, and knows what all earlier sessions were; measured, as all rows "
        "are, against the labels that the shop observes, which lack the frauds never reported"
    )

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
        maturity = self._maturity_ms(log)
        orders = _orders(log, maturity)
        mature = orders.placed < to_ms(split.cut) - maturity
        end, label, time = (x[mature] for x in (orders.end, orders.label, orders.placed))
        border = np.quantile(time, 1 - self.valid_share) if len(time) else 0
        valid = time > border
        if label[valid].sum() < 2 or (~valid).sum() == 0:
            valid = np.zeros(len(end), dtype=bool)  # too few frauds to stop early by
        self._enough(label[~valid], "that are mature at the cut")
        known_at = orders.known_at[mature]
        return Questions(_queries(sequences, end), label, valid, known_at=known_at)

    def asked_users(self, log: EventLog, split: TimeSplit) -> np.ndarray:
        """Return who orders after the cut."""
        return users_of(log, (log.role() == "purchase") & (log.events["timestamp"] >= split.cut))

    def test_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Queries:
        """Ask about every order after the cut."""
        orders = _orders(log)
        late = orders.placed >= to_ms(split.cut)
        self._enough(orders.label[late], "after the cut")
        return _queries(sequences, orders.end[late])

    def test_answers(
        self, log: EventLog, sequences: Sequences, queries: Queries, split: TimeSplit
    ) -> np.ndarray:
        """Return the final label, whenever it became known."""
        orders = _orders(log)
        return orders.label[np.searchsorted(orders.end, queries.end)]

    def arriving(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions:
        """Return the orders too young to train on, and those of the test window, with their labels.

        Further those whose fraud was reported only after the cut, though they were old enough to
        be trained on as honest. Labels that come after the end of the log are left out.
        """
        maturity = self._maturity_ms(log.before(split.cut))
        orders, cut = _orders(log, maturity), to_ms(split.cut)
        late = (orders.placed >= cut - maturity) | (orders.known_at >= cut)
        late &= orders.known_at <= to_ms(split.end)
        end, label, known_at = (x[late] for x in (orders.end, orders.label, orders.known_at))
        nowhere = np.zeros(len(end), dtype=bool)
        return Questions(_queries(sequences, end), label, nowhere, known_at=known_at)

    def oracle(self, truth: Truth, log: EventLog, test: Examples, split: TimeSplit) -> np.ndarray:
        """Return the simulator's probability of fraud, given what happened up to the order."""
        return truth.oracle_fraud(log, test.sequences.event_id[test.queries.end - 1])

    def _maturity_ms(self, log: EventLog) -> int:
        if self.maturity_days is not None:
            return int(self.maturity_days * DAY_MS)
        labels = _labels(log)
        positive = labels["value"].astype(float) > 0
        labels = labels[positive] if positive.any() else labels
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


@dataclass(frozen=True)
class _Orders:
    """The orders of a log, by flat row."""

    end: np.ndarray  # (n,) int64: the flat row after the order's last purchase row, ascending
    placed: np.ndarray  # (n,) int64 ms: the time of that row
    label: np.ndarray  # (n,) float32: 1 where any row of the order is labelled a fraud
    known_at: np.ndarray  # (n,) int64 ms: when the label became known, later than `placed`


def _orders(log: EventLog, maturity: int = 0) -> _Orders:
    """Return the orders of a log, whose rows are those of its Sequences.

    A purchase without an order_id is an order of its own. A fraud is known when the first of its
    rows is labelled one. An honest order is known when its own labels are, or, where it has none
    that took time, `maturity` ms after it was placed.
    """
    labels = _labels(log)
    purchase = np.flatnonzero(log.role() == "purchase")
    if len(purchase) == 0:
        raise NotApplicable("the log has no purchases")
    events = log.events.iloc[purchase]
    group = _order_of_rows(events)
    last = np.zeros(group.max() + 1, dtype=np.int64)
    np.maximum.at(last, group, purchase)
    placed = _ms(log.events["timestamp"].iloc[last])

    place = pd.Index(events["event_id"]).get_indexer(pd.Index(labels["event_id"]))
    of, known = group[place[place >= 0]], _ms(labels["known_at"])[place >= 0]
    fraud = (labels["value"].astype(float) > 0).to_numpy()[place >= 0]
    reported = np.full(len(last), NEVER)
    np.minimum.at(reported, of[fraud], known[fraud])
    cleared = placed.copy()
    np.maximum.at(cleared, of[~fraud], known[~fraud])
    honest = np.where(cleared > placed, cleared, placed + maturity)
    label = reported < NEVER
    known_at = np.maximum(np.where(label, reported, honest), placed + 1)

    order = np.argsort(last, kind="stable")
    return _Orders(last[order] + 1, placed[order], label[order].astype(np.float32), known_at[order])


def _order_of_rows(events: pd.DataFrame) -> np.ndarray:
    """Return the order of each purchase row, (n,) int64 from 0."""
    user = events["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    order = (
        events["order_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
        if "order_id" in events
        else np.full(len(user), -1)
    )
    order = np.where(order >= 0, order, order.max(initial=0) + 1 + np.arange(len(order)))
    frame = pd.DataFrame({"user": user, "order": order})
    return frame.groupby(["user", "order"], sort=False).ngroup().to_numpy()


def _ms(times: pd.Series) -> np.ndarray:
    """Return times as ms since 1970 UTC, (n,) int64."""
    return times.astype("datetime64[ms, UTC]").astype("int64").to_numpy()


def _queries(sequences: Sequences, end: np.ndarray) -> Queries:
    return Queries(user=sequences.row_user()[end - 1], end=end, time=sequences.time[end - 1])
