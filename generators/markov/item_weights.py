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
from generators.markov.label_chain import MOST_COUNTED, POWERS, LabelChain
from generators.privacy.pairs import Facts
from generators.sequences import feature_layout as layout
from generators.validation import array

RECENT = 16  # last items of a user among which those of a category are looked for


class ItemWeights(Protocol):
    """Weights of items for the users who are active; see `StepModel` for the arguments."""

    def begin(self, users: int) -> None:
        """Start `users` users."""
        ...

    def weights(
        self,
        category: np.ndarray,
        features: torch.Tensor,
        rows: np.ndarray,
        lift: np.ndarray | None,
    ) -> np.ndarray:
        """Return `StepModel.item_weights`, given the features (m, F) of `rows` (m,).

        `lift` (m, levels) is how much likelier than usual a fresh item of each price level is.
        """
        ...

    def chose(self, code: np.ndarray) -> None:
        """Take note of the item (n,) of each user's row, 0 = none."""
        ...

    def keep(self, rows: np.ndarray) -> None:
        """Keep the users of `rows` only."""
        ...


def learn_successors(
    user: np.ndarray, before: np.ndarray, item: np.ndarray, category: np.ndarray, *, most: int
) -> dict[str, np.ndarray]:
    """Return the tables of `Successors`, from fresh items (n,), the item before each, and its user.

    "popularity" are the counts of items, (n_items,).
    "successor" and "successor_count" are the `most` frequent items after each item, (n_items, most)
    codes, 0 = none, and their counts. A pair of a single user is left out: it would identify that
    user. "successor_rest" are the counts of all others, (n_items, 2): in the category of the item
    before, and in other categories. `category` (n_items,) is that of each item.
    """
    size = len(category)
    pair, place, count = np.unique(before * size + item, return_inverse=True, return_counts=True)
    n_users = user.max(initial=0) + 1
    users = np.bincount(np.unique(place * n_users + user) // n_users, minlength=len(pair))
    first, after = pair // size, pair % size
    other = (category[first] != category[after]).astype(np.int64)
    order = np.lexsort((pair, -count, users == 1, first))
    first, after, other, count, users = (x[order] for x in (first, after, other, count, users))
    rank = np.arange(len(first)) - np.searchsorted(first, first)
    kept = (rank < most) & (users > 1)
    successor = np.zeros((size, most), dtype=np.int32)
    successor_count = np.zeros((size, most), dtype=np.float32)
    successor[first[kept], rank[kept]] = after[kept]
    successor_count[first[kept], rank[kept]] = count[kept]
    rest = np.bincount(2 * first + other, count * ~kept, minlength=2 * size)
    return {
        "popularity": np.bincount(item, minlength=size).astype(np.float32),
        "successor": successor,
        "successor_count": successor_count,
        "successor_rest": rest.reshape(size, 2).astype(np.float32),
    }


def restored_successors(arrays: dict[str, np.ndarray], n_items: int) -> dict[str, np.ndarray]:
    """Return what `learn_successors` returned, from the arrays of a saved model."""
    tables: dict[str, np.ndarray] = {}
    counts = {
        "popularity": ((n_items,), "float32"),
        "successor": ((n_items, None), "int32"),
        "successor_count": ((n_items, None), "float32"),
        "successor_rest": ((n_items, 2), "float32"),
    }
    for name, (shape, dtype) in counts.items():
        high = n_items - 1 if name == "successor" else MOST_COUNTED
        tables[name] = array(arrays, f"table/{name}", dtype=dtype, shape=shape, low=0, high=high)
    array(arrays, "table/successor_count", dtype="float32", shape=tables["successor"].shape)
    return tables


class Successors:
    """Counts after the item before, plus the popularity in the category.

    The popularity has the weight of the rows after the item whose successors are not kept, in its
    own category and in others, and `strength` pseudo-counts. Otherwise the successors that are
    kept, which are popular items, would have the rows of all.
    """

    def __init__(self, codec: Codec, tables: Mapping[str, np.ndarray], strength: float) -> None:
        self.start, self.category = codec.items.start, codec.items.category
        nothing = np.zeros(codec.items.size, dtype=np.int64)
        self.level = codec.items.habits.get("price", nothing)
        self.rest = tables["successor_rest"] + np.float32(strength)
        self.successor, self.count = tables["successor"], tables["successor_count"]
        popular, of = tables["popularity"] + 1e-3, codec.items.category
        popular[0] = 0.0  # no item
        # (n_items,) weight after any item
        in_category = np.bincount(of, popular).clip(min=1e-9)
        self.fresh = (popular / in_category[of]).astype(np.float32)
        self.share = (in_category / in_category.sum()).astype(np.float32)  # of each category

    def begin(self, users: int) -> None:
        """See ItemWeights."""

    def weights(
        self,
        category: np.ndarray,
        features: torch.Tensor,
        rows: np.ndarray,
        lift: np.ndarray | None,
    ) -> np.ndarray:
        """See ItemWeights."""
        out = _empty(self.start, len(rows))
        before = features[:, layout.LAST_ITEMS].numpy()
        own = category == self.category[before]
        others = self.share[category] / (1 - self.share[self.category[before]]).clip(1e-9)
        rest = np.where(own, self.rest[before, 0], self.rest[before, 1] * others)
        _weigh(
            out,
            self.start[category],
            self.start[category + 1],
            before,
            rest,
            self.fresh,
            self.level,
            np.ones((len(rows), int(self.level.max()) + 1)) if lift is None else lift,
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

    def weights(
        self,
        category: np.ndarray,
        features: torch.Tensor,
        rows: np.ndarray,
        lift: np.ndarray | None,
    ) -> np.ndarray:
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
def _weigh(out, first, stop, before, rest, fresh, level, lift, successor, count):
    """Write weights of the items first..stop - 1 to `out` (m, width).

    Args:
        first, stop, before: (m,) items of each row.
        rest: (m,) weight of `fresh`.
        fresh: (n_items,) shares of the category after any item.
        level, lift: (n_items,) and (m, levels), see ItemWeights.
        successor, count: (n_items, successors) items and their counts after an item.
    """
    for k in range(len(out)):
        for item in range(first[k], stop[k]):
            out[k, item - first[k]] = rest[k] * fresh[item] * lift[k, level[item]]
        for j in range(successor.shape[1]):
            item = successor[before[k], j]
            if item > 0 and first[k] <= item < stop[k]:
                out[k, item - first[k]] += count[before[k], j]
