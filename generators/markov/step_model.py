"""The step model of the Markov generator: logits are logarithms of entries of its tables."""

from __future__ import annotations

import numpy as np
import torch

from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import PRICE_LEVEL
from generators.markov.contexts import (
    ContextFeatures,
    context,
    index_of,
    order_level,
    purchases,
    size_of,
)
from generators.markov.item_weights import ItemWeights
from generators.sampling.step_model import draw
from generators.sequences import feature_layout as layout

HOURS_A_DAY = 24


class MarkovStepModel:
    """The StepModel of Markov: each logit is the logarithm of a table's entry."""

    def __init__(
        self,
        codec: Codec,
        tables: dict[str, np.ndarray],
        attribute_shares: list[np.ndarray],
        parents: list[int],
        given: dict[str, list[int]],
        items: ItemWeights,
    ) -> None:
        self.codec, self.attribute_shares = codec, attribute_shares
        self.parents, self.given = parents, given
        self.price_level = torch.from_numpy(codec.item_table(PRICE_LEVEL))
        self.log = {
            k: torch.log(torch.from_numpy(v)) for k, v in tables.items() if k in codec.fields()
        }
        self.items = items
        no_hour = torch.zeros(1, codec.clock.size)
        weekly = codec.timing_params().weekly
        # (rhythms, 1 + WEEK_HOURS, gap codes)
        self.cycle = torch.stack([torch.cat([no_hour, codec.clock.cycle(w)]) for w in weekly])
        self.purchases = purchases(codec)

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """See StepModel."""
        self.features = torch.zeros((users, 0), dtype=torch.int64)
        self.items.begin(users)
        zero, no = torch.zeros(users).long(), torch.zeros(users).bool()
        self.event, self.is_session_start, self.session_label = zero, no, zero
        self.orders, self.level, self.bought = zero, zero, no
        codes: list[torch.Tensor] = []
        for k, table in enumerate(self.attribute_shares):
            parent = self.parents[k]
            share = torch.from_numpy(table)[zero if parent < 0 else codes[parent]] + 1e-12
            codes.append(draw(torch.log(share), None if allowed is None else allowed[k], generator))
        attributes = torch.stack(codes, 1)
        self.size = size_of(self.codec, attributes)
        self.about = torch.cat([attributes, zero[:, None]], 1)
        self.rhythm = torch.from_numpy(self.codec.rhythms_of(attributes))
        return attributes

    def step(self, features: np.ndarray) -> None:
        """See StepModel."""
        self.features = torch.from_numpy(features)
        bought = self.purchases[self.features[:, layout.LAST_EVENT]]
        self.orders, self.bought = self.orders + (bought & ~self.bought), bought
        self.level = order_level(self.orders)
        self.event = torch.zeros(len(features), dtype=torch.int64)
        self.is_session_start = torch.zeros(len(features), dtype=torch.bool)
        self.session_label = (self.features[:, layout.LAST_SESSION_LABEL] - 1).clamp(min=0)

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        index = torch.from_numpy(rows)
        parts: tuple[torch.Tensor, ...] = (
            self.features,
            self.event,
            self.is_session_start,
            self.session_label,
            self.level,
            self.size,
            self.about,
        )
        if len(rows) < len(self.event):
            parts = tuple(part.index_select(0, index) for part in parts)
        levels = context(self.codec, name, ContextFeatures(*parts), self.given[name])
        logits = self.log[name][index_of(levels)[0]]
        if name == "gap":
            # codes + 1, 0 = before the first row
            hour = self.features[index, layout.LAST_HOUR]
            weekday = self.features[index, layout.LAST_WEEKDAY]
            hour_of_week = torch.where(hour > 0, (weekday - 1) * HOURS_A_DAY + hour, 0)
            logits = logits + self.cycle[self.rhythm[index], hour_of_week]
        return logits.numpy()

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        return self.items.weights(category, self.features[rows], rows)

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """See StepModel."""
        if name == "gap":
            self.is_session_start = self.codec.clock.starts_session(torch.from_numpy(code)) | (
                self.features[:, layout.LAST_EVENT] == 0
            )
        elif name == SESSION_LABEL:
            self.session_label = torch.from_numpy(code)
        elif name == "event":
            self.event = torch.from_numpy(code)
        elif name == "item":
            self.about[:, -1] = self.price_level[torch.from_numpy(code)]
            self.items.chose(code)

    def keep(self, rows: np.ndarray) -> None:
        """See StepModel."""
        index = torch.from_numpy(rows)
        self.items.keep(rows)
        self.features, self.event = self.features[index], self.event[index]
        self.is_session_start = self.is_session_start[index]
        self.session_label = self.session_label[index]
        self.orders, self.bought = self.orders[index], self.bought[index]
        self.level, self.size = self.level[index], self.size[index]
        self.about, self.rhythm = self.about[index], self.rhythm[index]
