"""State of many users while their sequences unfold, the same in training and in sampling.

Of each user it keeps the items they last touched, most recent first, with flags (seen, in the cart,
bought). The item of the next row is coded as its rank among these, or as a fresh one; an event that
needs a flag (a refund needs a purchase) chooses among the items that carry it. What happens to one
user is a compiled function of that user's record (`user_record`); the loops over users are compiled
too.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from eventlog._runtime.compiled import inner, inner_with_arrays
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.sequences.levels import level_of_pace, level_of_rows, level_of_time
from generators.sequences.spending import level_of_cost
from generators.sequences.user_record import (
    USER,
    Effects,
    is_final,
    labelled_sessions_left,
    push_row,
    response_at,
    rows_left,
    sessions_left,
    target_of,
)

FEWEST_PLACES = 64  # for the items of a user's rows; their number doubles when they are full
_HIGHEST = np.array([size - 1 for size in COUNTER_SIZES])  # level of each counter


class UserState:
    """Hold the state of n users.

    `length`, `until`, `time`, `n_sessions`, `n_labelled_sessions`, `last_rows`, `last_start` and
    `rhythm` are (n,) int64, see USER; `values` (n, n_values) are the values that users start with.
    """

    def __init__(
        self,
        effects: Effects,
        *,
        values: np.ndarray,
        length: np.ndarray,
        until: np.ndarray,
        time: np.ndarray,
        n_sessions: np.ndarray,
        n_labelled_sessions: np.ndarray,
        last_rows: np.ndarray,
        last_start: np.ndarray,
        rhythm: np.ndarray,
    ) -> None:
        self.effects = effects
        self.users = np.zeros(len(length), dtype=USER)
        self.users["order_of"], self.users["last_order"] = -1, -1
        given = {
            "length": length,
            "until": until,
            "time": time,
            "n_sessions": n_sessions,
            "n_labelled_sessions": n_labelled_sessions,
            "last_rows": last_rows,
            "last_start": last_start,
            "rhythm": rhythm,
        }
        for name, column in given.items():
            self.users[name] = column
        # The last value of each column (0 = none yet), codes + 1 of the rest, and of ids: how many
        # there were, for how long the last.
        self.more = np.zeros(
            (len(length), effects.values + effects.rest + 2 * effects.ids), dtype=np.int64
        )
        self.more[:, : effects.values] = values
        # (n, places) int32: the items of the rows that were pushed, 0 = none
        self.past_items = np.zeros((len(length), 0), dtype=np.int32)
        self.pushed = 0

    def __len__(self) -> int:
        return len(self.users)

    def keep(self, index: np.ndarray) -> None:
        """Keep the users of `index` only."""
        self.users, self.more = self.users[index], self.more[index]
        self.past_items = self.past_items[index]

    def features(self) -> np.ndarray:
        """Return what a model may see before the next row, (n, F) int64; see feature_layout."""
        out = np.empty((len(self), self.effects.blocks.width), dtype=np.int64)
        _features(self.users, self.more, self.effects, out)
        return out

    def push(self, row: np.ndarray) -> None:
        """Update every user with one finished row, (n, columns)."""
        if self.pushed == self.past_items.shape[1]:
            more = np.zeros((len(self), max(self.pushed, FEWEST_PLACES)), dtype=np.int32)
            self.past_items = np.concatenate([self.past_items, more], axis=1)
        self.past_items[:, self.pushed] = row[:, col.ITEM]
        self.pushed += 1
        _push(self.users, self.more, self.effects, row)


@inner_with_arrays
def write_features(u, more, effects, out):
    """Write a user's features to `out` (F,), laid out as `effects.blocks` says."""
    blocks, n = effects.blocks, effects.values + effects.rest
    for k in range(col.N_CODES):
        out[blocks.last_row + k] = u.row[k]
    for k in range(layout.N_LAST_ITEMS):
        out[blocks.last_items + k] = u.item[k]
    for k in range(n):  # values, then the other fields
        out[blocks.values + k] = more[k]
    _write_counters(u, effects, out[blocks.counters : blocks.id_counts])
    for k in range(effects.ids):
        count, age = more[n + k], more[n + effects.ids + k]
        out[blocks.id_counts + k] = min(count, layout.ID_COUNTS - 1)
        out[blocks.id_ages + k] = min(math.ceil(math.log2(age + 1)), layout.ID_AGES - 1)
    if blocks.sessions > blocks.offer:
        out[blocks.offer] = response_at(u, u.time)
        hours = max(u.offer_until - u.time, 0) / 3_600_000
        left = min(math.ceil(math.log2(hours + 1)), layout.OFFER_SIZES[1] - 1)
        out[blocks.offer + 1] = left if out[blocks.offer] != codes.NO_OFFER else 0
    if blocks.clock > blocks.sessions:
        out[blocks.sessions] = level_of_rows(sessions_left(u))
    for k in range(col.N_CLOCK):
        out[blocks.clock + k] = u.clock[k]


@inner
def _write_counters(u, effects, out):
    cart, ever = 0, 0
    for slot in range(codes.N_RECENT):
        if u.item[slot] > 0:
            cart += 1 if u.flags[slot] & codes.CART > 0 else 0
            ever += 1 if u.flags[slot] & codes.EVER > 0 else 0
    left, room = rows_left(u), target_of(u) - u.time
    hours = max(room, 0) / 1000 / 3600
    started = u.rows > 0  # before the first row there is no time to count from
    out[Counter.ROWS_IN_SESSION] = level_of_rows(u.in_session)
    out[Counter.SESSIONS] = u.sessions
    out[Counter.ROWS] = math.ceil(math.log2(u.rows + 1))
    out[Counter.CART] = cart
    out[Counter.BOUGHT] = ever
    out[Counter.ROWS_LEFT] = level_of_rows(left)
    out[Counter.LABELLED_SESSIONS] = u.labelled
    out[Counter.TIME_LEFT] = level_of_time(room) if started else 0
    out[Counter.PACE] = level_of_pace(left, hours) if started else 0
    out[Counter.LABELLED_SESSIONS_LEFT] = labelled_sessions_left(u)
    out[Counter.LABEL_PENDING] = u.label_pending
    out[Counter.FAILED_PAYMENTS] = u.failed
    out[Counter.IN_LAST_SESSION] = 1 if is_final(u) else 0
    out[Counter.SPENT] = level_of_cost(u.spent, effects.spending)
    for k in range(len(_HIGHEST)):
        out[k] = min(out[k], _HIGHEST[k])


@njit(cache=True)
def _features(users, more, effects, out):
    for i in range(len(users)):
        write_features(users[i], more[i], effects, out[i])


@njit(cache=True)
def _push(users, more, effects, row):
    for i in range(len(users)):
        push_row(users[i], more[i], effects, row[i])
