"""Features of the order of events, which aggregates do not see, for trees.

They are the last events with their gaps, how often one role follows another, this week against the
week before, and what the user does in the current session. The aggregates of `Features` are among
the columns, too. As there, nothing at or after `queries.end` is read, and sums are integers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baselines.repeats import repeats_of
from baselines.tabular.features import Features, log_minutes
from baselines.tabular.history import (
    MONEY_UNITS,
    ROLE_ORDER,
    History,
    codes_of,
    history_of,
)
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences

LAST = 8  # events that are shown one by one
BIGRAMS = 16  # pairs of roles that are counted, the most frequent ones of training
SHOWN_ROLES = ("view", "cart", "uncart", "search", "purchase", "refund")
WEEK_MS = 7 * DAY_MS


class OrderFeatures(Features):
    """Aggregates and the order of events; see `Features` for the arguments and the use."""

    def fit(self, train: Examples, valid: Examples | None = None) -> np.ndarray:
        """Choose the pairs of roles, and learn what `Features` learns."""
        role, follows = _roles(history_of(train.sequences, self.encoder))
        last = np.zeros(len(train.sequences), dtype=np.int64)
        np.maximum.at(last, train.queries.user, train.queries.end)
        known = np.arange(len(role)) < last[train.sequences.row_user()]
        pair = _pairs(role)[follows & known]
        counts = np.bincount(pair, minlength=len(ROLE_ORDER) ** 2)
        most = np.argsort(-counts, kind="stable")[:BIGRAMS]
        self.pairs_ = most[counts[most] > 0]
        return super().fit(train, valid)

    def _columns(self, sequences: Sequences, queries: Queries) -> dict[str, np.ndarray]:
        history = history_of(sequences, self.encoder)
        columns = super()._columns(sequences, queries)
        columns.update(_last_events(history, queries))
        columns.update(_pair_columns(history, queries, self.pairs_))
        columns.update(_trends(history, queries))
        columns.update(_session_columns(history, queries))
        return columns


def _last_events(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield role, gaps, price and repetition of the last events, the latest first.

    Events before the user's first have the role -1 and zeros.
    """
    s, start = h.sequences, h.sequences.offsets[q.user]
    role, _ = _roles(h)
    item, category = codes_of(s, "item"), codes_of(s, "category")
    price = s.columns.get("price", np.zeros(s.n_rows))
    for back in range(LAST):
        row = q.end - 1 - back
        here, before = row >= start, row - 1 >= start
        now, then = np.where(here, row, 0), np.where(before, row - 1, 0)
        yield f"role_{back}", np.where(here, role[now], -1)
        yield f"gap_{back}", np.where(before, log_minutes(s.time[now] - s.time[then]), 0)
        yield f"age_{back}", np.where(here, log_minutes(q.time - s.time[now]), 0)
        yield f"price_{back}", np.where(here, price[now], 0)
        for name, code in (("item", item), ("category", category)):
            same = before & (code[now] == code[then]) & (code[now] >= FIRST)
            yield f"same_{name}_{back}", same


def _pair_columns(h: History, q: Queries, pairs: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield how often one role followed another in a session, and the share of the last week."""
    role, follows = _roles(h)
    pair = np.where(follows, _pairs(role), -1)
    start, end = h.sequences.offsets[q.user], q.end
    week = np.minimum(h.row_at(q.user, q.time - WEEK_MS), end)
    for code in pairs.tolist():
        first, second = (ROLE_ORDER[k] for k in divmod(code, len(ROLE_ORDER)))
        total = np.append(0, np.cumsum(pair == code))
        count = total[end] - total[start]
        yield f"pair_{first}_{second}", np.log1p(count)
        recent = total[end] - total[week]
        yield f"pair_share_{first}_{second}_7d", recent / np.maximum(end - week, 1)


def _trends(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield this week's counts, sessions and money over those of the week before, as logs."""
    end = q.end
    week, before = (np.minimum(h.row_at(q.user, q.time - k * WEEK_MS), end) for k in (1, 2))
    totals = {"sessions": h.session_sum, "days": h.day_sum, "spent": h.spent_sum}
    totals |= {role: h.role_count[:, ROLE_ORDER.index(role)] for role in SHOWN_ROLES}
    for name, total in totals.items():
        recent, earlier = total[end] - total[week], total[week] - total[before]
        if name == "spent":
            recent, earlier = recent / MONEY_UNITS, earlier / MONEY_UNITS
        trend = np.log1p(np.maximum(recent, 0)) - np.log1p(np.maximum(earlier, 0))
        yield f"trend_{name}", trend
    yield "trend_events", np.log1p(end - week) - np.log1p(week - before)


def _session_columns(h: History, q: Queries) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what the user did in the session of the last known event."""
    s, end, row = h.sequences, q.end, q.end - 1
    first = h.session_first[row]
    length = end - first
    number = np.cumsum(h.session_first == np.arange(s.n_rows))
    yield "in_session_events", np.log1p(length)
    yield "in_session_minutes", log_minutes(s.time[row] - s.time[first])
    for name in ("item", "category"):
        code = codes_of(s, name)
        new = np.append(0, np.cumsum(repeats_of(number, s.time, code, code >= FIRST).first))
        distinct = new[end] - new[first]
        yield f"in_session_{name}s", np.log1p(distinct)
        yield f"in_session_{name}s_per_event", distinct / length
    for role in SHOWN_ROLES:
        count = h.role_count[:, ROLE_ORDER.index(role)]
        yield f"in_session_{role}", np.log1p(count[end] - count[first])
    start = s.offsets[q.user]
    sessions = np.maximum(h.session_sum[end] - h.session_sum[start], 1)
    yield "session_to_usual", np.log1p(length) - np.log1p((end - start) / sessions)


def _roles(h: History) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's place in ROLE_ORDER, and whether it follows another in its session."""
    role = np.zeros(h.sequences.n_rows, dtype=np.int64)
    for k, rows in enumerate(h.role_rows):
        role[rows] = k
    return role, h.session_first < np.arange(h.sequences.n_rows)


def _pairs(role: np.ndarray) -> np.ndarray:
    """Return a code for the roles of the row before and of the row, (n_rows,) int64."""
    before = np.append(role[:1], role[:-1])
    pair: np.ndarray = before * len(ROLE_ORDER) + role
    return pair
