"""Tracker: what is known about many users while their sequences unfold, the same in training and in sampling.

For each user it keeps a pool of the items they last touched, most recent first, with flags (seen, in the cart, bought).
An item of the next row is coded as its rank in that pool ('the second but last item', 'the first of the cart') or as a
fresh one; events that need a flag (a refund needs a purchase) choose among the items that carry it. All users move one
step at once; there is no loop over users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .clock import REMAINING

POOL = 32             # items remembered per user
RANKS = 16            # ranks in the pool that have a code of their own
SAME_ID, EARLIER_ID, NEW_ID, SHARED_ID = 1, 2, 3, 4  # codes of an id column; 0 = missing
NO_ITEM, FRESH, COPY = 0, 1, 2  # codes of 'pick'; COPY + r = the item of rank r
PICKS = COPY + RANKS
EVENT_COLUMN, CATEGORY_COLUMN, INTENT_COLUMN, ITEM_COLUMN = 1, 3, 5, 6  # of the features
NO_ORDER, NEW_ORDER, SAME_ORDER, ITEMS_ORDER = range(4)  # codes of 'order'
ORDERS = 4
SEEN, CART, BOUGHT, EVER = 1, 2, 4, 8  # flags
SETS: Mapping[str, int] = {
    "view": SEEN, "list": SEEN, "search": SEEN, "wishlist": SEEN, "cart": SEEN | CART, "purchase": SEEN | BOUGHT | EVER,
}
CLEARS: Mapping[str, int] = {"uncart": CART, "purchase": CART, "refund": BOUGHT}
COUNTERS = (("in_session", 16), ("sessions", 16), ("events", 13), ("cart", 8), ("bought", 8), ("left", 24), ("marked", 4),
            ("time_left", 48), ("pace", 44), ("marks_left", 4), ("pending", 2), ("failed", 6), ("final", 2))
FEW_LEFT = 8  # rows to come that are told exactly; beyond, and for time, two levels a doubling
CAPS = torch.tensor([size - 1 for _, size in COUNTERS])
ID_COUNTS, ID_AGES = 10, 12  # levels of: how many ids of a column the user has had; for how many rows (log scale) the last one


@dataclass
class Row:
    """One finished row of n users, in codes; every tensor is (n,) int64 unless said otherwise."""

    gap: torch.Tensor
    event: torch.Tensor
    pick: torch.Tensor
    category: torch.Tensor
    item: torch.Tensor
    order: torch.Tensor         # order code
    order_number: torch.Tensor  # number of the order within its user, -1 = none
    values: torch.Tensor        # (n, n_values) resolved codes, 0 = missing
    rest: torch.Tensor          # (n, n_rest) codes of the other fields
    time: torch.Tensor          # ms
    breaks: torch.Tensor        # bool
    intent: torch.Tensor        # of the row's session, 0 = none


class Tracker:
    """State of n users. `features()` is what a model may look at before the next row.

    `sets`, `clears`, `needs` (n_events + 1,) int64: flags that an event sets, clears and needs on its item. `planned`: is the last
    session apart, with `last_rows` rows from `last_start` on? Then what is 'left' is left before it, until it has begun.
    """

    def __init__(self, n: int, *, sets: torch.Tensor, clears: torch.Tensor, needs: torch.Tensor, values: torch.Tensor, n_rest: int,
                 length: torch.Tensor, until: torch.Tensor, marks: torch.Tensor, fails: torch.Tensor, n_ids: int,
                 labels: list[int], last_rows: torch.Tensor, last_start: torch.Tensor, planned: bool) -> None:
        self.sets, self.clears, self.needs = sets, clears, needs
        self.item = torch.zeros((n, POOL), dtype=torch.int64)
        self.flags = torch.zeros((n, POOL), dtype=torch.int64)
        self.order_of = torch.full((n, POOL), -1)
        self.length = length.clone()                           # (n,): how many rows the user is to have
        self.until = until.clone()                             # (n,) ms: when the last of them is to be
        self.time = until.clone()                              # (n,) ms of the last row
        self.marks = marks.clone()                             # (n,): how many sessions with an intent the user is to have
        self.fails, self.labels, self.planned = fails, labels, planned
        self.last_rows = last_rows.clone()                     # (n,): rows of the last of several sessions, 0 = it is the only one
        self.last_start = last_start.clone()                   # (n,) ms: when it is to begin
        self.id_count = torch.zeros((n, n_ids), dtype=torch.int64)
        self.id_age = torch.zeros((n, n_ids), dtype=torch.int64)
        self.orders = torch.zeros(n, dtype=torch.int64)
        self.last_order = torch.full((n,), -1)
        self.values = values.clone()                           # (n, n_values): the last value of each column, 0 = none yet
        self.rest = torch.zeros((n, n_rest), dtype=torch.int64)  # codes + 1 of the last row, 0 = start
        self.counts = torch.zeros((n, len(COUNTERS)), dtype=torch.int64)
        self.row = torch.zeros((n, 6), dtype=torch.int64)      # gap, event, pick, category, order, intent: codes + 1, 0 = start

    _STATE = ("item", "flags", "order_of", "orders", "last_order", "values", "rest", "counts", "row", "length", "until", "time", "marks",
              "last_rows", "last_start", "id_count", "id_age")

    def __len__(self) -> int:
        return len(self.orders)

    def keep(self, index: Any) -> None:
        """Go on with the users of `index` (a tensor or a slice) only."""
        for name in self._STATE:
            setattr(self, name, getattr(self, name)[index])

    def features(self) -> torch.Tensor:
        """(n, F) int64: last row, the three last items, last values, the other fields, counters. See Codec.feature_sizes."""
        counts = self.counts.clone()
        left = self.left()
        target = self.target()
        seconds = (target - self.time).clamp(min=0).to(torch.float64) / 1000
        pace = 2 * torch.log2((left + 1) / (seconds / 3600 + 0.05)) + 30  # rows an hour that are still to come
        counts[:, 2], counts[:, 8] = torch.log2(counts[:, 2].double() + 1).ceil().long(), pace.clamp(min=1).ceil().long()  # log scales
        counts[:, 5], counts[:, 7] = rows_level(left), time_level(target - self.time)
        counts[:, 7:9] *= counts[:, 2:3] > 0  # before the first row there is no time to count from
        counts[:, 9], counts[:, 12] = self.marks_left(), self.final().long()
        age = torch.log2(self.id_age.double() + 1).ceil().long()
        return torch.cat([self.row, self.item[:, :3], self.values, self.rest, torch.minimum(counts, CAPS),
                          self.id_count.clamp(max=ID_COUNTS - 1), age.clamp(max=ID_AGES - 1)], 1)

    def left(self) -> torch.Tensor:
        """(n,) rows that are still to come: before the last session, or in it."""
        return (self.length - self.counts[:, 2] - torch.where(self.final(), 0, self.last_rows)).clamp(min=0)

    def marks_left(self) -> torch.Tensor:
        """(n,) sessions with an intent that are still to come."""
        return (self.marks - self.counts[:, 6]).clamp(min=0)

    def pending(self) -> torch.Tensor:
        """(n,) bool: the session has an intent, and no row of it has a label yet."""
        return self.counts[:, 10] > 0

    def final(self) -> torch.Tensor:
        """(n,) bool: has the user's last session begun? Always, where it is not planned apart."""
        return (self.counts[:, 12] > 0) | (self.last_rows == 0) if self.planned else torch.ones(len(self), dtype=torch.bool)

    def target(self) -> torch.Tensor:
        """(n,) ms: when the last session is to begin; once it has, when it is to end."""
        return torch.where(self.final(), self.until, self.last_start)

    def intent(self) -> torch.Tensor:
        """(n,) intent of the session that the last row belongs to, 0 = none."""
        return (self.row[:, INTENT_COLUMN] - 1).clamp(min=0)

    def eligible(self, event: torch.Tensor) -> torch.Tensor:
        """(n, POOL) bool: items of the pool that `event` (n,) may refer to."""
        need = self.needs[event][:, None]
        return (self.item > 0) & ((self.flags & need) == need)

    def can(self) -> torch.Tensor:
        """(n, n_events + 1) bool: events whose need at least one item of the pool meets."""
        filled = self.item > 0
        met = [((self.flags & int(need)) == int(need)).logical_and(filled).any(1) if need else torch.ones(len(self), dtype=torch.bool)
               for need in self.needs.tolist()]
        return torch.stack(met, 1)

    def rank_of(self, event: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        """(n,) the 'pick' code of `item` under `event`: NO_ITEM, FRESH, or COPY + its rank among eligible items."""
        eligible = self.eligible(event)
        match = (self.item == item[:, None]) & eligible
        rank = (eligible.cumsum(1) - 1).gather(1, match.int().argmax(1, keepdim=True))[:, 0]
        found = match.any(1)
        bound = self.needs[event] > 0  # such an event never takes a fresh item: what fell out of the pool counts as its last rank
        rank = torch.where(found, rank, torch.where(bound, RANKS - 1, RANKS))
        rank = torch.where(bound, rank.clamp(max=RANKS - 1), rank)
        return torch.where(item == 0, NO_ITEM, torch.where(rank < RANKS, COPY + rank, FRESH))

    def known(self, event: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """(n, RANKS) items of users `index` (n,) that `event` (n,) takes as copies, never as fresh ones; 0 where there are fewer."""
        eligible = ((self.flags[index] & self.needs[event][:, None]) == self.needs[event][:, None]) & (self.item[index] > 0)
        rank = torch.where(eligible, eligible.cumsum(1) - 1, RANKS).clamp(max=RANKS)
        out = torch.zeros((len(index), RANKS + 1), dtype=torch.int64)
        return out.scatter_(1, rank, self.item[index])[:, :RANKS]

    def picks(self, event: torch.Tensor) -> torch.Tensor:
        """(n, PICKS) bool: picks that are possible for `event`."""
        number = self.eligible(event).sum(1)
        can = torch.ones((len(event), PICKS), dtype=torch.bool)
        can[:, FRESH] = self.needs[event] == 0
        can[:, COPY:] = torch.arange(RANKS)[None, :] < number[:, None]
        return can

    def copied(self, event: torch.Tensor, pick: torch.Tensor) -> torch.Tensor:
        """(n,) the item that a COPY pick means; 0 for other picks."""
        eligible = self.eligible(event)
        hit = eligible & (eligible.cumsum(1) == (pick - COPY + 1)[:, None])
        item = self.item.gather(1, hit.int().argmax(1, keepdim=True))[:, 0]
        return torch.where((pick >= COPY) & hit.any(1), item, 0)

    def order_of_item(self, item: torch.Tensor) -> torch.Tensor:
        """(n,) number of the order in which the user last bought `item`, -1 = none."""
        match = (self.item == item[:, None]) & (item > 0)[:, None]
        number = self.order_of.gather(1, match.int().argmax(1, keepdim=True))[:, 0]
        return torch.where(match.any(1), number, -1)

    def push(self, row: Row) -> None:
        """Take in one finished row of every user."""
        self._touch(row)
        new = row.order_number >= self.orders
        self.orders = torch.where(new, row.order_number + 1, self.orders)
        self.last_order = torch.where(row.order_number >= 0, row.order_number, self.last_order)
        self.values = torch.where(row.values > 0, row.values, self.values)
        self.rest = row.rest + 1
        self.row = torch.stack([row.gap, row.event, row.pick, row.category, row.order, row.intent], 1) + 1
        self.time = row.time
        first = self.counts[:, 2] == 0
        begins = row.breaks | first
        final = self.final() | (row.breaks & (self.counts[:, 2] >= self.length - self.last_rows))
        filled = self.item > 0
        labelled = (row.rest[:, self.labels] > 0).any(1)
        pending = torch.where(begins, row.intent > 0, self.pending()) & ~labelled
        failed = torch.where(begins, 0, self.counts[:, 11]) + self.fails[row.event]
        relation = row.rest[:, :self.id_count.shape[1]]
        self.id_age = torch.where(relation > SAME_ID, 0, self.id_age) + (relation > 0).long()
        self.id_count = self.id_count + (relation > EARLIER_ID).long()
        self.counts = torch.stack([
            torch.where(begins, 1, self.counts[:, 0] + 1), self.counts[:, 1] + begins.long(), self.counts[:, 2] + 1,
            ((self.flags & CART > 0) & filled).sum(1), ((self.flags & EVER > 0) & filled).sum(1),
            self.counts[:, 5], self.counts[:, 6] + (begins & (row.intent > 0)).long(), self.counts[:, 7], self.counts[:, 8],
            self.counts[:, 9], pending.long(), failed, final.long(),
        ], 1)

    def _least_needed(self) -> torch.Tensor:
        """(n,) slot that a new item takes: the least recent one that is not in the cart (or at all, where carts fill half the pool)."""
        carted = (self.flags & CART > 0) & (self.item > 0)
        crowded = carted.sum(1) >= POOL // 2
        loose = torch.where(carted, -1, torch.arange(POOL)[None, :]).amax(1)
        return torch.where(crowded, POOL - 1, loose)

    def _touch(self, row: Row) -> None:
        """Move the row's item to the front of the pool; another falls out where it is new."""
        has = row.item > 0
        match = self.item == row.item[:, None]
        found = match.any(1) & has
        position = torch.where(found, match.int().argmax(1), self._least_needed())
        flags = torch.where(found, self.flags.gather(1, position[:, None])[:, 0], 0)
        flags = (flags & ~self.clears[row.event]) | self.sets[row.event]
        number = torch.where(found, self.order_of.gather(1, position[:, None])[:, 0], -1)
        buys = (self.sets[row.event] & BOUGHT) > 0
        number = torch.where(buys & (row.order_number >= 0), row.order_number, number)
        slot = torch.arange(POOL)[None, :]
        source = torch.where((slot > 0) & (slot <= position[:, None]) & has[:, None], slot - 1, slot)
        for name, front in (("item", row.item), ("flags", flags), ("order_of", number)):
            moved = getattr(self, name).gather(1, source)
            moved[:, 0] = torch.where(has, front, moved[:, 0])
            setattr(self, name, moved)


def rows_level(left: torch.Tensor) -> torch.Tensor:
    """(n,) level of the counter 'left' for (n,) rows to come."""
    many = FEW_LEFT + (2 * torch.log2(left.clamp(min=1).double() / FEW_LEFT)).ceil().long()
    return torch.where(left <= FEW_LEFT, left, many).clamp(max=dict(COUNTERS)["left"] - 1)


def least_rows() -> torch.Tensor:
    """(levels,) the least rows to come that have each level of 'left'."""
    rows = torch.arange(4_096)
    return torch.searchsorted(rows_level(rows), torch.arange(dict(COUNTERS)["left"]))


def time_level(ms: torch.Tensor) -> torch.Tensor:
    """(n,) level of the counter 'time_left' for (n,) ms to come."""
    return (2 * torch.log2(ms.clamp(min=0).double() / 15_000 + 1)).ceil().long().clamp(max=dict(COUNTERS)["time_left"] - 1)


def time_of(level: torch.Tensor) -> torch.Tensor:
    """(n,) ms: the most that have the level `level` (n,), see time_level."""
    return (15_000 * (2 ** (level / 2) - 1)).long()


def unseen(can: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """(n, width) bool: `can` without the columns `known` (n, k), which may lie outside; where nothing is left, `can` itself."""
    width = can.shape[1]
    inside = (known >= 0) & (known < width)
    left = torch.cat([can, can[:, :1]], 1).scatter(1, torch.where(inside, known, width), False)[:, :width]
    return torch.where(left.any(1, keepdim=True), left, can)


def feature_sizes(*, gaps: int, intents: int, events: int, categories: int, items: int, values: list[int],
                  rest: list[int], ids: int) -> list[int]:
    """Number of levels of each column of `Tracker.features`, in its order; arguments are numbers of codes, 0 included."""
    return [gaps + 1, events + 1, PICKS + 1, categories + 1, ORDERS + 1, intents + 1, items, items, items, *values, *(r + 1 for r in rest),
            *(size for _, size in COUNTERS), *([ID_COUNTS] * ids), *([ID_AGES] * ids)]


CLOCK_SIZES = (24, 7, REMAINING)
