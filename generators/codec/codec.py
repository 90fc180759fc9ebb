"""Codec: turns the rows of a log into small codes and back; saved beside a generator's weights.

A row is a tuple of codes, drawn in this order: gap (with the end of the user and the start of a
session), session label (one that an event of the session will carry, drawn before what it shapes),
event, copy action (which recent item of the user, or a fresh one), category, item within its
category, order, then the log's other columns, price and labels. A column is treated by what it is:
an attribute of the item (brand) is looked up and never drawn; an id (device, card) is drawn as the
same, an earlier one, a new one or a new one that other users have too, and gets a fresh name; a
price is a ratio to the item's price.

A codec is frozen: `generators.codec.fit.learn` makes it from parts, `dataclasses.replace` makes one
with another part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from generators.codec.clock import Clock
from generators.codec.coders import Bins, Values
from generators.codec.parts import (
    ARRIVAL,
    FAVOURITES,
    LAST_ROWS,
    OBSERVATION_SPAN,
    PRICE_LEVEL,
    RHYTHM,
    Columns,
    Items,
    Labels,
    Pace,
    Prices,
    Responses,
    Rules,
    Users,
    Vocabulary,
    inline,
)
from generators.codec.plain import to_json
from generators.codec.shared_ids import SharedIds
from generators.codec.timing_params import TimingParams, bits_of
from generators.sequences import feature_layout as layout
from generators.sequences.codes import (
    FLAGS_CLEARED,
    FLAGS_SET,
    N_COPY_ACTIONS,
    N_ID_RELATIONS,
    N_ORDERS,
)
from generators.sequences.feature_layout import Blocks, Counter, feature_sizes
from generators.sequences.levels import time_of
from generators.sequences.spending import Spending
from generators.sequences.user_record import Effects
from generators.structure.structure import Structure

MOST_ROWS = 16_384  # of a user: a sample holds all rows of some thousand users at a time
# Names of fields: the first is there where the log has labels.
SESSION_LABEL, COPY_ACTION = "intent", "pick"


@dataclass(frozen=True)
class Codec:
    """Everything that turns rows into codes and back."""

    vocabulary: Vocabulary = field(metadata={"inline": True})
    clock: Clock
    columns: Columns = inline(Columns)  # noqa: RUF009
    users: Users = inline(Users)  # noqa: RUF009
    labels: Labels = inline(Labels)  # noqa: RUF009
    prices: Prices = inline(Prices)  # noqa: RUF009
    pace: Pace = inline(Pace)  # noqa: RUF009
    rules: Rules = inline(Rules)  # noqa: RUF009
    private: bool = False  # learnt under a budget?
    max_rows: int = 1024  # of a user
    carried: Mapping[str, Any] = field(default_factory=dict)  # of the manifest: roles, currency
    id_prefix: str = ""  # of all ids of a sample: no id of the log begins with it
    structure: Structure = field(default_factory=Structure)  # what is derived and not learnt
    responses: Responses = field(default_factory=Responses)  # to the offers of campaigns

    # --- what is read most ------------------------------------------------------------------------

    @property
    def events(self) -> Values:
        """Names of the events."""
        return self.vocabulary.events

    @property
    def roles(self) -> Mapping[str, str]:
        """Role of each event."""
        return self.vocabulary.roles

    @property
    def categories(self) -> Values:
        """Names of the categories."""
        return self.vocabulary.categories

    @property
    def items(self) -> Items:
        """The items, by category."""
        return self.vocabulary.items

    @property
    def values(self) -> Mapping[str, Values]:
        """Categorical columns of events, attributes of items included."""
        return self.columns.values

    @property
    def ids(self) -> Mapping[str, SharedIds]:
        """Id columns of events."""
        return self.columns.ids

    @property
    def bins(self) -> Mapping[str, Bins]:
        """Numeric columns of events; "price" (as it is) and "price_ratio" (to the item's)."""
        return self.columns.bins

    @property
    def user_attributes(self) -> Mapping[str, Values | Bins]:
        """What is drawn once a user, in the order in which it is drawn."""
        return self.users.attributes

    @property
    def session_labels(self) -> Sequence[tuple[str, str]]:
        """(kind, value) of each label, the rarest last; code 0 = none."""
        return self.labels.of_sessions

    def columns_learnt(self) -> tuple[set[str], set[str]]:
        """Return the columns of events, and of users, that a sample has before it is restored."""
        optional = {"session": "session_id", "order": "order_id"}
        optional |= {"category": "category", "item": "item_id"}
        events = {"event_id", "user_id", "timestamp", "event", *self.values, *self.ids}
        events |= {column for part, column in optional.items() if self.columns.present.get(part)}
        return events | (set(self.bins) - {"price_ratio"}), {"user_id", *self.users.columns}

    # --- shapes -----------------------------------------------------------------------------------

    @property
    def value_fields(self) -> list[str]:
        """Categorical columns that are drawn, apart from item attributes."""
        return [n for n in self.values if n not in self.items.attributes]

    @property
    def numbers(self) -> list[str]:
        """Fields of numbers, the price last."""
        others = [n for n in self.bins if n not in ("price", "price_ratio")]
        return [*others, "price"] if self.has_price else others

    @property
    def rest_fields(self) -> list[str]:
        """Fields after the categorical columns: ids, numbers, price, labels."""
        return [*self.ids, *self.numbers, *self.labels.fields]

    @property
    def plans_last(self) -> bool:
        """Is each user's last session planned? No gap of days says whether it leads to the last."""
        return LAST_ROWS in self.user_attributes

    @property
    def answers_offers(self) -> bool:
        """Is it learnt how users respond to offers? Not under a privacy budget."""
        return self.structure.calendar is not None and not self.private

    @property
    def moves_prices(self) -> bool:
        """Are there days on which the prices of a category are reduced? Not under a budget."""
        return len(self.prices.reduced) > 0

    @property
    def has_price(self) -> bool:
        """Does the log have prices?"""
        return "price" in self.bins

    @property
    def price_size(self) -> int:
        """Codes of the price field: missing, ratios to the item's price, prices as they are."""
        return self.bins["price_ratio"].size + self.bins["price"].size - 1

    def fields(self) -> dict[str, int]:
        """Return the number of codes of each field, in the order in which fields are drawn."""
        sizes = {
            "gap": self.clock.size,
            SESSION_LABEL: len(self.session_labels) + 1,
            "event": self.events.size,
            COPY_ACTION: N_COPY_ACTIONS,
            "category": self.categories.size,
            "item": self.items.size,
            "order": N_ORDERS,
        }
        if not self.session_labels:
            del sizes[SESSION_LABEL]
        sizes |= {n: self.values[n].size + 1 for n in self.value_fields}
        for name in self.rest_fields:
            if name in self.ids:
                sizes[name] = N_ID_RELATIONS
            elif name.startswith("label:"):
                sizes[name] = len(self.labels.kinds[name.removeprefix("label:")]) + 1
            else:
                sizes[name] = self.price_size if name == "price" else self.bins[name].size
        return sizes

    def feature_sizes(self) -> list[int]:
        """Return the number of levels of each feature; see feature_layout."""
        sizes = self.fields()
        return feature_sizes(
            gaps=sizes["gap"],
            session_labels=len(self.session_labels) + 1,
            events=sizes["event"],
            categories=sizes["category"],
            items=self.items.size,
            values=[self.values[n].size for n in self.value_fields],
            rest=[sizes[n] for n in self.rest_fields],
            ids=len(self.ids),
            offers=self.answers_offers,
            sessions=self.users.plans_sessions,
        )

    def row_levels(self) -> tuple[int, ...]:
        """Return the number of levels of what is known of a row once its time is.

        That is its clock; where there are campaigns, what the user does about an open offer; and
        where categories are reduced for days, whether the price of the last item is.
        """
        offer = layout.OFFER_SIZES[:1] if self.answers_offers else ()
        return (*layout.CLOCK_SIZES, *offer, *((layout.PRICE_MOVES,) if self.moves_prices else ()))

    def blocks(self) -> Blocks:
        """Where the blocks of the features begin."""
        return Blocks.of(
            values=len(self.value_fields),
            rest=len(self.rest_fields),
            ids=len(self.ids),
            offers=self.answers_offers,
            sessions=self.users.plans_sessions,
        )

    def value_column(self, name: str) -> int:
        """Column of the features with the user's last value of a categorical column, 0 = none."""
        return self.blocks().values + self.value_fields.index(name)

    def id_count_column(self, name: str) -> int:
        """Column of the features with how many ids of a column the user has had."""
        return self.blocks().id_counts + list(self.ids).index(name)

    def counter_column(self, counter: Counter) -> int:
        """Column of the features that holds a counter."""
        return self.blocks().counters + counter

    def user_attribute_sizes(self) -> dict[str, int]:
        """Return the number of codes of each user attribute."""
        return {n: c.size for n, c in self.user_attributes.items()}

    def spans_that_fit(self, arrival: torch.Tensor) -> torch.Tensor:
        """Return the observation spans that can end inside the span of the log.

        They are (n, codes of the span) bool, for users who arrive with the codes `arrival` (n,).
        """
        bins: list[Any] = [self.user_attributes[n] for n in (ARRIVAL, OBSERVATION_SPAN)]
        (first, _), (least, _) = (torch.from_numpy(np.nan_to_num(np.stack(b.ends()))) for b in bins)
        return (
            least[None, :]
            <= (self.clock.end_ms - self.clock.start_ms) / 1000 - first[arrival][:, None]
        )

    def favourite_of(self, attribute: str) -> tuple[str, int] | None:
        """Return the item's attribute and its rank with the user: ('brand', 2) of 'second brand'.

        None for any other user attribute.
        """
        for prefix, rank in FAVOURITES.items():
            column = attribute.removeprefix(prefix)
            if column != attribute and (
                column in ("category", PRICE_LEVEL, *self.items.levels)
                or column in self.items.attributes
            ):
                return column, rank
        return None

    def item_table(self, column: str) -> np.ndarray:
        """Return the codes of an attribute of items, (n_item_codes,) int64; 0 where it is ""."""
        if not column:
            return np.zeros(self.items.size, dtype=np.int64)
        if column in self.items.levels:
            return self.items.levels[column]
        if column != PRICE_LEVEL:
            return self.items.category if column == "category" else self.items.attributes[column]
        return self.items.price_levels()

    def item_traits(self) -> dict[str, np.ndarray]:
        """Return levels of items that later fields of a row may depend on, (n_item_codes,) int64.

        There are none under a privacy budget.
        """
        if self.private:
            return {}
        price_level = {PRICE_LEVEL: self.item_table(PRICE_LEVEL)}
        typical = {f"typical {name}": code for name, code in self.items.typical.items()}
        return {**price_level, **self.items.levels, **self.items.habits, **typical}

    def price_on(self, item: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return the prices of items (n,) on the day of (n,) ms, float64, NaN = unknown."""
        price: np.ndarray = self.items.price[item]
        if self.prices.reduced:
            price = price * np.exp(self.prices.log_ratio(self.items.category[item], time))
        return price

    def price_moves(self, item: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return what prices of items (n,) are on the day of (n,) ms, (n,) int64: 0 = no item, the
        usual ones, reduced, raised. All are 0 where none moves.
        """
        if not self.moves_prices:
            return np.zeros_like(item)
        ratio = self.prices.log_ratio(self.items.category[item], time)
        return np.where(item > 0, 1 + (ratio < 0) + 2 * (ratio > 0), 0)

    def label_needs(self, kind: str) -> np.ndarray:
        """Return the least session label with which each code of a label can occur, (codes,)."""
        found = [self.session_labels.index((kind, value)) for value in self.labels.kinds[kind]]
        return np.array([0, *(place + 1 for place in found)])

    def effects(self) -> Effects:
        """Return what events do to the state of a user."""

        def table(by_role: Mapping[str, int]) -> np.ndarray:
            return np.array([0] + [by_role.get(self.roles[e], 0) for e in self.events.values])

        rest = {n: k for k, n in enumerate(self.rest_fields)}
        cost = {n: len(self.value_fields) + k for n, k in rest.items() if not self.private}
        middle = {name: np.mean(bins.ends(), axis=0) for name, bins in self.bins.items()}
        return Effects(
            sets=table(FLAGS_SET),
            clears=table(FLAGS_CLEARED),
            needs=np.array([0] + [self.rules.required_flags.get(e, 0) for e in self.events.values]),
            fails=table({"payment_failed": 1}),
            carts_end=self.rules.carts_end,
            theme=self.item_table(self.rules.theme),
            themed=np.array([e in self.rules.themed for e in ("", *self.events.values)]),
            labels=np.array([rest[name] for name in self.labels.fields], dtype=np.int64),
            label_needs=np.array([min(self.label_needs(k)[1:]) for k in self.labels.kinds], int),
            values=len(self.value_fields),
            rest=len(self.rest_fields),
            ids=len(self.ids),
            blocks=self.blocks(),
            spending=Spending.of(cost, middle, self.items.price),
        )

    def rhythms_of(self, user_attributes: torch.Tensor) -> np.ndarray:
        """Return the row of `TimingParams.weekly` of users (n, n_attributes), (n,) int64."""
        if RHYTHM not in self.user_attributes:
            return np.zeros(len(user_attributes), dtype=np.int64)
        code = user_attributes[:, list(self.user_attributes).index(RHYTHM)].numpy()
        return np.maximum(code - 1, 0)

    def weekly_cycles(self) -> torch.Tensor:
        """Return what the weekly cycle of each rhythm adds to a gap's logits; see `Clock.cycle`.

        (rhythms, 1 + WEEK_HOURS, gap codes), by the hour of the week of the row before + 1.
        """
        no_hour = torch.zeros(1, self.clock.size)
        weekly = self.timing_params().weekly
        return torch.stack([torch.cat([no_hour, self.clock.cycle(w)]) for w in weekly])

    def timing_params(self) -> TimingParams:
        """Return the clock and the pace of users, for compiled code."""
        low, high = self.clock.gap_ends()
        short, fast = (
            time_of(np.array(levels, dtype=np.int64)) for levels in (self.pace.last, self.pace.fast)
        )
        return TimingParams(
            low=low,
            high=high,
            weekly=self.clock.weekly_of_rhythms(),
            within=self.clock.within.size,
            start=self.clock.start_ms,
            end=self.clock.end_ms,
            step=self.clock.step_ms,
            planned=self.plans_last,
            least=np.array(self.pace.least, dtype=np.int64),
            short=short,
            fast=fast,
            longest_rows=self.pace.longest[0],
            longest_ms=self.pace.longest[1],
            unfinished=bits_of(self.rules.unfinished, self.events.values),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `restored`."""
        plain: dict[str, Any] = to_json(self)
        return plain
