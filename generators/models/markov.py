"""markov: counts of what follows what, the honest floor. No latent, no memory beyond the row before.

    gap        given the event before and the position in the session
    intent     given how many are to come, in how many rows
    event      given the event before and whether a session begins
    category   given the event and the category before; the item, where it is fresh, given the item before
    a value    given the event, the user's value before and whether a session begins
    the rest   given the event, the event before and whether a session begins
each but the intent also given the session's intent.

A code counted n times of m in its context has the share (n + s * b) / (m + s), with b its share in the coarser context
and s the strength of that backoff: the Dirichlet smoothing of MacKay and Peto (1995). Under a budget the counts are noisy
(see private_counts), and an item is drawn by its popularity in its category.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from generators.codec import ARRIVAL, INTENT, LENGTH, MARKS, STAY, Codec
from generators.encoding import Steps
from generators.privacy import Ledger
from generators.private_counts import Tables, backed_off, lifted
from generators.sampling import draw
from generators.sequence_model import SequenceGenerator
from generators.tracker import CATEGORY_COLUMN, COUNTERS, EVENT_COLUMN, INTENT_COLUMN, ITEM_COLUMN
from generators.training import told_intent

POSITIONS = 8  # positions in the session told apart
MOST_VALUES = 64  # of a column whose value before is looked at
# Shares of a budget; other columns of the log have LIGHT, other fields 1.
HEAVY = {"gap": 3.0, "event": 3.0, "pick": 2.0, "category": 2.0, "item": 3.0, INTENT: 2.0, ARRIVAL: 1.0, STAY: 3.0, LENGTH: 3.0, MARKS: 1.0}
LIGHT = 0.3
FEW = 2.0  # L2 norm of a user's counts where most users have none


Levels = list[tuple[torch.Tensor, int]]  # (n,) codes of what a field is given, and how many there are


class Markov(SequenceGenerator):
    """First-order chain over (event, category, item); the other fields given the event.

    `strength`: pseudo-counts of the coarser context; `successors`: items kept as successors of an item; `clip`: under a budget
    the L2 norm of a user's counts in one table.
    """

    supports_epsilon = True

    def __init__(
        self, *, strength: float = 2.0, successors: int = 50, clip: float = 8.0, min_users: int = 5, intervals: int = 32,
        max_rows: int = 1024,
    ) -> None:
        super().__init__(min_users=min_users, intervals=intervals, max_rows=max_rows)
        self.strength, self.successors, self.clip = strength, successors, clip

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {**super().settings(), "strength": self.strength, "successors": self.successors, "clip": self.clip}

    def _learn(self, steps: Steps, *, seed: int, ledger: Ledger) -> None:
        sizes, statics = self.codec_.fields(), self.codec_.static_sizes()
        tables = Tables(ledger, weights(self.codec_), clip=self.clip, rng=np.random.default_rng([seed, 12]))
        owner = np.repeat(np.arange(len(steps)), steps.lengths())
        column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
        event = column["event"].clamp(min=0)
        breaks = self.codec_.clock.is_break(column["gap"]) | (steps.features[:, EVENT_COLUMN] == 0)
        intent = told_intent(column[INTENT], steps.features) if self.codec_.intents else torch.zeros_like(event)
        learn = self._exact if ledger.epsilon is None else self._noisy
        self.tables_: dict[str, np.ndarray] = {}
        for name in sizes:
            if name != "item":
                levels = context(self.codec_, name, steps.features, event, breaks, intent)
                self.tables_[name] = learn(name, owner, column[name], levels, tables).astype(np.float32)
        self._learn_items(steps, column["item"], owner, sizes["item"], tables)
        static = steps.static.numpy()
        self.static_: list[np.ndarray] = []
        before, width = np.zeros(len(steps), dtype=np.int64), 1
        for k, (name, size) in enumerate(statics.items()):  # each given the one before it
            counts, noise = tables.counts(f"users' {name}", np.arange(len(steps)), before * size + static[:, k], width * size, clip=1.0)
            self.static_.append(backed_off(counts, [width], self.static_marginals_[k], first=self.strength, noise=noise))
            before, width = static[:, k], size

    def _exact(self, name: str, owner: np.ndarray, code: torch.Tensor, levels: Levels, tables: Tables) -> np.ndarray:
        """(contexts, size) shares of a field's codes."""
        counts, _ = _counted(name, owner, code, code >= 0, levels, self.codec_.fields()[name], tables)
        size = self.codec_.fields()[name]
        return backed_off(counts, [w for _, w in levels], np.full(size, 1 / size), strength=self.strength, noise=0.0)

    def _noisy(self, name: str, owner: np.ndarray, code: torch.Tensor, levels: Levels, tables: Tables) -> np.ndarray:
        """The same under a budget. Few rows have an intent, so what it changes is looked at in one coarse context (`told_with`)."""
        size, base = self.codec_.fields()[name], self.field_marginals_[name]
        if name == INTENT:  # users who have none left to come are told so, and have no choice
            marks = levels[0][0]
            counts, noise = _counted(name, owner, code, (code >= 0) & (marks > 0), levels[:1], size, tables, FEW)
            heard = counts.reshape(-1, size).sum(0) > 2 * noise * np.sqrt(len(counts) / size)
            heard[0] = True  # an intent that is not heard of cannot be met either: its label would be waited for in vain
            share = backed_off(counts * np.tile(heard, levels[0][1]), [levels[0][1]], base * heard, noise=noise)
            return np.repeat(share, levels[1][1], axis=0)
        levels, told = levels[:-1], levels[-1]
        counts, noise = _counted(name, owner, code, code >= 0, levels, size, tables)
        share = backed_off(counts, [1, *(w for _, w in levels)], base, noise=noise)
        if not self.codec_.intents:
            return share
        at = told_with(self.codec_, name)
        coarse = [] if at is None else [levels[at]]
        asked, clip, label = code >= 0, None, name.startswith("label:")
        if label:  # where none is to come none is drawn
            asked, clip = asked & (told[0] > 0), FEW
        counts, noise = _counted(told_table(name), owner, code, asked, [*coarse, told], size, tables, clip, once=label)
        width = coarse[0][1] if coarse else 1
        counts = counts.reshape(width, told[1], size)
        none = backed_off(counts[:, 0], [width], base, noise=noise)
        of_it = np.stack([none, *(backed_off(counts[:, k], [width], none, noise=noise) for k in range(1, told[1]))], axis=1)
        if at == 0:
            of_it = np.repeat(of_it, len(share) // width, axis=0)
        elif at is not None:
            of_it = np.tile(of_it, (len(share) // width, 1, 1))
        return lifted(share, of_it).reshape(-1, size)

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


def context(
    codec: Codec, name: str, features: torch.Tensor, event: torch.Tensor, breaks: torch.Tensor, intent: torch.Tensor
) -> Levels:
    """What a field is given, coarse first: (n,) codes and how many there are. Each level backs off to those before it."""
    before, told = (features[:, EVENT_COLUMN], codec.events.size + 1), (intent, len(codec.intents) + 1)
    begins = (breaks.long(), 2)
    if name == "gap":
        return [before, (features[:, codec.counter_column("in_session")].clamp(max=POSITIONS - 1), POSITIONS), told]
    if name == INTENT:
        return [(features[:, codec.counter_column(n)], dict(COUNTERS)[n]) for n in ("marks_left", "left")]
    if name == "event":
        return [before, begins, told]
    if name == "category":
        return [(event, codec.events.size), (features[:, CATEGORY_COLUMN], codec.categories.size + 1), told]
    size = codec.values[name].size if name in codec.values else MOST_VALUES + 1
    if size <= MOST_VALUES:  # 'the same as before' says nothing of the shares of the values unless one knows what was before
        return [(event, codec.events.size), (features[:, codec.value_column(name)], size), begins, told]
    return [(event, codec.events.size), before, begins, told]


def _counted(
    name: str, owner: np.ndarray, code: torch.Tensor, asked: torch.Tensor, levels: Levels, size: int, tables: Tables,
    clip: float | None = None, once: bool = False,
) -> tuple[np.ndarray, float]:
    """(contexts * size,) counts of `code` (n,) within the contexts of `levels`, over the rows `asked` (n,), and their noise.

    `once`: a user's rows with the same code in the same context count as one.
    """
    at, n = torch.zeros_like(code), 1
    for level, width in levels:
        at, n = at * width + level, n * width
    user, cell = owner[asked.numpy()], (at * size + code)[asked].numpy()
    if once:
        pair = np.unique(user * (n * size) + cell)
        user, cell = pair // (n * size), pair % (n * size)
    return tables.counts(name, user, cell, n * size, clip=clip)


def told_with(codec: Codec, name: str) -> int | None:
    """Which level of its context a field keeps where an intent is looked at under a budget: the first, the last, or none."""
    if name in ("gap", "category"):
        return None
    return -1 if name == "event" or name in codec.values or name in codec.ids else 0


def told_table(name: str) -> str:
    """Name of the table of a field given the intent."""
    return f"{name} given the intent"


def weights(codec: Codec) -> dict[str, float]:
    """Each table's share of what is left of a budget."""
    fields = {n: HEAVY.get(n, LIGHT if n in codec.values else 1.0) for n in codec.fields()}
    told = {told_table(n): LIGHT if n in codec.values else 1.0 for n in fields if n not in ("item", INTENT)} if codec.intents else {}
    return fields | told | {f"users' {n}": HEAVY.get(n, LIGHT) for n in codec.statics}


class Chain:
    """The RowModel of Markov: every logit is the logarithm of a table's entry."""

    def __init__(self, codec: Codec, tables: dict[str, np.ndarray], static: list[np.ndarray], strength: float) -> None:
        self.codec, self.strength, self.static = codec, strength, static
        self.log = {k: torch.log(torch.from_numpy(v)) for k, v in tables.items() if k in codec.fields()}
        self.popularity = torch.from_numpy(tables["popularity"])
        self.successor, self.count = torch.from_numpy(tables["successor"]).long(), torch.from_numpy(tables["successor_count"])
        self.cycle = torch.cat([torch.zeros(1, codec.clock.size), codec.clock.cycle()])
        starts = torch.from_numpy(codec.items.start)
        self.start, self.width = starts[:-1], int((starts[1:] - starts[:-1]).max())

    def begin(self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None) -> torch.Tensor:
        """See RowModel."""
        self.features = torch.zeros((users, 0), dtype=torch.int64)
        self.event, self.breaks, self.intent = torch.zeros(users).long(), torch.zeros(users).bool(), torch.zeros(users).long()
        codes = [torch.zeros(users, dtype=torch.int64)]
        for k, share in enumerate(self.static):
            open_ = torch.from_numpy(share)[codes[-1]] + 1e-12
            codes.append(draw(torch.log(open_), None if allowed is None else allowed[k], generator))
        return torch.stack(codes[1:], 1)

    def step(self, features: torch.Tensor) -> None:
        """See RowModel."""
        self.features = features
        self.event = torch.zeros(len(features), dtype=torch.int64)
        self.breaks = torch.zeros(len(features), dtype=torch.bool)
        self.intent = (features[:, INTENT_COLUMN] - 1).clamp(min=0)

    def logits(self, name: str, index: torch.Tensor) -> torch.Tensor:
        """See RowModel."""
        at = torch.zeros(len(index), dtype=torch.int64)
        levels = context(self.codec, name, self.features[index], self.event[index], self.breaks[index], self.intent[index])
        for level, width in levels:
            at = at * width + level
        logits = self.log[name][at]
        if name == "gap":
            hour, day = self.features[index, -3], self.features[index, -2]
            logits = logits + self.cycle[torch.where(hour > 0, (day - 1) * 24 + hour, 0)]
        return logits

    def item_logits(self, category: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Counts after the item before, on top of `strength` times popularity within the category."""
        first = self.start[category]
        column = first[:, None] + torch.arange(self.width)[None, :]                      # (n, width) item codes
        size = self.codec.items.size
        inside = column < torch.from_numpy(self.codec.items.start)[category + 1][:, None]
        weight = (self.popularity + 1e-3)[column.clamp(max=size - 1)] * inside
        weight = self.strength * weight / weight.sum(1, keepdim=True)
        before = self.features[index, ITEM_COLUMN]
        at = self.successor[before] - first[:, None]                                      # (n, successors) column of each successor
        valid = (self.successor[before] > 0) & (at >= 0) & (at < self.width)
        valid &= self.successor[before] < torch.from_numpy(self.codec.items.start)[category + 1][:, None]
        weight.scatter_add_(1, at.clamp(0, self.width - 1), torch.where(valid, self.count[before], 0.0))
        return torch.log(weight)

    def chose(self, name: str, code: torch.Tensor) -> None:
        """See RowModel."""
        if name == "gap":
            self.breaks = self.codec.clock.is_break(code) | (self.features[:, EVENT_COLUMN] == 0)
        elif name == INTENT:
            self.intent = code
        elif name == "event":
            self.event = code

    def keep(self, index: torch.Tensor) -> None:
        """See RowModel."""
        self.features, self.event = self.features[index], self.event[index]
        self.breaks, self.intent = self.breaks[index], self.intent[index]
