"""Delayed entity risk: how often an item, country, device or user was fraudulent, as known then.

It is the strongest fraud feature known (Le Borgne et al., Reproducible Machine Learning for Credit
Card Fraud Detection, 2022, chapter 3: terminal risk). A question at time t uses the labels that
were known at t, never its own. Terminals and cards are compromised for days, so beside all labels
those of the last 1, 7 and 30 days count by themselves. A label is as old as its order, and windows
end as long ago as labels usually take: with labels a week late, the risk of the last day is that of
the orders of the eighth day before the question.

Labels that become known after training are added with `observe`. At scoring the rows of other users
are not at hand, so the number of an entity's orders in the last hours is not among the features:
only the user's own are, and the number of labels.

Example::

    risk = EntityRisk(encoder)
    risk.fit(train, valid)                            # labels with Examples.known_at
    risk.observe(arrived)                             # later ones
    columns = risk.columns(sequences, queries)        # {"risk_device_7d": (n,), ...}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import SHORT, Encoder, value_ids

PRIOR_RATE = 0.01  # base rate before any label is known
PRIOR_COUNT = 50.0  # labels that this guess is worth
RISK, LABELS, POSITIVES = "risk", "labels", "positives"  # columns of each entity
WINDOWS_DAYS = (1, 7, 30)
MERGE_RATIO = 4  # an index is merged with the one before it unless that is so many times as large
ALL_ENTITIES = np.int64(0)  # the value of the entity whose labels are all labels


def is_risk(column: str) -> bool:
    """Return whether a column is the risk of an entity, rather than a number of labels."""
    return column.startswith(f"{RISK}_")


class EntityRisk:
    """Risk of each entity column, log1p of its labels and of its positive labels.

    The risk is the log of the smoothed rate over the base rate. Risk and positive labels are given
    for each window and for all time, the number of labels for all time.

    Args:
        encoder: its vocabularies and high-cardinality columns are the entities.
        delay_days: after which a label is known, where `Examples.known_at` does not say when.
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
        return [name for entity in self._entities for name in _names(entity)]

    @property
    def _entities(self) -> list[str]:
        return [*self.coded, *self.hashed, "user"]

    def fit(
        self, train: Examples, valid: Examples | None = None, runs: np.ndarray | None = None
    ) -> None:
        """Take in the labels of the training and the validation part.

        An order's label counts once for each of its entities. `runs` is
        `order_runs(train.sequences)` if the caller has it.
        """
        late = self._known_at(train) - train.queries.time
        self.usual_delay_ = int(np.median(late)) if len(train) else self.delay
        self.counted_ = np.zeros(0, dtype=np.int64)  # identities of orders, ascending
        self.positive_ = np.zeros(0, dtype=np.int64)  # of those known to be positive
        self.base_: list[_Index] = []
        self.labels_: dict[str, list[_Index]] = {name: [] for name in self._entities}
        self.observe(train, runs)
        if valid is not None:
            same = valid.sequences is train.sequences
            self.observe(valid, runs if same else None)

    def observe(self, known: Examples, runs: np.ndarray | None = None) -> None:
        """Add labels, in time linear in their number on average.

        An order whose label is there already is not counted again; one that was honest so far and
        turns out to be a fraud becomes positive when that is known.
        """
        user = user_values(known.sequences, known.queries.user)
        order = order_identity(known, user)
        target = known.target > 0
        new = ~among(self.counted_, order)
        positive = target & ~among(self.positive_, order)
        keep = np.flatnonzero(new | positive)
        if len(keep) == 0:
            return
        self.counted_ = with_sorted(self.counted_, order[new])
        self.positive_ = with_sorted(self.positive_, order[positive])
        queries = known.queries[keep]
        about = _Labels(
            np.full(len(keep), ALL_ENTITIES),
            queries.time,
            self._known_at(known)[keep],
            new[keep],
            positive[keep],
        )
        _add(self.base_, about, self.usual_delay_)
        query, row = _rows_of_orders(known.sequences, queries, runs)
        for name, labels in self.labels_.items():
            value = self._values(known.sequences, name, query, row, user[keep])
            # one label per (question, entity)
            pair = np.unique(np.stack([query[value >= 0], value[value >= 0]]), axis=1)
            _add(labels, about.of(pair[0], pair[1]), self.usual_delay_)

    def columns(
        self, sequences: Sequences, queries: Queries, runs: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Return each column, (n,) float, by name.

        The value is the largest among the lines of a question's order, 0 if nothing is known.
        """
        query, row = _rows_of_orders(sequences, queries, runs)
        user = user_values(sequences, queries.user)
        everything = np.full(len(queries), ALL_ENTITIES)
        count, positive = _counts(self.base_, everything, queries.time)
        # (n,) base rate as known then
        base = (positive[-1] + PRIOR_RATE * PRIOR_COUNT) / (count[-1] + PRIOR_COUNT)
        begins = np.flatnonzero(np.append(True, query[1:] != query[:-1])[: len(query)])
        out: dict[str, np.ndarray] = {}
        for name, labels in self.labels_.items():
            value = self._values(sequences, name, query, row, user)
            count, positive = _counts(labels, value, queries.time[query])
            for column, values in zip(
                _names(name), self._measures(count, positive, base[query]), strict=True
            ):
                out[column] = np.zeros(len(queries))
                if len(begins):
                    out[column][query[begins]] = np.maximum.reduceat(values, begins)
        return out

    def _measures(
        self, count: np.ndarray, positive: np.ndarray, base: np.ndarray
    ) -> Iterable[np.ndarray]:
        """Yield the columns of an entity, in the order of `_names`; see `_counts` for the shapes.

        `base` is the base rate, (m,).
        """
        rate = (positive + self.smoothing * base) / (count + self.smoothing)
        yield from np.log(rate / base)
        yield from np.log1p(positive)
        yield np.log1p(count[-1])

    def _known_at(self, known: Examples) -> np.ndarray:
        """Return when each label became known, (n,) int64 ms: always after its own question."""
        placed = known.queries.time
        given = placed + self.delay if known.known_at is None else known.known_at
        return np.maximum(given, placed + 1)

    def _values(
        self,
        sequences: Sequences,
        name: str,
        query: np.ndarray,
        row: np.ndarray,
        user: np.ndarray,
    ) -> np.ndarray:
        """Return the entity of each (query, row) pair, (m,) int64, -1 if missing or unknown."""
        if name == "user":
            return user[query]
        values = sequences.ids.get(name) if name in self.hashed else sequences.columns.get(name)
        if values is None:
            return np.full(len(row), -1, dtype=np.int64)
        value = values[row].astype(np.int64)
        return value if name in self.hashed else np.where(value >= FIRST, value, -1)


def _names(entity: str) -> list[str]:
    """Return the names of an entity's columns."""
    windows = [*(f"_{days}d" for days in WINDOWS_DAYS), ""]
    rates = [f"{what}_{entity}{window}" for what in (RISK, POSITIVES) for window in windows]
    return [*rates, f"{LABELS}_{entity}"]


# --- labels, and how many were known at a time ----------------------------------------------------


@dataclass(frozen=True)
class _Labels:
    """Labels of one entity column, (n,) each."""

    value: np.ndarray  # int64: the entity
    placed: np.ndarray  # int64 ms: when the order was placed
    known: np.ndarray  # int64 ms: when its label became known
    count: np.ndarray  # bool: it is a label of an order that had none
    positive: np.ndarray  # bool: the order was not known to be positive before

    def of(self, label: np.ndarray, value: np.ndarray) -> _Labels:
        """Return the labels at the places `label` (m,), about the entities `value` (m,)."""
        return _Labels(
            value,
            self.placed[label],
            self.known[label],
            self.count[label],
            self.positive[label],
        )

    def __add__(self, other: _Labels) -> _Labels:
        return _Labels(
            *(
                np.concatenate([getattr(self, f), getattr(other, f)])
                for f in ("value", "placed", "known", "count", "positive")
            )
        )


class _Index:
    """Labels of one entity column, sorted so that those known at a time are counted at once.

    A label is in a window from when it is known until its order is too old. So the labels in the
    window are those that are known less those that are known and too old, and either number is a
    place in a sorted array.
    """

    def __init__(self, labels: _Labels, usual_delay: int) -> None:
        self.labels = labels
        self.entity, code = np.unique(labels.value, return_inverse=True)
        self.start = np.append(0, np.cumsum(np.bincount(code, minlength=len(self.entity))))
        age = usual_delay + np.array(WINDOWS_DAYS)[:, None] * DAY_MS
        moments = np.vstack([np.maximum(labels.placed + age, labels.known), labels.known])
        self.low = int(labels.known.min())
        self.width = int(moments.max()) - self.low + 2
        self.timelines = [self._timeline(code, moment) for moment in moments]

    def _timeline(
        self, code: np.ndarray, moment: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return keys by entity and time, ascending, and running totals of labels, positives."""
        key = code * self.width + (moment - self.low + 1)
        order = np.argsort(key, kind="stable")
        return (
            key[order],
            np.append(0, np.cumsum(self.labels.count[order], dtype=np.int64)),
            np.append(0, np.cumsum(self.labels.positive[order], dtype=np.int64)),
        )

    def add_to(
        self, count: np.ndarray, positive: np.ndarray, value: np.ndarray, time: np.ndarray
    ) -> None:
        """Add the labels in each window, and of all time, to `count` and `positive`; see _counts.

        Args:
            count, positive: (windows + 1, m) int64.
            value, time: (m,) int64 entities and ms.
        """
        place = np.searchsorted(self.entity, value)
        found = np.flatnonzero(np.append(self.entity, -1)[place] == value)
        place = place[found]
        start = self.start[place]
        until = place * self.width + np.clip(time[found] - self.low + 1, 0, self.width - 1)
        passed = []
        for key, counts, positives in self.timelines:
            end = np.searchsorted(key, until, side="right")
            passed.append((counts[end] - counts[start], positives[end] - positives[start]))
        known = passed[-1]
        for k, gone in enumerate([*passed[:-1], (0, 0)]):
            count[k, found] += known[0] - gone[0]
            positive[k, found] += known[1] - gone[1]


def _counts(
    indices: list[_Index], value: np.ndarray, time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of entities known at a time, and the positive ones.

    Args:
        indices: hold the labels.
        value: (m,) int64 entities, -1 for none.
        time: (m,) int64 ms.

    Returns:
        (windows + 1, m) int64 each: per window of WINDOWS_DAYS, and last those of all time.
    """
    count, positive = np.zeros((2, len(WINDOWS_DAYS) + 1, len(value)), dtype=np.int64)
    for index in indices:
        index.add_to(count, positive, value, time)
    return count, positive


def _add(indices: list[_Index], labels: _Labels, usual_delay: int) -> None:
    """Add an index of `labels`; small ones are merged, so that there are always few."""
    if len(labels.value) == 0:
        return
    while indices and len(indices[-1].labels.value) < MERGE_RATIO * len(labels.value):
        labels = indices.pop().labels + labels
    indices.append(_Index(labels, usual_delay))


# --- identities -----------------------------------------------------------------------------------


def user_values(sequences: Sequences, user: np.ndarray) -> np.ndarray:
    """Return a hash of the id of each of the users `user` (n,), (n,) int64."""
    names, place = np.unique(user, return_inverse=True)
    return value_ids(pd.Series(sequences.users[names], dtype=object))[place]


def order_identity(known: Examples, user: np.ndarray) -> np.ndarray:
    """Return a hash of user, time and place in the user's history of each question, (n,) int64."""
    place = known.queries.end - known.sequences.offsets[known.queries.user]
    parts = np.stack([user, known.queries.time, place], axis=1).astype(np.uint64)
    mixed = np.zeros(len(known), dtype=np.uint64)
    for part in parts.T:  # as in boost::hash_combine
        mixed ^= (
            part * np.uint64(0x9E3779B97F4A7C15) + (mixed << np.uint64(6)) + (mixed >> np.uint64(2))
        )
    return mixed.view(np.int64)


def among(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return which of `values` (n,) are in `ascending`, (n,) bool."""
    if len(ascending) == 0:
        return np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: np.ndarray = ascending[place] == values
    return found


def with_sorted(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return `ascending` with `values` inserted."""
    values = np.sort(values)
    return np.insert(ascending, np.searchsorted(ascending, values), values)


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
