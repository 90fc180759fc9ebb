"""Draw the fields of a row: which codes are possible for each user, and one of them; compiled.

In all functions, `rows` (m,) are the users who have a choice in a field, `can` (m, size) bool the
codes that are open to them, `row` (n, columns) the row of each user, which is filled in, and `u`
(n, draws) uniform numbers. A function gets a whole table and the number of a column: columns would
be of another type, and all functions compiled again, where only one user is left.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventlog._runtime.compiled import inner, inner_with_arrays
from generators.nn.fused.exponential import exponential
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.user_record import (
    HAD_EVENTS,
    begin_session,
    carried_flags,
    carries,
    earlier_item,
    ends_after,
    goes_with,
    has_earlier,
    known_items,
    label_is_pending,
    order_of,
    response_at,
    rows_before_session,
    theme_of,
)

LEAST = -100.0  # of a logit, counted from the highest


@inner
def _weigh(logits, can, weight):
    """Write to `weight` (size,) float32 numbers proportional to softmax(logits) over what `can`
    (size,) allows, and return their sum.

    It is 0 where nothing is possible. Where no allowed code has any weight, all of them have the
    same.
    """
    size, highest, open_ = len(logits), -np.inf, 0
    for k in range(size):
        open_ += can[k]
        if can[k] and logits[k] > highest:
            highest = logits[k]
    if open_ == 0 or highest == -np.inf:
        for k in range(size):
            weight[k] = can[k]
    else:
        for k in range(size):  # without branches the compiler uses vectors
            share = exponential(np.float32(max(logits[k] - highest, LEAST)))
            weight[k] = share if can[k] & (logits[k] > -np.inf) else np.float32(0)
    return _sum(weight)


@njit(cache=True)
def drawn(logits, can, u, weight):
    """Draw a code from softmax(logits) over what `can` (size,) allows, by a uniform number `u`.

    Returns 0 where nothing is possible. Writes to `weight` (size,) float32, see `_weigh`.
    """
    total = _weigh(logits, can, weight)
    if total == 0.0:
        return 0
    wanted, sum_so_far = u * total, 0.0
    for k in range(len(logits)):
        sum_so_far += weight[k]
        if sum_so_far > wanted:
            return k
    return len(logits) - 1  # never: u < 1


@njit(cache=True)
def shares_of(logits, can):
    """Return with which probability `draw_codes` draws each code, (m, size) float32.

    All are 0 where nothing is possible.
    """
    out = np.empty(logits.shape, dtype=np.float32)
    for i in range(len(logits)):
        total = max(_weigh(logits[i], can[i], out[i]), 1.0)  # the likeliest code weighs 1
        for k in range(logits.shape[1]):
            out[i, k] /= total
    return out


@njit(cache=True)
def draw_codes(logits, can, rows, u, draw, row, column):
    """Draw codes from `logits` (m, size) over `can` into a column, by the numbers u[:, draw]."""
    weight = np.empty(logits.shape[1], dtype=np.float32)
    for k in range(len(rows)):
        row[rows[k], column] = drawn(logits[k], can[k], u[rows[k], draw], weight)


@inner
def _allow(can, allowed):
    """Write to `can` (size,) what is `allowed` (size,)."""
    for k in range(len(can)):
        can[k] = allowed[k]


@inner
def narrow(can, mask):
    """Remove from `can` (size,) what `mask` forbids, unless that leaves nothing."""
    for k in range(len(can)):
        if can[k] and mask[k]:
            for j in range(len(can)):
                can[j] = can[j] and mask[j]
            return


@njit(cache=True)
def begin_sessions(users, row, effects):
    """Empty the carts of users whose session begins, where carts end with their session."""
    for i in range(len(users)):
        if row[i, col.IS_SESSION_START] != 0:
            begin_session(users[i], effects)


@njit(cache=True)
def flags_of(users):
    """Return the flags that any of the recent items of each user carries, (n,) int64."""
    out = np.empty(len(users), dtype=np.int64)
    for i in range(len(users)):
        out[i] = carried_flags(users[i])
    return out


@njit(cache=True)
def open_events(users, row, following, longest_run, longest, once, unfinished, effects, can):
    """Write to `can` the events that may follow the last one and find the item that they need.

    It goes with the session, as `goes_with` says.

    Where no event meets both, those that find their item are open. Unless it is the only one, no
    event is repeated more often in a session than its `longest_run` (n_events + 1,), 0 = no limit,
    nor had again if its bit is among those of `once`, nor the last of a session, of at most
    `longest` rows, if it is among those `unfinished`.
    """
    needs, theme = effects.needs, effects.theme
    met = np.empty(len(needs), dtype=np.bool_)
    for i in range(len(users)):
        last = users[i].row[layout.LAST_EVENT]
        for e in range(len(needs)):
            met[e] = needs[e] == 0
        begun = row[i, col.IS_SESSION_START] == 0
        for slot in range(codes.N_RECENT):  # few events need anything
            for e in range(len(needs)):
                if not met[e] and carries(users[i], slot, needs[e]):
                    now = users[i].theme if begun and effects.themed[e] else 0
                    met[e] = goes_with(users[i].item[slot], theme, now)
        goes_on = last > 0 and begun
        if goes_on and 0 < longest_run[last - 1] <= users[i].run:
            met[last - 1] = met[last - 1] and met[1:].sum() == 1
        if users[i].had & once:
            for e in range(1, min(len(needs), HAD_EVENTS)):
                if met[e] and users[i].had & once & (1 << e):
                    met[e] = met[1:].sum() == 1
        some = False
        for e in range(len(needs)):
            can[i, e] = met[e] and following[last, row[i, col.IS_SESSION_START], e]
            some = some or can[i, e]
        if not some:
            _allow(can[i], met)
            can[i, 0] = False
        if unfinished and ends_after(users[i], row[i, col.IS_SESSION_START], longest):
            for e in range(1, min(len(needs), HAD_EVENTS)):
                if can[i, e] and unfinished & (1 << e):
                    can[i, e] = can[i, 1:].sum() == 1


@njit(cache=True)
def keep_responses(users, row, buying, can):
    """Remove from `can` the events `buying` of users who do not buy now that an offer is open.

    Sessions whose label a row has still to carry are left as they are: it may be a purchase.
    """
    others = ~buying
    for i in range(len(users)):
        waits = response_at(users[i], row[i, col.TIME]) in (codes.NOT_BUYING, codes.TO_BUY)
        if waits and not label_is_pending(users[i], row[i]):
            narrow(can[i], others)


@njit(cache=True)
def open_rows(row, column, closed, only, allow, can):
    """Return the rows whose event leaves a choice; write what it allows to `can`.

    The other rows get the only code there is, in the column.
    """
    rows, found = np.empty(len(row), dtype=np.int64), 0
    for i in range(len(row)):
        event = row[i, col.EVENT]
        row[i, column] = only[event]
        if not closed[event]:
            _allow(can[found], allow[event])
            rows[found] = i
            found += 1
    return rows[:found]


@njit(cache=True)
def recent_items(users, row, needs, out):
    """Write to `out` (n, N_COPY_RANKS) the items that the ranks mean for the event of each row."""
    for i in range(len(users)):
        known_items(users[i], needs[row[i, col.EVENT]], out[i])


@njit(cache=True)
def narrow_copy_actions(users, past, row, rows, effects, recent, can):
    """Allow only what exists of the items to copy, and goes with the session.

    No fresh item is allowed where the event needs flags. `past` (n, places) are the items of users'
    rows, `recent` is what `recent_items` writes.
    """
    mask = np.ones(codes.N_COPY_ACTIONS, dtype=np.bool_)
    for k in range(len(rows)):
        i = rows[k]
        need, now = effects.needs[row[i, col.EVENT]], theme_of(users[i], row[i], effects)
        mask[codes.FRESH] = need == 0
        for rank in range(codes.N_COPY_RANKS):
            item = recent[i, rank]
            mask[codes.FIRST_COPY + rank] = item > 0 and goes_with(item, effects.theme, now)
        start = rows_before_session(users[i], row[i])
        mask[codes.EARLIER] = has_earlier(
            users[i], need, recent[i], past[i, : users[i].rows], start, effects.theme, now
        )
        narrow(can[k], mask)


@njit(cache=True)
def narrow_orders(users, row, rows, can):
    """Allow the last order, and that of the item, only where there is one."""
    mask = np.ones(can.shape[1], dtype=np.bool_)
    for k in range(len(rows)):
        mask[codes.SAME_ORDER] = users[rows[k]].orders > 0
        mask[codes.ITEMS_ORDER] = order_of(users[rows[k]], row[rows[k], col.ITEM]) >= 0
        narrow(can[k], mask)


@njit(cache=True)
def narrow_values(before, value, rows, can):
    """Allow SAME only where there is a value before[:, value]."""
    mask = np.ones(can.shape[1], dtype=np.bool_)
    for k in range(len(rows)):
        mask[codes.SAME] = before[rows[k], value] > 0
        narrow(can[k], mask)


@njit(cache=True)
def hold(users, row, rows, can):
    """Allow no change within a session."""
    mask = np.zeros(can.shape[1], dtype=np.bool_)
    for k in range(codes.SAME + 1):
        mask[k] = True
    for k in range(len(rows)):
        if row[rows[k], col.IS_SESSION_START] == 0 and users[rows[k]].rows > 0:
            narrow(can[k], mask)


@njit(cache=True)
def settle_copy_actions(users, past, row, effects, recent, category, u, draw):
    """Write the copied item (0 = none) and its category; see `narrow_copy_actions`.

    Which earlier item it is follows from the numbers u[:, draw]. A copy of an item that does not
    exist becomes a fresh item.
    """
    for i in range(len(users)):
        action = row[i, col.COPY_ACTION]
        row[i, col.ITEM] = 0
        if action == codes.EARLIER:
            need, start = effects.needs[row[i, col.EVENT]], rows_before_session(users[i], row[i])
            of, now = past[i, : users[i].rows], theme_of(users[i], row[i], effects)
            row[i, col.ITEM] = earlier_item(
                users[i], need, recent[i], of, start, effects.theme, now, u[i, draw]
            )
        elif action >= codes.FIRST_COPY:
            row[i, col.ITEM] = recent[i, action - codes.FIRST_COPY]
        row[i, col.CATEGORY] = category[row[i, col.ITEM]]
        if action >= codes.FIRST_COPY and row[i, col.ITEM] == 0:
            row[i, col.COPY_ACTION] = codes.FRESH


@njit(cache=True)
def open_categories(users, row, effects, allow, start, of_theme, can):
    """Return the rows without a copied item; write their categories to `can`.

    For a fresh item these are categories that have items, where the event allows any, and some that
    go with the session's: `of_theme` (themes, n_categories).
    """
    rows, found = np.empty(len(row), dtype=np.int64), 0
    stocked = start[1:] > start[:-1]
    for i in range(len(row)):
        if row[i, col.COPY_ACTION] <= codes.FRESH:
            _allow(can[found], allow[row[i, col.EVENT]])
            if row[i, col.COPY_ACTION] == codes.FRESH:
                narrow(can[found], stocked)
                narrow(can[found], of_theme[theme_of(users[i], row[i], effects)])
            rows[found] = i
            found += 1
    return rows[:found]


@njit(cache=True)
def draw_items(users, past, row, rows, weight, recent, effects, start, u, draw):
    """Draw fresh items by `weight` (m, width), whose column j is the category's j-th item.

    The numbers are u[:, draw].
    An item that the user has had is not drawn, nor one that does not go with the session, unless no
    other has any weight. Changes `weight`.
    """
    kept = np.empty(weight.shape[1])
    for k in range(len(rows)):
        i, mine = rows[k], weight[k]
        first = start[row[i, col.CATEGORY]]
        width = start[row[i, col.CATEGORY] + 1] - first
        now = theme_of(users[i], row[i], effects)
        if now > 0:
            _keep_going_with(mine[:width], first, effects.theme, now)
        kept[:width] = mine[:width]
        for j in range(codes.N_COPY_RANKS):
            if first <= recent[i, j] < first + width:
                mine[recent[i, j] - first] = 0.0
        for j in range(users[i].rows):
            if first <= past[i, j] < first + width:
                mine[past[i, j] - first] = 0.0
        total = _sum(mine[:width])
        if total == 0.0:
            mine[:width] = kept[:width]
            total = _sum(mine[:width])
        wanted, sum_so_far, column = u[i, draw] * total, 0.0, -1
        for j in range(width):
            if mine[j] > 0:
                column = j
                sum_so_far += mine[j]
                if sum_so_far > wanted:
                    break
        row[i, col.ITEM] = first + max(column, 0)


@inner_with_arrays
def _keep_going_with(weight, first, theme, now):
    """Remove the weight of items from `first` on that do not go with the session, if any do."""
    some = False
    for j in range(len(weight)):
        some = some or (weight[j] > 0 and goes_with(first + j, theme, now))
    for j in range(len(weight)):
        if some and not goes_with(first + j, theme, now):
            weight[j] = 0.0


@inner
def _sum(weight):
    total = 0.0
    for w in weight:
        total += w
    return total


@njit(cache=True)
def settle_orders(users, row):
    """Write the number of each row's order.

    Where the last order, or that of the item, does not exist, the order is a new one.
    """
    for i in range(len(users)):
        user, of_item = users[i], order_of(users[i], row[i, col.ITEM])
        order = row[i, col.ORDER]
        if (order == codes.SAME_ORDER and user.orders == 0) or (
            order == codes.ITEMS_ORDER and of_item < 0
        ):
            order = codes.NEW_ORDER
        row[i, col.ORDER] = order
        row[i, col.ORDER_NUMBER] = -1
        if order == codes.NEW_ORDER:
            row[i, col.ORDER_NUMBER] = user.orders
        elif order == codes.SAME_ORDER:
            row[i, col.ORDER_NUMBER] = user.last_order
        elif order == codes.ITEMS_ORDER:
            row[i, col.ORDER_NUMBER] = of_item


@njit(cache=True)
def settle_values(before, value, row, column):
    """Turn the codes in a column into values: the one before[:, value], another, or none."""
    for i in range(len(row)):
        code = row[i, column]
        row[i, column] = before[i, value] if code == codes.SAME else max(code - codes.SAME, 0)
