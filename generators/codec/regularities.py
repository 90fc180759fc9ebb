"""What a log keeps to, learnt without a budget only: prices by the day, the longest session, items
by rows and sales, and which category goes with a value of another column.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from generators.codec.clock import DAY_MS
from generators.codec.codec import LEVELS, POPULARITY, SALES, Codec
from generators.codec.coders import safe_ends
from generators.codec.features import category_codes, item_codes, split_price
from generators.privacy.queries import PrivateQueries

MOSTLY = 0.9  # of the days of items at one price: taken for a rule
# of the rows of a category on a day at one ratio to the prices of their items: all are reduced
ALIKE = 0.7
SAME_RATIO = 0.01  # of log ratios of prices; the rest is rounding
# how much more often than without it a value must tell the category, to be taken for one that does
TELLS = 0.1
MOST_LEVELLED = 20  # so few items need no levels
USUAL_ROWS = 20  # rows of an item that sell as usual, beside its own
LOOKS = ("view", "list", "search")  # roles of events that are no more than a look at an item


def learn_prices(
    codec: Codec,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    price: np.ndarray,
    *,
    min_users: int,
) -> None:
    """Of rows with `item` (n,) at `price` (n,), NaN = none: has an item one price on nearly every
    day, and on which days are the prices of a category reduced (or raised) alike, as at least
    `min_users` users saw?
    """
    ratio, _ = split_price(codec.items.price[item], price)
    rows = pd.DataFrame(
        {
            "u": user,
            "i": item,
            "c": codec.items.category[item],
            "d": time // DAY_MS,
            "p": price,
            "r": ratio.round(3),
        }
    )
    rows = rows[(item > 0) & np.isfinite(ratio)]
    prices = rows.groupby(["i", "d"])["p"].agg(["size", "nunique"])
    several = prices["size"] > 1
    codec.daily_prices = bool(several.any() and (prices["nunique"][several] == 1).mean() >= MOSTLY)
    days = rows.groupby(["c", "d"])
    usual = days["r"].median()
    near = (rows["r"] - days["r"].transform("median")).abs() < SAME_RATIO
    alike = near.groupby([rows["c"], rows["d"]]).mean() >= ALIKE
    found = usual[alike & (usual.abs() > SAME_RATIO) & (days["u"].nunique() >= min_users)]
    codec.reduced = [(int(c), int(d), float(r)) for (c, d), r in found.items()]


def longest_session(
    census: PrivateQueries, user: np.ndarray, time: np.ndarray, breaks: np.ndarray
) -> tuple[int, int]:
    """Rows, and ms, of the longest session of the user who comes `min_users`-th by theirs: no
    single user's extreme is kept.
    """
    start = np.flatnonzero(breaks | np.append(True, user[1:] != user[:-1]))
    stop = np.append(start[1:], len(user))
    rows, lasts = (
        (stop - start).astype(np.float64),
        (time[stop - 1] - time[start]).astype(np.float64),
    )
    return tuple(int(safe_ends(user[start], x, census.min_users)[1]) for x in (rows, lasts))  # type: ignore[return-value]


def learn_levels(codec: Codec, events: pd.DataFrame) -> None:
    """Fifths of the items, each of as many rows, by their rows and by the share of them that are
    more than a look: what is often viewed is not what is often bought.
    """
    item = item_codes(codec.items, events, category_codes(codec.categories, events))
    rows = np.bincount(item, minlength=codec.items.size).astype(np.float64)
    rows[0] = 0
    if np.count_nonzero(rows) <= MOST_LEVELLED:
        return
    looks = np.array([True] + [codec.roles[e] in LOOKS for e in codec.events.values])
    deep = np.bincount(
        item, ~looks[codec.events.encode(events["event"])], minlength=codec.items.size
    )
    deep[0] = 0
    usual = deep.sum() / rows.sum()
    for name, key in (
        (POPULARITY, rows),
        (SALES, (deep + USUAL_ROWS * usual) / (rows + USUAL_ROWS)),
    ):
        if name == SALES and not 0 < usual < 1:
            continue
        order = np.argsort(key, kind="stable")
        total = np.cumsum(rows[order])
        level = np.zeros(codec.items.size, dtype=np.int64)
        level[order] = 1 + ((total - rows[order] / 2) / total[-1] * len(LEVELS)).astype(np.int64)
        codec.items.levels[name] = np.where(rows > 0, level, 0)


def learn_usual(codec: Codec, events: pd.DataFrame, user: np.ndarray) -> None:
    """The category that most often goes with each value of a column (a search and what is viewed
    after it): that of the row itself, or of the user's next row that has one. Only of columns that
    tell of the category.
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
    for name in codec.value_fields:
        value = codec.values[name].encode(events[name])
        rows = (value > 0) & (after > 0)
        if not rows.any():
            continue
        table = np.zeros((codec.values[name].size, codec.categories.size))
        np.add.at(table, (value[rows], after[rows]), 1.0)
        # one row of each value does not count: it found itself
        right = np.maximum(table.max(1) - 1, 0).sum() / table.sum()
        if right > table.sum(0).max() / table.sum() + TELLS:
            codec.usual[name] = table.argmax(1).tolist()
