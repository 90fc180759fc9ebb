"""How likely the Markov generator makes each item of a category, given the user's items so far.

`Chain` knows how much likelier an item is after others of its category, also where single pairs say
little (see `label_chain`). `Successors`, without a budget, knows as well which items follow an item
most often.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit

from generators.codec.codec import COPY_ACTION, Codec
from generators.codec.parts import Items
from generators.markov.announced import learn_odds_of_another
from generators.markov.label_chain import MOST_COUNTED, POWERS, LabelChain, Visits
from generators.privacy.pairs import Facts
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.validation import array

RECENT = 16  # last items of a user among which those of a category are looked for
STRENGTHS = 2.0 ** np.arange(1, 15)  # rows that are tried, see `learn_strength`
MOST_TRIED = 20_000  # rows on which


def learn_items(
    codec: Codec,
    steps: EncodedSequences,
    user: np.ndarray,
    item: np.ndarray,
    *,
    most: int,
    least: float,
) -> tuple[LabelChain, dict[str, np.ndarray]]:
    """Return the chain and the tables of `Successors`, without a budget.

    Args:
        user: (n,) of each step.
        item: (n,) codes of fresh items, -1 = copied, or no item.
        most: successors of an item that are kept.
        least: see `learn_strength`.
    """
    known, fresh, rows = codec.items, item >= 0, steps.items.numpy()
    popularity = np.bincount(item[fresh], minlength=known.size)[1:].astype(np.float64)
    group, visits = np.asarray(known.category[1:], dtype=np.int64), Visits.of(user, rows - 1)
    chain = LabelChain.counted(group, popularity, visits, facts_of(known))
    before = steps.features[:, layout.LAST_ITEMS].numpy()
    tables = learn_successors(user[fresh], before[fresh], item[fresh], known.category, most=most)
    strength = learn_strength(Chain(codec, chain), user, rows, before, fresh, least=least)
    action = steps.target[:, steps.names.index(COPY_ACTION)].numpy()
    other = learn_odds_of_another(codec, steps.features.numpy(), steps.known.numpy(), action)
    numbers = {"strength": strength, "odds_of_another": other}
    return chain, tables | {n: np.array([x], dtype=np.float32) for n, x in numbers.items()}


def learn_successors(
    user: np.ndarray, before: np.ndarray, item: np.ndarray, category: np.ndarray, *, most: int
) -> dict[str, np.ndarray]:
    """Return tables of `Successors`, from fresh items (n,), the item before each, and its user.

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
        "successor": successor,
        "successor_count": successor_count,
        "successor_rest": rest.reshape(size, 2).astype(np.float32),
    }


def learn_strength(
    chain: Chain,
    user: np.ndarray,
    items: np.ndarray,
    before: np.ndarray,
    fresh: np.ndarray,
    *,
    least: float,
) -> float:
    """Return how many rows after an item the chain is worth beside the counts of its successors.

    It is the number under which fresh items are likeliest, each given the counts of all others: a
    log in which one episode follows the other asks for few rows, one in which items follow each
    other by taste for many. It is found on some of the rows.

    Args:
        user, items: (n,) of all rows, items as codes, 0 = none.
        before: (n,) the item before each row.
        fresh: (n,) bool, is the row's item no copy?
        least: rows that the chain is worth at the least.
    """
    earlier = _earlier_items(user, items, chain.category, len(POWERS))
    size = len(chain.category)
    used = fresh & (before > 0) & (items > 0)
    of_pair, of_group = (
        np.unique(before[used] * size + of, return_inverse=True)[1]
        for of in (items[used], chain.category[items[used]])
    )
    count, total = np.bincount(of_pair)[of_pair] - 1.0, np.bincount(of_group)[of_group] - 1.0
    rows = np.flatnonzero(used)
    some = np.unique(np.linspace(0, len(rows) - 1, min(MOST_TRIED, len(rows))).astype(np.int64))
    if not len(some):
        return least
    rows, count, total = rows[some], count[some], total[some]
    order = np.argsort(chain.category[items[rows]], kind="stable")
    rows, count, total = rows[order], count[order], total[order]
    category = chain.category[items[rows]]
    share = chain.shares(category, earlier[rows])
    base = share[np.arange(len(rows)), items[rows] - chain.start[category]]
    tried = np.maximum(least, STRENGTHS)
    told = [np.log((count + s * base) / (total + s)).sum() for s in tried]
    return float(tried[int(np.argmax(told))])


def restored_successors(arrays: dict[str, np.ndarray], n_items: int) -> dict[str, np.ndarray]:
    """Return the tables of `Successors` from the arrays of a saved model."""
    tables: dict[str, np.ndarray] = {}
    counts = {
        "successor": ((n_items, None), "int32"),
        "successor_count": ((n_items, None), "float32"),
        "successor_rest": ((n_items, 2), "float32"),
        "strength": ((1,), "float32"),
        "odds_of_another": ((1,), "float32"),
    }
    for name, (shape, dtype) in counts.items():
        high = n_items - 1 if name == "successor" else MOST_COUNTED
        low = -MOST_COUNTED if name == "odds_of_another" else 0
        tables[name] = array(arrays, f"table/{name}", dtype=dtype, shape=shape, low=low, high=high)
    array(arrays, "table/successor_count", dtype="float32", shape=tables["successor"].shape)
    return tables


class Chain:
    """Popularity, times how much likelier items are after the user's last ones of the category."""

    def __init__(self, codec: Codec, chain: LabelChain) -> None:
        self.start, self.chain = codec.items.start, chain
        self.category = codec.items.category

    def begin(self, users: int) -> None:
        """Start `users` users."""
        # (n, RECENT) last items of each user, the last one first, unlike the one before
        self.recent = np.zeros((users, RECENT), dtype=np.int64)

    def weights(
        self,
        category: np.ndarray,
        before: np.ndarray,
        rows: np.ndarray,
        lift: np.ndarray | None,
    ) -> np.ndarray:
        """Return `StepModel.item_weights`, given the items `before` (m,) those of `rows` (m,).

        `lift` (m, levels) is how much likelier than usual a fresh item of each price level is. The
        chain reads neither: `Successors` does.
        """
        return self.after(category, self.earlier(category, rows))

    def earlier(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return what `after` is given, of users `rows` (m,) and categories (m,)."""
        out = np.zeros((len(rows), len(POWERS)), dtype=np.int64)
        _last_of_category(self.recent, rows, category, self.category, out)
        return out

    def after(self, category: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """Return weights (m, width) of the items of ascending categories (m,).

        `earlier` (m, len(POWERS)) are last different items of the category, 0 = none.
        """
        out = np.zeros((len(category), int(np.diff(self.start).max())), dtype=np.float32)
        # the chain has no label for the code 0, no item
        place = np.append(-1, self.chain.place)[earlier]
        first = np.flatnonzero(np.append(True, category[1:] != category[:-1]))
        for begin, end in zip(first, [*first[1:], len(category)], strict=True):
            of = category[begin]
            column = self.chain.pairs.members[of] + 1 - self.start[of]
            out[begin:end, column] = self.chain.weights(of, place[begin:end])
        return out

    def shares(self, category: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """Return `after`, each row of which sums to 1."""
        out = self.after(category, earlier)
        out /= out.sum(1, keepdims=True)
        return out

    def chose(self, code: np.ndarray) -> None:
        """Take note of the item (n,) of each user's row, 0 = none."""
        new = np.flatnonzero((code > 0) & (code != self.recent[:, 0]))
        self.recent[new, 1:] = self.recent[new, :-1]
        self.recent[new, 0] = code[new]

    def keep(self, rows: np.ndarray) -> None:
        """Keep the users of `rows` only."""
        self.recent = self.recent[rows]


class Successors(Chain):
    """Counts after the item before, plus what the chain says.

    The chain has the weight of the rows after the item whose successors are not kept, in its own
    category and in others, and of `strength` more (see `learn_strength`). Otherwise the successors
    that are kept, which are popular items, would have the rows of all.
    """

    def __init__(self, codec: Codec, chain: LabelChain, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__(codec, chain)
        nothing = np.zeros(codec.items.size, dtype=np.int64)
        self.level = codec.items.habits.get("price", nothing)
        self.rest = tables["successor_rest"] + tables["strength"]
        self.successor, self.count = tables["successor"], tables["successor_count"]
        categories = len(self.start) - 1
        in_category = np.bincount(self.category[1:], chain.popularity, minlength=categories)
        # (n_categories,) of each category among all
        self.share = (in_category / in_category.sum().clip(1e-9)).astype(np.float32)

    def weights(
        self,
        category: np.ndarray,
        before: np.ndarray,
        rows: np.ndarray,
        lift: np.ndarray | None,
    ) -> np.ndarray:
        """See Chain."""
        out = self.shares(category, self.earlier(category, rows))
        own = category == self.category[before]
        others = self.share[category] / (1 - self.share[self.category[before]]).clip(1e-9)
        rest = np.where(own, self.rest[before, 0], self.rest[before, 1] * others)
        _weigh(
            out,
            self.start[category],
            self.start[category + 1],
            before,
            rest,
            self.level,
            np.ones((len(rows), int(self.level.max()) + 1)) if lift is None else lift,
            self.successor,
            self.count,
        )
        return out


def facts_of(items: Items) -> Facts:
    """Return what is publicly known of the items with a code, the code 0 left out."""
    return Facts([of[1:] for of in items.attributes.values()], [items.price[1:]])


@njit(cache=True)
def _last_of_category(recent, rows, category, category_of, out):
    """Write a user's last different items of a category, the last one first.

    Args:
        recent: (n, RECENT) items of all users, 0 = none.
        rows, category: (m,) users that are asked about, and of which category.
        category_of: (n_items,) of each item.
        out: (m, most) is left as it is where there are fewer.
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
                new &= out[k, j] != item
            if new:
                out[k, found] = item
                found += 1


@njit(cache=True)
def _earlier_items(user, items, category_of, most):
    """Return what `_last_of_category` writes of each row, (n, most); 0 = none.

    The category is that of the row's item.
    """
    earlier = np.zeros((len(items), most), dtype=np.int64)
    recent = np.zeros((1, RECENT), dtype=np.int64)
    only, category = np.zeros(1, dtype=np.int64), np.empty(1, dtype=np.int64)
    for k in range(len(items)):
        if k == 0 or user[k] != user[k - 1]:
            recent[0] = 0
        category[0] = category_of[items[k]]
        _last_of_category(recent, only, category, category_of, earlier[k : k + 1])
        if items[k] > 0 and items[k] != recent[0, 0]:
            recent[0, 1:] = recent[0, :-1].copy()
            recent[0, 0] = items[k]
    return earlier


@njit(cache=True)
def _weigh(out, first, stop, before, rest, level, lift, successor, count):
    """Turn shares `out` (m, width) of the items first..stop - 1 into weights.

    Args:
        first, stop, before: (m,) items of each row.
        rest: (m,) weight of the shares.
        level, lift: (n_items,) and (m, levels), see `Chain.weights`.
        successor, count: (n_items, successors) items and their counts after an item.
    """
    for k in range(len(out)):
        for item in range(first[k], stop[k]):
            out[k, item - first[k]] *= rest[k] * lift[k, level[item]]
        for j in range(successor.shape[1]):
            item = successor[before[k], j]
            if item > 0 and first[k] <= item < stop[k]:
                out[k, item - first[k]] += count[before[k], j]
