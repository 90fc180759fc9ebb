"""Delayed entity risk: how often an item, country, device or user was fraudulent, as known then.

It is the strongest fraud feature known (Le Borgne et al., Reproducible Machine Learning for Credit
Card Fraud Detection, 2022, chapter 3: terminal risk). An example at time t uses the labels of
questions asked at t - delay or earlier, never its own. The rule is the same in training and in the
test, where only training labels are known at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import SHORT, Encoder, value_ids

PRIOR_RATE = 0.01  # base rate before any label is known
PRIOR_COUNT = 50.0  # labels that this guess is worth
RISK, LABELS, POSITIVES = "risk", "labels", "positives"  # columns of each entity


def is_risk(column: str) -> bool:
    """Return whether a column is the risk of an entity, rather than a number of labels."""
    return column.startswith(f"{RISK}_")


@dataclass(frozen=True)
class _Labels:
    """The training labels of one entity column, by entity and time."""

    entity: np.ndarray  # (n_entities,) int64, ascending
    key: np.ndarray  # (n,) int64, ascending by entity and then by time
    positive: np.ndarray  # (n + 1,) int64 running total of positive labels


class EntityRisk:
    """Risk of each entity column, and log1p of its known labels and positive labels.

    The risk is the log of the smoothed rate over the base rate.

    Args:
        encoder: its vocabularies and high-cardinality columns are the entities.
        delay_days: after which a label is known.
        smoothing: labels that the base rate is worth.
    """

    def __init__(
        self, encoder: Encoder, *, delay_days: float = 7.0, smoothing: float = 20.0
    ) -> None:
        self.delay, self.smoothing = int(delay_days * DAY_MS), smoothing
        self.coded = [SHORT.get(name, name) for name in encoder.vocabularies if name != "event"]
        self.hashed = list(encoder.high_cardinality)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [
            f"{what}_{entity}" for entity in self._entities for what in (RISK, LABELS, POSITIVES)
        ]

    @property
    def _entities(self) -> list[str]:
        return [*self.coded, *self.hashed, "user"]

    def fit(self, train: Examples, runs: np.ndarray | None = None) -> None:
        """Sort the training labels by entity and time.

        An order's label counts once for each of its entities. `runs` is
        `order_runs(train.sequences)` if the caller has it.
        """
        queries = train.queries
        self.low_ = int(queries.time.min(initial=0))
        self.width_ = int(queries.time.max(initial=0)) - self.low_ + 2
        order = np.argsort(queries.time, kind="stable")
        self.time_, self.positive_ = (
            queries.time[order],
            np.append(0, np.cumsum(train.target[order] > 0)),
        )
        query, row = _rows_of_orders(train.sequences, queries, runs)
        self.labels_ = {}
        for name in self._entities:
            value = self._values(train.sequences, queries, name, query, row)
            # one label per (question, entity)
            pair = np.unique(np.stack([query[value >= 0], value[value >= 0]]), axis=1)
            entity, code = np.unique(pair[1], return_inverse=True)
            key = code * self.width_ + (queries.time[pair[0]] - self.low_)
            by_key = np.argsort(key, kind="stable")
            positive = np.append(0, np.cumsum(train.target[pair[0]][by_key] > 0))
            self.labels_[name] = _Labels(entity, key[by_key], positive)

    def columns(
        self, sequences: Sequences, queries: Queries, runs: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Return each column, (n,) float, by name.

        The value is the largest among the lines of a question's order, 0 if nothing is known.
        """
        query, row = _rows_of_orders(sequences, queries, runs)
        known = np.searchsorted(self.time_, queries.time - self.delay, side="right")
        # (n,) base rate as known then
        base = (self.positive_[known] + PRIOR_RATE * PRIOR_COUNT) / (known + PRIOR_COUNT)
        # Labels of questions asked before low_ + until are known.
        until = np.clip(queries.time - self.delay - self.low_ + 1, 0, self.width_)
        begins = np.flatnonzero(np.append(True, query[1:] != query[:-1])[: len(query)])
        out: dict[str, np.ndarray] = {}
        for name in self._entities:
            labels, value = self.labels_[name], self._values(sequences, queries, name, query, row)
            place = np.searchsorted(labels.entity, value)
            there = (np.append(labels.entity, -1)[place] == value) & (value >= 0)
            left = np.searchsorted(labels.key, place * self.width_)
            right = np.searchsorted(labels.key, place * self.width_ + until[query])
            right = np.where(there, np.maximum(left, right), left)
            count, positive = right - left, labels.positive[right] - labels.positive[left]
            rate = (positive + self.smoothing * base[query]) / (count + self.smoothing)
            for what, values in (
                (RISK, np.log(rate / base[query])),
                (LABELS, np.log1p(count)),
                (POSITIVES, np.log1p(positive)),
            ):
                column = np.zeros(len(queries))
                column[query[begins]] = np.maximum.reduceat(values, begins) if len(begins) else 0
                out[f"{what}_{name}"] = column
        return out

    def _values(
        self, sequences: Sequences, queries: Queries, name: str, query: np.ndarray, row: np.ndarray
    ) -> np.ndarray:
        """Return the entity of each (query, row) pair, (m,) int64, -1 if missing or unknown."""
        if name == "user":
            return value_ids(pd.Series(sequences.users[queries.user], dtype=object))[query]
        values = sequences.ids.get(name) if name in self.hashed else sequences.columns.get(name)
        if values is None:
            return np.full(len(row), -1, dtype=np.int64)
        value = values[row].astype(np.int64)
        return value if name in self.hashed else np.where(value >= FIRST, value, -1)


def order_runs(sequences: Sequences) -> np.ndarray:
    """Return the first row of each row's order, (n_rows,) int64.

    An order is a user's purchase rows at one time; any other row is on its own.
    """
    row = np.arange(sequences.n_rows)
    bought = sequences.role == "purchase"
    continues = np.zeros(len(row), dtype=bool)
    continues[1:] = bought[1:] & bought[:-1] & (sequences.time[1:] == sequences.time[:-1])
    starts = sequences.offsets[:-1]
    continues[starts[starts < len(row)]] = False
    return np.maximum.accumulate(np.where(continues, 0, row))


def _rows_of_orders(
    sequences: Sequences, queries: Queries, runs: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (query, row) pairs, (m,) each: the rows of the order that each question is about.

    There are none for a question without history.
    """
    runs = order_runs(sequences) if runs is None else runs
    asked = np.flatnonzero(queries.end > sequences.offsets[queries.user])
    end = queries.end[asked]
    first = runs[end - 1]
    length = end - first
    query, ends = np.repeat(asked, length), np.cumsum(length)
    return query, np.arange(len(query)) - np.repeat(ends - length, length) + np.repeat(
        first, length
    )
