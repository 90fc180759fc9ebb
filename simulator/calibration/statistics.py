"""What calibration asks of a log: sums over users of what each user adds, and the facts that follow
from the sums.

    target = tally(log, window).sums()           # exact target = tally(log, window).sums(BOUNDS)
    # each user's part bounded, as before noise is added (`release`)

Everything that calibration knows about a log is a sum over users. What a user adds follows from
that user's rows and from the window alone, never from what other users did: so bounding each user's
part and adding noise to the sums makes it differentially private (the unit is the user). The same
bounds are put on the simulated log, so that the two stay comparable: what bounding distorts, it
distorts on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog
from eventlog.schema import TIME
from simulator.realism.facts import BROWSING, gini, zipf_slope

SummaryStatistics = dict[str, np.ndarray]  # question -> (cells,) float64

DAY_MS = 86_400_000
# Cells of the number of lines per buyer: one by one up to 16, then by factors of about 1.4.
EDGES = np.unique(np.round(np.append(np.arange(1, 17), 16 * 2 ** (np.arange(1, 17) / 2)))).astype(
    np.int64
)
CENTRES = np.append(np.sqrt(EDGES[:-1] * np.maximum(EDGES[1:] - 1.0, 1.0)), EDGES[-1])
# The most that one user may add to each question, in Euclidean length, where sums are released with
# noise. They are
# constants, not learnt from the log. Users beyond it are scaled down to it; the shorter, the less
# noise.
BOUNDS = {
    "people": 5**0.5,
    "visits": 10.0,
    "clicks": 30.0,
    "lengths": 12.0,
    "buying": 6.0,
    "gaps": 5.0,
    "prices": 5.0,
    "hours": 4.0,
    "days": 2.0,
    "views of items": 4.0,
    "purchases of items": 3.0,
}
PRICE_CENTRE = 3.0  # log prices are summed around it
# What is summed lies on this grid (bounded parts are cut to it, towards zero), so sums are exact in
# float64 whatever
# their order, and one user moves them by no more than the bound (on sums of floats that are not:
# Casacuberta et al. 2022,
# doi:10.1145/3548606.3560708).
PART_GRID = 2.0**-20
ITEM_QUESTIONS = ("views of items", "purchases of items")


@dataclass(frozen=True)
class Outline:
    """What a log consists of: its days, its event names and the kinds of its labels."""

    first: pd.Timestamp  # a UTC midnight
    last: pd.Timestamp  # that of the last day
    events: dict[str, str]  # event name -> role
    kinds: list[str]  # of labels


@dataclass(frozen=True)
class Window:
    """Which rows are looked at: whole UTC days, the roles that the team's log has, and the items
    that are known.
    """

    start: pd.Timestamp
    days: int
    roles: frozenset[str]
    items: np.ndarray | None  # (n,) ids; None leaves questions about items out


@dataclass(frozen=True)
class Answer:
    """What each user adds to one question, as (user, cell, value) triples, each pair of user and
    cell once.
    """

    user: np.ndarray  # (m,) int64
    cell: np.ndarray  # (m,) int64
    value: np.ndarray  # (m,) float64
    size: int  # cells

    def sums(self, bound: float | None) -> np.ndarray:
        """(size,) float64; with `bound`, each user's vector is scaled down to that Euclidean length
        first (see PART_GRID).
        """
        value = self.value
        if bound is not None and len(value):
            length = np.sqrt(np.bincount(self.user, value**2))
            value = value * np.minimum(1.0, bound / np.maximum(length, 1e-12))[self.user]
            value = np.trunc(value / PART_GRID) * PART_GRID
        return np.bincount(self.cell, value, minlength=self.size)


@dataclass(frozen=True)
class Tally:
    """The answers of all users of a log."""

    answers: dict[str, Answer]

    def sums(self, bounds: Mapping[str, float] | None = None) -> SummaryStatistics:
        """The sums over users; with `bounds` as they are before noise."""
        return {
            name: answer.sums(bounds[name] if bounds else None)
            for name, answer in self.answers.items()
        }


def outline_of(log: EventLog) -> Outline:
    """The days, event names (sorted) and label kinds that occur in a log, exactly."""
    if len(log) == 0:
        raise InputError("The log has no events.")
    first, last = (t.floor("D") for t in log.span)
    kinds = [] if log.labels is None else sorted(log.labels["kind"].astype(str).unique())
    return Outline(first, last, dict(sorted(log.roles.items())), kinds)


def window_of(
    log: EventLog | Outline, *, days: int | None, longest: int, items: np.ndarray | None
) -> Window:
    """Return the window of the last `days` days of a log; of all its days up to `longest` where
    None is given.

    Raises InputError where that is fewer than seven days.
    """
    known = outline_of(log) if isinstance(log, EventLog) else log
    there = (known.last - known.first).days + 1
    days = min(there, longest) if days is None else min(days, there)
    if days < 7:
        raise InputError(
            f"The log covers {there} days and {days} are looked at; calibration needs 7 or more."
        )
    return Window(
        known.last - pd.Timedelta(days=days - 1), days, frozenset(known.events.values()), items
    )


def summary_statistics(log: EventLog, window: Window) -> Tally:
    """What each user of a log adds to each question, in the window. Where no row lies in it, nobody
    adds anything.
    """
    events, role = log.events, log.role()
    begin = int(window.start.tz_convert("UTC").value // 1_000_000)
    time = events["timestamp"].astype(TIME).astype("int64").to_numpy() - begin
    inside = (time >= 0) & (time < window.days * DAY_MS) & np.isin(role, list(window.roles))
    time, role = time[inside], role[inside]

    def codes(name: str) -> np.ndarray:
        if name not in events:
            return np.full(len(time), -1, dtype=np.int64)
        return events[name].astype("category").cat.codes.to_numpy(dtype=np.int64)[inside]

    user, session, item, order = (
        codes(n) for n in ("user_id", "session_id", "item_id", "order_id")
    )
    # A session or order id that two users share is two: what one user does must not move what
    # another adds.
    session, order = _within(user, session), _within(user, order)
    n_users, n_items = int(user.max(initial=-1)) + 1, int(item.max(initial=0)) + 1
    is_view, is_line = (role == "view") & (item >= 0), role == "purchase"
    add = _Adder()

    # Orders: by id; those of a user whose purchases have none, by instant.
    with_ids = np.zeros(n_users, dtype=bool)
    with_ids[user[is_line & (order >= 0)]] = True
    line = np.flatnonzero(is_line & ((order >= 0) | ~with_ids[user]))
    instant = int(order.max(initial=-1)) + 1 + user[line] * (window.days * DAY_MS) + time[line]
    key = np.where(order[line] >= 0, order[line], instant)
    _, at, of, lines = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    buyer, paid = user[line][at], np.full(len(at), np.iinfo(np.int64).max)
    np.minimum.at(paid, of, time[line])
    by_user = np.lexsort((paid, buyer))
    buyer, paid, lines = buyer[by_user], paid[by_user], lines[by_user]
    again = np.diff(buyer, prepend=-1) == 0  # (orders,), also where there are none
    first_order = np.full(n_users, np.iinfo(np.int64).max)
    np.minimum.at(first_order, buyer, paid)
    orders_of = np.bincount(buyer, minlength=n_users)
    lines_of = np.bincount(user[is_line], minlength=n_users)
    fraud = np.zeros(len(at), dtype=bool)
    if log.labels is not None:
        bad = log.labels.loc[
            (log.labels["kind"].astype(str) == "fraud") & (log.labels["value"] > 0), "event_id"
        ]
        np.logical_or.at(
            fraud, of, np.isin(events["event_id"].to_numpy()[inside][line], bad.to_numpy())
        )

    # Sessions, where views are among what is looked at.
    browses = "view" in window.roles
    rows = np.flatnonzero((session >= 0) & np.isin(role, BROWSING) & browses)
    _, first, number = np.unique(session[rows], return_index=True, return_inverse=True)
    visitor = user[rows][first]
    came = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(came, number, time[rows])
    views = np.bincount(number, is_view[rows], minlength=len(first))
    buys = np.bincount(number, is_line[rows], minlength=len(first)) > 0
    later = came > first_order[visitor]
    sessions_of = np.bincount(visitor, minlength=n_users)
    two, short, long = views >= 2, (views > 0) & (views < 5), views >= 5

    everyone, buyers = np.unique(user), np.flatnonzero(orders_of)
    add("people", [(everyone, 1.0), (buyers, 1.0), (np.flatnonzero(orders_of == 1), 1.0)])
    guests = np.flatnonzero(sessions_of)  # who had sessions
    level = np.log(sessions_of[guests])
    add("people", [(guests, 1.0), (guests, level / 3), (guests, level**2 / 9)])
    add.histogram("people", np.flatnonzero(lines_of), lines_of[lines_of > 0])
    add(
        "visits",
        [
            (visitor, 1.0),
            (visitor, buys),
            (visitor, short),
            (visitor, short & buys),
            (visitor, long),
            (visitor, long & buys),
            (visitor, later),
            (buyer, again),
            (visitor, ~later),
            (buyer, ~again),
        ],
    )
    seen = is_view & (session >= 0)
    pairs = np.unique(session[seen] * n_items + item[seen], return_index=True)[1]
    log_length = np.log(np.maximum(views - 1, 1))
    add(
        "clicks", [(user[seen], 1.0), (user[seen][pairs], -1.0), (visitor, np.where(two, views, 0))]
    )
    add("lengths", [(visitor, two), (visitor, two * log_length), (visitor, two * log_length**2)])
    bought = np.flatnonzero(is_line & (item >= 0))
    known = np.unique(user[bought] * n_items + item[bought], return_index=True)[1]
    back = np.flatnonzero(role == "refund")
    back = np.append(
        back[order[back] < 0],
        back[order[back] >= 0][np.unique(order[back][order[back] >= 0], return_index=True)[1]],
    )
    add(
        "buying",
        [
            (user[role == "cart"], 1.0),
            (user[is_line], 1.0),
            (buyer, 1.0),
            (buyer, lines == 1),
            (user[bought], 1.0),
            (user[bought][known], -1.0),
            (user[back], 1.0),
            (buyer, fraud[by_user]),
        ],
    )
    gap = np.where(again, np.diff(paid, prepend=paid[:1]), 0) / DAY_MS
    waits = gap > 1 / 24
    who, gap = buyer[waits], gap[waits]
    # a month is about one, as is the spread of log days: no cell drowns the others
    scaled = gap / 30
    add(
        "gaps",
        [(who, 1.0), (who, scaled), (who, scaled**2), (who, np.log(gap)), (who, np.log(gap) ** 2)],
    )
    price = (
        events["price"].to_numpy(dtype=np.float64)[inside]
        if "price" in events
        else np.zeros(len(time))
    )
    priced = np.flatnonzero(is_line & (price > 0))
    level = np.clip(np.log(price[priced]) - PRICE_CENTRE, -6, 8)
    add("prices", [(user[priced], 1.0), (user[priced], level), (user[priced], level**2)])
    add.counts("hours", user, time % DAY_MS // 3_600_000, 24)
    add.counts("days", user, time // DAY_MS, window.days)
    if window.items is not None and "item_id" in events:
        place = pd.Index(window.items).get_indexer(
            events["item_id"].astype("category").cat.categories
        )
        code = place[item]
        for name, these in zip(ITEM_QUESTIONS, (is_view, is_line), strict=True):
            these = these & (item >= 0) & (code >= 0)
            add.counts(name, user[these], code[these], len(window.items))
    return Tally(add.answers())


def _within(user: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(n,) int64 a code for each pair of user and code; -1 where there is none."""
    found = np.unique(user * (int(code.max(initial=0)) + 1) + code, return_inverse=True)[1]
    return np.where(code >= 0, found, -1)


class _Adder:
    """Gathers what users add, question by question; a question's cells stand in the order in which
    they were given.
    """

    def __init__(self) -> None:
        self.parts: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
        self.sizes: dict[str, int] = {}

    def __call__(self, name: str, cells: list[tuple[np.ndarray, np.ndarray | float]]) -> None:
        for user, value in cells:
            n = self.sizes.get(name, 0)
            self._put(
                name,
                user,
                np.full(len(user), n),
                np.broadcast_to(np.asarray(value, dtype=np.float64), user.shape),
                n + 1,
            )

    def histogram(self, name: str, user: np.ndarray, count: np.ndarray) -> None:
        n = self.sizes.get(name, 0)
        self._put(
            name,
            user,
            n + np.searchsorted(EDGES, count, side="right") - 1,
            np.ones(len(user)),
            n + len(EDGES),
        )

    def counts(self, name: str, user: np.ndarray, cell: np.ndarray, size: int) -> None:
        self._put(name, user, cell, np.ones(len(user)), size)

    def _put(
        self, name: str, user: np.ndarray, cell: np.ndarray, value: np.ndarray, size: int
    ) -> None:
        self.parts.setdefault(name, []).append((user, cell, np.rint(value / PART_GRID) * PART_GRID))
        self.sizes[name] = size

    def answers(self) -> dict[str, Answer]:
        found = {}
        for name, parts in self.parts.items():
            user, cell, value = (np.concatenate(column) for column in zip(*parts, strict=True))
            size = self.sizes[name]
            key, of = np.unique(user.astype(np.int64) * size + cell, return_inverse=True)
            found[name] = Answer(
                key // size, key % size, np.bincount(of, value, minlength=len(key)), size
            )
        return found


# --- from sums to facts ---------------------------------------------------------------------------


def facts_of(
    sums: SummaryStatistics,
    *,
    start: pd.Timestamp,
    noise: Mapping[str, float] | None = None,
    rare: float = 0.0,
) -> dict[str, float]:
    """Fact -> value, NaN where the sums do not say.

    `noise`: sd of the noise in each question's cells; histogram cells within two of it count as
    empty. `rare`: share of all views (lines) below which an item does not count towards a Zipf
    slope, because it would be noise.
    """
    quiet = 2 * noise["people"] if noise else 0.0
    # dates without times: all rows in the hour of midnight
    dull = 4 * noise["hours"] if noise else 0.0
    people = sums["people"]
    active, buyers, once, guests, level, level2 = people[:6]
    visits, clicks, lengths, buying, gaps, prices = (
        sums[k] for k in ("visits", "clicks", "lengths", "buying", "gaps", "prices")
    )
    sessions, buy, short, short_buy, long, long_buy, later, later_orders, before, first_orders = (
        visits
    )
    carts, lines, orders, single, items, fresh_lines, refunds, fraud = buying
    views, known, long_views = clicks
    if not views > 0:  # without views of items, sessions are no visits
        guests = level = level2 = sessions = buy = short = short_buy = long = long_buy = later = (
            before
        ) = 0.0
    n_gaps, gap, gap2, log_gap, log_gap2 = gaps
    facts = {
        "sessions per user, geometric mean": float(np.exp(np.clip(3 * level / guests, -9, 9)))
        if guests > 20
        else np.nan,
        "sessions per user, sd of log": 3 * _sd(guests, level, level2),
        "users who buy": _ratio(buyers, active) if sessions > 0 else np.nan,
        "orders per buyer": _ratio(orders, buyers),
        "add_to_cart / view": _ratio(carts, views),
        "purchase / add_to_cart": _ratio(lines, carts),
        "sessions that buy": _ratio(buy, sessions),
        "session length, mean": _ratio(long_views, lengths[0]),
        "session length, sd of log(length - 1)": _sd(*lengths),
        "repeat clicks within a session": _ratio(views + known, views),
        "buyers who buy once": _ratio(once, buyers),
        "Gini of purchases over buyers": _gini(people[6:], quiet),
        "time between orders, CV": _sd(n_gaps, gap, gap2) / _ratio(gap, n_gaps),
        "time between orders, sd of log": _sd(n_gaps, log_gap, log_gap2),
        "basket, mean lines": _ratio(lines, orders),
        "basket, share with one line": _ratio(single, orders),
        "repeat purchases of an item": _ratio(items + fresh_lines, items),
        "price of purchases, sd of log": _sd(*prices),
        "orders with a refund": _ratio(refunds, orders),
        "orders reported as fraud": _ratio(fraud, orders),
        "long / short sessions, share that buys": _ratio(
            _ratio(long_buy, long), _ratio(short_buy, short), 0
        ),
        "conversion after / before the first order": _ratio(
            _ratio(later_orders, later), _ratio(first_orders, before), 0
        ),
        "busiest hour / mean hour": float(sums["hours"].max() / sums["hours"].mean())
        if sums["hours"][1:].max() > dull
        else np.nan,
    }
    days = sums["days"]
    weekend = (np.arange(len(days)) + start.dayofweek) % 7 >= 5
    if len(days) >= 14:
        facts["weekend day / weekday"] = _ratio(
            np.median(days[weekend]), np.median(days[~weekend]), 0
        )
        facts["busiest day / median day"] = _ratio(days.max(), np.median(days), 0)
    for name, question in (
        ("Zipf slope of clicks", ITEM_QUESTIONS[0]),
        ("Zipf slope of purchases", ITEM_QUESTIONS[1]),
    ):
        counts = sums.get(question, np.zeros(1))
        facts[name] = zipf_slope(np.sort(counts)[::-1], max(rare * counts.sum(), 0.0))
    return facts


def _ratio(a: float, b: float, least: float = 20.0) -> float:
    return float(a / b) if b > least and a > 0 else float("nan")


def _sd(n: float, total: float, squares: float) -> float:
    return (
        float(np.sqrt(max(squares / n - (total / n) ** 2, 0.0))) or float("nan")
        if n > 20
        else float("nan")
    )


def _gini(cells: np.ndarray, quiet: float) -> float:
    """Gini coefficient of a histogram over EDGES."""
    cells = np.round(np.where(cells > quiet, cells, 0)).astype(np.int64)
    return gini(np.repeat(CENTRES, cells)) if cells.sum() > 20 else float("nan")
