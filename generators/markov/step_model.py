"""The step model of the Markov generator: logits are logarithms of entries of its tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.markov.announced import COPIES, Announced
from generators.markov.attributes import AttributeTables
from generators.markov.backoff import BackoffTable
from generators.markov.conditions import Condition, ContextFeatures, drawn_part
from generators.markov.contexts import (
    context,
    copies_level,
    levels_of,
    order_level,
    passed_before,
    purchases,
    reads_of,
    response_of,
)
from generators.markov.item_weights import Chain
from generators.markov.pacing import PacedGaps, Pacing
from generators.markov.tables import FRESH_PRICE, PARTS, joined
from generators.markov.user_levels import size_of, visit_of
from generators.sampling.biases import AddedBiases, Biases
from generators.sequences import feature_layout as layout
from generators.sequences.feature_layout import Counter
from generators.sequences.price_moves import last_move_of

HOURS_A_DAY = 24
# what the biases of a field read
OF_BIASES = {"features", "attributes", "event", "item", "last_move"}


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
        pacing: Pacing | None,
    ) -> None:
        self.codec, self.tables_of_attributes = codec, attributes
        self.paced = None if pacing is None else PacedGaps(pacing, codec.clock)
        # rows, sessions and time to come
        rows, time = (codec.counter_column(c) for c in (Counter.ROWS_LEFT, Counter.TIME_LEFT))
        self.to_come = [rows, codec.blocks().sessions, time]
        self.given = {n: context(codec, n, chosen, known) for n, chosen in given.items()}
        # parts of a row that each field is given
        self.reads = {n: reads_of(levels) | OF_BIASES for n, levels in self.given.items()}
        parts = set[str]().union(*self.reads.values())
        self.kept = {name for name in codec.fields() if drawn_part(name) in parts}
        self.shares = shares
        self.log = {name: table.log_share() for name, table in shares.items()}
        self.lift: np.ndarray | None = None  # of price levels of fresh items, as `log` has them
        if FRESH_PRICE in shares:
            usual = torch.from_numpy(shares[FRESH_PRICE].share[0]).clamp(min=1e-9)
            self.lift = (torch.from_numpy(self.log[FRESH_PRICE]).exp() / usual).numpy()
        self.items, self.odds_of_another = items, np.float32(odds_of_another)
        self.biases, self.announced = AddedBiases(codec, biases), Announced(codec)
        self.cycle = codec.weekly_cycles().numpy()
        self.purchases, self.passed = purchases(codec), codec.clock.passed()

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """See StepModel."""
        self.items.begin(users)
        zero = np.zeros(users, dtype=np.int64)
        self.orders, self.bought = zero, np.zeros(users, dtype=np.bool_)
        drawn = self.tables_of_attributes.draw(users, generator, allowed)
        attributes = drawn.numpy()
        self.seen = ContextFeatures(
            features=np.zeros((users, 0), dtype=np.int64),
            event=zero,
            passed=zero,
            session_label=zero,
            orders=zero,
            size=size_of(self.codec, attributes),
            visit=visit_of(self.codec, attributes),
            attributes=attributes,
            item=zero,
            response=zero,
            flags=zero,
            copies=zero,
            last_move=zero,
            move=zero,
            drawn={},
        )
        self.rhythm = self.codec.rhythms_of(drawn)
        return drawn

    def step(self, features: np.ndarray) -> None:
        """See StepModel."""
        seen, nothing = self.seen, np.zeros(len(features), dtype=np.int64)
        bought = self.purchases[features[:, layout.LAST_EVENT]]
        self.orders, self.bought = self.orders + (bought & ~self.bought), bought
        seen.features, seen.orders = features, order_level(self.orders)
        seen.event = seen.flags = seen.copies = seen.passed = seen.move = nothing
        seen.session_label = np.maximum(features[:, layout.LAST_SESSION_LABEL] - 1, 0)
        seen.drawn = {}

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        if name == "gap":
            return self._gap_logits(rows)
        seen = self._seen(name, rows)
        logits = self.log[name][self._looked_up(name, seen)]
        if name == COPY_ACTION and self.odds_of_another != 0.0:
            apart = self.announced.others(seen.features, self.recent[rows])
            logits[:, COPIES] += self.odds_of_another * apart
        at = seen.features[:, layout.LAST_EVENT] if name == "event" else seen.event
        last_move = seen.last_move if name == "event" else None
        added = self.biases.of(name, at, at, seen.features, seen.attributes, seen.item, last_move)
        return logits if added is None else logits + added

    def _gap_logits(self, rows: np.ndarray) -> np.ndarray:
        # codes + 1, 0 = before the first row
        hour = self.seen.features[rows, layout.LAST_HOUR]
        weekday = self.seen.features[rows, layout.LAST_WEEKDAY]
        hour_of_week = np.where(hour > 0, (weekday - 1) * HOURS_A_DAY + hour, 0)
        cycle = self.cycle[self.rhythm[rows], hour_of_week]
        if self.paced is not None:
            logits = self.log["gap"][self._looked_up("gap", self._seen("gap", rows))]
            to_come = (self.seen.features[rows, column] for column in self.to_come)
            parts = self.paced.parts(logits, *to_come)
            return joined(self.codec, parts, torch.from_numpy(cycle)).numpy()
        parts = {
            part: torch.from_numpy(self.log[part][self._looked_up(part, self._seen(part, rows))])
            for part in PARTS
            if part in self.shares
        }
        logits = joined(self.codec, parts, torch.from_numpy(cycle)).numpy()
        features, attributes = self.seen.features[rows], self.seen.attributes[rows]
        before = features[:, layout.LAST_EVENT]
        added = self.biases.of("gap", before, before, features, attributes)
        return logits if added is None else logits + added

    def _seen(self, name: str, rows: np.ndarray) -> ContextFeatures:
        """Return what the context of a field is made of in `rows`, at the least."""
        seen = self.seen
        return seen if len(rows) == len(seen.event) else seen.only(rows, self.reads[name])

    def _looked_up(self, name: str, seen: ContextFeatures) -> np.ndarray:
        """Return the rows of a field's table in the contexts of `seen`, (n,)."""
        return self.shares[name].rows(levels_of(self.given[name], seen), len(seen.event))

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        lift = None
        if self.lift is not None:
            seen = self.seen.only(rows, self.reads[FRESH_PRICE])
            lift = self.lift[self._looked_up(FRESH_PRICE, seen)]
        before = self.seen.features[rows, layout.LAST_ITEMS]
        weights = self.items.weights(category, before, rows, lift)
        liking = self.biases.prices.of_items(category, self.seen.attributes[rows])
        return weights if liking is None else weights * np.exp(liking)

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """See StepModel."""
        seen = self.seen
        if name == "gap":
            seen.passed = passed_before(self.passed, code, seen.features[:, layout.LAST_EVENT])
        elif name == "clock":
            seen.response = response_of(self.codec, code)
            seen.last_move = last_move_of(self.codec, code)
        elif name == "flags":
            seen.flags = code
        elif name == "recent items":
            self.recent = code
            seen.copies = copies_level(code)
        elif name == SESSION_LABEL:
            seen.session_label = code
        elif name == "event":
            seen.event = code
        elif name == "moves":
            seen.move = code
        elif name == "item":
            seen.item = code
            self.items.chose(code)
        if name in self.kept:
            seen.drawn[name] = code.copy()

    def keep(self, rows: np.ndarray) -> None:
        """See StepModel."""
        self.items.keep(rows)
        self.seen = self.seen.only(rows)
        self.orders, self.bought = self.orders[rows], self.bought[rows]
        self.rhythm = self.rhythm[rows]
