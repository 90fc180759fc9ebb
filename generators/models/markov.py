"""markov: counts of what follows what, the honest floor. No latent, no memory beyond the row before.

    gap        given the event before, whether something is in the cart, and the position in the session
    intent     given how many are to come, in how many rows
    event      given the event before, whether a session begins, what is in the cart and how many orders the user has had
    category   given the event and the category before; the item, where it is fresh, given the item before
    a value    given the event, whether a session begins and the user's value before
    an id      given the event, whether a session begins (the user's first or a later one), the orders so far and the event before
    the rest   given the event, the event before and whether a session begins
each but the intent also given the session's intent. Who has bought is likelier to buy again, the more so the more often:
counted so, buyers differ as much as in the log (Pólya's urn is the negative binomial).

A code counted n times of m in its context has the share (n + s * b) / (m + s), with b its share in the coarser context
and s the strength of that backoff: the Dirichlet smoothing of MacKay and Peto (1995). Under a budget the counts are noisy
(see private_counts), and an item is drawn by its popularity in its category.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit

from generators.base import check_ranges
from generators.codec import ARRIVAL, INTENT, LENGTH, MARKS, STAY, Codec
from generators.encoding import Steps
from generators.privacy import Ledger
from generators.private_counts import Tables, backed_off, lifted
from generators.sampling import draw
from generators.sequence_model import SequenceGenerator
from generators.tracker import CATEGORY_COLUMN, COUNTERS, EVENT_COLUMN, INTENT_COLUMN, ITEM_COLUMN
from generators.training import told_intent

POSITIONS = 8  # positions in the session told apart
CARTS, ORDERED = 2, 4  # levels of: items in the cart (none, some); orders so far (0, 1, 2 or 3, more)
PARENTS = {STAY: ARRIVAL, LENGTH: STAY, MARKS: LENGTH}  # what a static field is given; the others the one before them
MOST_VALUES = 64  # of a column whose value before is looked at
# Shares of a budget; other columns of the log have LIGHT, other fields 1.
HEAVY = {"gap": 3.0, "event": 4.0, "pick": 2.0, "category": 2.0, "item": 3.0, INTENT: 2.0, ARRIVAL: 1.0, STAY: 3.0, LENGTH: 3.0, MARKS: 1.0}
LIGHT = 0.3
TOLD = {"event": 2.0}
FEW = 2.0  # L2 norm of a user's votes where most users have none


Levels = list[tuple[torch.Tensor, int]]  # (n,) codes of what a field is given, and how many there are


class Markov(SequenceGenerator):
    """First-order chain over (event, category, item); the other fields given the event.

    `strength`: pseudo-counts of the coarser context; `successors`: items kept as successors of an item; `clip`: under a budget
    the L2 norm of a user's counts in one table.
    """

    supports_epsilon = True
    plans_last = False

    def __init__(
        self, *, strength: float = 2.0, successors: int = 50, clip: float = 12.0, min_users: int = 5, intervals: int = 32,
        max_rows: int = 1024,
    ) -> None:
        super().__init__(min_users=min_users, intervals=intervals, max_rows=max_rows)
        check_ranges(strength=(strength, 0, 1e9), successors=(successors, 1, 1e6), clip=(clip, 1e-9, 1e9))
        self.strength, self.successors, self.clip = strength, successors, clip

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {**super().settings(), "strength": self.strength, "successors": self.successors, "clip": self.clip}

    def _learn(self, steps: Steps, *, seed: int, ledger: Ledger) -> None:
        sizes, statics = self.codec_.fields(), self.codec_.static_sizes()
        tables = Tables(ledger, weights(self.codec_), clip=self.clip)
        owner = np.repeat(np.arange(len(steps)), steps.lengths())
        column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
        seen = seen_before(self.codec_, steps)
        learn = self._exact if ledger.epsilon is None else self._noisy
        self.tables_: dict[str, np.ndarray] = {}
        for name in sizes:
            if name != "item":
                self.tables_[name] = learn(name, owner, column[name], context(self.codec_, name, seen), tables).astype(np.float32)
        self._learn_items(steps, column["item"], owner, sizes["item"], tables)
        static = steps.static.numpy()
        self.static_: list[np.ndarray] = []
        for k, (name, size) in enumerate(statics.items()):
            parent = parent_of(self.codec_, k)
            before, width = np.zeros(len(steps), dtype=np.int64), 1
            if parent is not None:
                before, width = static[:, parent], list(statics.values())[parent]
            counts, noise = tables.counts(f"users' {name}", np.arange(len(steps)), before * size + static[:, k], width * size, clip=1.0)
            self.static_.append(backed_off(counts, [width], self.static_marginals_[k], first=self.strength, noise=noise))

    def _exact(self, name: str, owner: np.ndarray, code: torch.Tensor, levels: Levels, tables: Tables) -> np.ndarray:
        """(contexts, size) shares of a field's codes."""
        counts, _ = _counted(name, owner, code, code >= 0, levels, self.codec_.fields()[name], tables)
        size = self.codec_.fields()[name]
        return backed_off(counts, [w for _, w in levels], np.full(size, 1 / size), strength=self.strength, noise=0.0)

    def _noisy(self, name: str, owner: np.ndarray, code: torch.Tensor, levels: Levels, tables: Tables) -> np.ndarray:
        """The same under a budget. Sessions with an intent are few, so they have a table of their own, in coarse contexts: it says how
        much likelier each code is there than in sessions that have none."""
        size, base = self.codec_.fields()[name], self.field_marginals_[name]
        if name == INTENT:
            return self._noisy_intent(owner, code, levels, tables)
        levels, (told, kinds) = levels[:-1], levels[-1]
        widths = [w for _, w in levels]
        if name.startswith("label:"):
            return self._noisy_label(name, owner, code, levels, (told, kinds), tables)
        plain = (code >= 0) & (told == 0)
        # Summed up, the noise of the fine contexts would drown the coarse ones: these are counted by themselves.
        first = coarse_levels(self.codec_, name)
        few_contexts, little = _counted(coarse_table(name), owner, code, plain, levels[:first], size, tables)
        share = backed_off(few_contexts, [1, *widths[:first]], base, noise=little)
        if name == "event":  # what earlier orders change is looked at given the event before only
            counts, noise = _counted(name, owner, code, plain, [levels[0], levels[-1]], size, tables)
            before = backed_off(few_contexts.reshape(widths[0], -1, size).sum(1), [1, widths[0]], base,
                                noise=little * math.sqrt(math.prod(widths[1:first])))
            by_orders = backed_off(counts, [widths[0], widths[-1]], before, first=1.0, noise=noise).reshape(-1, widths[-1], size)
            rest = math.prod(widths[1:first])
            share = lifted(np.repeat(by_orders, rest, axis=0), share, np.repeat(before, rest, axis=0), most=50.0).reshape(-1, size)
        else:
            counts, noise = _counted(name, owner, code, plain, levels, size, tables)
            share = backed_off(counts, [math.prod(widths[:first]), *widths[first:]], share, first=1.0, noise=noise, wary=True)
        if kinds == 1:
            return share
        kept = 1 if name in ("gap", "event") else first
        found, few = _counted(told_table(name), owner, code, (code >= 0) & (told > 0), [*levels[:kept], (told, kinds)], size, tables,
                              few=True)
        overall = backed_off(few_contexts.reshape(-1, size).sum(0), [1], base, noise=little * math.sqrt(math.prod(widths[:first])))
        wide = math.prod(widths[:kept])
        none = backed_off(few_contexts.reshape(wide, -1, size).sum(1), [wide], overall,
                          noise=little * math.sqrt(math.prod(widths[kept:first])))
        found = found.reshape(-1, kinds, size)
        each = backed_off(found.sum(0)[1:], [kinds - 1], overall, first=1.0, noise=few * math.sqrt(len(found)))
        told_of = lifted(each[None], none, overall, most=1e3)                       # (contexts, kinds - 1, size)
        told_of = backed_off(found[:, 1:], [len(found) * (kinds - 1)], told_of, first=1.0, noise=few).reshape(told_of.shape)
        rest = math.prod(widths[kept:])
        told_of = lifted(np.repeat(told_of, rest, axis=0), share, np.repeat(none, rest, axis=0), most=5.0)
        return np.concatenate([share[:, None], told_of], axis=1).reshape(-1, size)

    def _noisy_intent(self, owner: np.ndarray, code: torch.Tensor, levels: Levels, tables: Tables) -> np.ndarray:
        """Users who have none left to come are told so, and have no choice: they are not counted."""
        size, (marks, width) = len(self.codec_.intents) + 1, levels[0]
        counts, noise = _counted(INTENT, owner, code, (code >= 0) & (marks > 0), levels[:1], size, tables, few=True)
        heard = counts.reshape(-1, size).sum(0) > 2 * noise * np.sqrt(len(counts) / size)
        heard[0] = True  # an intent that is not heard of cannot be met either: its label would be waited for in vain
        share = backed_off(counts * np.tile(heard, width), [width], self.field_marginals_[INTENT] * heard, noise=noise)
        return np.repeat(share, levels[1][1], axis=0)

    def _noisy_label(
        self, name: str, owner: np.ndarray, code: torch.Tensor, levels: Levels, told: tuple[torch.Tensor, int], tables: Tables
    ) -> np.ndarray:
        """A label given the event and the intent: none where no intent is, none on events where none stands out of the noise."""
        size, (event, n_events), kinds = self.codec_.fields()[name], levels[0], told[1]
        counts, noise = _counted(told_table(name), owner, code, (code >= 0) & (told[0] > 0), [told, (event, n_events)], size, tables,
                                 few=True)
        grid = counts.reshape(kinds, n_events, size)
        heard = grid[1:].sum(0) > 2 * noise * math.sqrt(kinds - 1)                  # (n_events, size)
        heard[:, 0] = True
        kept = backed_off(np.where(heard, grid[1:], 0.0).swapaxes(0, 1), [n_events, kinds - 1], heard[:, :].mean(0), noise=noise)
        kept = kept.reshape(n_events, kinds - 1, size) * heard[:, None]
        none = np.broadcast_to(np.arange(size) == 0, (n_events, 1, size))
        both = np.concatenate([none, kept / kept.sum(2, keepdims=True)], axis=1)    # (n_events, kinds, size)
        rest = math.prod(w for _, w in levels[1:])
        return np.repeat(both[:, None], rest, axis=1).reshape(-1, size)

    def _learn_items(self, steps: Steps, item: torch.Tensor, owner: np.ndarray, size: int, tables: Tables) -> None:
        """Popularity of fresh items, and which comes after which (not under a budget: pairs are too many for their counts)."""
        fresh = (item >= 0).numpy()
        counts, noise = tables.counts("item", owner[fresh], item.numpy()[fresh], size)
        self.tables_["popularity"] = np.where(counts > noise, counts, 0.0).astype(np.float32)
        if noise:
            self.tables_["successor"] = np.zeros((size, 1), dtype=np.int32)
            self.tables_["successor_count"] = np.zeros((size, 1), dtype=np.float32)
        else:
            self._learn_successors(steps.features[fresh, ITEM_COLUMN].numpy(), item[fresh].numpy(), size)

    def _learn_successors(self, before: np.ndarray, item: np.ndarray, size: int) -> None:
        """The most frequent fresh items after each item: (size, successors) codes and counts, 0 = none."""
        pair, count = np.unique(before * size + item, return_counts=True)
        first = pair // size
        order = np.lexsort((pair, -count, first))
        pair, count, first = pair[order], count[order], first[order]
        rank = np.arange(len(first)) - np.searchsorted(first, first)
        keep = rank < self.successors
        self.tables_["successor"] = np.zeros((size, self.successors), dtype=np.int32)
        self.tables_["successor_count"] = np.zeros((size, self.successors), dtype=np.float32)
        self.tables_["successor"][first[keep], rank[keep]] = pair[keep] % size
        self.tables_["successor_count"][first[keep], rank[keep]] = count[keep]

    def _row_model(self, past: Steps | None = None) -> Chain:
        return Chain(self.codec_, self.tables_, self.static_, self.strength)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {f"table/{k}": v for k, v in self.tables_.items()} | {f"static/{k}": v for k, v in enumerate(self.static_)}
        return arrays, {"codec": self.codec_.to_json()}

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        self.codec_ = Codec.from_json(data["codec"])
        self.tables_ = {k.removeprefix("table/"): v for k, v in arrays.items() if k.startswith("table/")}
        self.static_ = [arrays[f"static/{k}"] for k in range(len(self.codec_.statics))]


@dataclass
class Seen:
    """What the contexts of n rows are made of; every tensor is (n,) int64 unless said otherwise."""

    features: torch.Tensor  # (n, F): see Codec.feature_sizes
    event: torch.Tensor
    breaks: torch.Tensor    # bool: does the row begin a session?
    intent: torch.Tensor    # of the row's session
    orders: torch.Tensor    # level of the orders so far


def seen_before(codec: Codec, steps: Steps) -> Seen:
    """What each of `steps` is given."""
    column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
    before = steps.features[:, EVENT_COLUMN]
    intent = told_intent(column[INTENT], steps.features) if codec.intents else torch.zeros_like(before)
    bought = purchases(codec)[before]
    begins = bought & ~torch.cat([bought.new_zeros(1), bought[:-1]])  # a user's first step has no row before, so none spans two users
    so_far = begins.long().cumsum(0)
    start = torch.from_numpy(steps.offsets[:-1])
    orders = so_far - torch.repeat_interleave(so_far[start], torch.from_numpy(steps.lengths()))
    breaks = codec.clock.is_break(column["gap"]) | (before == 0)
    return Seen(steps.features, column["event"].clamp(min=0), breaks, intent, order_level(orders))


def purchases(codec: Codec) -> torch.Tensor:
    """(n_events + 2,) bool: is the event before (code + 1, 0 = start) a purchase?"""
    return torch.tensor([False, False] + [codec.roles[e] == "purchase" for e in codec.events.values])


def order_level(orders: torch.Tensor) -> torch.Tensor:
    """(n,) level of (n,) orders so far: 0, 1, 2 or 3, more."""
    return torch.log2(orders.double() + 1).floor().long().clamp(max=ORDERED - 1)


def context(codec: Codec, name: str, seen: Seen) -> Levels:
    """What a field is given, coarse first: (n,) codes and how many there are. Each level backs off to those before it."""
    features, told = seen.features, (seen.intent, len(codec.intents) + 1)

    def counter(name: str, levels: int) -> tuple[torch.Tensor, int]:
        return features[:, codec.counter_column(name)].clamp(max=levels - 1), levels

    before, event = (features[:, EVENT_COLUMN], codec.events.size + 1), (seen.event, codec.events.size)
    begins, orders = (seen.breaks.long(), 2), (seen.orders, ORDERED)
    if name == "gap":
        return [before, counter("cart", CARTS), counter("in_session", POSITIONS), told]
    if name == INTENT:
        return [counter(n, dict(COUNTERS)[n]) for n in ("marks_left", "left")]
    if name == "event":
        return [before, begins, counter("cart", CARTS), orders, told]
    if name == "category":
        return [event, (features[:, CATEGORY_COLUMN], codec.categories.size + 1), told]
    if name in codec.ids:  # a user's first row is apart: only there is no earlier id to keep to
        first = seen.breaks.long() + (features[:, EVENT_COLUMN] == 0)
        return [event, (first, 3), orders, before, told]
    size = codec.values[name].size if name in codec.values else MOST_VALUES + 1
    if size <= MOST_VALUES:  # 'the same as before' says nothing of the shares of the values unless one knows what was before
        return [event, begins, (features[:, codec.value_column(name)], size), told]
    return [event, before, begins, told]


def parent_of(codec: Codec, k: int) -> int | None:
    """The static field that the k-th is given: a fixed one, else the one before it."""
    names = list(codec.statics)
    named = PARENTS.get(names[k])
    return names.index(named) if named in names else k - 1 if k else None


def _counted(
    name: str, owner: np.ndarray, code: torch.Tensor, asked: torch.Tensor, levels: Levels, size: int, tables: Tables, few: bool = False,
) -> tuple[np.ndarray, float]:
    """(contexts * size,) counts of `code` (n,) within the contexts of `levels`, over the rows `asked` (n,), and their noise.

    `few`: rows that most users have none of; a user has one vote in each context.
    """
    at, n = torch.zeros_like(code), 1
    for level, width in levels:
        at, n = at * width + level, n * width
    cell = (at * size + code)[asked].numpy()
    return tables.counts(name, owner[asked.numpy()], cell, n * size, context=size, **({"clip": FEW, "power": 0.0} if few else {}))


def coarse_levels(codec: Codec, name: str) -> int:
    """How many levels of its context a field has in its coarse table."""
    if name == "event":
        return 3
    return 2 if name == "gap" or name in codec.ids or name in codec.values else 1


def coarse_table(name: str) -> str:
    """Name of the table of a field in its coarsest contexts."""
    return f"{name} in few contexts"


def told_table(name: str) -> str:
    """Name of the table of a field given the intent."""
    return f"{name} given the intent"


def weights(codec: Codec) -> dict[str, float]:
    """Each table's share of what is left of a budget."""
    fields = [n for n in codec.fields() if not n.startswith("label:")]
    light = {n for n in codec.fields() if n in codec.values or (n in codec.bins and n != "price")}
    told = [n for n in codec.fields() if n not in ("item", INTENT)] if codec.intents else []
    coarse = [n for n in fields if n not in ("item", INTENT)]
    return ({n: HEAVY.get(n, LIGHT if n in light else 1.0) for n in fields}
            | {coarse_table(n): HEAVY.get(n, LIGHT if n in light else 1.0) for n in coarse}
            | {told_table(n): TOLD.get(n, LIGHT / 2 if n in light else 1.0) for n in told}
            | {f"users' {n}": HEAVY.get(n, LIGHT) for n in codec.statics})


class Chain:
    """The RowModel of Markov: every logit is the logarithm of a table's entry."""

    def __init__(self, codec: Codec, tables: dict[str, np.ndarray], static: list[np.ndarray], strength: float) -> None:
        self.codec, self.strength, self.static = codec, strength, static
        self.log = {k: torch.log(torch.from_numpy(v)) for k, v in tables.items() if k in codec.fields()}
        self.successor, self.count = tables["successor"], tables["successor_count"]
        popular, of = tables["popularity"] + 1e-3, codec.items.category
        popular[0] = 0.0  # no item
        self.fresh = (strength * popular / np.bincount(of, popular).clip(min=1e-9)[of]).astype(np.float32)  # weight after any item
        self.cycle = torch.cat([torch.zeros(1, codec.clock.size), codec.clock.cycle()])
        self.purchases = purchases(codec)

    def begin(self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None) -> torch.Tensor:
        """See RowModel."""
        self.features = torch.zeros((users, 0), dtype=torch.int64)
        self.event, self.breaks, self.intent = torch.zeros(users).long(), torch.zeros(users).bool(), torch.zeros(users).long()
        self.orders, self.level, self.bought = torch.zeros(users).long(), torch.zeros(users).long(), torch.zeros(users).bool()
        codes: list[torch.Tensor] = []
        for k, share in enumerate(self.static):
            parent = parent_of(self.codec, k)
            open_ = torch.from_numpy(share)[codes[parent] if parent is not None else torch.zeros(users).long()] + 1e-12
            codes.append(draw(torch.log(open_), None if allowed is None else allowed[k], generator))
        return torch.stack(codes, 1)

    def step(self, features: np.ndarray) -> None:
        """See RowModel."""
        self.features = torch.from_numpy(features)
        bought = self.purchases[self.features[:, EVENT_COLUMN]]
        self.orders, self.bought = self.orders + (bought & ~self.bought), bought
        self.level = order_level(self.orders)
        self.event = torch.zeros(len(features), dtype=torch.int64)
        self.breaks = torch.zeros(len(features), dtype=torch.bool)
        self.intent = (self.features[:, INTENT_COLUMN] - 1).clamp(min=0)

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """See RowModel."""
        index = torch.from_numpy(rows)
        at = torch.zeros(len(index), dtype=torch.int64)
        told = (self.features, self.event, self.breaks, self.intent, self.level)
        levels = context(self.codec, name, Seen(*(told if len(rows) == len(self.event) else (x.index_select(0, index) for x in told))))
        for level, width in levels:
            at = at * width + level
        logits = self.log[name][at]
        if name == "gap":
            hour, day = self.features[index, -3], self.features[index, -2]
            logits = logits + self.cycle[torch.where(hour > 0, (day - 1) * 24 + hour, 0)]
        return logits.numpy()

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Counts after the item before, on top of `strength` times popularity within the category."""
        start = self.codec.items.start
        out = np.zeros((len(rows), int((start[1:] - start[:-1]).max())), dtype=np.float32)
        before = self.features[:, ITEM_COLUMN].numpy()[rows]
        _weigh(out, start[category], start[category + 1], before, self.fresh, self.successor, self.count)
        return out

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """See RowModel."""
        if name == "gap":
            self.breaks = self.codec.clock.is_break(torch.from_numpy(code)) | (self.features[:, EVENT_COLUMN] == 0)
        elif name == INTENT:
            self.intent = torch.from_numpy(code)
        elif name == "event":
            self.event = torch.from_numpy(code)

    def keep(self, rows: np.ndarray) -> None:
        """See RowModel."""
        index = torch.from_numpy(rows)
        self.features, self.event = self.features[index], self.event[index]
        self.breaks, self.intent = self.breaks[index], self.intent[index]
        self.orders, self.bought, self.level = self.orders[index], self.bought[index], self.level[index]


@njit(cache=True)
def _weigh(out, first, stop, before, fresh, successor, count):  # type: ignore[no-untyped-def]
    """Writes weights of items first..stop - 1 (m,) to `out` (m, width): `fresh` (n_items,) and `count` after the item `before` (m,)."""
    for k in range(len(out)):
        for item in range(first[k], stop[k]):
            out[k, item - first[k]] = fresh[item]
        for j in range(successor.shape[1]):
            item = successor[before[k], j]
            if item > 0 and first[k] <= item < stop[k]:
                out[k, item - first[k]] += count[before[k], j]
