"""Regularities of a shop's log, learnt without a budget only.

Prices by the day, the longest session, items by rows and by sales, and which category goes with a
value of another column.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from generators.codec.clock import DAY_MS
from generators.codec.codec import Codec
from generators.codec.coders import safe_ends
from generators.codec.features import category_codes, magnitudes, means, split_price
from generators.codec.parts import LEVELS, POPULARITY, SALES, Items, Ladder, Prices
from generators.privacy.queries import PrivateQueries

# Share of rows with the price of their item and day from which on this is taken for a rule, and of
# an event's rows from which on all of them have it.
MIN_DAILY_SHARE, MIN_DAILY_SHARE_OF_EVENT = 0.9, 0.99
# Share of a category's rows on a day with one ratio to the usual price from which on it is reduced.
MIN_REDUCED_SHARE = 0.7
SAME_RATIO = 0.01  # difference of log ratios of prices that is taken for rounding
# A column predicts the category where it is right this much more often than the largest category.
MIN_GAIN = 0.1
MOST_WITHOUT_LEVELS = 20  # with so few items there are no levels
ITEM_HABIT_LEVELS = 16  # intervals of a mean over an item's rows
PRIOR_ROWS = 20  # rows that sell as usual, added to those of each item
LOOKS = ("view", "list", "search")  # roles of events that are no more than a look at an item


def learn_prices(
    items: Items,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    price: np.ndarray,
    event: np.ndarray,
    *,
    events: int,
    min_users: int,
) -> Prices:
    """Learn how prices move by the day, from rows (n,) with `item` at `price`, NaN = none.

    Does an item have one price on nearly every day, and rows of which `event` (n,), a code, have
    it? What is paid with a coupon is another. On which days are the prices of a category reduced
    (or raised) alike, as at least `min_users` users saw?
    """
    ratio, _ = split_price(items.price[item], price)
    rows = pd.DataFrame(
        {
            "u": user,
            "i": item,
            "c": items.category[item],
            "d": time // DAY_MS,
            "p": price,
            "r": ratio.round(3),
            "e": event,
        }
    )
    rows = rows[(item > 0) & np.isfinite(ratio)]
    days = rows.groupby(["c", "d"])
    usual = days["r"].median()
    near = (rows["r"] - days["r"].transform("median")).abs() < SAME_RATIO
    alike = near.groupby([rows["c"], rows["d"]]).mean() >= MIN_REDUCED_SHARE
    found = usual[alike & (usual.abs() > SAME_RATIO) & (days["u"].nunique() >= min_users)]
    return Prices(
        _daily(rows, events),
        [(int(c), int(d), float(r)) for (c, d), r in found.items()],
        _ladder(rows, items, min_users),
    )


def _daily(rows: pd.DataFrame, events: int) -> np.ndarray:
    """Return whether `rows` of each event "e" have the one price "p" of item "i" and day "d"."""
    day = rows.groupby(["i", "d"])["p"]
    same = (rows["p"] == day.transform("median"))[day.transform("size") > 1]
    if same.empty or same.mean() < MIN_DAILY_SHARE:
        return np.zeros(0, dtype=np.bool_)
    share = same.groupby(rows["e"]).mean().reindex(range(events)).fillna(1.0)
    daily: np.ndarray = share.to_numpy() >= MIN_DAILY_SHARE_OF_EVENT
    return daily


def _ladder(rows: pd.DataFrame, items: Items, min_users: int) -> Ladder:
    """Return the prices "p" of each item "i" of `rows` that at least `min_users` users "u" saw."""
    users = rows[~rows["i"].isin(items.rare)].groupby(["i", "p"])["u"].nunique()
    item, price = (
        users.index[users >= min_users].get_level_values(k).to_numpy() for k in ("i", "p")
    )
    return Ladder(item.astype(np.int64), price.astype(np.float64))


def longest_session(
    queries: PrivateQueries, user: np.ndarray, time: np.ndarray, is_session_start: np.ndarray
) -> tuple[int, int]:
    """Return the rows, and the ms, of the longest session.

    It is that of the user who comes `min_users`-th by theirs: no single user's extreme is kept.
    """
    start = np.flatnonzero(is_session_start | np.append(True, user[1:] != user[:-1]))
    stop = np.append(start[1:], len(user))
    rows = (stop - start).astype(np.float64)
    lasts = (time[stop - 1] - time[start]).astype(np.float64)
    most, longest = (safe_ends(user[start], x, queries.min_users)[1] for x in (rows, lasts))
    return int(most), int(longest)


def learn_levels(codec: Codec, events: pd.DataFrame, item: np.ndarray) -> dict[str, np.ndarray]:
    """Return fifths of the items by popularity and by sales, each with equally many rows.

    Sales are the share of an item's rows that are more than a look: what is often viewed is not
    what is often bought. Each level is (items,) int64: 1 + place in LEVELS, 0 = unknown. `item`
    (n,) are the codes of the rows' items.
    """
    rows = np.bincount(item, minlength=codec.items.size).astype(np.float64)
    rows[0] = 0
    if np.count_nonzero(rows) <= MOST_WITHOUT_LEVELS:
        return {}
    levels: dict[str, np.ndarray] = {}
    looks = np.array([True] + [codec.roles[e] in LOOKS for e in codec.events.values])
    deep = np.bincount(
        item, ~looks[codec.events.encode(events["event"])], minlength=codec.items.size
    )
    deep[0] = 0
    usual = deep.sum() / rows.sum()
    for name, key in (
        (POPULARITY, rows),
        (SALES, (deep + PRIOR_ROWS * usual) / (rows + PRIOR_ROWS)),
    ):
        if name == SALES and not 0 < usual < 1:
            continue
        order = np.argsort(key, kind="stable")
        total = np.cumsum(rows[order])
        level = np.zeros(codec.items.size, dtype=np.int64)
        level[order] = 1 + ((total - rows[order] / 2) / total[-1] * len(LEVELS)).astype(np.int64)
        levels[name] = np.where(rows > 0, level, 0)
    return levels


def learn_item_habits(
    codec: Codec, events: pd.DataFrame, item: np.ndarray
) -> dict[str, np.ndarray]:
    """Return at which level each item keeps each number and its price, see Items.habits.

    Levels have equally many rows: an item comes in packs of a dozen, another one by one. `item`
    (n,) are the codes of the rows' items.
    """
    rows = np.bincount(item, minlength=codec.items.size).astype(np.float64)
    if np.count_nonzero(rows[1:]) <= MOST_WITHOUT_LEVELS:
        return {}
    habits = {}
    for name, values in magnitudes(codec, events).items():
        mean = means(item, values, codec.items.size)
        known = np.flatnonzero(np.isfinite(mean) & (np.arange(len(mean)) > 0))
        order = known[np.argsort(mean[known], kind="stable")]
        share = (np.cumsum(rows[order]) - rows[order] / 2) / rows[order].sum()
        habits[name] = np.zeros(codec.items.size, dtype=np.int64)
        habits[name][order] = 1 + (share * ITEM_HABIT_LEVELS).astype(np.int64)
    return habits


def learn_typical_numbers(
    codec: Codec, events: pd.DataFrame, item: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the code of each number that is typical of each item, see Items.typical.

    An item comes in packs of a dozen, and is sold one by one as well: its mean is neither, and most
    of its rows may be of one piece, as those of other items. `item` (n,) are the codes of the rows'
    items.
    """
    if "item_id" not in events:
        return {}
    found = {}
    for name in codec.rest_fields:
        if name == "price" or name not in codec.bins:
            continue
        code = codec.bins[name].encode(events[name].to_numpy(dtype=np.float64, na_value=np.nan))
        known = (item > 0) & (code > 0)
        typical = typical_codes(item[known], code[known], codec.items.size)
        if len(np.unique(typical[typical > 0])) > 1:
            found[name] = typical
    return found


def typical_codes(item: np.ndarray, code: np.ndarray, n_items: int) -> np.ndarray:
    """Return the code that sets each item apart from the others, (n_items,) int64, 0 = no row.

    It is the one with the largest part in how far the codes (n,) of an item's rows diverge from
    those of all rows (Kullback and Leibler). Of equal ones it is the lowest.
    """
    size = int(code.max(initial=0)) + 1
    pair, count = np.unique(item * size + code, return_counts=True)
    owner, of = pair // size, pair % size
    usual = np.bincount(code, minlength=size) / max(len(code), 1)
    rows = np.bincount(item, minlength=n_items)[owner]
    part = count * np.log((count + usual[of]) / (rows + 1) / usual[of])
    order = np.lexsort((of, -part, owner))
    first = order[np.append(True, np.diff(owner[order]) > 0)[: len(order)]]
    out = np.zeros(n_items, dtype=np.int64)
    out[owner[first]] = of[first]
    return out


def learn_usual_categories(
    codec: Codec, events: pd.DataFrame, user: np.ndarray
) -> dict[str, list[int]]:
    """Return the category that most often goes with each value of a column, by column.

    An example is a search and what is viewed after it: the category is that of the row itself, or
    of the user's next row that has one. Only columns that predict the category are returned.
    """
    category = category_codes(codec.categories, events)
    after = (
        pd.Series(np.where(category > 0, category, np.nan))
        .groupby(user)
        .bfill()
        .fillna(0)
        .to_numpy()
        .astype(np.int64)
    )
    usual: dict[str, list[int]] = {}
    for name in codec.value_fields:
        value = codec.values[name].encode(events[name])
        rows = (value > 0) & (after > 0)
        if not rows.any():
            continue
        table = np.zeros((codec.values[name].size, codec.categories.size))
        np.add.at(table, (value[rows], after[rows]), 1.0)
        # one row of each value does not count: it found itself
        right = np.maximum(table.max(1) - 1, 0).sum() / table.sum()
        if right > table.sum(0).max() / table.sum() + MIN_GAIN:
            usual[name] = table.argmax(1).tolist()
    return usual
