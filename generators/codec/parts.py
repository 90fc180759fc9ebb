"""Parts of a codec, each a frozen dataclass: what was learnt about one aspect of a log.

`generators.codec.fit` makes them one after another, `generators.codec.codec.Codec` holds them, and
`generators.codec.plain.to_json` writes them. A field whose name in model.json differs says so with
`key`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from generators.codec.clock import DAY_MS
from generators.codec.coders import Bins, Values
from generators.codec.shared_ids import SharedIds
from generators.sequences.offers import QUANTILES

# Attributes of users that are always there (the number of labelled sessions: where there are
# labels). The values are names in model.json, and key the noise of private queries.
ARRIVAL, OBSERVATION_SPAN, LENGTH, N_LABELLED_SESSIONS = "arrival", "stay", "length", "marks"
# The number of sessions, where it is planned with the number of rows.
SESSIONS = "sessions"
# Both or none: rows and seconds of the last of several sessions, 0 where there is one.
LAST_ROWS, LAST_SPAN = "last rows", "last stay"
# The class of users to whose hours and weekdays a user keeps, where there are several.
RHYTHM = "rhythm"
# Attributes of users named 'favourite category', 'second brand': what the user has most rows of.
FAVOURITES = {"favourite ": 1, "second ": 2}
# Attributes of users named 'usual quantity', 'usual price': intervals of a user's mean, see
# `features.habits`.
USUAL = "usual "
# What 'usual spread of quantity' has between: how far a user's numbers lie off the usual one.
SPREAD = "spread of "
# Attributes that items get from their rows, in fifths: by price within the category, by number of
# rows, by the share of rows that are more than a look.
PRICE_LEVEL, POPULARITY, SALES = "price level", "popularity level", "sales level"
LEVELS = ["lowest", "low", "middle", "high", "highest"]


def key(name: str) -> dict[str, str]:
    """Return the metadata of a field that is called `name` in model.json."""
    return {"key": name}


@dataclass(frozen=True)
class Items:
    """The item vocabulary, by category: category c has the codes start[c]..start[c + 1] - 1.

    Code 0 means no item.
    """

    names: list[str]
    category: np.ndarray  # (n_codes,) int64
    start: np.ndarray  # (n_categories + 1,) int64
    price: np.ndarray  # (n_codes,) float64, NaN = unknown
    attributes: Mapping[str, np.ndarray]  # column -> (n_codes,) int64 codes of the column's values
    # (n_categories,) int64: the first code that represents rare items of a category, 0 = none; the
    # codes after it, to the category's last one, do as well
    other: np.ndarray
    # POPULARITY, SALES -> (n_codes,) int64: 1 + place in LEVELS, 0 = unknown
    levels: Mapping[str, np.ndarray] = field(default_factory=dict)
    # number or price -> (n_codes,) int64: 1 + interval of its mean over the item's rows, or 0
    habits: Mapping[str, np.ndarray] = field(default_factory=dict)
    # number -> (n_codes,) int64: the code that sets the item apart from others, 0 = unknown
    typical: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of codes, 'no item' included."""
        return len(self.names) + 1

    def price_levels(self) -> np.ndarray:
        """Return each item's place, by price, among those of its category, (n_codes,) int64: 1 +
        place in LEVELS, 0 = unknown.
        """
        known = np.flatnonzero(np.isfinite(self.price))
        known = known[np.lexsort((self.price[known], self.category[known]))]
        category = self.category[known]
        first, size = (
            np.searchsorted(category, category),
            np.bincount(category, minlength=1)[category],
        )
        out = np.zeros(self.size, dtype=np.int64)
        out[known] = 1 + (np.arange(len(known)) - first) * len(LEVELS) // size
        return out

    @property
    def rare(self) -> np.ndarray:
        """Codes that represent rare items, (m,) int64."""
        code = np.arange(self.size)
        first = self.other[self.category]
        return code[(first > 0) & (code >= first)]


@dataclass(frozen=True)
class Vocabulary:
    """Events, categories and items that have a code."""

    events: Values
    roles: Mapping[str, str]  # event -> role
    categories: Values
    items: Items


@dataclass(frozen=True)
class Columns:
    """Columns of the events table, by what they are."""

    # which of the optional columns session, order, category and item the log has
    present: Mapping[str, bool] = field(default_factory=dict, metadata=key("flags"))
    values: Mapping[str, Values] = field(default_factory=dict)  # categorical; of items as well
    ids: Mapping[str, SharedIds] = field(default_factory=dict)
    bins: Mapping[str, Bins] = field(default_factory=dict)  # numeric; "price", "price_ratio"
    not_learnt: Sequence[str] = ()  # columns and labels that a sample lacks
    # column -> share of its values that are left empty, where it is known without a budget
    folded: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Users:
    """What is drawn once a user."""

    # arrival, span, length, columns of the users table, first values, favourites; in this order
    attributes: Mapping[str, Values | Bins] = field(default_factory=dict, metadata=key("statics"))
    # column of the users table -> "values", "number", "date" or "time"
    columns: Mapping[str, str] = field(default_factory=dict, metadata=key("user_columns"))

    @property
    def plans_sessions(self) -> bool:
        """Is the number of each user's sessions planned from the start?

        Then the observation span ends where the last of them begins.
        """
        return SESSIONS in self.attributes


@dataclass(frozen=True)
class Labels:
    """Labels of events, and of the sessions of these events."""

    kinds: Mapping[str, list[str]] = field(default_factory=dict, metadata=key("labels"))
    # (kind, value) of each label, the rarest last: the code of a session is 1 + the place, 0 = none
    of_sessions: Sequence[tuple[str, str]] = field(default=(), metadata=key("intents"))
    # kind -> bins of the seconds until a label is known, (bins.size,) float64 their shares
    delays: Mapping[str, tuple[Bins, np.ndarray]] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """The fields that are labels of rows, of each kind one."""
        return [f"label:{kind}" for kind in self.kinds]


@dataclass(frozen=True)
class Ladder:
    """The prices that enough users have seen of each item, by item and price."""

    item: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # (m,) codes
    price: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (m,) float64, above 0

    def nearest(self, item: np.ndarray, price: np.ndarray) -> np.ndarray:
        """Return the item's price nearest to `price` (n,), by ratio; itself if it has none."""
        out = price.copy()
        rows = np.flatnonzero(np.isin(item, self.item) & (price > 0))
        first = np.searchsorted(self.item, item[rows], side="left")
        last = np.searchsorted(self.item, item[rows], side="right") - 1
        # prices in ascending order, those of one item after those of the one before
        steps = np.log(self.price)
        wanted = np.log(price[rows])
        width = np.ptp(np.concatenate([[0.0], steps, wanted])) + 1.0
        above = np.searchsorted(self.item * width + steps, item[rows] * width + wanted)
        low, high = np.clip(above - 1, first, last), np.clip(above, first, last)
        nearer = np.abs(steps[high] - wanted) < np.abs(steps[low] - wanted)
        out[rows] = self.price[np.where(nearer, high, low)]
        return out


@dataclass(frozen=True)
class Prices:
    """How prices move from day to day."""

    # (events,) bool by code: do its rows have the one price of their item and day? Empty: none do
    daily: np.ndarray = field(
        default_factory=lambda: np.zeros(0, dtype=np.bool_), metadata=key("daily_prices")
    )
    # (category, day since 1970, log ratio of its prices to the usual ones)
    reduced: Sequence[tuple[int, int, float]] = ()
    ladder: Ladder = field(default_factory=Ladder)  # the prices that items have had

    def log_ratio(self, category: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return how prices of categories (n,) are to the usual ones on the day of (n,) ms, (n,)
        float64 logarithms.
        """
        first, table = self._by_day
        at = time // DAY_MS - first
        inside = (at >= 0) & (at < table.shape[1]) & (category < len(table))
        found: np.ndarray = np.where(
            inside, table[np.where(inside, category, 0), np.where(inside, at, 0)], 0.0
        )
        return found

    @cached_property
    def _by_day(self) -> tuple[int, np.ndarray]:
        """The first day on which prices are reduced, and the ratios, (categories, days)."""
        category, day, ratio = (np.array(column) for column in zip(*self.reduced, strict=True))
        first = int(day.min())
        table = np.zeros((int(category.max()) + 1, int(day.max()) - first + 1))
        table[category, day - first] = ratio
        return first, table


@dataclass(frozen=True)
class Pace:
    """How fast users are: the level of time for each level of rows to come."""

    least: Sequence[int] = field(default=(), metadata=key("least_time"))  # the least ever taken
    # the same in last sessions, of all but one in twenty
    last: Sequence[int] = field(default=(), metadata=key("last_time"))
    # the same before last sessions, of all but one in fifty
    fast: Sequence[int] = field(default=(), metadata=key("fast_time"))
    longest: tuple[int, int] = (0, 0)  # rows and ms of a session at the most; 0 = no limit


@dataclass(frozen=True)
class Rules:
    """What the log never does, and a sample therefore does not do either."""

    # event -> flags that its item must carry
    required_flags: Mapping[str, int] = field(default_factory=dict, metadata=key("needs"))
    # field -> (n_events + 1, size) bool: codes that go with an event
    allowed: Mapping[str, np.ndarray] = field(default_factory=dict, metadata=key("allow"))
    # (n_events + 2, 2, n_events + 1) bool: event before + 1, is it a session start, event
    allowed_next: np.ndarray = field(
        default_factory=lambda: np.ones((0, 2, 0), dtype=bool), metadata=key("allow_next")
    )
    # (n_events + 1,) most rows of an event in a row in a session; 0 = no limit
    longest_run: Sequence[int] = ()
    once: Sequence[str] = ()  # events that a user has once at most
    unfinished: Sequence[str] = ()  # events that are never the last of a session
    # events that nobody has who is not to buy while an offer is open, as a payment
    buying: Sequence[str] = ()
    # level of the rows to come below which hardly a labelled session began; 0 = any
    latest_label: int = 0
    # columns and ids that never change within a session
    constant_in_session: Sequence[str] = field(default=(), metadata=key("held"))
    # the column of items in which all items of a session agree, as in a kitchen; "" = there is none
    theme: str = ""
    themed: Sequence[str] = ()  # the events whose items they are
    # column -> (its codes,) the category that most often goes with each
    usual_category: Mapping[str, list[int]] = field(default_factory=dict, metadata=key("usual"))
    # events without a session id in the log
    sessionless: Sequence[str] = ()
    carts_end: bool = False  # does the cart end with its session?


@dataclass(frozen=True)
class Responses:
    """Log-odds of arms and of what users do about the offers of K campaigns.

    See `generators.sequences.offers`, which says what the weights belong to.
    """

    arm: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (K, N_PAST) float64
    # (2 K, N_PAST) float64: of buying, by campaign and arm; none = not learnt
    buys: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    # (q,) float64: quantiles of the rows from an offer to the purchase, of the ms to its visit
    rows: np.ndarray = field(default_factory=lambda: np.zeros(QUANTILES))
    lag: np.ndarray = field(default_factory=lambda: np.zeros(QUANTILES))


def inline(default: Any) -> Any:
    """Return a field whose own fields are written beside the codec's in model.json."""
    return field(default_factory=default, metadata={"inline": True})
