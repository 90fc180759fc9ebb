"""The step model of the Markov generator: logits are logarithms of entries of its tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.markov.announced import COPIES, of_another_category
from generators.markov.attributes import AttributeTables
from generators.markov.backoff import BackoffTable
from generators.markov.conditions import Condition, ContextFeatures
from generators.markov.contexts import (
    context,
    copies_level,
    nothing_seen,
    order_level,
    passed_before,
    purchases,
    response_of,
    size_of,
)
from generators.markov.item_weights import Chain
from generators.markov.tables import FRESH_PRICE, PARTS, joined
from generators.sampling.calibration import AddedBiases, Biases
from generators.sequences import feature_layout as layout

HOURS_A_DAY = 24


class MarkovStepModel:
    """The StepModel of Markov: each logit is the logarithm of a table's entry."""

    def __init__(
        self,
        codec: Codec,
        shares: dict[str, BackoffTable],
        attributes: AttributeTables,
        given: dict[str, list[int]],
        known: Sequence[Condition],
        items: Chain,
        odds_of_another: float,
        biases: Biases,
    ) -> None:
        self.codec, self.tables_of_attributes = codec, attributes
        self.given, self.known = given, known
        # fields of the row that each field is given
        nothing = nothing_seen(codec)
        self.needs: dict[str, list[str]] = {}
        for name, chosen in given.items():
            usual = len(context(codec, name, nothing))
            more = [self.known[k - usual] for k in chosen if k >= usual]
            self.needs[name] = sorted(set[str]().union(*(c.reads() for c in more)))
        self.kept = {field for fields in self.needs.values() for field in fields}
        self.shares = shares
        self.log = {name: table.log_share() for name, table in shares.items()}
        self.items, self.odds_of_another = items, odds_of_another
        self.biases = AddedBiases(codec, biases)
        self.cycle = codec.weekly_cycles()
        self.purchases = purchases(codec)

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """See StepModel."""
        self.features = torch.zeros((users, 0), dtype=torch.int64)
        self.items.begin(users)
        zero, no = torch.zeros(users).long(), torch.zeros(users).bool()
        self.event, self.passed, self.session_label = zero, zero, zero
        self.orders, self.level, self.bought = zero, zero, no
        attributes = self.tables_of_attributes.draw(users, generator, allowed)
        self.size = size_of(self.codec, attributes)
        self.attributes, self.item, self.response = attributes, zero, zero
        self.drawn: dict[str, torch.Tensor] = {}
        self.rhythm = torch.from_numpy(self.codec.rhythms_of(attributes))
        return attributes

    def step(self, features: np.ndarray) -> None:
        """See StepModel."""
        self.features = torch.from_numpy(features)
        bought = self.purchases[self.features[:, layout.LAST_EVENT]]
        self.orders, self.bought = self.orders + (bought & ~self.bought), bought
        self.level = order_level(self.orders)
        self.event = torch.zeros(len(features), dtype=torch.int64)
        self.flags = self.copies = self.passed = self.event
        self.session_label = (self.features[:, layout.LAST_SESSION_LABEL] - 1).clamp(min=0)
        # a first row has no gap
        self.drawn = {"gap": torch.zeros(len(features), dtype=torch.int64)}

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        index = torch.from_numpy(rows)
        seen = self._seen()
        if len(rows) < len(self.event):
            seen = seen.only(index, self.needs.get(name, []))
        if name == COPY_ACTION and self.odds_of_another != 0.0:
            logits = self._looked_up(name, seen)
            apart = of_another_category(self.codec, self.features[index], self.recent[index])
            logits[:, COPIES] += self.odds_of_another * apart
            return logits.numpy()
        if name != "gap":
            features, attributes = seen.features.numpy(), seen.attributes.numpy()
            context = features[:, layout.LAST_EVENT] if name == "event" else seen.event.numpy()
            added = self.biases.of(name, context, context, features, attributes)
            mine: np.ndarray = self._looked_up(name, seen).numpy()
            return mine if added is None else mine + added
        # codes + 1, 0 = before the first row
        hour = self.features[index, layout.LAST_HOUR]
        weekday = self.features[index, layout.LAST_WEEKDAY]
        hour_of_week = torch.where(hour > 0, (weekday - 1) * HOURS_A_DAY + hour, 0)
        cycle = self.cycle[self.rhythm[index], hour_of_week]
        if self.codec.private:
            return (self._looked_up(name, seen) + cycle).numpy()
        parts = {part: self._looked_up(part, seen) for part in PARTS if part in self.shares}
        return joined(self.codec, parts, cycle).numpy()

    def _seen(self) -> ContextFeatures:
        """Return what the contexts of all users' rows are made of."""
        return ContextFeatures(
            self.features,
            self.event,
            self.passed,
            self.session_label,
            self.level,
            self.size,
            self.attributes,
            self.item,
            self.response,
            self.flags,
            self.copies,
            self.drawn,
        )

    def _looked_up(self, name: str, seen: ContextFeatures) -> torch.Tensor:
        """Return the logits of a table, (n, size), in the contexts of `seen`."""
        levels = context(self.codec, name, seen, self.given[name], self.known)
        return self.log[name][torch.from_numpy(self.shares[name].rows(levels, len(seen.event)))]

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        lift = None
        if FRESH_PRICE in self.shares:
            index = torch.from_numpy(rows)
            seen = self._seen().only(index, self.needs[FRESH_PRICE])
            usual = torch.from_numpy(self.shares[FRESH_PRICE].share[0])
            lift = (self._looked_up(FRESH_PRICE, seen).exp() / usual.clamp(min=1e-9)).numpy()
        return self.items.weights(category, self.features[rows], rows, lift)

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """See StepModel."""
        if name == "gap":
            before = self.features[:, layout.LAST_EVENT]
            self.passed = passed_before(self.codec, torch.from_numpy(code), before)
        elif name == "clock":
            self.response = response_of(self.codec, torch.from_numpy(code))
        elif name == "flags":
            self.flags = torch.from_numpy(code)
        elif name == "recent items":
            self.recent = torch.from_numpy(code.astype(np.int64))
            self.copies = copies_level(self.recent)
        elif name == SESSION_LABEL:
            self.session_label = torch.from_numpy(code)
        elif name == "event":
            self.event = torch.from_numpy(code)
        elif name == "item":
            self.item = torch.from_numpy(code)
            self.items.chose(code)
        if name in self.kept:
            self.drawn[name] = torch.from_numpy(code.copy())

    def keep(self, rows: np.ndarray) -> None:
        """See StepModel."""
        index = torch.from_numpy(rows)
        self.items.keep(rows)
        self.features, self.event = self.features[index], self.event[index]
        self.passed = self.passed[index]
        self.session_label = self.session_label[index]
        self.orders, self.bought = self.orders[index], self.bought[index]
        self.level, self.size = self.level[index], self.size[index]
        self.attributes, self.item = self.attributes[index], self.item[index]
        self.response = self.response[index]
        self.flags = self.copies = torch.zeros_like(self.event)
        self.rhythm = self.rhythm[index]
