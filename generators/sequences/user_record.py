"""The record of one user, and what happens to it: compiled functions without loops over users."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from eventlog._runtime.compiled import inner
from generators._numba import source
from generators.sequences import codes
from generators.sequences import row_columns as col
from generators.sequences.feature_layout import Blocks

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
        ("run", "i8"),  # of them the last ones that have the same event
        ("sessions", "i8"),
        ("rows", "i8"),
        ("labelled", "i8"),  # labelled sessions so far
        ("failed", "i8"),  # failed payments in the session
        ("label_pending", "i8"),  # bool: the session has a label, and no row has carried it yet
        ("in_last_session", "i8"),  # bool: the planned last session has begun
        ("session_start", "i8"),  # ms of the session's first row
        ("response", "i8"),  # to the last offer: NOT_BUYING, TO_BUY, HAS_BOUGHT; NO_OFFER: none yet
        ("offer_until", "i8"),  # ms: how long it is open
        ("due", "i8"),  # ms: from when on a user who is to buy stays until they have
        ("treated", "i8"),  # treated offers so far
        ("purchases", "i8"),  # runs of rows that are purchases, so far
        ("since_purchase", "i8"),  # rows since the last of them
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
def response_at(u, time):
    """Return what the user does about an offer that is open at `time`, see `codes.NO_OFFER`."""
    if time > u.offer_until:
        return codes.NO_OFFER
    return codes.DUE if u.response == codes.TO_BUY and time >= u.due else u.response


@inner
def _count_purchases(u, effects, row):
    """Count a purchase, and what it answers; `u.row` is still the row before."""
    if effects.sets[row[col.EVENT]] & codes.BOUGHT == 0:
        u.since_purchase += 1
        return
    if u.rows == 0 or effects.sets[u.row[col.EVENT] - 1] & codes.BOUGHT == 0:
        u.purchases += 1
    u.since_purchase = 0
    if response_at(u, row[col.TIME]) in (codes.TO_BUY, codes.DUE):
        u.response = codes.HAS_BOUGHT


@inner
def push_row(u, more, effects, row):
    """Update a user with one finished row."""
    _count_purchases(u, effects, row)
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
    goes_on = row[col.IS_SESSION_START] == 0 and u.row[col.EVENT] == row[col.EVENT] + 1
    u.run = u.run + 1 if goes_on else 1
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
