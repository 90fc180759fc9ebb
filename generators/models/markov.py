"""markov: counts of what follows what, the honest floor. No latent, no memory beyond the row
before.

    gap        given the event before, whether something is in the cart, how fast the rows to come
    must be, and the position in
               the session
    intent     given how many are to come, in how many rows event      given the event before,
    whether a session begins, what is in the cart, how many rows the user will have and how
               many orders they have had
    category   given the event and the category before; the item, where it is fresh, given the item
    before a value    given the event, whether a session begins and the user's value before an id
    given the event, whether a session begins (the user's first or a later one), the orders so far
    and the event before the rest   given the event, the event before and whether a session begins
each but the intent also given the session's intent (see contexts). Who has bought is likelier to
buy again, the more so the more often: counted so, buyers differ as much as in the log (Pólya's urn
is the negative binomial).

A code counted n times of m in its context has the share (n + s * b) / (m + s), with b its share in
the coarser context and s the strength of that backoff: the Dirichlet smoothing of MacKay and Peto
(1995). Under a budget the counts are noisy (see private_chain), and an item is drawn by its
popularity in its category.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from numba import njit

from eventlog._runtime.settings import Range
from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import ARRIVAL, LENGTH, N_LABELLED_SESSIONS, OBSERVATION_SPAN
from generators.codec.restore import restored
from generators.markov.contexts import (
    ContextFeatures,
    Levels,
    context,
    index_of,
    order_level,
    purchases,
    seen_before,
    size_of,
)
from generators.markov.private_tables import PrivateChain, weights
from generators.privacy.counts import Tables, backed_off
from generators.privacy.queries import PrivacyLedger
from generators.sampling.step_model import draw
from generators.sequence_model import SequenceGenerator
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.validation import array, no_others, shares

MOST_COUNTED = 1e15  # rows of an item
# what a static field is given; the others the one before them
PARENTS = {OBSERVATION_SPAN: ARRIVAL, LENGTH: OBSERVATION_SPAN, N_LABELLED_SESSIONS: LENGTH}


class Markov(SequenceGenerator):
    """First-order chain over (event, category, item); the other fields given the event.

    `strength`: pseudo-counts of the coarser context; `successors`: items kept as successors of an
    item; `clip`: under a budget the L2 norm of a user's counts in one table.
    """

    supports_epsilon = True

    def __init__(
        self,
        *,
        strength: Annotated[float, Range(1e-6, 1e9)] = 2.0,
        successors: Annotated[int, Range(1, 1_000_000)] = 50,
        clip: Annotated[float, Range(1e-9, 1e9)] = 4.0,
        **sequence: Any,
    ) -> None:
        super().__init__(**sequence)
        self.strength, self.successors, self.clip = strength, successors, clip

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {
            **super().settings(),
            "strength": self.strength,
            "successors": self.successors,
            "clip": self.clip,
        }

    def _learn(self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger) -> None:
        private = ledger.epsilon is not None
        tables = Tables(ledger, weights(self.codec_) if private else {}, clip=self.clip)
        owner = np.repeat(np.arange(len(steps)), steps.lengths())
        column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
        seen = seen_before(self.codec_, steps)
        learn = (
            PrivateChain(self.codec_, tables, owner, seen, self.field_marginals_).learn
            if private
            else self._exact
        )
        self.tables_: dict[str, np.ndarray] = {}
        for name in self.codec_.fields():
            if name != "item":
                self.tables_[name] = learn(
                    name, column[name], context(self.codec_, name, seen)
                ).astype(np.float32)
        self._learn_items(steps, column["item"], owner, self.codec_.items.size, tables)
        self._learn_statics(steps.user_attributes.numpy(), tables)

    def _exact(self, name: str, code: torch.Tensor, levels: Levels) -> np.ndarray:
        """(contexts, size) shares of a field's codes (n,) in each context."""
        size, (at, n) = self.codec_.fields()[name], index_of(levels)
        counts = np.bincount((at * size + code)[code >= 0].numpy(), minlength=n * size)
        return backed_off(
            counts,
            [w for _, w in levels],
            np.full(size, 1 / size),
            strength=self.strength,
            noise=0.0,
        )

    def _learn_statics(self, static: np.ndarray, tables: Tables) -> None:
        """Shares of each static field given another; static (n_users, n_static) codes."""
        sizes = self.codec_.user_attribute_sizes()
        self.static_: list[np.ndarray] = []
        for k, (name, size) in enumerate(sizes.items()):
            parent = parent_of(self.codec_, k)
            before, width = np.zeros(len(static), dtype=np.int64), 1
            if parent is not None:
                before, width = static[:, parent], list(sizes.values())[parent]
            counts, noise = tables.counts(
                f"users' {name}",
                np.arange(len(static)),
                before * size + static[:, k],
                width * size,
                clip=1.0,
            )
            self.static_.append(
                backed_off(
                    counts, [width], self.static_marginals_[k], first=self.strength, noise=noise
                )
            )

    def _learn_items(
        self,
        steps: EncodedSequences,
        item: torch.Tensor,
        owner: np.ndarray,
        size: int,
        tables: Tables,
    ) -> None:
        """Popularity of fresh items, and which comes after which (not under a budget: pairs are too
        many for their counts).
        """
        fresh = (item >= 0).numpy()
        counts, noise = tables.counts("item", owner[fresh], item.numpy()[fresh], size)
        self.tables_["popularity"] = np.where(counts > noise, counts, 0.0).astype(np.float32)
        if noise:
            self.tables_["successor"] = np.zeros((size, 1), dtype=np.int32)
            self.tables_["successor_count"] = np.zeros((size, 1), dtype=np.float32)
        else:
            self._learn_successors(
                owner[fresh],
                steps.features[fresh, layout.LAST_ITEMS].numpy(),
                item[fresh].numpy(),
                size,
            )

    def _learn_successors(
        self, user: np.ndarray, before: np.ndarray, item: np.ndarray, size: int
    ) -> None:
        """The most frequent fresh items after each item: (size, successors) codes and counts, 0 =
        none.

        A pair that only one user has made is no habit, and would give that user away.
        """
        pair, place, count = np.unique(
            before * size + item, return_inverse=True, return_counts=True
        )
        users = np.bincount(
            np.unique(place * (user.max(initial=0) + 1) + user) // (user.max(initial=0) + 1),
            minlength=len(pair),
        )
        pair, count = pair[users > 1], count[users > 1]
        first = pair // size
        order = np.lexsort((pair, -count, first))
        pair, count, first = pair[order], count[order], first[order]
        rank = np.arange(len(first)) - np.searchsorted(first, first)
        keep = rank < self.successors
        self.tables_["successor"] = np.zeros((size, self.successors), dtype=np.int32)
        self.tables_["successor_count"] = np.zeros((size, self.successors), dtype=np.float32)
        self.tables_["successor"][first[keep], rank[keep]] = pair[keep] % size
        self.tables_["successor_count"][first[keep], rank[keep]] = count[keep]

    def _row_model(self, past: EncodedSequences | None = None) -> Chain:
        return Chain(self.codec_, self.tables_, self.static_, self.strength)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {f"table/{k}": v for k, v in self.tables_.items()} | {
            f"static/{k}": v for k, v in enumerate(self.static_)
        }
        return arrays, {"codec": self.codec_.to_json()}

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        self.codec_ = restored(data, max_rows=self.max_rows)
        self.tables_, self.static_ = self._tables_of(arrays), []
        sizes = list(self.codec_.user_attribute_sizes().values())
        for k, size in enumerate(sizes):
            parent = parent_of(self.codec_, k)
            shape = (1 if parent is None else sizes[parent], size)
            self.static_.append(shares(arrays, f"static/{k}", dtype="float64", shape=shape))
        no_others(
            arrays,
            [*(f"table/{n}" for n in self.tables_), *(f"static/{k}" for k in range(len(sizes)))],
        )

    def _tables_of(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tables of fields and items in `arrays`, each of the shape that the codec asks for."""
        codec, n_items = self.codec_, self.codec_.items.size
        nothing = torch.zeros(0, dtype=torch.int64)
        seen = ContextFeatures(
            torch.zeros((0, len(codec.feature_sizes())), dtype=torch.int64), *[nothing] * 5
        )
        tables = {}
        for name, size in codec.fields().items():
            if name != "item":
                contexts = index_of(context(codec, name, seen))[1]
                tables[name] = shares(
                    arrays, f"table/{name}", dtype="float32", shape=(contexts, size)
                )
        counts = {
            "popularity": ((n_items,), "float32"),
            "successor": ((n_items, None), "int32"),
            "successor_count": ((n_items, None), "float32"),
        }
        for name, (shape, dtype) in counts.items():
            high = n_items - 1 if name == "successor" else MOST_COUNTED
            tables[name] = array(
                arrays, f"table/{name}", dtype=dtype, shape=shape, low=0, high=high
            )
        array(arrays, "table/successor_count", dtype="float32", shape=tables["successor"].shape)
        return tables


def parent_of(codec: Codec, k: int) -> int | None:
    """The static field that the k-th is given: a fixed one, else the one before it."""
    names = list(codec.user_attributes)
    named = PARENTS.get(names[k])
    return names.index(named) if named in names else k - 1 if k else None


class Chain:
    """The RowModel of Markov: every logit is the logarithm of a table's entry."""

    def __init__(
        self, codec: Codec, tables: dict[str, np.ndarray], static: list[np.ndarray], strength: float
    ) -> None:
        self.codec, self.strength, self.static = codec, strength, static
        self.log = {
            k: torch.log(torch.from_numpy(v)) for k, v in tables.items() if k in codec.fields()
        }
        self.successor, self.count = tables["successor"], tables["successor_count"]
        popular, of = tables["popularity"] + 1e-3, codec.items.category
        popular[0] = 0.0  # no item
        # weight after any item
        self.fresh = (strength * popular / np.bincount(of, popular).clip(min=1e-9)[of]).astype(
            np.float32
        )
        self.cycle = torch.cat([torch.zeros(1, codec.clock.size), codec.clock.cycle()])
        self.purchases = purchases(codec)

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """See RowModel."""
        self.features = torch.zeros((users, 0), dtype=torch.int64)
        self.event, self.breaks, self.intent = (
            torch.zeros(users).long(),
            torch.zeros(users).bool(),
            torch.zeros(users).long(),
        )
        self.orders, self.level, self.bought = (
            torch.zeros(users).long(),
            torch.zeros(users).long(),
            torch.zeros(users).bool(),
        )
        codes: list[torch.Tensor] = []
        for k, share in enumerate(self.static):
            parent = parent_of(self.codec, k)
            open_ = (
                torch.from_numpy(share)[
                    codes[parent] if parent is not None else torch.zeros(users).long()
                ]
                + 1e-12
            )
            codes.append(draw(torch.log(open_), None if allowed is None else allowed[k], generator))
        static = torch.stack(codes, 1)
        self.size = size_of(self.codec, static)
        return static

    def step(self, features: np.ndarray) -> None:
        """See RowModel."""
        self.features = torch.from_numpy(features)
        bought = self.purchases[self.features[:, layout.LAST_EVENT]]
        self.orders, self.bought = self.orders + (bought & ~self.bought), bought
        self.level = order_level(self.orders)
        self.event = torch.zeros(len(features), dtype=torch.int64)
        self.breaks = torch.zeros(len(features), dtype=torch.bool)
        self.intent = (self.features[:, layout.LAST_SESSION_LABEL] - 1).clamp(min=0)

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """See RowModel."""
        index = torch.from_numpy(rows)
        told = (self.features, self.event, self.breaks, self.intent, self.level, self.size)
        levels = context(
            self.codec,
            name,
            ContextFeatures(
                *(
                    told
                    if len(rows) == len(self.event)
                    else (x.index_select(0, index) for x in told)
                )
            ),
        )
        logits = self.log[name][index_of(levels)[0]]
        if name == "gap":
            hour, day = (
                self.features[index, layout.LAST_HOUR],
                self.features[index, layout.LAST_WEEKDAY],
            )
            logits = logits + self.cycle[torch.where(hour > 0, (day - 1) * 24 + hour, 0)]
        return logits.numpy()

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Counts after the item before, on top of `strength` times popularity within the
        category.
        """
        start = self.codec.items.start
        out = np.zeros((len(rows), int((start[1:] - start[:-1]).max())), dtype=np.float32)
        before = self.features[:, layout.LAST_ITEMS].numpy()[rows]
        _weigh(
            out,
            start[category],
            start[category + 1],
            before,
            self.fresh,
            self.successor,
            self.count,
        )
        return out

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """See RowModel."""
        if name == "gap":
            self.breaks = self.codec.clock.starts_session(torch.from_numpy(code)) | (
                self.features[:, layout.LAST_EVENT] == 0
            )
        elif name == SESSION_LABEL:
            self.intent = torch.from_numpy(code)
        elif name == "event":
            self.event = torch.from_numpy(code)

    def keep(self, rows: np.ndarray) -> None:
        """See RowModel."""
        index = torch.from_numpy(rows)
        self.features, self.event = self.features[index], self.event[index]
        self.breaks, self.intent = self.breaks[index], self.intent[index]
        self.orders, self.bought = self.orders[index], self.bought[index]
        self.level, self.size = self.level[index], self.size[index]


@njit(cache=True)
def _weigh(out, first, stop, before, fresh, successor, count):
    """Writes weights of items first..stop - 1 (m,) to `out` (m, width): `fresh` (n_items,) and
    `count` after the item `before` (m,).
    """
    for k in range(len(out)):
        for item in range(first[k], stop[k]):
            out[k, item - first[k]] = fresh[item]
        for j in range(successor.shape[1]):
            item = successor[before[k], j]
            if item > 0 and first[k] <= item < stop[k]:
                out[k, item - first[k]] += count[before[k], j]
