"""The record of one user, and what happens to it: compiled functions without loops over users."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from eventlog._runtime.compiled import inner, inner_with_arrays
from generators._numba import source
from generators.sequences import codes
from generators.sequences import row_columns as col
from generators.sequences.feature_layout import Blocks
from generators.sequences.spending import Spending, cost_of

HAD_EVENTS = 63  # codes of events that a bit is kept of
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
        ("n_sessions", "i8"),  # that the user is to have, 0 = they are not planned
        ("n_labelled_sessions", "i8"),  # that the user is to have
        # rows of the last of several sessions, 0 = it is the only one, or is not planned
        ("last_rows", "i8"),
        ("last_start", "i8"),  # ms: when it is to begin
        ("rhythm", "i8"),  # row of TimingParams.weekly
        ("orders", "i8"),
        ("last_order", "i8"),
        ("in_session", "i8"),  # rows so far
        ("run", "i8"),  # of them the last ones that have the same event
        ("had", "i8"),  # a bit for each of the first events that the user has had
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
        ("spent", "f8"),  # in the session
        ("theme", "i8"),  # in which the items of the session agree, 0 = there was no item yet
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
    theme: np.ndarray  # (n_items,) int64: in which the items of a session agree, 0 = any goes
    themed: np.ndarray  # (n_events + 1,) bool: is it rows of the event whose items agree?
    labels: np.ndarray  # places of labels among the other columns
    label_needs: np.ndarray  # of each the least session label with which a row can have it
    values: int  # number of categorical columns
    rest: int  # number of other columns, ids first
    ids: int
    blocks: Blocks  # where the features are
    spending: Spending  # what rows cost


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
def sessions_left(u):
    """Return the number of sessions still to begin, of a user whose sessions are planned."""
    return max(u.n_sessions - u.sessions, 0)


@inner
def ends_after(u, is_session_start, longest):
    """Does a session end with the row that is drawn, since no more rows are left for it?

    It has at most `longest` rows, 0 = no limit.
    """
    before = 0 if is_session_start else u.in_session
    if 0 < longest <= before + 1:
        return True
    left = rows_left(u)
    if u.n_sessions > 0:
        return left - 1 <= max(sessions_left(u) - is_session_start, 0)
    if left == 0 and is_session_start and not is_final(u):  # it is the first of the last session
        left = u.length - u.rows
    return left <= 1


@inner
def label_is_pending(u, row):
    """Is a row still to carry the label of the session of the row that is drawn?"""
    begins = row[col.IS_SESSION_START] != 0 or u.rows == 0
    return row[col.SESSION_LABEL] > 0 if begins else u.label_pending != 0


@inner
def label_is_due(u, row, longest):
    """Is the row that is drawn the last of its session that can carry the session's label?"""
    return label_is_pending(u, row) and ends_after(u, row[col.IS_SESSION_START] != 0, longest)


@inner
def labelled_sessions_left(u):
    """Return the number of labelled sessions still to come."""
    return max(u.n_labelled_sessions - u.labelled, 0)


@inner
def carries(u, slot, need):
    """May an event that needs the flags `need` refer to the recent item in this slot?"""
    return u.item[slot] > 0 and (u.flags[slot] & need) == need


@inner
def carried_flags(u):
    """Return the flags that any of the recent items carries."""
    flags = 0
    for slot in range(codes.N_RECENT):
        if u.item[slot] > 0:
            flags |= u.flags[slot]
    return flags


@inner_with_arrays
def known_items(u, need, out):
    """Write to `out` (N_COPY_RANKS,) the item of each rank for an event with the needs; 0 = none.

    First come items of the session, then those of rows before it, the most recent first.
    """
    for rank in range(codes.N_COPY_RANKS):
        out[rank] = 0
    inside, before = 0, codes.N_SESSION_RANKS
    for slot in range(codes.N_RECENT):
        if carries(u, slot, need):
            if u.flags[slot] & codes.IN_SESSION > 0:
                if inside < codes.N_SESSION_RANKS:
                    out[inside] = u.item[slot]
                    inside += 1
            elif before < codes.N_COPY_RANKS:
                out[before] = u.item[slot]
                before += 1


@inner
def rows_before_session(u, row):
    """Return how many rows the user has before the session of `row`, which is not pushed yet."""
    return u.rows if row[col.IS_SESSION_START] != 0 else u.rows - u.in_session


@inner_with_arrays
def copy_action_of(item, need, known, past, start):
    """Return the copy action that gives `item` to an event that needs the flags `need`.

    `known` (N_COPY_RANKS,) is what `known_items` writes, `past` are the items of the user's rows,
    of which the session begins with row `start`. An item of the session that has no rank gets the
    last one of the session.
    """
    if item == 0:
        return codes.NO_ITEM
    for rank in range(codes.N_COPY_RANKS):
        if known[rank] == item:
            return codes.FIRST_COPY + rank
    if need > 0:  # such an event never takes a fresh item
        return codes.EARLIER
    if _has(past[start:], item):
        return codes.FIRST_COPY + codes.N_SESSION_RANKS - 1
    return codes.EARLIER if _has(past[:start], item) else codes.FRESH


@inner_with_arrays
def _has(items, item):
    """Is `item` among `items` (n,)?"""
    for other in items:  # noqa: SIM110  (numba compiles no generator)
        if other == item:
            return True
    return False


@inner
def theme_of(u, row, effects):
    """Return in what the item of a row must agree with others of its session, 0 = any goes."""
    free = row[col.IS_SESSION_START] != 0 or not effects.themed[row[col.EVENT]]
    return 0 if free else u.theme


@inner_with_arrays
def goes_with(item, theme, now):
    """May a session have `item` whose items agree in `now`? `theme` (n_items,) is that of items."""
    return now == 0 or theme[item] == 0 or theme[item] == now


@inner_with_arrays
def _earlier(u, need, known, past, start, k, theme, now):
    """Return the k-th item to which EARLIER may refer, which may be the same one again; 0 = none.

    Without needs that is the item of the k-th row before the session, otherwise the k-th recent
    item. One that has a rank does not count, nor one that the session has again, nor one that does
    not go with it.
    """
    if need > 0:
        item = u.item[k] if carries(u, k, need) else 0
    else:
        item = past[k]
        if _has(past[start:], item):
            return 0
    for rank in range(codes.N_COPY_RANKS):
        if known[rank] == item:
            return 0
    return item if goes_with(item, theme, now) else 0


@inner_with_arrays
def has_earlier(u, need, known, past, start, theme, now):
    """Is there an item to which EARLIER may refer? See `copy_action_of` and `goes_with`."""
    for k in range(codes.N_RECENT if need > 0 else start):
        if _earlier(u, need, known, past, start, k, theme, now) > 0:
            return True
    return False


@inner_with_arrays
def earlier_item(u, need, known, past, start, theme, now, uniform):
    """Return an item to which EARLIER may refer, by a uniform number; 0 where there is none.

    Items of more rows are the likelier.
    """
    found, most = 0, codes.N_RECENT if need > 0 else start
    for k in range(most):
        found += 1 if _earlier(u, need, known, past, start, k, theme, now) > 0 else 0
    left = int(uniform * found)
    for k in range(most):
        item = _earlier(u, need, known, past, start, k, theme, now)
        if item > 0:
            if left == 0:
                return item
            left -= 1
    return 0


@inner
def begin_session(u, effects):
    """Begin a session: no recent item is of it, and where carts end with sessions, none is left."""
    cleared = codes.IN_SESSION | (codes.CART if effects.carts_end else 0)
    for slot in range(codes.N_RECENT):
        u.flags[slot] &= ~cleared


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
        (flags & ~effects.clears[event]) | effects.sets[event] | codes.IN_SESSION,
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
    if row[col.EVENT] < HAD_EVENTS:
        u.had |= 1 << row[col.EVENT]
    for k in range(col.N_CODES):
        u.row[k] = row[k] + 1
    for k in range(col.N_CLOCK):
        u.clock[k] = row[col.HOUR + k] + 1
    u.time = row[col.TIME]
    if is_final(u) or (row[col.IS_SESSION_START] != 0 and u.rows >= u.length - u.last_rows):
        u.in_last_session = 1
    if row[col.IS_SESSION_START] != 0 or u.rows == 0:
        u.in_session, u.failed, u.session_start, u.theme = 0, 0, row[col.TIME], 0
        u.spent = 0.0
        u.sessions += 1
        u.label_pending = 1 if row[col.SESSION_LABEL] > 0 else 0
        u.labelled += u.label_pending
    for k in effects.labels:
        if row[col.VALUES + values + k] > 0:
            u.label_pending = 0
    if effects.themed[row[col.EVENT]] and effects.theme[row[col.ITEM]] > 0:
        u.theme = effects.theme[row[col.ITEM]]
    if effects.sets[row[col.EVENT]] & codes.BOUGHT > 0:
        u.spent += cost_of(row, effects.spending)
    u.in_session += 1
    u.failed += effects.fails[row[col.EVENT]]
    u.rows += 1
