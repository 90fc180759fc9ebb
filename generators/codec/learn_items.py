"""Learn the vocabulary of items: which are kept, by category, and their usual prices."""

from __future__ import annotations

from itertools import chain, count

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.codec.coders import Values, string_codes
from generators.codec.features import category_codes, hashes, item_codes
from generators.codec.parts import Items
from generators.privacy.public import Public
from generators.privacy.queries import PrivateQueries

MOST_ITEMS = 64  # of a user, that count towards the vocabulary of items under a budget
ITEMS_WEIGHT = 8.0  # of that question: there are many items, and few pass


def learn_items(
    log: EventLog, queries: PrivateQueries, user: np.ndarray, categories: Values, public: Public
) -> Items:
    """Return the items that enough users have, or that are public, with their categories."""
    events = log.events
    if "item_id" not in events:
        return _no_items(categories.size)
    code, names = string_codes(events["item_id"])
    category = category_codes(categories, events)
    price = None
    if queries.private and public.items is not None:
        kept_names, kept_category, price = _public_items(public.items, categories)
    elif queries.private:
        kept_names, kept_category = _private_items(
            queries, user, code, names, category, categories.size
        )
    else:
        kept_names, kept_category = _common_items(queries, user, code, names, category)
    if price is None:
        price = np.full(len(kept_names), np.nan)
    order = np.argsort(kept_category, kind="stable")  # by category, most users first
    kept_names, kept_category = [kept_names[i] for i in order], kept_category[order]
    known = set(kept_names)
    rare = (code >= 0) & ~np.isin(code, np.flatnonzero([n in known for n in names]))
    if queries.private:
        buckets = np.ones(categories.size, dtype=np.int64)
    else:
        key = hashes(names)[code[rare]]
        buckets = _buckets(user[rare], key, category[rare], categories.size, queries.min_users)
    items = _laid_out(kept_names, kept_category, categories, buckets, price[order])
    if not queries.private and "price" in events:
        _set_median_prices(items, categories, events)
    return items


def _no_items(n_categories: int) -> Items:
    return Items(
        [],
        np.zeros(1, dtype=np.int64),
        np.array([1] * (n_categories + 1)),
        np.full(1, np.nan),
        {},
        np.zeros(n_categories, dtype=np.int64),
    )


def _public_items(
    table: pd.DataFrame, categories: Values
) -> tuple[list[str], np.ndarray, np.ndarray]:
    category = (
        categories.encode(table["category"])
        if "category" in table
        else np.zeros(len(table), dtype=np.int64)
    )
    price = (
        table["price"].to_numpy(dtype=np.float64)
        if "price" in table
        else np.full(len(table), np.nan)
    )
    return table["item_id"].astype(str).tolist(), category, price


def _private_items(
    queries: PrivateQueries,
    user: np.ndarray,
    code: np.ndarray,
    names: np.ndarray,
    category: np.ndarray,
    n_categories: int,
) -> tuple[list[str], np.ndarray]:
    present = code >= 0
    kept, _ = queries.popular(
        "items with their category",
        user[present],
        code[present] * n_categories + category[present],
        per_user=MOST_ITEMS,
        weight=ITEMS_WEIGHT,
        shares=True,
    )
    _, first = np.unique(kept // n_categories, return_index=True)
    kept = kept[np.sort(first)]  # an item is in the category in which most users had it
    return [str(names[i]) for i in kept // n_categories], kept % n_categories


def _common_items(
    queries: PrivateQueries,
    user: np.ndarray,
    code: np.ndarray,
    names: np.ndarray,
    category: np.ndarray,
) -> tuple[list[str], np.ndarray]:
    present = code >= 0
    kept, _ = queries.popular("items", user[present], code[present], per_user=1)
    by_item = pd.DataFrame({"i": code[present], "c": category[present]})
    mode = by_item.value_counts(sort=True).reset_index().drop_duplicates("i").set_index("i")["c"]
    return [str(names[i]) for i in kept], mode.reindex(kept).to_numpy(dtype=np.int64)


def _buckets(
    user: np.ndarray, key: np.ndarray, category: np.ndarray, n_categories: int, min_users: int
) -> np.ndarray:
    """Return how many codes represent the rare items of each category, (n_categories,) int64.

    Rows (m,) of rare items fall into them by the hash of their item, `key`. There are as many as
    leave each of them enough users: with one, a user's rare items would all be the same one.
    """
    buckets = np.zeros(n_categories, dtype=np.int64)
    for c in np.unique(category):
        pairs = np.unique(np.column_stack([user, key])[category == c], axis=0)
        n = max(len(pairs) // (2 * min_users), 1)
        while n > 1:
            users = np.unique(np.column_stack([pairs[:, 1] % n, pairs[:, 0]]), axis=0)[:, 0]
            if np.bincount(users, minlength=n).min() >= min_users:
                break
            n = n * 3 // 4
        buckets[c] = n
    return buckets


def _laid_out(
    names: list[str],
    category: np.ndarray,
    categories: Values,
    buckets: np.ndarray,
    price: np.ndarray,
) -> Items:
    """Lay out items by category, and last in each the codes that represent its rare items."""
    out_names: list[str] = []
    out_category, out_price, start = [0], [np.nan], []
    other, rare = np.zeros(categories.size, dtype=np.int64), _name_of_rare_items(names)
    for c in range(categories.size):
        start.append(len(out_names) + 1)
        mine = np.flatnonzero(category == c)
        out_names += [names[i] for i in mine]
        out_price += price[mine].tolist()
        if buckets[c]:
            other[c] = len(out_names) + 1
        for k in range(buckets[c]):
            name = f"{rare}.{k + 1}" if k else rare
            out_names.append(f"{name}:{categories.values[c - 1]}" if c else name)
            out_price.append(np.nan)
        out_category += [c] * (len(out_names) - len(out_category) + 1)
    return Items(
        out_names,
        np.array(out_category),
        np.array([*start, len(out_names) + 1]),
        np.array(out_price),
        {},
        other,
    )


def _name_of_rare_items(names: list[str]) -> str:
    """Return "other", or "other2", ... where items of the log are called so: it may be a sample."""
    taken = {name.partition(":")[0].partition(".")[0] for name in names}
    return next(n for n in chain(("other",), (f"other{k}" for k in count(2))) if n not in taken)


def _set_median_prices(items: Items, categories: Values, events: pd.DataFrame) -> None:
    """Set the prices of new `items` to the medians of their rows."""
    code = item_codes(items, events, category_codes(categories, events))
    paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
    median = pd.Series(np.where(paid > 0, paid, np.nan)).groupby(code).median().dropna()
    items.price[median.index.to_numpy()] = median.to_numpy()
    items.price[0] = np.nan
