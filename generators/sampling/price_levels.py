"""Levels of price that users with an attribute choose more often.

A level is an interval of items' mean prices with as many rows as any other (`Items.habits`). What
is known of a user lifts the weight of all items of a level, and so the categories that have many of
them. Only fresh items are counted and lifted: what a user comes back to follows from them, and a
lift of copies feeds on itself, until a user has one item.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit

from generators.codec.codec import Codec


def price_level(codec: Codec) -> np.ndarray | None:
    """Return the level of each item's price, (n_item_codes,) int64, 0 = none; None: no levels."""
    return codec.items.habits.get("price")


class PriceLift:
    """What is added to the logarithms of the weights of items and of categories.

    `tables` has of each attribute, by its place among them, what each of its codes adds to each
    level, (codes, levels) float32.
    """

    def __init__(self, codec: Codec, tables: Mapping[int, np.ndarray]) -> None:
        level, items = price_level(codec), codec.items
        self.tables = tables if level is not None else {}
        if level is None or not self.tables:
            return
        self.level, self.start = level, items.start
        # share of each category's items that are of a level
        self.share = np.zeros((len(items.start) - 1, int(level.max()) + 1), dtype=np.float32)
        np.add.at(self.share, (items.category[1:], level[1:]), 1.0)
        self.share /= np.maximum(np.diff(items.start), 1)[:, None]

    def _of(self, user_attributes: np.ndarray) -> np.ndarray:
        """Return what is added to each level, (m, levels), for users' attributes (m, S)."""
        added = np.zeros((len(user_attributes), self.share.shape[1]), dtype=np.float32)
        for place, table in self.tables.items():
            added += table[user_attributes[:, place]]
        return added

    def of_categories(self, user_attributes: np.ndarray) -> np.ndarray:
        """Return what is added to the logits of categories, (m, C), where there are tables."""
        mean = np.exp(self._of(user_attributes)) @ self.share.T
        added: np.ndarray = np.log(np.where(mean > 0, mean, 1.0))
        return added

    def of_items(self, category: np.ndarray, user_attributes: np.ndarray) -> np.ndarray | None:
        """Return what is added to the logits of the items of categories (m,); None: nothing.

        It is (m, items of the largest category), as `StepModel.item_weights` has them.
        """
        if not self.tables:
            return None
        width = int(np.diff(self.start).max())
        added = np.zeros((len(category), width), dtype=np.float32)
        first, stop = self.start[category], self.start[category + 1]
        _lift(added, first, stop, self._of(user_attributes), self.level)
        return added


@njit(cache=True)
def _lift(out, first, stop, lift, level):
    """Write lift[k, level[item]] to `out` (m, width) for the items first..stop - 1 (m,)."""
    for k in range(len(out)):
        for item in range(first[k], stop[k]):
            out[k, item - first[k]] = lift[k, level[item]]
