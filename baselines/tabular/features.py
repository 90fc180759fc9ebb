"""Point-in-time aggregates: what a feature store knows about a user when a question is asked.

Each column is a difference of two cumulative sums over the flat rows, or a look-up, so the cost is
a few passes over the rows and no loop over users. Sums are integers (ms, 1 / 10,000 of the
currency), so their differences are exact: what happens after a question cannot change its features
even in the last bit.

Counts, money and times are given as log1p (times in minutes). A role that never occurred counts as
long ago as the user's first row. A question without history has zeros everywhere.

Example::

    features = Features(encoder)
    table = features.fit(train, valid)  # (n, n_features) float32, columns named features.names
    table = features.transform(sequences, queries)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np

from baselines.tabular.entity_risk import EntityRisk
from baselines.tabular.history import (
    MONEY_UNITS,
    NUMBER_UNITS,
    ROLE_ORDER,
    History,
    codes_of,
    history_of,
)
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder

WINDOWS_MS = {
    "1h": DAY_MS // 24,
    "1d": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
    "90d": 90 * DAY_MS,
}
# A categorical with at most this many codes gets a column for each; others the frequency rank.
ONE_HOT = 16


class Features:
    """The features of a task that vary in training.

    They are aggregates of the user and, if questions are asked at events, the event itself and the
    risk of its entities. Whether questions are asked at events (is this order fraudulent?) or at
    dates (will this user come back?) is inferred from the training questions: at an event the
    question's time is that of the last known row.

    Args:
        encoder: vocabularies and scales of the sequences.
        delay_days: age at which a label may enter the entities' risk.
    """

    def __init__(self, encoder: Encoder, *, delay_days: float = 7.0) -> None:
        self.encoder, self.delay_days = encoder, delay_days

    def fit(self, train: Examples, valid: Examples | None = None) -> np.ndarray:
        """Learn which columns vary, and the entities' risk; return the features of `train`.

        They are (n, n_features) float32. The labels of the validation part enter the risk, too: a
        question gets those that were known when it was asked.
        """
        sequences, queries = train.sequences, train.queries
        row = queries.end[queries.end > sequences.offsets[queries.user]] - 1
        asked = queries.time[queries.end > sequences.offsets[queries.user]]
        self.at_event_ = bool(len(row)) and bool(np.median(asked - sequences.time[row]) == 0)
        self.risk_ = (
            EntityRisk(self.encoder, delay_days=self.delay_days) if self.at_event_ else None
        )
        if self.risk_ is not None:
            self.risk_.fit(train, valid, history_of(sequences, self.encoder).run_first)
        self.names = list(self._columns(sequences, queries[:0]))
        table = self.transform(sequences, queries)
        keep = informative(table)
        self.names = [self.names[k] for k in keep]
        return table[:, keep]

    def observe(self, known: Examples) -> None:
        """Take in labels that became known since; see `EntityRisk.observe`."""
        if self.risk_ is not None:
            self.risk_.observe(known)

    def transform(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the features of any questions, (n, n_features) float32."""
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


def informative(table: np.ndarray) -> list[int]:
    """Return the columns that vary and do not copy an earlier one.

    All roles that never occur, for example, have the same time since they occurred.
    """
    found: dict[bytes, int] = {}
    for k in np.flatnonzero(
        table.min(axis=0, initial=np.inf) < table.max(axis=0, initial=-np.inf)
    ).tolist():
        found.setdefault(table[:, k].tobytes(), k)
    return list(found.values())


# --- the columns ---------------------------------------------------------------------------------


def _of_user(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what the user did up to the question."""
    yield from _role_columns(h, q)
    yield from _visit_columns(h, q)
    yield from _order_columns(h, q)
    yield from _variety_columns(h, q)
    yield from _number_columns(h, q)
    for name, period in (("hour", DAY_MS), ("weekday", 7 * DAY_MS)):
        angle = 2 * np.pi * (q.time % period) / period
        yield f"{name}_sin", np.sin(angle)
        yield f"{name}_cos", np.cos(angle)


def _role_columns(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield counts of each role and money spent in windows, and times since each role."""
    start, end, time = h.sequences.offsets[q.user], q.end, h.sequences.time
    since_start = {"all": start} | {
        name: np.minimum(h.row_at(q.user, q.time - ms), end) for name, ms in WINDOWS_MS.items()
    }
    for window, since in since_start.items():
        counts = np.log1p(h.role_count[end] - h.role_count[since])
        for r, role in enumerate(ROLE_ORDER):
            yield f"count_{role}_{window}", counts[:, r]
        yield f"spent_{window}", _signed_log((h.spent_sum[end] - h.spent_sum[since]) / MONEY_UNITS)
    tenure = q.time - time[start]
    for r, role in enumerate(ROLE_ORDER):
        last = h.last_of(h.role_rows[r], start, end)
        yield f"since_{role}", log_minutes(np.where(last >= 0, q.time - time[last.clip(0)], tenure))


def _visit_columns(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield how long, how often and how regularly the user has come."""
    start, end, time = h.sequences.offsets[q.user], q.end, h.sequences.time
    rows, sessions = end - start, h.session_sum[end] - h.session_sum[start]
    yield "tenure", log_minutes(q.time - time[start])
    yield "since_event", log_minutes(q.time - time[end - 1])
    yield "events", np.log1p(rows)
    yield "sessions", np.log1p(sessions)
    yield "active_days", np.log1p(h.day_sum[end] - h.day_sum[start])
    yield "events_per_session", np.log1p(rows / sessions)
    gap_mean, gap_std = _moments(h.gap_sum, h.gap_square_sum, start, end, rows - 1)
    yield "gap_mean", log_minutes(gap_mean)
    yield "gap_std", log_minutes(gap_std)
    yield "gap_last", log_minutes(h.gap[end - 1])


def _order_columns(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield how often, how regularly and for how much the user has ordered."""
    start, end, time = h.sequences.offsets[q.user], q.end, h.sequences.time
    tenure, orders = q.time - time[start], h.order_sum[end] - h.order_sum[start]
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
        _signed_log((h.spent_sum[end] - h.spent_sum[start]) / MONEY_UNITS / np.maximum(orders, 1)),
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
    # Recency matters more for frequent buyers (as in BG/NBD): products, for the linear models.
    rule = {"orders": np.log1p(orders), "since_order": log_minutes(since_order), "order_span": span}
    for (a, left), (b, right) in combinations_with_replacement(rule.items(), 2):
        yield f"{a}_x_{b}", left * right


def _variety_columns(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield how many different values the user has had, and the share of repeated purchases."""
    start, end = h.sequences.offsets[q.user], q.end
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


def _number_columns(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the last value, the mean and their difference of every other numeric column.

    They are scaled as by the encoder, and 0 (the mean of all rows) if there is no value.
    """
    start, end = h.sequences.offsets[q.user], q.end
    for name, numbers in h.numbers.items():
        count = numbers.count_sum[end] - numbers.count_sum[start]
        row = numbers.last[end]
        value = np.append(numbers.value, 0) / NUMBER_UNITS  # the last one for users without rows
        last = np.where(row >= start, value[row], 0.0)
        total = (numbers.value_sum[end] - numbers.value_sum[start]) / NUMBER_UNITS
        mean = total / np.maximum(count, 1)
        yield f"last_{name}", last
        yield f"mean_{name}", mean
        yield f"change_{name}", last - mean


def _of_event(h: History, q: Queries, encoder: Encoder) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what is known of the order in the last known row, compared with the user's past."""
    start, end, time = h.sequences.offsets[q.user], q.end, h.sequences.time
    row = end - 1
    first = h.run_first[row]
    amount = np.log1p(((h.money_sum[end] - h.money_sum[first]) / MONEY_UNITS).clip(0))
    past_orders = h.order_sum[first] - h.order_sum[start]
    past_mean = np.log1p(
        ((h.spent_sum[first] - h.spent_sum[start]) / MONEY_UNITS / np.maximum(past_orders, 1)).clip(
            0
        )
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

    item, category = codes_of(h.sequences, "item")[row], codes_of(h.sequences, "category")[row]
    price = h.sequences.columns.get("price", np.zeros(h.sequences.n_rows))[row]
    yield "item_price", encoder.item_price[item]
    yield "price_to_item", np.where(item >= FIRST, price - encoder.item_price[item], 0)
    yield "category_price", _category_price(encoder)[category]
    for name in encoder.vocabularies:
        column = "item" if name == "item_id" else name
        code = codes_of(h.sequences, column)[row]
        if encoder.size(name) <= ONE_HOT:
            for k, value in enumerate(["missing", "unknown", *encoder.vocabularies[name]]):
                yield f"{column}={value}", code == k
        else:
            yield f"rank_{column}", np.log1p(code)


def _category_price(encoder: Encoder) -> np.ndarray:
    """Return the mean scaled price of each category's items, (n_category_codes,)."""
    size = encoder.size("category")
    counts = np.bincount(encoder.item_category, minlength=size)
    return np.bincount(
        encoder.item_category, weights=encoder.item_price, minlength=size
    ) / np.maximum(counts, 1)


def _moments(
    total: np.ndarray, squares: np.ndarray, start: np.ndarray, end: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of gaps, in ms, (n,) each.

    Args:
        total, squares: (n_rows + 1,) running totals of ms and of squared whole seconds.
        start, end: (n,) the rows between which the gaps are.
        count: (n,) their number.
    """
    count = np.maximum(count, 1)
    mean = (total[end] - total[start]) / count
    variance = (squares[end] - squares[start]) / count - (mean / 1000) ** 2
    return mean, 1000 * np.sqrt(np.maximum(variance, 0))


def log_minutes(ms: np.ndarray) -> np.ndarray:
    """Return log(1 + minutes) of times in ms; times below 0 count as 0."""
    return np.log1p(np.maximum(ms, 0) / 60_000)


def _signed_log(value: np.ndarray) -> np.ndarray:
    return np.sign(value) * np.log1p(np.abs(value))
