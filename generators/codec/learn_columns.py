"""Learn the columns of events: categories, attributes of items, ids, numbers and prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype

from eventlog import EventLog
from generators.codec.codec import Codec
from generators.codec.coders import Bins, Values, string_codes
from generators.codec.features import category_codes, item_codes, split_price
from generators.codec.parts import Columns, Items, Prices
from generators.codec.regularities import learn_prices
from generators.codec.shared_ids import SharedIds
from generators.privacy.public import Public
from generators.privacy.queries import PrivateQueries
from generators.structure.finding.evidence import is_id

# Halvings of the highest interval of a number: few large orders make much of the revenue.
TAIL = 6
# Columns that are treated by their role, not by what they contain.
COLUMNS_WITH_ROLES = frozenset(
    {
        "event_id",
        "user_id",
        "timestamp",
        "event",
        "session_id",
        "item_id",
        "order_id",
        "category",
        "price",
    }
)


def learn_columns(
    codec: Codec,
    log: EventLog,
    queries: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    public: Public,
    intervals: int,
) -> Codec:
    """Return `codec` with the columns of events, attributes of items, and prices."""
    events = log.events
    items = item_codes(codec.items, events, category_codes(codec.categories, events))
    values: dict[str, Values] = {}
    ids: dict[str, SharedIds] = {}
    bins: dict[str, Bins] = {}
    attributes: dict[str, np.ndarray] = {}
    not_learnt: list[str] = []
    for name in map(str, events.columns):
        column = events[name]
        if name in COLUMNS_WITH_ROLES or (not queries.private and column.isna().all()):
            continue
        if pd.api.types.is_datetime64_any_dtype(column):
            not_learnt.append(name)
        elif pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
            number = _number(queries, name, user, column, intervals)
            if number.size > 1:
                bins[name] = number
            else:
                not_learnt.append(name)
        elif not queries.private and is_id(string_codes(column)[0], user):
            ids[name] = SharedIds()
        else:
            coder = Values.fit(
                queries, name, user, column, per_user=3, public=public.values.get(name)
            )
            if coder.values:
                values[name] = coder
                attribute = (
                    _public_attribute(codec.items, coder, public, name)
                    if queries.private
                    else _item_attribute(codec.items, coder, column, items)
                )
                attributes |= {} if attribute is None else {name: attribute}
            elif queries.private:  # nothing is shared by enough users: it is treated as an id
                ids[name] = SharedIds()
            else:
                not_learnt.append(name)
    if "price" in events:
        codec = replace(codec, prices=_prices(codec, events, queries, user, items, time))
        bins |= _price_bins(codec, events, queries, user, items, time, intervals)
    kept_items = replace(codec.items, attributes=attributes)
    return replace(
        codec,
        vocabulary=replace(codec.vocabulary, items=kept_items),
        columns=Columns(
            codec.columns.present,
            values,
            ids,
            bins,
            not_learnt,
            {} if queries.private else _folded({**values, "category": codec.categories}, events),
        ),
    )


def _folded(coders: Mapping[str, Values], events: pd.DataFrame) -> dict[str, float]:
    """Return the share of each column's values that have no code of their own, where it is not 0.

    Attributes of items are looked up, whatever their values.
    """
    shares = {}
    for name, coder in coders.items():
        there = events[name].notna().to_numpy() if name in events else np.zeros(0, dtype=bool)
        lost = (coder.encode(events[name])[there] == 0).mean() if there.any() else 0.0
        if lost > 0:
            shares[name] = float(lost)
    return shares


def _number(
    queries: PrivateQueries, name: str, user: np.ndarray, column: pd.Series, intervals: int
) -> Bins:
    return Bins.fit(
        queries,
        name,
        user,
        column.to_numpy(dtype=np.float64, na_value=np.nan),
        intervals=intervals // 2,
        decimals=0 if name == "quantity" or is_integer_dtype(column) else None,
        tail=TAIL,
        finer=True,
    )


def _item_attribute(
    items: Items, coder: Values, column: pd.Series, item: np.ndarray
) -> np.ndarray | None:
    """Return each item's code in a column, (items.size,) int64; None where items do not decide it.

    `item` (n,) are the item codes of the rows.
    """
    if not (item > 0).any():
        return None
    present = string_codes(column)[0] >= 0
    own = coder.encode(column)
    of_item = pd.DataFrame({"i": item, "v": own})[(item > 0) & present]
    mode = of_item.value_counts(sort=True).reset_index().drop_duplicates("i").set_index("i")["v"]
    table = np.zeros(items.size, dtype=np.int64)
    table[mode.index.to_numpy()] = mode.to_numpy()
    known = present & (item > 0) & ~np.isin(item, items.rare)
    table[items.rare] = 0  # the rare items of a category have no one value
    agree = (table[item] == own)[known].mean() if known.any() else 0.0
    covers = present[item > 0].mean() > 0.99 and (item[present] > 0).mean() > 0.99
    return table if covers and agree > 0.99 and len(coder.values) > 1 else None


def _public_attribute(items: Items, coder: Values, public: Public, name: str) -> np.ndarray | None:
    """Return what the public catalogue says of each item in a column, (items.size,) int64 codes.

    None where it says nothing. Whether the rows of users agree is not asked: it would cost budget.
    """
    if public.items is None or name not in public.items or len(coder.values) < 2:
        return None
    known = pd.Series(
        public.items[name].to_numpy(), index=public.items["item_id"].astype(str)
    ).reindex(items.names)
    return np.append(0, coder.encode(known))


def _prices(
    codec: Codec,
    events: pd.DataFrame,
    queries: PrivateQueries,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
) -> Prices:
    if queries.private:
        return Prices()
    paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
    return learn_prices(
        codec.items,
        user,
        item,
        time,
        paid,
        codec.events.encode(events["event"]),
        events=codec.events.size,
        min_users=queries.min_users,
    )


def _price_bins(
    codec: Codec,
    events: pd.DataFrame,
    queries: PrivateQueries,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    intervals: int,
) -> dict[str, Bins]:
    """Return the bins of ratios to the item's price, and of prices that have none to relate to."""
    paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
    ratio, plain = split_price(codec.price_on(item, time), paid)
    if queries.private and np.isnan(codec.items.price).all():
        ratios = Bins(np.zeros(0), np.zeros(0), np.zeros(0), False)  # no public price to relate to
    elif queries.private:
        edges = np.linspace(-1, 1, 17)
        ratios = Bins(np.zeros(1), edges[:-1], edges[1:], False, 6)
    else:
        ratios = Bins.fit(
            queries, "price", user, ratio, intervals=intervals, log=False, decimals=6, tail=6
        )
    prices = Bins.fit(
        queries,
        "price",
        user,
        plain,
        intervals=intervals // 2,
        finer=True,
    )
    return {"price_ratio": ratios, "price": prices}
