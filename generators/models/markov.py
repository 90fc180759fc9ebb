"""markov: counts of what follows what, the honest floor. No latent, no memory beyond the row before.

    gap        given the event before and the position in the session
    event      given the event before and whether a session begins
    category   given the event and the category before; the item, where it is fresh, given the item before
    the rest   given the event and the event before

A code counted n times of m in its context has the share (n + s * b) / (m + s), with b its share in the coarser context
and s the strength of that backoff: the Dirichlet smoothing of MacKay and Peto (1995).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from generators.codec import Codec
from generators.encoding import Steps
from generators.privacy import Ledger
from generators.sequence_model import SequenceGenerator

POSITIONS = 8                   # positions in the session told apart
EVENT, CATEGORY, ITEM = 1, 3, 5  # columns of the features: event and category of the row before (+ 1), the last item


class Markov(SequenceGenerator):
    """First-order chain over (event, category, item); the other fields given the event.

    `strength`: pseudo-counts of the coarser context; `successors`: items kept as successors of an item.
    """

    def __init__(
        self, *, strength: float = 2.0, successors: int = 50, min_users: int = 5, intervals: int = 32, max_rows: int = 1024
    ) -> None:
        super().__init__(min_users=min_users, intervals=intervals, max_rows=max_rows)
        self.strength, self.successors = strength, successors

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {**super().settings(), "strength": self.strength, "successors": self.successors}

    def _learn(self, steps: Steps, *, seed: int, ledger: Ledger) -> None:
        sizes = self.codec_.fields()
        column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
        event = column["event"].clamp(min=0)
        breaks = self.codec_.clock.is_break(column["gap"])
        self.tables_: dict[str, np.ndarray] = {}
        for name, size in sizes.items():
            if name == "item":
                continue
            asked = column[name] >= 0
            coarse, extra, n_coarse, width = context(self.codec_, name, steps.features, event, breaks)
            broad = _counts(coarse[asked], column[name][asked], n_coarse, size)
            broad = _share(broad, np.full((1, size), 1 / size), 1e-3)
            fine = _counts((coarse * width + extra)[asked], column[name][asked], n_coarse * width, size)
            self.tables_[name] = _share(fine, np.repeat(broad, width, axis=0), self.strength).astype(np.float32)
        fresh = column["item"] >= 0
        self.tables_["popularity"] = np.bincount(column["item"][fresh].numpy(), minlength=sizes["item"]).astype(np.float32)
        self._learn_successors(steps.features[fresh, ITEM].numpy(), column["item"][fresh].numpy(), sizes["item"])
        static = steps.static.numpy()
        self.static_ = [np.bincount(static[:, k], minlength=s) / len(static) for k, s in enumerate(self.codec_.static_sizes().values())]

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

    def _row_model(self) -> Chain:
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
    codec: Codec, name: str, features: torch.Tensor, event: torch.Tensor, breaks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """(n,) coarse context of a field, (n,) what refines it, and the number of values of each."""
    n_events, n_categories = codec.events.size, codec.categories.size
    if name == "gap":
        return features[:, EVENT], features[:, codec.counter_column("in_session")].clamp(max=POSITIONS - 1), n_events + 1, POSITIONS
    if name == "event":
        return features[:, EVENT], breaks.long(), n_events + 1, 2
    if name == "category":
        return event, features[:, CATEGORY], n_events, n_categories + 1
    return event, features[:, EVENT], n_events, n_events + 1


def _counts(context: torch.Tensor, code: torch.Tensor, n_contexts: int, size: int) -> np.ndarray:
    return np.bincount((context * size + code).numpy(), minlength=n_contexts * size).reshape(n_contexts, size).astype(np.float64)


def _share(counts: np.ndarray, backoff: np.ndarray, strength: float) -> np.ndarray:
    return (counts + strength * backoff) / (counts.sum(1, keepdims=True) + strength)


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

    def begin(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """See RowModel."""
        return torch.stack([torch.multinomial(torch.from_numpy(p), users, replacement=True, generator=generator) for p in self.static], 1)

    def step(self, features: torch.Tensor) -> None:
        """See RowModel."""
        self.features = features
        self.event = torch.zeros(len(features), dtype=torch.int64)
        self.breaks = torch.zeros(len(features), dtype=torch.bool)

    def logits(self, name: str, index: torch.Tensor) -> torch.Tensor:
        """See RowModel."""
        coarse, extra, _, width = context(self.codec, name, self.features[index], self.event[index], self.breaks[index])
        logits = self.log[name][coarse * width + extra]
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
        before = self.features[index, ITEM]
        at = self.successor[before] - first[:, None]                                      # (n, successors) column of each successor
        valid = (self.successor[before] > 0) & (at >= 0) & (at < self.width)
        valid &= self.successor[before] < torch.from_numpy(self.codec.items.start)[category + 1][:, None]
        weight.scatter_add_(1, at.clamp(0, self.width - 1), torch.where(valid, self.count[before], 0.0))
        return torch.log(weight)

    def chose(self, name: str, code: torch.Tensor) -> None:
        """See RowModel."""
        if name == "gap":
            self.breaks = self.codec.clock.is_break(code)
        elif name == "event":
            self.event = code

    def keep(self, index: torch.Tensor) -> None:
        """See RowModel."""
        self.features, self.event, self.breaks = self.features[index], self.event[index], self.breaks[index]
