"""How likely the Markov generator makes each item of a category, given the user's items so far.

`Successors` knows which items follow an item most often, exactly; `Chain` is for counts with noise,
of which single pairs say little (see `label_chain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numba import njit

from generators.codec.codec import Codec
from generators.codec.parts import Items
from generators.markov.label_chain import POWERS, LabelChain
from generators.privacy.pairs import Facts
from generators.sequences import feature_layout as layout

RECENT = 16  # last items of a user among which those of a category are looked for


class ItemWeights(Protocol):
    """Weights of items for the users who are active; see `StepModel` for the arguments."""

    def begin(self, users: int) -> None:
        """Start `users` users."""
        ...

    def weights(self, category: np.ndarray, features: torch.Tensor, rows: np.ndarray) -> np.ndarray:
        """Return `StepModel.item_weights`, given the features (m, F) of `rows` (m,)."""
        ...

    def chose(self, code: np.ndarray) -> None:
        """Take note of the item (n,) of each user's row, 0 = none."""
        ...

    def keep(self, rows: np.ndarray) -> None:
        """Keep the users of `rows` only."""
        ...


class Successors:
    """Counts after the item before, plus `strength` times the popularity in the category."""

    def __init__(self, codec: Codec, tables: Mapping[str, np.ndarray], strength: float) -> None:
        self.start = codec.items.start
        self.successor, self.count = tables["successor"], tables["successor_count"]
        popular, of = tables["popularity"] + 1e-3, codec.items.category
        popular[0] = 0.0  # no item
        # (n_items,) weight after any item
        self.fresh = (strength * popular / np.bincount(of, popular).clip(min=1e-9)[of]).astype(
            np.float32
        )

    def begin(self, users: int) -> None:
        """See ItemWeights."""

    def weights(self, category: np.ndarray, features: torch.Tensor, rows: np.ndarray) -> np.ndarray:
        """See ItemWeights."""
        out = _empty(self.start, len(rows))
        _weigh(
            out,
            self.start[category],
            self.start[category + 1],
            features[:, layout.LAST_ITEMS].numpy(),
            self.fresh,
            self.successor,
            self.count,
        )
        return out

    def chose(self, code: np.ndarray) -> None:
        """See ItemWeights."""

    def keep(self, rows: np.ndarray) -> None:
        """See ItemWeights."""


class Chain:
    """Popularity, times how much likelier items are after the user's last ones of the category."""

    def __init__(self, codec: Codec, chain: LabelChain) -> None:
        self.start, self.chain = codec.items.start, chain
        # the chain has no label for the code 0, no item
        self.category = codec.items.category
        self.place = np.append(-1, chain.place)

    def begin(self, users: int) -> None:
        """See ItemWeights."""
        # (n, RECENT) last items of each user, the last one first, unlike the one before
        self.recent = np.zeros((users, RECENT), dtype=np.int64)

    def weights(self, category: np.ndarray, features: torch.Tensor, rows: np.ndarray) -> np.ndarray:
        """See ItemWeights."""
        out = _empty(self.start, len(rows))
        earlier = np.full((len(rows), len(POWERS)), -1)
        _last_of_category(self.recent, rows, category, self.category, self.place, earlier)
        first = np.flatnonzero(np.append(True, category[1:] != category[:-1]))
        for begin, end in zip(first, [*first[1:], len(rows)], strict=True):
            of = category[begin]
            column = self.chain.pairs.members[of] + 1 - self.start[of]
            out[begin:end, column] = self.chain.weights(of, earlier[begin:end])
        return out

    def chose(self, code: np.ndarray) -> None:
        """See ItemWeights."""
        new = np.flatnonzero((code > 0) & (code != self.recent[:, 0]))
        self.recent[new, 1:] = self.recent[new, :-1]
        self.recent[new, 0] = code[new]

    def keep(self, rows: np.ndarray) -> None:
        """See ItemWeights."""
        self.recent = self.recent[rows]


def facts_of(items: Items) -> Facts:
    """Return what is publicly known of the items with a code, the code 0 left out."""
    return Facts([of[1:] for of in items.attributes.values()], [items.price[1:]])


def _empty(start: np.ndarray, rows: int) -> np.ndarray:
    return np.zeros((rows, int((start[1:] - start[:-1]).max())), dtype=np.float32)


@njit(cache=True)
def _last_of_category(recent, rows, category, category_of, place, out):
    """Write places of a user's last different items of a category, the last one first.

    Args:
        recent: (n, RECENT) items of all users, 0 = none.
        rows, category: (m,) users that are asked about, and of which category.
        category_of, place: (n_items,) of each item.
        out: (m, most) is -1 where there are fewer.
    """
    for k in range(len(rows)):
        found = 0
        for item in recent[rows[k]]:
            if item == 0 or found == out.shape[1]:
                break
            if category_of[item] != category[k]:
                continue
            new = True
            for j in range(found):
                new &= out[k, j] != place[item]
            if new:
                out[k, found] = place[item]
                found += 1


@njit(cache=True)
def _weigh(out, first, stop, before, fresh, successor, count):
    """Write weights of the items first..stop - 1 to `out` (m, width).

    Args:
        first, stop, before: (m,) items of each row.
        fresh: (n_items,) weights after any item.
        successor, count: (n_items, successors) items and their counts after an item.
    """
    for k in range(len(out)):
        for item in range(first[k], stop[k]):
            out[k, item - first[k]] = fresh[item]
        for j in range(successor.shape[1]):
            item = successor[before[k], j]
            if item > 0 and first[k] <= item < stop[k]:
                out[k, item - first[k]] += count[before[k], j]
