"""Codec: a log's columns as fields of small codes, learnt from the log; what a generator stores
beside its weights.

A row is a tuple of codes, in this order: gap (with end and session break), intent (of the session:
the label that an event of it will carry, drawn before what it shapes), event, pick (which item of
the user's pool, or a fresh one), category, item within its category, order, then the log's other
columns, price and labels. Columns are taken
by what they are: an attribute of the item (brand) is looked up, never drawn; an id (device, card)
is drawn as 'the same / an earlier one / a new one / one that other users have too' and gets a fresh
name; a price is a ratio to the item's price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from generators.codec.clock import DAY_MS, Clock
from generators.codec.coders import Bins, Values
from generators.codec.shared_ids import Sharing
from generators.codec.timing_params import TimingParams
from generators.sequences.user_state import (
    CLEARS,
    COUNTERS,
    ORDERS,
    PICKS,
    SETS,
    Effects,
    feature_sizes,
    time_of,
)

MOST_ROWS = 16_384  # of a user: a sample holds all rows of some thousand users at a time
# an id column: missing, same as before, an earlier one, new, new and shared with other users
RELATIONS = 5
# static fields, both or none: rows and seconds of the last of several sessions, else 0
LAST_ROWS, LAST_STAY = "last rows", "last stay"
# static fields; all but marks (where there are labels) always
ARRIVAL, STAY, LENGTH, MARKS = "arrival", "stay", "length", "marks"
# static fields 'favourite category', 'second brand': what the user has most rows of
FAVOURITES = {"favourite ": 1, "second ": 2}
# attributes that items get from their rows:
PRICE_LEVEL, POPULARITY, SALES = "price level", "popularity level", "sales level"
# the fifth by price within the category, by rows, by the share of rows that buy
LEVELS = ["lowest", "low", "middle", "high", "highest"]
INTENT = "intent"  # the field; there where the log has labels


@dataclass
class Items:
    """The item vocabulary, by category: items of category c are codes start[c]..start[c + 1] - 1.
    Code 0 = no item.
    """

    names: list[str]
    category: np.ndarray  # (n_codes,) int64
    start: np.ndarray  # (n_categories + 1,) int64
    price: np.ndarray  # (n_codes,) float64, NaN = unknown
    attributes: dict[str, np.ndarray]  # column -> (n_codes,) int64 codes of Codec.values[column]
    # (n_categories,) int64: the code that stands for a category's rare items, 0 = none
    other: np.ndarray
    # POPULARITY, SALES -> (n_codes,) int64: 1 + place in LEVELS, 0 = unknown
    levels: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of codes, 'no item' included."""
        return len(self.names) + 1


@dataclass
class Codec:
    """Everything that turns rows into codes and back."""

    events: Values
    roles: dict[str, str]
    categories: Values
    items: Items
    clock: Clock
    # categorical columns of events, item attributes included
    values: dict[str, Values] = field(default_factory=dict)
    ids: dict[str, Sharing] = field(default_factory=dict)  # id columns
    # numeric columns; "price" (as it is), "price_ratio"
    bins: dict[str, Bins] = field(default_factory=dict)
    # per user: arrival, columns of users, first values
    statics: dict[str, Values | Bins] = field(default_factory=dict)
    # column of the users table -> "values", "number", "time"
    user_columns: dict[str, str] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)  # kind -> values
    # (kind, value) of each label, the rarest last; code 0 = none
    intents: list[tuple[str, str]] = field(default_factory=list)
    # kind -> seconds until known, their shares
    delays: dict[str, tuple[Bins, np.ndarray]] = field(default_factory=dict)
    # event -> flag that its item must carry
    needs: dict[str, int] = field(default_factory=dict)
    # which optional id columns and tables the log has
    flags: dict[str, bool] = field(default_factory=dict)
    # events without a session id in the log
    sessionless: list[str] = field(default_factory=list)
    allow: dict[str, np.ndarray] = field(default_factory=dict)  # field -> (n_events + 1, size) bool
    # (event + 1, break, event)
    allow_next: np.ndarray = field(default_factory=lambda: np.ones((0, 2, 0), dtype=bool))
    # level of rows to come -> the least level of time that they took
    least_time: list[int] = field(default_factory=list)
    # the same in last sessions, of all but one in twenty
    last_time: list[int] = field(default_factory=list)
    # the same before last sessions, of all but one in fifty
    fast_time: list[int] = field(default_factory=list)
    # rows, and ms, that a session has at the most; 0 = no limit
    longest: tuple[int, int] = (0, 0)
    # does an item keep one price for a day?
    daily_prices: bool = False
    # (category, day since 1970, log ratio of its prices to the usual)
    reduced: list[tuple[int, int, float]] = field(default_factory=list)
    # columns and ids that never change within a session
    held: list[str] = field(default_factory=list)
    # column -> (its codes,) the category that most often goes with each
    usual: dict[str, list[int]] = field(default_factory=dict)
    private: bool = False  # learnt under a budget?
    max_rows: int = 1024
    not_learnt: list[str] = field(default_factory=list)
    carried: dict[str, Any] = field(default_factory=dict)  # of the manifest: roles, currency

    # --- shapes -----------------------------------------------------------------------------------

    @property
    def value_fields(self) -> list[str]:
        """Categorical columns that are drawn, apart from item attributes."""
        return [n for n in self.values if n not in self.items.attributes]

    @property
    def rest_fields(self) -> list[str]:
        """Fields after the categorical columns: ids, numbers, price, labels."""
        numbers = [n for n in self.bins if n not in ("price", "price_ratio")]
        return [
            *self.ids,
            *numbers,
            *(["price"] if self.has_price else []),
            *(f"label:{k}" for k in self.labels),
        ]

    @property
    def plans_last(self) -> bool:
        """Is each user's last session planned from the start? A gap of days, known to a day, does
        not say whether it is the last.
        """
        return LAST_ROWS in self.statics

    @property
    def has_price(self) -> bool:
        """Does the log have prices?"""
        return "price" in self.bins

    @property
    def price_size(self) -> int:
        """Codes of the price field: missing, ratios to the item's price, prices as they are."""
        return self.bins["price_ratio"].size + self.bins["price"].size - 1

    def fields(self) -> dict[str, int]:
        """Field name -> number of codes, in the order in which they are drawn."""
        sizes = {
            "gap": self.clock.size,
            INTENT: len(self.intents) + 1,
            "event": self.events.size,
            "pick": PICKS,
            "category": self.categories.size,
            "item": self.items.size,
            "order": ORDERS,
        }
        if not self.intents:
            del sizes[INTENT]
        sizes |= {n: self.values[n].size + 1 for n in self.value_fields}
        for name in self.rest_fields:
            if name in self.ids:
                sizes[name] = RELATIONS
            elif name.startswith("label:"):
                sizes[name] = len(self.labels[name.removeprefix("label:")]) + 1
            else:
                sizes[name] = self.price_size if name == "price" else self.bins[name].size
        return sizes

    def feature_sizes(self) -> list[int]:
        """Levels of each column of what a model looks at: the tracker's, then the clock at the last
        row (0 = start).
        """
        sizes = self.fields()
        return feature_sizes(
            gaps=sizes["gap"],
            intents=len(self.intents) + 1,
            events=sizes["event"],
            categories=sizes["category"],
            items=self.items.size,
            values=[self.values[n].size for n in self.value_fields],
            rest=[sizes[n] for n in self.rest_fields],
            ids=len(self.ids),
        )

    def value_column(self, name: str) -> int:
        """Column of `feature_sizes` that holds the user's last value of a categorical column, 0 =
        none yet.
        """
        return 9 + self.value_fields.index(name)

    def counter_column(self, name: str) -> int:
        """Column of `feature_sizes` that holds one of the tracker's counters."""
        return (
            9
            + len(self.value_fields)
            + len(self.rest_fields)
            + [n for n, _ in COUNTERS].index(name)
        )

    def static_sizes(self) -> dict[str, int]:
        """Static field -> number of codes."""
        return {n: c.size for n, c in self.statics.items()}

    def stays(self, arrival: torch.Tensor) -> torch.Tensor:
        """(n, codes of stay) bool: stays that can end inside the span after an arrival of the codes
        `arrival` (n,).
        """
        (first, _), (least, _) = (
            torch.from_numpy(np.nan_to_num(np.stack(self.statics[n].ends())))  # type: ignore[union-attr]
            for n in (ARRIVAL, STAY)
        )
        return (
            least[None, :]
            <= (self.clock.end_ms - self.clock.start_ms) / 1000 - first[arrival][:, None]
        )

    def favourite_of(self, static: str) -> tuple[str, int] | None:
        """('brand', 2) of 'second brand': the item's attribute and its rank with the user; None for
        any other static field.
        """
        for prefix, rank in FAVOURITES.items():
            column = static.removeprefix(prefix)
            if column != static and (
                column in ("category", PRICE_LEVEL, *self.items.levels)
                or column in self.items.attributes
            ):
                return column, rank
        return None

    def item_table(self, column: str) -> np.ndarray:
        """(n_item_codes,) int64 codes of an attribute of items; of a price level the place among
        the items of the category.
        """
        if column in self.items.levels:
            return self.items.levels[column]
        if column != PRICE_LEVEL:
            return self.items.category if column == "category" else self.items.attributes[column]
        known = np.flatnonzero(np.isfinite(self.items.price))
        known = known[np.lexsort((self.items.price[known], self.items.category[known]))]
        category = self.items.category[known]
        first, size = (
            np.searchsorted(category, category),
            np.bincount(category, minlength=1)[category],
        )
        out = np.zeros(self.items.size, dtype=np.int64)
        out[known] = 1 + (np.arange(len(known)) - first) * len(LEVELS) // size
        return out

    def price_on(self, item: np.ndarray, time: np.ndarray) -> np.ndarray:
        """(n,) float64: the price of items (n,) on the day of (n,) ms, NaN = unknown."""
        price = self.items.price[item]
        if self.reduced:
            category, day, ratio = (np.array(column) for column in zip(*self.reduced, strict=True))
            table = np.zeros((self.categories.size, int(day.max() - day.min()) + 1))
            table[category, day - day.min()] = ratio
            at = time // DAY_MS - day.min()
            inside = (at >= 0) & (at < table.shape[1])
            price = price * np.exp(
                np.where(inside, table[self.items.category[item], np.where(inside, at, 0)], 0.0)
            )
        return price

    def label_needs(self, kind: str) -> torch.Tensor:
        """(codes of the label field,) int64: the least intent of a session in which a label of
        `kind` can stand.
        """
        return torch.tensor([0] + [self.intents.index((kind, v)) + 1 for v in self.labels[kind]])

    def effects(self) -> Effects:
        """What events do, for Tracker."""

        def table(by_role: Mapping[str, int]) -> np.ndarray:
            return np.array([0] + [by_role.get(self.roles[e], 0) for e in self.events.values])

        labels = [k for k, n in enumerate(self.rest_fields) if n.startswith("label:")]
        return Effects(
            sets=table(SETS),
            clears=table(CLEARS),
            needs=np.array([0] + [self.needs.get(e, 0) for e in self.events.values]),
            fails=table({"payment_failed": 1}),
            labels=np.array(labels, dtype=np.int64),
            values=len(self.value_fields),
            rest=len(self.rest_fields),
            ids=len(self.ids),
        )

    def timing_params(self) -> TimingParams:
        """The clock and the pace of users, for compiled code."""
        low, high = self.clock.gap_ends()
        short, fast = (
            time_of(np.array(levels, dtype=np.int64)) for levels in (self.last_time, self.fast_time)
        )
        return TimingParams(
            low=low,
            high=high,
            weekly=np.asarray(self.clock.weekly, dtype=np.float64),
            within=self.clock.within.size,
            start=self.clock.start_ms,
            end=self.clock.end_ms,
            step=self.clock.step_ms,
            planned=self.plans_last,
            least=np.array(self.least_time, dtype=np.int64),
            short=short,
            fast=fast,
            longest_rows=self.longest[0],
            longest_ms=self.longest[1],
        )

    def column_changes(self) -> dict[str, Any]:
        """What becomes of columns, for the manifest: which are dropped, which ids are made anew,
        and what is folded together.
        """
        rare = (
            "too few users have them, by a noisy count" if self.private else "few users have them"
        )
        folded = dict.fromkeys(self.value_fields, f"values are left empty where {rare}")
        if self.flags.get("category"):
            folded["category"] = f"categories are left empty where {rare}"
        if (self.items.other > 0).any():
            folded["item_id"] = "rare items of a category are one, called other:CATEGORY"
        ids = [
            n
            for flag, n in (("session", "session_id"), ("order", "order_id"))
            if self.flags.get(flag)
        ]
        return {
            "dropped": list(self.not_learnt),
            "folded": folded,
            "ids": ["user_id", *ids, *self.ids],
        }

    # --- JSON and arrays --------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain data for `saved_codec.restored`."""
        return {
            "events": self.events.values,
            "roles": self.roles,
            "categories": self.categories.values,
            "clock": self.clock.to_json(),
            "items": {
                "names": self.items.names,
                "category": self.items.category.tolist(),
                "start": self.items.start.tolist(),
                "price": [None if np.isnan(p) else float(p) for p in self.items.price],
                "attributes": {k: v.tolist() for k, v in self.items.attributes.items()},
                "other": self.items.other.tolist(),
                "levels": {k: v.tolist() for k, v in self.items.levels.items()},
            },
            "values": {k: v.values for k, v in self.values.items()},
            "ids": {k: s.to_json() for k, s in self.ids.items()},
            "bins": {k: b.to_json() for k, b in self.bins.items()},
            "statics": {
                k: s.values if isinstance(s, Values) else s.to_json()
                for k, s in self.statics.items()
            },
            "user_columns": self.user_columns,
            "labels": self.labels,
            "intents": [list(i) for i in self.intents],
            "delays": {k: [b.to_json(), p.tolist()] for k, (b, p) in self.delays.items()},
            "needs": self.needs,
            "flags": self.flags,
            "sessionless": self.sessionless,
            "allow": {k: a.astype(int).tolist() for k, a in self.allow.items()},
            "allow_next": self.allow_next.astype(int).tolist(),
            "least_time": self.least_time,
            "last_time": self.last_time,
            "fast_time": self.fast_time,
            "longest": list(self.longest),
            "daily_prices": self.daily_prices,
            "reduced": [list(r) for r in self.reduced],
            "held": self.held,
            "usual": self.usual,
            "private": self.private,
            "max_rows": self.max_rows,
            "not_learnt": self.not_learnt,
            "carried": self.carried,
        }
