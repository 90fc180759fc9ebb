"""What a user has spent in a session so far, of which shoppers often have an idea beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numba import njit

from eventlog._runtime.compiled import inner
from generators.sequences import row_columns as col
from generators.sequences.feature_layout import COUNTER_SIZES, Counter

_HIGHEST = COUNTER_SIZES[Counter.SPENT] - 1


class Spending(NamedTuple):
    """What rows cost: the middle of what their codes say."""

    price: int  # the column of a finished row with the code of its price, -1 = there is none
    quantity: int  # likewise
    of_item: np.ndarray  # (n_items,) float64: prices
    ratio: np.ndarray  # (codes,) float64: prices as shares of the item's; NaN = as they are
    paid: np.ndarray  # (codes,) float64: prices as they are
    pieces: np.ndarray  # (codes,) float64: quantities
    unit: float  # of which the levels are powers

    @classmethod
    def of(
        cls,
        place: Mapping[str, int],
        middle: Mapping[str, np.ndarray],
        price: np.ndarray,
    ) -> Spending:
        """Return what rows cost whose price and quantity stand at a `place` among their values.

        Args:
            place: of the two columns, where there are any.
            middle: of the codes of "price_ratio", a logarithm, "price" and "quantity"; NaN of code
                0.
            price: (n_items,) of items, NaN = unknown.
        """
        price_at, quantity_at = (
            col.VALUES + place[n] if n in place else -1 for n in ("price", "quantity")
        )
        ratio, paid, pieces = (
            middle.get(name, np.full(1, np.nan)) for name in ("price_ratio", "price", "quantity")
        )
        known = price[price > 0] if (price > 0).any() else paid[paid > 0]
        return cls(
            price_at,
            quantity_at,
            np.nan_to_num(price),
            np.append(np.exp(ratio), np.full(len(paid) - 1, np.nan)),
            np.append(np.zeros(len(ratio)), paid[1:]),
            np.nan_to_num(pieces, nan=1.0),
            float(np.median(known)) / 2 if len(known) else 1.0,
        )


@inner
def cost_of(row, spending):
    """Return what a finished row costs, 0 where that is not known."""
    if spending.price < 0:
        return 0.0
    code = row[spending.price]
    price = spending.paid[code]
    if not math.isnan(spending.ratio[code]):
        price = spending.ratio[code] * spending.of_item[row[col.ITEM]]
    if code == 0 or spending.quantity < 0:
        return price if code > 0 else 0.0
    return price * spending.pieces[row[spending.quantity]]


@inner
def level_of_cost(spent, spending):
    """Return the level of Counter.SPENT, two a doubling."""
    return min(math.ceil(2 * math.log2(max(spent, 0.0) / spending.unit + 1)), _HIGHEST)


@njit(cache=True)
def spent_before(values, item, begins, bought, spending):
    """Return the level of what was spent before each row in the session of the one before, (n,).

    Args:
        values: (n, values) of finished rows, from column `row_columns.VALUES` on; users' rows are
            adjacent.
        item: (n,) codes.
        begins: (n,) bool: a session, or a user's rows.
        bought: (n,) bool: is the row a purchase?
    """
    out, spent = np.zeros(len(values), dtype=np.int64), 0.0
    row = np.zeros(col.VALUES + values.shape[1], dtype=np.int64)
    for i in range(len(values)):
        out[i] = level_of_cost(spent, spending)
        if begins[i]:
            spent = 0.0
        row[col.ITEM] = item[i]
        row[col.VALUES :] = values[i]
        if bought[i]:
            spent += cost_of(row, spending)
    return out
