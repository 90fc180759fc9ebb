"""Levels of items that users with an attribute choose more often, such as dear ones.

A level is an interval of an item's mean price or of another number (`Items.habits`), with as many
rows in each. What is known of a user lifts the weight of all items of a level, fresh ones and those
that the user comes back to, and so the categories that have many of them. Rows whose event can only
be of an item that the user has had, such as a purchase, follow what was chosen before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit

from generators.codec.codec import COPY_ACTION, Codec
from generators.sequences import codes
from generators.structure.structure import OF_ITEM


def item_levels(codec: Codec) -> dict[str, np.ndarray]:
    """Return the level of each item's numbers, (n_item_codes,) int64, by what they are; 0: none."""
    return {OF_ITEM + name: level for name, level in codec.items.habits.items()}


def chooses_freely(codec: Codec) -> np.ndarray:
    """Return whether rows of an event may have an item that the user has not had, (E,) bool."""
    allowed = codec.rules.allowed.get(COPY_ACTION)
    everything = np.ones(codec.events.size, dtype=np.bool_)
    return everything if allowed is None else np.asarray(allowed)[:, codes.FRESH]


class LevelLift:
    """What is added to the logarithms of the weights of items and of categories.

    `tables` has of each attribute, by its place among them, what each of its codes adds to each
    level of `item_levels`, (codes, levels) float32 each.
    """

    def __init__(self, codec: Codec, tables: Mapping[int, list[np.ndarray]]) -> None:
        levels, items = list(item_levels(codec).values()), codec.items
        self.tables = {place: np.hstack(of) for place, of in tables.items()} if levels else {}
        if not self.tables:
            return
        sizes = [int(level.max()) + 1 for level in levels]
        self.begin = np.cumsum([0, *sizes])
        self.level = np.column_stack([of + k for of, k in zip(levels, self.begin, strict=False)])
        self.start, self.free = items.start, chooses_freely(codec)
        shape = (len(items.start) - 1, int(self.begin[-1]))
        # share of each category's items that are of a level
        self.share = np.zeros(shape, dtype=np.float32)
        for level in self.level[1:].T:
            np.add.at(self.share, (items.category[1:], level), 1.0)
        self.share /= np.maximum(np.diff(items.start), 1)[:, None]

    def _of(self, user_attributes: np.ndarray) -> np.ndarray:
        """Return what is added to each level, (m, levels), for users' attributes (m, S)."""
        added = np.zeros((len(user_attributes), int(self.begin[-1])), dtype=np.float32)
        for place, table in self.tables.items():
            added += table[user_attributes[:, place]]
        return added

    def of_categories(self, user_attributes: np.ndarray) -> np.ndarray | None:
        """Return what is added to the logits of categories, (m, C); None: nothing."""
        if not self.tables:
            return None
        lift = np.exp(self._of(user_attributes))
        added = np.zeros((len(lift), len(self.share)), dtype=np.float32)
        for begin, end in zip(self.begin[:-1], self.begin[1:], strict=True):
            mean = lift[:, begin:end] @ self.share[:, begin:end].T
            added += np.log(np.where(mean > 0, mean, 1.0))
        return added

    def of_copies(
        self, event: np.ndarray, recent: np.ndarray, user_attributes: np.ndarray
    ) -> np.ndarray | None:
        """Return what is added to the logits of copy actions, (m, N_COPY_ACTIONS); None: nothing.

        Args:
            event: (m,) of the rows.
            recent: (m, N_COPY_RANKS) items that each copy would be, 0 = none.
            user_attributes: (m, S) of their users.
        """
        if not self.tables:
            return None
        lift, row = self._of(user_attributes), np.arange(len(event))[:, None]
        added = np.zeros((len(event), codes.N_COPY_ACTIONS), dtype=np.float32)
        known = (recent > 0) & self.free[event][:, None]
        for level in self.level.T:
            rank = slice(codes.FIRST_COPY, codes.EARLIER)
            added[:, rank] += np.where(known, lift[row, level[recent]], 0)
        return added

    def add(self, logits: np.ndarray, category: np.ndarray, user_attributes: np.ndarray) -> None:
        """Add to the logits (m, width) of the items of categories (m,)."""
        if self.tables:
            first, stop = self.start[category], self.start[category + 1]
            _add(logits, first, stop, self._of(user_attributes), self.level)


@njit(cache=True)
def _add(logits, first, stop, lift, level):
    """Add lift[k, level[item]] to the logits (m, width) of the items first..stop - 1 (m,)."""
    for k in range(len(logits)):
        for item in range(first[k], stop[k]):
            for j in range(level.shape[1]):
                logits[k, item - first[k]] += lift[k, level[item, j]]
