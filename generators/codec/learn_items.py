"""Learn the vocabulary of items: which are kept, by category, and their usual prices."""

from __future__ import annotations

from itertools import chain, count

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.codec.coders import Values, string_codes
from generators.codec.features import category_codes, item_codes
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
    with_other = np.arange(categories.size) if queries.private else np.unique(category[rare])
    items = _laid_out(kept_names, kept_category, categories, with_other, price[order])
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


def _laid_out(
    names: list[str],
    category: np.ndarray,
    categories: Values,
    with_other: np.ndarray,
    price: np.ndarray,
) -> Items:
    """Lay out items by category, and last in each the code that represents its rare items."""
    out_names: list[str] = []
    out_category, out_price, start = [0], [np.nan], []
    other, rare = np.zeros(categories.size, dtype=np.int64), _name_of_rare_items(names)
    for c in range(categories.size):
        start.append(len(out_names) + 1)
        mine = np.flatnonzero(category == c)
        out_names += [names[i] for i in mine]
        out_price += price[mine].tolist()
        if c in with_other:
            out_names.append(f"{rare}:{categories.values[c - 1]}" if c else rare)
            out_price.append(np.nan)
            other[c] = len(out_names)
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
    taken = {name.partition(":")[0] for name in names}
    return next(n for n in chain(("other",), (f"other{k}" for k in count(2))) if n not in taken)


def _set_median_prices(items: Items, categories: Values, events: pd.DataFrame) -> None:
    """Set the prices of new `items` to the medians of their rows."""
    code = item_codes(items, events, category_codes(categories, events))
    paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
    median = pd.Series(np.where(paid > 0, paid, np.nan)).groupby(code).median().dropna()
    items.price[median.index.to_numpy()] = median.to_numpy()
    items.price[0] = np.nan
