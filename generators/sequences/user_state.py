"""Tracker: what is known about many users while their sequences unfold, the same in training and in
sampling.

For each user it keeps a pool of the items they last touched, most recent first, with flags (seen,
in the cart, bought). An item of the next row is coded as its rank in that pool ('the second but
last item', 'the first of the cart') or as a fresh one; events that need a flag (a refund needs a
purchase) choose among the items that carry it. What happens to one user is written as a compiled
function over that user's record, and loops over users are compiled too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from generators._numba import source

REMAINING = 32  # levels of 'how much of the span is left'
POOL = 32  # items remembered per user
RANKS = 16  # ranks in the pool that have a code of their own
SAME_ID, EARLIER_ID, NEW_ID, SHARED_ID = 1, 2, 3, 4  # codes of an id column; 0 = missing
NO_ITEM, FRESH, COPY = 0, 1, 2  # codes of 'pick'; COPY + r = the item of rank r
PICKS = COPY + RANKS
EVENT_COLUMN, CATEGORY_COLUMN, INTENT_COLUMN, ITEM_COLUMN = 1, 3, 5, 6  # of the features
NO_ORDER, NEW_ORDER, SAME_ORDER, ITEMS_ORDER = range(4)  # codes of 'order'
ORDERS = 4
SAME = 1  # code of a categorical field: the user's last value of this column; its values follow
SEEN, CART, BOUGHT, EVER = 1, 2, 4, 8  # flags
SETS: Mapping[str, int] = {
    "view": SEEN,
    "list": SEEN,
    "search": SEEN,
    "wishlist": SEEN,
    "cart": SEEN | CART,
    "purchase": SEEN | BOUGHT | EVER,
}
CLEARS: Mapping[str, int] = {"uncart": CART, "purchase": CART, "refund": BOUGHT}
COUNTERS = (
    ("in_session", 16),
    ("sessions", 16),
    ("events", 13),
    ("cart", 8),
    ("bought", 8),
    ("left", 24),
    ("marked", 4),
    ("time_left", 48),
    ("pace", 44),
    ("marks_left", 4),
    ("pending", 2),
    ("failed", 6),
    ("final", 2),
)
FEW_LEFT = 8  # rows to come that are told exactly; beyond, and for time, two levels a doubling
# levels of: how many ids of a column the user has had; for how many rows (log scale) the last one
ID_COUNTS, ID_AGES = 10, 12
CLOCK_SIZES = (24, 7, REMAINING)
_CAPS = np.array([size - 1 for _, size in COUNTERS])
_MOST_ROWS, _MOST_TIME = dict(COUNTERS)["left"] - 1, dict(COUNTERS)["time_left"] - 1

# Columns of a finished row, int64; then come the resolved values of categorical columns (0 =
# missing), then the codes of the rest.
GAP, EVENT, PICK, CATEGORY, ORDER, INTENT, ITEM, NUMBER, TIME, BREAKS, HOUR, DAY, SPAN, VALUES = (
    range(14)
)
# GAP to INTENT are codes; NUMBER is that of the order within its user, -1 = none; TIME in ms; HOUR,
# DAY and SPAN are the clock's levels.

USER = np.dtype(
    [
        # the pool; 0 = no item, -1 = not in an order
        ("item", "i4", (POOL,)),
        ("order_of", "i4", (POOL,)),
        ("flags", "i4", (POOL,)),
        ("row", "i4", (INTENT + 1,)),
        ("clock", "i4", (3,)),  # codes + 1 of the last row, 0 = start
        ("length", "i8"),  # how many rows the user is to have
        ("until", "i8"),  # ms: when the last of them is to be
        ("time", "i8"),  # ms of the last row
        ("marks", "i8"),  # how many sessions with an intent the user is to have
        # rows of the last of several sessions, 0 = it is the only one, or not planned apart
        ("last_rows", "i8"),
        ("last_start", "i8"),  # ms: when it is to begin
        ("orders", "i8"),
        ("last_order", "i8"),
        ("in_session", "i8"),
        ("sessions", "i8"),
        ("events", "i8"),
        ("marked", "i8"),
        ("failed", "i8"),
        ("pending", "i8"),  # bool: the session has an intent, and no row of it has a label yet
        ("begun", "i8"),  # bool: the planned last session has begun
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
    labels: np.ndarray  # places of labels among the other columns
    values: int  # number of categorical columns
    rest: int  # number of other columns, ids first
    ids: int


class UserState:
    """State of n users. `features()` is what a model may look at before the next row.

    `length`, `until`, `time`, `marks`, `last_rows`, `last_start` (n,) int64: see USER; `values` (n,
    n_values): what users start with.
    """

    def __init__(
        self,
        effects: Effects,
        *,
        values: np.ndarray,
        length: np.ndarray,
        until: np.ndarray,
        time: np.ndarray,
        marks: np.ndarray,
        last_rows: np.ndarray,
        last_start: np.ndarray,
    ) -> None:
        self.effects = effects
        self.users = np.zeros(len(length), dtype=USER)
        self.users["order_of"], self.users["last_order"] = -1, -1
        given = {
            "length": length,
            "until": until,
            "time": time,
            "marks": marks,
            "last_rows": last_rows,
            "last_start": last_start,
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
        """Go on with the users of `index` only."""
        self.users, self.more = self.users[index], self.more[index]

    def features(self) -> np.ndarray:
        """(n, F) int64: last row, the three last items, last values, the other fields, counters,
        clock. See Codec.feature_sizes.
        """
        out = np.empty(
            (len(self), INTENT + 1 + 3 + self.more.shape[1] + len(COUNTERS) + 3), dtype=np.int64
        )
        _features(self.users, self.more, self.effects, out)
        return out

    def push(self, row: np.ndarray) -> None:
        """Take in one finished row (n, columns) of every user."""
        _push(self.users, self.more, self.effects, row)


# --- one user -------------------------------------------------------------------------------------


@njit(cache=True)
def is_final(u):
    """Has the user's last session begun? Always, where it is not planned apart."""
    return u.begun != 0 or u.last_rows == 0


@njit(cache=True)
def rows_left(u):
    """Rows that are still to come: before the last session, or in it."""
    return max(u.length - u.events - (0 if is_final(u) else u.last_rows), 0)


@njit(cache=True)
def target_of(u):
    """Ms: when the last session is to begin; once it has, when it is to end."""
    return u.until if is_final(u) else u.last_start


@njit(cache=True)
def marks_left(u):
    """Sessions with an intent that are still to come."""
    return max(u.marks - u.marked, 0)


@njit(cache=True)
def carries(u, slot, need):
    """May an event that needs the flags `need` refer to the item in this slot of the pool?"""
    return u.item[slot] > 0 and (u.flags[slot] & need) == need


@njit(cache=True)
def carriers(u, need):
    """How many items of the pool such an event may refer to."""
    found = 0
    for slot in range(POOL):
        if carries(u, slot, need):
            found += 1
    return found


@njit(cache=True)
def pick_of(u, item, need):
    """The 'pick' code of `item` under an event that needs `need`: NO_ITEM, FRESH, or COPY + its
    rank among those it may refer to.
    """
    if item == 0:
        return NO_ITEM
    rank = 0
    for slot in range(POOL):
        if carries(u, slot, need):
            if u.item[slot] == item:
                break
            rank += 1
    else:
        rank = RANKS
    # such an event never takes a fresh item: what fell out of the pool counts as its last rank
    if need > 0:
        rank = min(rank, RANKS - 1)
    return COPY + rank if rank < RANKS else FRESH


@njit(cache=True)
def item_of(u, pick, need):
    """The item that a COPY pick means; 0 for other picks, and where the pool has no such item."""
    rank = pick - COPY
    if rank >= 0:
        for slot in range(POOL):
            if carries(u, slot, need):
                if rank == 0:
                    return u.item[slot]
                rank -= 1
    return 0


@njit(cache=True)
def known_items(u, need, out):
    """Writes the items that such an event takes as copies, never as fresh ones, to `out` (RANKS,);
    returns how many there are.
    """
    found = 0
    for slot in range(POOL):
        if found < RANKS and carries(u, slot, need):
            out[found] = u.item[slot]
            found += 1
    return found


@njit(cache=True)
def order_of(u, item):
    """Number of the order in which the user last bought `item`, -1 = none."""
    if item > 0:
        for slot in range(POOL):
            if u.item[slot] == item:
                return u.order_of[slot]
    return -1


@njit(cache=True)
def _touch(u, row, effects):
    """Move the row's item to the front of the pool; another falls out where it is new: the least
    recent one that is not in the cart, or the least recent of all where carts fill half the pool.
    """
    item, event = row[ITEM], row[EVENT]
    position, carted, loose = -1, 0, -1
    for slot in range(POOL):
        if u.item[slot] == item and position < 0:
            position = slot
        if u.item[slot] > 0 and u.flags[slot] & CART > 0:
            carted += 1
        else:
            loose = slot
    flags, number = 0, -1
    if position >= 0:
        flags, number = u.flags[position], u.order_of[position]
    else:
        position = POOL - 1 if carted >= POOL // 2 else loose
    if effects.sets[event] & BOUGHT > 0 and row[NUMBER] >= 0:
        number = row[NUMBER]
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


@njit(cache=True)
def push_row(u, more, effects, row):
    """Take in one finished row of a user."""
    if row[ITEM] > 0:
        _touch(u, row, effects)
    values, rest, ids = effects.values, effects.rest, effects.ids
    if row[NUMBER] >= u.orders:
        u.orders = row[NUMBER] + 1
    if row[NUMBER] >= 0:
        u.last_order = row[NUMBER]
    for k in range(values):
        if row[VALUES + k] > 0:
            more[k] = row[VALUES + k]
    for k in range(rest):
        more[values + k] = row[VALUES + values + k] + 1
    for k in range(ids):
        relation, count, age = row[VALUES + values + k], values + rest + k, values + rest + ids + k
        more[age] = (0 if relation > SAME_ID else more[age]) + (1 if relation > 0 else 0)
        more[count] += 1 if relation > EARLIER_ID else 0
    for k in range(INTENT + 1):
        u.row[k] = row[k] + 1
    u.time = row[TIME]
    u.clock[0], u.clock[1], u.clock[2] = row[HOUR] + 1, row[DAY] + 1, row[SPAN] + 1
    if is_final(u) or (row[BREAKS] != 0 and u.events >= u.length - u.last_rows):
        u.begun = 1
    if row[BREAKS] != 0 or u.events == 0:
        u.in_session, u.failed, u.session_start = 0, 0, row[TIME]
        u.sessions += 1
        u.pending = 1 if row[INTENT] > 0 else 0
        u.marked += u.pending
    for k in effects.labels:
        if row[VALUES + values + k] > 0:
            u.pending = 0
    u.in_session += 1
    u.failed += effects.fails[row[EVENT]]
    u.events += 1


@njit(cache=True)
def level_of_rows(left):
    """Level of the counter 'left' for so many rows to come."""
    many = left if left <= FEW_LEFT else FEW_LEFT + math.ceil(2 * math.log2(left / FEW_LEFT))
    return min(many, _MOST_ROWS)


@njit(cache=True)
def level_of_time(ms):
    """Level of the counter 'time_left' for so many ms to come."""
    return min(math.ceil(2 * math.log2(max(ms, 0) / 15_000 + 1)), _MOST_TIME)


@njit(cache=True)
def look(u, more, effects, out):
    """Write a user's features to `out` (F,)."""
    for k in range(INTENT + 1):
        out[k] = u.row[k]
    for k in range(3):
        out[ITEM_COLUMN + k] = u.item[k]
    at = ITEM_COLUMN + 3
    n = effects.values + effects.rest
    for k in range(n):
        out[at + k] = more[k]
    at += n
    cart, ever = 0, 0
    for slot in range(POOL):
        if u.item[slot] > 0:
            cart += 1 if u.flags[slot] & CART > 0 else 0
            ever += 1 if u.flags[slot] & EVER > 0 else 0
    left, room = rows_left(u), target_of(u) - u.time
    hours = max(room, 0) / 1000 / 3600
    started = u.events > 0  # before the first row there is no time to count from
    out[at], out[at + 1], out[at + 2] = u.in_session, u.sessions, math.ceil(math.log2(u.events + 1))
    out[at + 3], out[at + 4], out[at + 5], out[at + 6] = cart, ever, level_of_rows(left), u.marked
    out[at + 7] = level_of_time(room) if started else 0
    # rows an hour still to come
    out[at + 8] = (
        math.ceil(max(2 * math.log2((left + 1) / (hours + 0.05)) + 30, 1.0)) if started else 0
    )
    out[at + 9], out[at + 10], out[at + 11], out[at + 12] = (
        marks_left(u),
        u.pending,
        u.failed,
        1 if is_final(u) else 0,
    )
    for k in range(len(_CAPS)):
        out[at + k] = min(out[at + k], _CAPS[k])
    at += len(_CAPS)
    for k in range(effects.ids):
        out[at + k] = min(more[n + k], ID_COUNTS - 1)
        out[at + effects.ids + k] = min(
            math.ceil(math.log2(more[n + effects.ids + k] + 1)), ID_AGES - 1
        )
    at += 2 * effects.ids
    for k in range(3):
        out[at + k] = u.clock[k]


# --- all users ------------------------------------------------------------------------------------


@njit(cache=True)
def _features(users, more, effects, out):
    for i in range(len(users)):
        look(users[i], more[i], effects, out[i])


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
    """(n,) level of the counter 'left' for (n,) rows to come."""
    return torch.from_numpy(_levels(left.numpy(), False))


def time_level(ms: torch.Tensor) -> torch.Tensor:
    """(n,) level of the counter 'time_left' for (n,) ms to come."""
    return torch.from_numpy(_levels(ms.numpy(), True))


def least_rows() -> torch.Tensor:
    """(levels,) the least rows to come that have each level of 'left'."""
    rows = torch.arange(4_096)
    return torch.searchsorted(rows_level(rows), torch.arange(dict(COUNTERS)["left"]))


def time_of(level: np.ndarray) -> np.ndarray:
    """(n,) int64 ms: the most that have the level `level` (n,), see time_level."""
    return (15_000 * (2 ** (level / 2) - 1)).astype(np.int64)


def feature_sizes(
    *,
    gaps: int,
    intents: int,
    events: int,
    categories: int,
    items: int,
    values: list[int],
    rest: list[int],
    ids: int,
) -> list[int]:
    """Number of levels of each column of `UserState.features`, in its order; arguments are numbers
    of codes, 0 included.
    """
    return [
        gaps + 1,
        events + 1,
        PICKS + 1,
        categories + 1,
        ORDERS + 1,
        intents + 1,
        items,
        items,
        items,
        *values,
        *(r + 1 for r in rest),
        *(size for _, size in COUNTERS),
        *([ID_COUNTS] * ids),
        *([ID_AGES] * ids),
        *(s + 1 for s in CLOCK_SIZES),
    ]
