"""State of many users while their sequences unfold, the same in training and in sampling.

Of each user it keeps the items they last touched, most recent first, with flags (seen, in the cart,
bought). The item of the next row is coded as its rank among these, or as a fresh one; an event that
needs a flag (a refund needs a purchase) chooses among the items that carry it. What happens to one
user is a compiled function of that user's record, and the loops over users are compiled too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from eventlog._runtime.compiled import inner, inner_with_arrays
from generators._numba import source
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.feature_layout import COUNTER_SIZES, Blocks, Counter

# Fewer rows to come have a level each; beyond, and for time, there are two levels a doubling.
FEW_LEFT = 8
_HIGHEST = np.array([size - 1 for size in COUNTER_SIZES])  # level of each counter
_MOST_ROWS = COUNTER_SIZES[Counter.ROWS_LEFT] - 1
_MOST_TIME = COUNTER_SIZES[Counter.TIME_LEFT] - 1

USER = np.dtype(
    [
        # the recent items; 0 = no item, order -1 = not in an order
        ("item", "i4", (codes.N_RECENT,)),
        ("order_of", "i4", (codes.N_RECENT,)),
        ("flags", "i4", (codes.N_RECENT,)),
        ("row", "i4", (col.N_CODES,)),  # codes + 1 of the last row, 0 = there was none
        ("clock", "i4", (col.N_CLOCK,)),  # levels + 1 of the last row, 0 = there was none
        ("length", "i8"),  # rows that the user is to have
        ("until", "i8"),  # ms: when the last of them is to be
        ("time", "i8"),  # ms of the last row
        ("n_labelled_sessions", "i8"),  # that the user is to have
        # rows of the last of several sessions, 0 = it is the only one, or is not planned
        ("last_rows", "i8"),
        ("last_start", "i8"),  # ms: when it is to begin
        ("rhythm", "i8"),  # row of TimingParams.weekly
        ("orders", "i8"),
        ("last_order", "i8"),
        ("in_session", "i8"),  # rows so far
        ("sessions", "i8"),
        ("rows", "i8"),
        ("labelled", "i8"),  # labelled sessions so far
        ("failed", "i8"),  # failed payments in the session
        ("label_pending", "i8"),  # bool: the session has a label, and no row has carried it yet
        ("in_last_session", "i8"),  # bool: the planned last session has begun
        ("session_start", "i8"),  # ms of the session's first row
        (f"source_{source()}", "i8"),
    ],
    align=True,
)


class Effects(NamedTuple):
    """What events do to items, and how many columns there are."""

    sets: np.ndarray  # (n_events + 1,) int64: flags that an event sets on its item
    clears: np.ndarray  # (n_events + 1,) int64: flags that it clears
    needs: np.ndarray  # (n_events + 1,) int64: flags that its item must carry
    fails: np.ndarray  # (n_events + 1,) int64: is it a failed payment?
    carts_end: bool  # does the cart end with its session?
    labels: np.ndarray  # places of labels among the other columns
    values: int  # number of categorical columns
    rest: int  # number of other columns, ids first
    ids: int
    blocks: Blocks  # where the features are


class UserState:
    """Hold the state of n users.

    `length`, `until`, `time`, `n_labelled_sessions`, `last_rows`, `last_start` and `rhythm` are
    (n,) int64, see USER; `values` (n, n_values) are the values that users start with.
    """

    def __init__(
        self,
        effects: Effects,
        *,
        values: np.ndarray,
        length: np.ndarray,
        until: np.ndarray,
        time: np.ndarray,
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

    def __len__(self) -> int:
        return len(self.users)

    def keep(self, index: np.ndarray) -> None:
        """Keep the users of `index` only."""
        self.users, self.more = self.users[index], self.more[index]

    def features(self) -> np.ndarray:
        """Return what a model may see before the next row, (n, F) int64; see feature_layout."""
        out = np.empty((len(self), self.effects.blocks.width), dtype=np.int64)
        _features(self.users, self.more, self.effects, out)
        return out

    def push(self, row: np.ndarray) -> None:
        """Update every user with one finished row, (n, columns)."""
        _push(self.users, self.more, self.effects, row)


# --- one user -------------------------------------------------------------------------------------


@inner
def is_final(u):
    """Has the user's last session begun? Always true where last sessions are not planned."""
    return u.in_last_session != 0 or u.last_rows == 0


@inner
def rows_left(u):
    """Return the rows still to come: before the last session, or in it."""
    return max(u.length - u.rows - (0 if is_final(u) else u.last_rows), 0)


@njit(cache=True)
def target_of(u):
    """Return when the last session is to begin, or to end once it has begun, in ms."""
    return u.until if is_final(u) else u.last_start


@inner
def labelled_sessions_left(u):
    """Return the number of labelled sessions still to come."""
    return max(u.n_labelled_sessions - u.labelled, 0)


@inner
def carries(u, slot, need):
    """May an event that needs the flags `need` refer to the recent item in this slot?"""
    return u.item[slot] > 0 and (u.flags[slot] & need) == need


@inner
def carriers(u, need):
    """Count the recent items to which such an event may refer."""
    found = 0
    for slot in range(codes.N_RECENT):
        if carries(u, slot, need):
            found += 1
    return found


@inner
def copy_action_of(u, item, need):
    """Return the copy action that gives `item` to an event that needs the flags `need`.

    That is NO_ITEM, FRESH, or FIRST_COPY + the item's rank among those that the event may refer to.
    """
    if item == 0:
        return codes.NO_ITEM
    rank = 0
    for slot in range(codes.N_RECENT):
        if carries(u, slot, need):
            if u.item[slot] == item:
                break
            rank += 1
    else:
        rank = codes.N_COPY_RANKS
    # such an event never takes a fresh item: one that is no longer recent counts as the last rank
    if need > 0:
        rank = min(rank, codes.N_COPY_RANKS - 1)
    return codes.FIRST_COPY + rank if rank < codes.N_COPY_RANKS else codes.FRESH


@inner
def copied_item(u, copy_action, need):
    """Return the item that a copy action means; 0 where it is no copy, or there is no such item."""
    rank = copy_action - codes.FIRST_COPY
    if rank >= 0:
        for slot in range(codes.N_RECENT):
            if carries(u, slot, need):
                if rank == 0:
                    return u.item[slot]
                rank -= 1
    return 0


@inner
def known_items(u, need, out):
    """Write the items that such an event can only copy to `out` (N_COPY_RANKS,); count them."""
    found = 0
    for slot in range(codes.N_RECENT):
        if found < codes.N_COPY_RANKS and carries(u, slot, need):
            out[found] = u.item[slot]
            found += 1
    return found


@inner
def begin_session(u, effects):
    """Empty the cart of a user whose session begins, where carts end with their session."""
    if effects.carts_end:
        for slot in range(codes.N_RECENT):
            u.flags[slot] &= ~codes.CART


@inner
def order_of(u, item):
    """Return the number of the order in which the user last bought `item`, -1 = none."""
    if item > 0:
        for slot in range(codes.N_RECENT):
            if u.item[slot] == item:
                return u.order_of[slot]
    return -1


@inner
def _touch(u, row, effects):
    """Move the row's item to the front of the recent items.

    A new item pushes one out: the least recent that is not in the cart, or the least recent of all
    where carts fill half of the places.
    """
    item, event = row[col.ITEM], row[col.EVENT]
    position, carted, loose = -1, 0, -1
    for slot in range(codes.N_RECENT):
        if u.item[slot] == item and position < 0:
            position = slot
        if u.item[slot] > 0 and u.flags[slot] & codes.CART > 0:
            carted += 1
        else:
            loose = slot
    flags, number = 0, -1
    if position >= 0:
        flags, number = u.flags[position], u.order_of[position]
    else:
        position = codes.N_RECENT - 1 if carted >= codes.N_RECENT // 2 else loose
    if effects.sets[event] & codes.BOUGHT > 0 and row[col.ORDER_NUMBER] >= 0:
        number = row[col.ORDER_NUMBER]
    for slot in range(position, 0, -1):
        u.item[slot], u.flags[slot], u.order_of[slot] = (
            u.item[slot - 1],
            u.flags[slot - 1],
            u.order_of[slot - 1],
        )
    u.item[0], u.flags[0], u.order_of[0] = (
        item,
        (flags & ~effects.clears[event]) | effects.sets[event],
        number,
    )


@inner
def push_row(u, more, effects, row):
    """Update a user with one finished row."""
    if row[col.ITEM] > 0:
        _touch(u, row, effects)
    values, rest, ids = effects.values, effects.rest, effects.ids
    if row[col.ORDER_NUMBER] >= u.orders:
        u.orders = row[col.ORDER_NUMBER] + 1
    if row[col.ORDER_NUMBER] >= 0:
        u.last_order = row[col.ORDER_NUMBER]
    for k in range(values):
        if row[col.VALUES + k] > 0:
            more[k] = row[col.VALUES + k]
    for k in range(rest):
        more[values + k] = row[col.VALUES + values + k] + 1
    for k in range(ids):
        relation, count, age = (
            row[col.VALUES + values + k],
            values + rest + k,
            values + rest + ids + k,
        )
        more[age] = (0 if relation > codes.SAME_ID else more[age]) + (1 if relation > 0 else 0)
        more[count] += 1 if relation > codes.EARLIER_ID else 0
    for k in range(col.N_CODES):
        u.row[k] = row[k] + 1
    for k in range(col.N_CLOCK):
        u.clock[k] = row[col.HOUR + k] + 1
    u.time = row[col.TIME]
    if is_final(u) or (row[col.IS_SESSION_START] != 0 and u.rows >= u.length - u.last_rows):
        u.in_last_session = 1
    if row[col.IS_SESSION_START] != 0 or u.rows == 0:
        u.in_session, u.failed, u.session_start = 0, 0, row[col.TIME]
        u.sessions += 1
        u.label_pending = 1 if row[col.SESSION_LABEL] > 0 else 0
        u.labelled += u.label_pending
    for k in effects.labels:
        if row[col.VALUES + values + k] > 0:
            u.label_pending = 0
    u.in_session += 1
    u.failed += effects.fails[row[col.EVENT]]
    u.rows += 1


@inner
def level_of_rows(left):
    """Return the level of Counter.ROWS_LEFT for a number of rows to come."""
    many = left if left <= FEW_LEFT else FEW_LEFT + math.ceil(2 * math.log2(left / FEW_LEFT))
    return min(many, _MOST_ROWS)


@inner
def level_of_time(ms):
    """Return the level of Counter.TIME_LEFT for ms to come."""
    return min(math.ceil(2 * math.log2(max(ms, 0) / 15_000 + 1)), _MOST_TIME)


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
    _write_counters(u, out[blocks.counters : blocks.id_counts])
    for k in range(effects.ids):
        count, age = more[n + k], more[n + effects.ids + k]
        out[blocks.id_counts + k] = min(count, layout.ID_COUNTS - 1)
        out[blocks.id_ages + k] = min(math.ceil(math.log2(age + 1)), layout.ID_AGES - 1)
    for k in range(col.N_CLOCK):
        out[blocks.clock + k] = u.clock[k]


@inner
def _write_counters(u, out):
    cart, ever = 0, 0
    for slot in range(codes.N_RECENT):
        if u.item[slot] > 0:
            cart += 1 if u.flags[slot] & codes.CART > 0 else 0
            ever += 1 if u.flags[slot] & codes.EVER > 0 else 0
    left, room = rows_left(u), target_of(u) - u.time
    hours = max(room, 0) / 1000 / 3600
    started = u.rows > 0  # before the first row there is no time to count from
    out[Counter.ROWS_IN_SESSION] = u.in_session
    out[Counter.SESSIONS] = u.sessions
    out[Counter.ROWS] = math.ceil(math.log2(u.rows + 1))
    out[Counter.CART] = cart
    out[Counter.BOUGHT] = ever
    out[Counter.ROWS_LEFT] = level_of_rows(left)
    out[Counter.LABELLED_SESSIONS] = u.labelled
    out[Counter.TIME_LEFT] = level_of_time(room) if started else 0
    out[Counter.PACE] = (
        math.ceil(max(2 * math.log2((left + 1) / (hours + 0.05)) + 30, 1.0)) if started else 0
    )
    out[Counter.LABELLED_SESSIONS_LEFT] = labelled_sessions_left(u)
    out[Counter.LABEL_PENDING] = u.label_pending
    out[Counter.FAILED_PAYMENTS] = u.failed
    out[Counter.IN_LAST_SESSION] = 1 if is_final(u) else 0
    for k in range(len(_HIGHEST)):
        out[k] = min(out[k], _HIGHEST[k])


# --- all users ------------------------------------------------------------------------------------


@njit(cache=True)
def _features(users, more, effects, out):
    for i in range(len(users)):
        write_features(users[i], more[i], effects, out[i])


@njit(cache=True)
def _push(users, more, effects, row):
    for i in range(len(users)):
        push_row(users[i], more[i], effects, row[i])


@njit(cache=True)
def _levels(amount, of_time):
    out = np.empty(len(amount), dtype=np.int64)
    for i in range(len(amount)):
        out[i] = level_of_time(amount[i]) if of_time else level_of_rows(amount[i])
    return out


def rows_level(left: torch.Tensor) -> torch.Tensor:
    """Return the levels of Counter.ROWS_LEFT for (n,) rows to come."""
    return torch.from_numpy(_levels(left.numpy(), False))


def time_level(ms: torch.Tensor) -> torch.Tensor:
    """Return the levels of Counter.TIME_LEFT for (n,) ms to come."""
    return torch.from_numpy(_levels(ms.numpy(), True))


def least_rows() -> torch.Tensor:
    """Return the fewest rows to come of each level of Counter.ROWS_LEFT, (levels,) int64."""
    rows = torch.arange(4_096)
    return torch.searchsorted(rows_level(rows), torch.arange(COUNTER_SIZES[Counter.ROWS_LEFT]))


def time_of(level: np.ndarray) -> np.ndarray:
    """Return the longest time of each level `level` (n,), int64 ms; see time_level."""
    return (15_000 * (2 ** (level / 2) - 1)).astype(np.int64)
