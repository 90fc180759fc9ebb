"""Point-in-time aggregates for binary questions: what a feature store would know about a user at
the instant asked about.

    features = Features(encoder) table = features.fit(train)                      # (n, n_features)
    float32, columns called features.names table = features.transform(sequences, queries)

Every column is a difference of two cumulative sums over the flat rows, or one look-up, so the cost
is a few passes over the rows and none over the users. Sums are kept as integers (ms,
ten-thousandths of a coin): their differences are exact, and what happens after a question cannot
move its features even in the last bit.

Counts, money and times are given as log1p (times in minutes). A role that never occurred is as long
ago as the user's first row. A question without history has zeros everywhere.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from baselines.tabular.entity_risk import EntityRisk, order_runs
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import ENTITIES, Encoder
from eventlog.schema import ROLE_NAMES
from eventlog.sessions import SESSION_GAP_MS

ROLE_ORDER = tuple(sorted(ROLE_NAMES))
WINDOWS_MS = {
    "1h": DAY_MS // 24,
    "1d": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
    "90d": 90 * DAY_MS,
}
COIN = 10_000  # money is summed in ten-thousandths
# a categorical with at most this many codes gets a column a code; others their rank by frequency
ONE_HOT = 16


class Features:
    """The columns of one task that vary in training: aggregates of the user and, where it is asked
    at events, the event and its entities' risk.

    Whether questions are asked at events (is this order fraudulent?) or at dates (will this user
    come back?) is read off
    the training questions: at an event, the question's time is that of the last known row.
    """

    def __init__(self, encoder: Encoder, *, delay_days: float = 7.0) -> None:
        self.encoder, self.delay_days = encoder, delay_days

    def fit(self, train: Examples) -> np.ndarray:
        """Learn the entities' risk (where questions are asked at events); returns the features of
        `train` (n, n_features).
        """
        sequences, queries = train.sequences, train.queries
        row = queries.end[queries.end > sequences.offsets[queries.user]] - 1
        asked = queries.time[queries.end > sequences.offsets[queries.user]]
        self.at_event_ = bool(len(row)) and bool(np.median(asked - sequences.time[row]) == 0)
        self.risk_ = (
            EntityRisk(self.encoder, delay_days=self.delay_days) if self.at_event_ else None
        )
        if self.risk_ is not None:
            self.risk_.fit(train, history_of(sequences, self.encoder).run_first)
        self.names = list(self._columns(sequences, queries[:0]))
        table = self.transform(sequences, queries)
        keep = _informative(table)
        self.names = [self.names[k] for k in keep]
        return table[:, keep]

    def transform(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """(n, n_features) float32."""
        table = np.zeros((len(queries), len(self.names)), dtype=np.float32)
        known = queries.end > sequences.offsets[queries.user]
        columns = self._columns(sequences, queries[known])
        for k, name in enumerate(self.names):
            table[known, k] = columns[name]
        return table

    def _columns(self, sequences: Sequences, queries: Queries) -> dict[str, np.ndarray]:
        history = history_of(sequences, self.encoder)
        columns = dict(_of_user(history, queries))
        if self.at_event_:
            columns.update(_of_event(history, queries, self.encoder))
        if self.risk_ is not None:
            columns.update(self.risk_.columns(sequences, queries, history.run_first))
        return columns


def _informative(table: np.ndarray) -> list[int]:
    """Columns that vary and are no copy of an earlier one (a role that never occurs has been away
    as long as any other).
    """
    found: dict[bytes, int] = {}
    for k in np.flatnonzero(
        table.min(axis=0, initial=np.inf) < table.max(axis=0, initial=-np.inf)
    ).tolist():
        found.setdefault(table[:, k].tobytes(), k)
    return list(found.values())


# --- one pass over the rows -----------------------------------------------------------------------


@dataclass(frozen=True)
class Repeats:
    """How often a user has had the value of a column before."""

    # (n_rows,) bool: the user's first row with this value; False where it is missing
    first: np.ndarray
    earlier: np.ndarray  # (n_rows,) int64: earlier rows of the user with this value
    age: np.ndarray  # (n_rows,) int64 ms since the user's first row with this value


class History:
    """A log's rows with running totals. Names ending in `_sum` are (n_rows + 1,) int64: the sum
    over all rows before.
    """

    def __init__(self, sequences: Sequences, encoder: Encoder) -> None:
        self.sequences = sequences
        n, time, user = sequences.n_rows, sequences.time, sequences.row_user()
        row = np.arange(n)
        self.low = int(time.min(initial=0))
        self.width = int(time.max(initial=0)) - self.low + 2
        self.key = user * self.width + (time - self.low)  # ascending: user major, time minor

        is_first = row == sequences.offsets[user]
        self.gap = np.where(is_first, 0, np.diff(time, prepend=time[:1]))
        self.gap_sum, self.gap_square_sum = _sum(self.gap), _sum((self.gap // 1000) ** 2)
        session = is_first | (self.gap > SESSION_GAP_MS)
        self.session_first = np.maximum.accumulate(np.where(session, row, 0))
        self.session_sum = _sum(session)
        day = time // DAY_MS
        self.day_sum = _sum(is_first | (np.diff(day, prepend=day[:1]) != 0))

        code = pd.Categorical(sequences.role, categories=list(ROLE_ORDER)).codes.astype(np.int64)
        code = np.where(code < 0, ROLE_ORDER.index("other"), code)
        self.role_count = np.zeros((n + 1, len(ROLE_ORDER)), dtype=np.int32)
        self.role_count[row + 1, code] = 1
        np.cumsum(self.role_count, axis=0, out=self.role_count)
        self.role_rows = [np.flatnonzero(code == r) for r in range(len(ROLE_ORDER))]

        bought = code == ROLE_ORDER.index("purchase")
        self.run_first = order_runs(sequences)
        self.order_rows = np.flatnonzero(bought & (self.run_first == row))
        same = np.append(False, user[self.order_rows[1:]] == user[self.order_rows[:-1]])[
            : len(self.order_rows)
        ]
        order_gap = np.zeros(n, dtype=np.int64)
        order_gap[self.order_rows] = np.where(same, np.diff(time[self.order_rows], prepend=0), 0)
        self.order_gap = order_gap
        self.order_gap_sum, self.order_gap_square_sum = (
            _sum(order_gap),
            _sum((order_gap // 1000) ** 2),
        )
        self.order_sum = _sum(bought & (self.run_first == row))

        quantity = _numbers(sequences, "quantity", missing=1.0)
        money = np.rint(
            np.clip(_numbers(sequences, "price", missing=0.0) * quantity, -1e12, 1e12) * COIN
        ).astype(np.int64)
        self.money_sum, self.spent_sum = _sum(money), _sum(np.where(bought, money, 0))
        self.quantity_sum = _sum(np.rint(np.clip(quantity, 0, 1e9)).astype(np.int64))

        item = _codes(sequences, "item")
        self.repeats = {"item": _repeats(user, time, item, item >= FIRST)}
        category = _codes(sequences, "category")
        self.repeats["category"] = _repeats(user, time, category, category >= FIRST)
        self.bought_items_sum = _sum(_repeats(user, time, item, (item >= FIRST) & bought).first)
        self.bought_lines_sum = _sum((item >= FIRST) & bought)
        for name in entity_columns(encoder):
            ids = sequences.ids.get(name, np.full(n, -1, dtype=np.int64))
            self.repeats[name] = _repeats(user, time, ids, ids >= 0)
        self.first_sum = {name: _sum(r.first) for name, r in self.repeats.items()}

    def row_at(self, user: np.ndarray, time: np.ndarray) -> np.ndarray:
        """(n,) the first row of `user` at or after `time` ms, as Sequences.rows_before gives it."""
        return np.searchsorted(
            self.key, user * self.width + np.clip(time - self.low, 0, self.width - 1)
        )

    def last_of(self, rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """(n,) the last of the ascending `rows` within start..end, -1 where there is none."""
        place = np.searchsorted(rows, end) - 1
        last = rows[np.maximum(place, 0)] if len(rows) else np.full(len(end), -1)
        return np.where((place >= 0) & (last >= start), last, -1)


_CACHE: list[tuple[weakref.ref[Sequences], list[str], History]] = []


def history_of(sequences: Sequences, encoder: Encoder) -> History:
    """The running totals of a log; those of the log asked about last are kept, for `score` is
    called batch by batch.
    """
    names = entity_columns(encoder)
    if _CACHE and _CACHE[0][0]() is sequences and _CACHE[0][1] == names:
        return _CACHE[0][2]
    history = History(sequences, encoder)
    _CACHE[:] = [(weakref.ref(sequences), names, history)]
    return history


def entity_columns(encoder: Encoder) -> list[str]:
    """Columns whose values are entities, new to a user or familiar: devices, cards, and whatever
    has very many values.
    """
    return list(dict.fromkeys([*encoder.high_cardinality, *ENTITIES]))


def _sum(values: np.ndarray) -> np.ndarray:
    """(n + 1,) int64 running total; it may wrap around, differences of it are exact all the
    same.
    """
    return np.append(0, np.cumsum(values.astype(np.int64)))


def _numbers(sequences: Sequences, name: str, *, missing: float) -> np.ndarray:
    values = sequences.raw.get(name)
    return (
        np.full(sequences.n_rows, missing) if values is None else np.nan_to_num(values, nan=missing)
    )


def _codes(sequences: Sequences, name: str) -> np.ndarray:
    values = sequences.columns.get(name)
    return np.zeros(sequences.n_rows, dtype=np.int64) if values is None else values.astype(np.int64)


def _repeats(user: np.ndarray, time: np.ndarray, value: np.ndarray, known: np.ndarray) -> Repeats:
    """Group rows by (user, value); rows that are not `known` stay out."""
    row = np.flatnonzero(known)
    code, names = pd.factorize(value[row])
    group = user[row] * max(len(names), 1) + code
    order = np.argsort(group, kind="stable")
    begins = np.append(True, np.diff(group[order]) != 0)[: len(order)]
    begin = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    first, earlier, age = (
        np.zeros(len(user), dtype=bool),
        np.zeros(len(user), dtype=np.int64),
        np.zeros(len(user), dtype=np.int64),
    )
    place = row[order]
    first[place] = begins
    earlier[place] = np.arange(len(order)) - begin
    age[place] = time[place] - time[place[begin]]
    return Repeats(first, earlier, age)


# --- the columns ----------------------------------------------------------------------------------


def _of_user(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """What the user did, up to the question."""
    start, end, time = h.sequences.offsets[q.user], q.end, h.sequences.time
    tenure = q.time - time[start]
    since_start = {"all": start} | {
        name: np.minimum(h.row_at(q.user, q.time - ms), end) for name, ms in WINDOWS_MS.items()
    }
    for window, since in since_start.items():
        counts = np.log1p(h.role_count[end] - h.role_count[since])
        for r, role in enumerate(ROLE_ORDER):
            yield f"count_{role}_{window}", counts[:, r]
        yield f"spent_{window}", _signed_log((h.spent_sum[end] - h.spent_sum[since]) / COIN)
    for r, role in enumerate(ROLE_ORDER):
        last = h.last_of(h.role_rows[r], start, end)
        yield f"since_{role}", log_minutes(np.where(last >= 0, q.time - time[last.clip(0)], tenure))

    rows, orders = end - start, h.order_sum[end] - h.order_sum[start]
    sessions = h.session_sum[end] - h.session_sum[start]
    yield "tenure", log_minutes(tenure)
    yield "since_event", log_minutes(q.time - time[end - 1])
    yield "events", np.log1p(rows)
    yield "sessions", np.log1p(sessions)
    yield "active_days", np.log1p(h.day_sum[end] - h.day_sum[start])
    yield "events_per_session", np.log1p(rows / sessions)
    gap_mean, gap_std = _moments(h.gap_sum, h.gap_square_sum, start, end, rows - 1)
    yield "gap_mean", log_minutes(gap_mean)
    yield "gap_std", log_minutes(gap_std)
    yield "gap_last", log_minutes(h.gap[end - 1])

    last_order = h.last_of(h.order_rows, start, end)
    has_order = last_order >= 0
    since_order = np.where(has_order, q.time - time[last_order.clip(0)], tenure)
    first_order = (
        h.order_rows[np.searchsorted(h.order_rows, start).clip(0, len(h.order_rows) - 1)]
        if len(h.order_rows)
        else start
    )
    order_mean, order_std = _moments(
        h.order_gap_sum, h.order_gap_square_sum, start, end, orders - 1
    )
    yield "orders", np.log1p(orders)
    yield "orders_per_day", np.log1p(orders / np.maximum(tenure / DAY_MS, 1))
    yield (
        "order_mean",
        _signed_log((h.spent_sum[end] - h.spent_sum[start]) / COIN / np.maximum(orders, 1)),
    )
    yield "order_gap_mean", log_minutes(order_mean)
    yield "order_gap_std", log_minutes(order_std)
    yield "order_gap_last", log_minutes(np.where(has_order, h.order_gap[last_order.clip(0)], 0))
    yield (
        "since_order_to_gap",
        np.where(orders > 1, log_minutes(since_order) - log_minutes(order_mean), 0),
    )
    span = log_minutes(np.where(has_order, time[last_order.clip(0)] - time[first_order], 0))
    yield "order_span", span
    # Recency counts for more the more often a customer used to buy (BG/NBD's insight): products,
    # for the linear models.
    rule = {"orders": np.log1p(orders), "since_order": log_minutes(since_order), "order_span": span}
    for (a, left), (b, right) in combinations_with_replacement(rule.items(), 2):
        yield f"{a}_x_{b}", left * right

    for name, first in h.first_sum.items():
        yield f"distinct_{name}", np.log1p(first[end] - first[start])
    lines = h.bought_lines_sum[end] - h.bought_lines_sum[start]
    yield (
        "repeat_ratio",
        np.where(
            lines > 0,
            1 - (h.bought_items_sum[end] - h.bought_items_sum[start]) / np.maximum(lines, 1),
            0,
        ),
    )
    for name, period in (("hour", DAY_MS), ("weekday", 7 * DAY_MS)):
        angle = 2 * np.pi * (q.time % period) / period
        yield f"{name}_sin", np.sin(angle)
        yield f"{name}_cos", np.cos(angle)


def _of_event(h: History, q: Queries, encoder: Encoder) -> Iterator[tuple[str, np.ndarray]]:
    """The event that is asked about: the order that ends in the last known row, against the user's
    past.
    """
    start, end, time = h.sequences.offsets[q.user], q.end, h.sequences.time
    row = end - 1
    first = h.run_first[row]
    amount = np.log1p(((h.money_sum[end] - h.money_sum[first]) / COIN).clip(0))
    past_orders = h.order_sum[first] - h.order_sum[start]
    past_mean = np.log1p(
        ((h.spent_sum[first] - h.spent_sum[start]) / COIN / np.maximum(past_orders, 1)).clip(0)
    )
    yield "amount", amount
    yield "amount_to_past", np.where(past_orders > 0, amount - past_mean, 0)
    yield "lines", np.log1p(end - first)
    yield "quantity", np.log1p(h.quantity_sum[end] - h.quantity_sum[first])
    yield "gap_before", log_minutes(h.gap[first])
    yield "order_gap_before", log_minutes(h.order_gap[first])
    yield "session_events", np.log1p(end - h.session_first[row])
    yield "session_length", log_minutes(time[row] - time[h.session_first[row]])

    recent = np.minimum(h.row_at(q.user, q.time - DAY_MS), end)
    for name, repeats in h.repeats.items():
        yield f"is_new_{name}", repeats.first[row]
        yield f"earlier_{name}", np.log1p(repeats.earlier[row])
        yield f"age_{name}", log_minutes(repeats.age[row])
        yield f"new_{name}_1d", np.log1p(h.first_sum[name][end] - h.first_sum[name][recent])

    item, category = _codes(h.sequences, "item")[row], _codes(h.sequences, "category")[row]
    price = h.sequences.columns.get("price", np.zeros(h.sequences.n_rows))[row]
    yield "item_price", encoder.item_price[item]
    yield "price_to_item", np.where(item >= FIRST, price - encoder.item_price[item], 0)
    yield "category_price", _category_price(encoder)[category]
    for name in encoder.vocabularies:
        column = "item" if name == "item_id" else name
        code = _codes(h.sequences, column)[row]
        if encoder.size(name) <= ONE_HOT:
            for k, value in enumerate(["missing", "unknown", *encoder.vocabularies[name]]):
                yield f"{column}={value}", code == k
        else:
            yield f"rank_{column}", np.log1p(code)


def _category_price(encoder: Encoder) -> np.ndarray:
    """(n_category_codes,) mean scaled price of a category's items."""
    size = encoder.size("category")
    counts = np.bincount(encoder.item_category, minlength=size)
    return np.bincount(
        encoder.item_category, weights=encoder.item_price, minlength=size
    ) / np.maximum(counts, 1)


def _moments(
    total: np.ndarray, squares: np.ndarray, start: np.ndarray, end: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation in ms of `count` gaps; `total` sums ms, `squares` sums squared
    whole seconds.
    """
    count = np.maximum(count, 1)
    mean = (total[end] - total[start]) / count
    variance = (squares[end] - squares[start]) / count - (mean / 1000) ** 2
    return mean, 1000 * np.sqrt(np.maximum(variance, 0))


def log_minutes(ms: np.ndarray) -> np.ndarray:
    """log(1 + minutes); times below 0 count as 0."""
    return np.log1p(np.maximum(ms, 0) / 60_000)


def _signed_log(value: np.ndarray) -> np.ndarray:
    return np.sign(value) * np.log1p(np.abs(value))
