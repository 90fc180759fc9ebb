"""What calibration asks of a log: sums over users of what each user adds.

Example::

    exact = summary_statistics(log, window).sums()
    bounded = summary_statistics(log, window).sums(BOUNDS)   # as before noise is added

All that calibration learns of a log is a sum over users. What a user adds follows from that user's
rows and from the window alone, never from what other users did: so bounding each user's part and
adding noise to the sums makes it differentially private (the unit is the user). The same bounds
apply to the simulated log, so that the two stay comparable: what bounding distorts, it distorts on
both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog.log import EventLog
from eventlog.schema import TIME
from simulator.calibration.window import Window
from simulator.realism.measures import BROWSING

SummaryStatistics = dict[str, np.ndarray]  # question -> (cells,) float64

DAY_MS = 86_400_000
# Cells of the number of lines per buyer: one by one up to 16, then by factors of about 1.4.
EDGES = np.unique(np.round(np.append(np.arange(1, 17), 16 * 2 ** (np.arange(1, 17) / 2)))).astype(
    np.int64
)
CENTRES = np.append(np.sqrt(EDGES[:-1] * np.maximum(EDGES[1:] - 1.0, 1.0)), EDGES[-1])
# The most that one user may add to each question, in Euclidean length, where sums are released with
# noise. They are constants, not learnt from the log. Users beyond it are scaled down to it; the
# shorter, the less noise.
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
LOG_SESSIONS_SCALE = (
    3.0  # logs of sessions per user are divided by it: no cell outweighs the others
)
# What is summed lies on this grid (bounded parts are cut to it, towards zero), so sums are exact in
# float64 in any order, and one user moves them by no more than the bound. Sums of other floats do
# not have this property (Casacuberta et al. 2022, doi:10.1145/3548606.3560708).
PART_GRID = 2.0**-20
ITEM_QUESTIONS = ("views of items", "purchases of items")


@dataclass(frozen=True)
class Answer:
    """What each user adds to one question: (user, cell, value), each pair of user and cell once."""

    user: np.ndarray  # (m,) int64
    cell: np.ndarray  # (m,) int64
    value: np.ndarray  # (m,) float64
    size: int  # cells

    def sums(self, bound: float | None) -> np.ndarray:
        """Return (size,) float64 sums over users.

        With `bound`, each user's vector is first scaled down to that Euclidean length (see
        PART_GRID).
        """
        value = self.value
        if bound is not None and len(value):
            length = np.sqrt(np.bincount(self.user, value**2))
            value = value * np.minimum(1.0, bound / np.maximum(length, 1e-12))[self.user]
            value = np.trunc(value / PART_GRID) * PART_GRID
        return np.bincount(self.cell, value, minlength=self.size)


@dataclass(frozen=True)
class Answers:
    """The answers of all users of a log."""

    answers: dict[str, Answer]

    def sums(self, bounds: Mapping[str, float] | None = None) -> SummaryStatistics:
        """Return the sums over users; with `bounds`, as they are before noise."""
        return {
            name: answer.sums(bounds[name] if bounds else None)
            for name, answer in self.answers.items()
        }


def summary_statistics(log: EventLog, window: Window) -> Answers:
    """Return what each user of a log adds to each question.

    Where no row lies in the window, nobody adds anything.
    """
    questions = _Questions(log, window)
    add = _Adder()
    questions.people(add)
    questions.visits(add)
    questions.clicks(add)
    questions.buying(add)
    questions.gaps(add)
    questions.prices(add)
    questions.times(add)
    questions.items(add)
    return Answers(add.answers())


class _Adder:
    """Gathers what users add, question by question; cells are numbered as they are added."""

    def __init__(self) -> None:
        self.parts: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
        self.sizes: dict[str, int] = {}

    def __call__(self, name: str, cells: list[tuple[np.ndarray, np.ndarray | float]]) -> None:
        """Add cells, each a pair of users (m,) and values (m,) or one value for all."""
        for user, value in cells:
            n = self.sizes.get(name, 0)
            values = np.broadcast_to(np.asarray(value, dtype=np.float64), user.shape)
            self._put(name, user, np.full(len(user), n), values, n + 1)

    def histogram(self, name: str, user: np.ndarray, count: np.ndarray) -> None:
        """Add a cell for each interval of EDGES, 1 for each user in it."""
        n = self.sizes.get(name, 0)
        cell = n + np.searchsorted(EDGES, count, side="right") - 1
        self._put(name, user, cell, np.ones(len(user)), n + len(EDGES))

    def counts(self, name: str, user: np.ndarray, cell: np.ndarray, size: int) -> None:
        """Add 1 to the `cell` (m,) of `size` for each of the users (m,)."""
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
            total = np.bincount(of, value, minlength=len(key))
            found[name] = Answer(key // size, key % size, total, size)
        return found


class _Questions:
    """The rows of a window as codes, their orders and sessions, and what users add by them."""

    def __init__(self, log: EventLog, window: Window) -> None:
        self.log, self.window = log, window
        role = log.role()
        begin = int(window.start.tz_convert("UTC").value // 1_000_000)
        time = log.events["timestamp"].astype(TIME).astype("int64").to_numpy() - begin
        in_days = (time >= 0) & (time < window.days * DAY_MS)
        self.inside = in_days & np.isin(role, list(window.roles))
        self.time, self.role = time[self.inside], role[self.inside]
        self.user, self.item = self._codes("user_id"), self._codes("item_id")
        # A session or order id that two users share is two: what one user does must not move what
        # another adds.
        self.session = _within(self.user, self._codes("session_id"))
        self.order = _within(self.user, self._codes("order_id"))
        self.n_users = int(self.user.max(initial=-1)) + 1
        self.n_items = int(self.item.max(initial=0)) + 1
        self.is_view = (self.role == "view") & (self.item >= 0)
        self.is_line = self.role == "purchase"
        self._find_orders()
        self._find_sessions()

    def _codes(self, name: str) -> np.ndarray:
        if name not in self.log.events:
            return np.full(len(self.time), -1, dtype=np.int64)
        codes = self.log.events[name].astype("category").cat.codes.to_numpy(dtype=np.int64)
        return codes[self.inside]

    def _find_orders(self) -> None:
        """Orders by user and time: by id; those of a user whose purchases have none, by instant."""
        user, time, order = self.user, self.time, self.order
        with_ids = np.zeros(self.n_users, dtype=bool)
        with_ids[user[self.is_line & (order >= 0)]] = True
        line = np.flatnonzero(self.is_line & ((order >= 0) | ~with_ids[user]))
        span = self.window.days * DAY_MS
        instant = int(order.max(initial=-1)) + 1 + user[line] * span + time[line]
        key = np.where(order[line] >= 0, order[line], instant)
        _, at, of, lines = np.unique(
            key, return_index=True, return_inverse=True, return_counts=True
        )
        paid = np.full(len(at), np.iinfo(np.int64).max)
        np.minimum.at(paid, of, time[line])
        by_user = np.lexsort((paid, user[line][at]))
        # (n_orders,) each: whose, when, lines, whether it is not the buyer's first, whether the
        # shop learnt that it is fraud
        self.buyer, self.paid, self.lines = user[line][at][by_user], paid[by_user], lines[by_user]
        self.again = np.diff(self.buyer, prepend=-1) == 0  # also where there are no orders
        self.fraud = self._reported(line, of, len(at))[by_user]
        self.first_order = np.full(self.n_users, np.iinfo(np.int64).max)
        np.minimum.at(self.first_order, self.buyer, self.paid)
        self.orders_of = np.bincount(self.buyer, minlength=self.n_users)
        self.lines_of = np.bincount(user[self.is_line], minlength=self.n_users)

    def _reported(self, line: np.ndarray, of: np.ndarray, n_orders: int) -> np.ndarray:
        """(n_orders,) bool: a line of the order is labelled as fraud."""
        fraud = np.zeros(n_orders, dtype=bool)
        labels = self.log.labels
        if labels is not None:
            guilty = (labels["kind"].astype(str) == "fraud") & (labels["value"] > 0)
            event_id = self.log.events["event_id"].to_numpy()[self.inside][line]
            bad = np.isin(event_id, labels.loc[guilty, "event_id"].to_numpy())
            np.logical_or.at(fraud, of, bad)
        return fraud

    def _find_sessions(self) -> None:
        """Sessions, where views are among the roles of the window."""
        browses = "view" in self.window.roles
        rows = np.flatnonzero((self.session >= 0) & np.isin(self.role, BROWSING) & browses)
        _, first, number = np.unique(self.session[rows], return_index=True, return_inverse=True)
        # (n_sessions,) each: whose, when, views, whether it buys, whether after the first order
        self.visitor = self.user[rows][first]
        came = np.full(len(first), np.iinfo(np.int64).max)
        np.minimum.at(came, number, self.time[rows])
        self.views = np.bincount(number, self.is_view[rows], minlength=len(first))
        self.buys = np.bincount(number, self.is_line[rows], minlength=len(first)) > 0
        self.later = came > self.first_order[self.visitor]

    # --- questions; `facts_of` reads the cells in this order --------------------------------------

    def people(self, add: _Adder) -> None:
        """Active users, buyers, who buys once, sessions per user, lines per buyer."""
        everyone, buyers = np.unique(self.user), np.flatnonzero(self.orders_of)
        once = np.flatnonzero(self.orders_of == 1)
        add("people", [(everyone, 1.0), (buyers, 1.0), (once, 1.0)])
        sessions_of = np.bincount(self.visitor, minlength=self.n_users)
        guests = np.flatnonzero(sessions_of)  # who had sessions
        level = np.log(sessions_of[guests])
        scaled, squared = level / LOG_SESSIONS_SCALE, level**2 / LOG_SESSIONS_SCALE**2
        add("people", [(guests, 1.0), (guests, scaled), (guests, squared)])
        bought = np.flatnonzero(self.lines_of)
        add.histogram("people", bought, self.lines_of[bought])

    def visits(self, add: _Adder) -> None:
        """Sessions that buy: all, short ones, long ones, after and before the first order."""
        visitor, buys, later = self.visitor, self.buys, self.later
        short, long = (self.views > 0) & (self.views < 5), self.views >= 5
        cells: list[tuple[np.ndarray, np.ndarray | float]] = [
            (visitor, 1.0),
            (visitor, buys),
            (visitor, short),
            (visitor, short & buys),
            (visitor, long),
            (visitor, long & buys),
            (visitor, later),
            (self.buyer, self.again),
            (visitor, ~later),
            (self.buyer, ~self.again),
        ]
        add("visits", cells)

    def clicks(self, add: _Adder) -> None:
        """Views, repeated views, and session lengths, of sessions with two views or more."""
        seen = self.is_view & (self.session >= 0)
        user, views, visitor = self.user[seen], self.views, self.visitor
        pairs = np.unique(self.session[seen] * self.n_items + self.item[seen], return_index=True)[1]
        two = views >= 2
        add("clicks", [(user, 1.0), (user[pairs], -1.0), (visitor, np.where(two, views, 0))])
        length = np.log(np.maximum(views - 1, 1))
        add("lengths", [(visitor, two), (visitor, two * length), (visitor, two * length**2)])

    def buying(self, add: _Adder) -> None:
        """Carts, lines, orders, single lines, items bought again, refunds, reported frauds."""
        user, order = self.user, self.order
        bought = np.flatnonzero(self.is_line & (self.item >= 0))
        known = np.unique(user[bought] * self.n_items + self.item[bought], return_index=True)[1]
        refunds = np.flatnonzero(self.role == "refund")
        by_order = refunds[order[refunds] >= 0]
        # an order counts once, however many of its lines are sent back
        by_order = by_order[np.unique(order[by_order], return_index=True)[1]]
        refunds = np.append(refunds[order[refunds] < 0], by_order)
        cells: list[tuple[np.ndarray, np.ndarray | float]] = [
            (user[self.role == "cart"], 1.0),
            (user[self.is_line], 1.0),
            (self.buyer, 1.0),
            (self.buyer, self.lines == 1),
            (user[bought], 1.0),
            (user[bought][known], -1.0),
            (user[refunds], 1.0),
            (self.buyer, self.fraud),
        ]
        add("buying", cells)

    def gaps(self, add: _Adder) -> None:
        """Days between orders of a user that are at least an hour apart."""
        gap = np.where(self.again, np.diff(self.paid, prepend=self.paid[:1]), 0) / DAY_MS
        waits = gap > 1 / 24
        who, gap = self.buyer[waits], gap[waits]
        # A month is about one, as is the spread of log days: no cell outweighs the others.
        scaled, log = gap / 30, np.log(gap)
        add("gaps", [(who, 1.0), (who, scaled), (who, scaled**2), (who, log), (who, log**2)])

    def prices(self, add: _Adder) -> None:
        """Log prices of purchases."""
        price = np.zeros(len(self.time))
        if "price" in self.log.events:
            price = self.log.events["price"].to_numpy(dtype=np.float64)[self.inside]
        priced = np.flatnonzero(self.is_line & (price > 0))
        user, level = self.user[priced], np.clip(np.log(price[priced]) - PRICE_CENTRE, -6, 8)
        add("prices", [(user, 1.0), (user, level), (user, level**2)])

    def times(self, add: _Adder) -> None:
        """Events by hour of the day, and users by day: few large orders make no busy day."""
        add.counts("hours", self.user, self.time % DAY_MS // 3_600_000, 24)
        days = self.window.days
        user, day = np.divmod(np.unique(self.user * days + self.time // DAY_MS), days)
        add.counts("days", user, day, days)

    def items(self, add: _Adder) -> None:
        """Views and purchases of each item that the window knows."""
        known, events = self.window.items, self.log.events
        if known is None or "item_id" not in events:
            return
        place = pd.Index(known).get_indexer(events["item_id"].astype("category").cat.categories)
        code = place[self.item]
        for name, rows in zip(ITEM_QUESTIONS, (self.is_view, self.is_line), strict=True):
            these = rows & (self.item >= 0) & (code >= 0)
            add.counts(name, self.user[these], code[these], len(known))


def _within(user: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(n,) int64 a code for each pair of user and code; -1 where there is none."""
    found = np.unique(user * (int(code.max(initial=0)) + 1) + code, return_inverse=True)[1]
    return np.where(code >= 0, found, -1)
