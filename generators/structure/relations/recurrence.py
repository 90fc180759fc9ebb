"""Recurrence: a user has an item again after the same time, in a session of its own.

A subscription is renewed and a pack is used up after 30 days. The session that follows is a
consequence of an earlier row and not of what the user has done since, so a model of what comes next
sees no reason for it. Such sessions are taken out of a log before a generator learns, and put back
into a sample: the rows of the item in the session that they follow, once more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from generators.structure.relations.base import Quantiles, Relation, Share, drawn_from
from generators.structure.relations.campaigns import INSERTED, Time, count_until
from generators.structure.relations.offers import insert
from generators.structure.tables import DAY_MS, Tables, codes_of, first_rows, step_ms

BETWEEN_MS = 60_000  # between a session and one that is put in after it
MOST_AGAIN = 1_000  # times that an item comes again after the first
MOST_BEFORE = 8  # earlier sessions with the item, of which a session may be the consequence


class Recurrence(Relation, frozen=True, tag="recurrence", tag_field="kind"):
    """Some users have an item again a certain time after rows of an event, and again after that.

    Attributes:
        event: name of the event; its rows have an item each, or none has.
        of_item: is it the item that comes again?
        lag: quantiles of the ms between two such rows, or from a month after the first.
        months: is it a month of the calendar later, as salaries are paid?
        shortest, longest: ms between which such a time lies.
        events: names of the events that a session has which follows.
        users: share of the users who have it.
        first, later, again: of them, the share of rows that are followed: of the first rows of the
            event in a session, of those after it, and of those that follow others themselves.
    """

    event: str
    of_item: bool
    lag: Quantiles
    shortest: Time
    longest: Time
    events: list[str]
    users: Share
    first: Share
    later: Share
    again: Share
    months: bool = False

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return ("item_id",) if self.of_item else ()

    def reduce(self, tables: Tables) -> None:
        """Take out the rows of the sessions that follow."""
        found = occurrences_of(tables, self.event, of_item=self.of_item)
        follows = found.followed_by(self.shortest, self.longest)
        kept = ~np.isin(tables.visit, found.visit[follows[follows >= 0]])
        if not kept.all():
            tables.keep_rows(kept)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Put the sessions that follow into a sample; of users who go on, those after the past."""
        found = occurrences_of(tables, self.event, of_item=self.of_item)
        if not len(found.row):
            return
        mine = rng.random(int(tables.user.max()) + 1) < self.users
        share = np.where(found.is_first, self.first, self.later)
        source = np.flatnonzero(mine[tables.user[found.row]] & (rng.random(len(share)) < share))
        time, end, drawn = found.time[source], tables.time.max(), list[tuple]()
        for _ in range(MOST_AGAIN):
            time = a_month_after(time) if self.months else time
            time = time + drawn_from(self.lag, len(time), rng).astype(np.int64)
            there = time <= end
            source, time = source[there], time[there]
            if not len(source):
                break
            drawn.append((source, time))
            on = rng.random(len(source)) < self.again
            source, time = source[on], time[on]
        if drawn:
            source, time = (np.concatenate(part) for part in zip(*drawn, strict=True))
            after = time > tables.past_end  # the log has what came before
            source, time = source[after], time[after]
            insert(tables, self._rows(tables, found, source, time))

    def _rows(
        self, tables: Tables, found: Occurrences, source: np.ndarray, time: np.ndarray
    ) -> pd.DataFrame:
        """Return the rows of sessions that follow the occurrences `source` (m,) at `time` (m,)."""
        visit, about = tables.visit, about_of(tables, of_item=self.of_item)
        usable = np.flatnonzero(np.isin(tables.event, self.events))
        rows = pd.DataFrame(
            {"visit": visit[usable], "about": about[usable], "event": tables.event[usable]}
        )
        rows["row"], gap = usable, np.diff(tables.time, prepend=0) * ~first_rows(visit)
        rows = rows.drop_duplicates(["visit", "about", "event"], keep="last")
        of = pd.DataFrame({"visit": found.visit[source], "about": found.about[source]})
        of["n"], of["time"], of["own"] = np.arange(len(of)), time, found.row[source]
        joined = of.merge(rows, on=["visit", "about"]).sort_values(["n", "row"])
        session = joined["n"].to_numpy()
        wait = np.where(first_rows(session), 0, gap[joined["row"]])
        since = pd.Series(wait).groupby(session).cumsum().to_numpy()
        # the row of the event is the one whose time was drawn
        is_own = (joined["row"] == joined["own"]).to_numpy()
        at_own = pd.Series(np.where(is_own, since, np.nan)).groupby(session).transform("max")
        at = joined["time"].to_numpy() + since - at_own.fillna(0).to_numpy()
        at = _apart(tables, joined["row"].to_numpy(), session, at)
        step = step_ms(tables)
        out = tables.events.iloc[joined["row"]].reset_index(drop=True)
        for name in out:
            if isinstance(out[name].dtype, pd.CategoricalDtype):
                out[name] = out[name].astype(object)
        for name in [n for n in ("session_id", "order_id") if n in out]:
            own = out[name].astype(str) + "-" + pd.Series(session).astype(str)
            out[name] = own.where(out[name].notna(), None)
        at = np.minimum(at, tables.time.max()) // step * step
        out["timestamp"] = pd.to_datetime(at, unit="ms", utc=True).as_unit("ms")
        return out.assign(event_id=INSERTED, _place=len(tables.events) + np.arange(len(out)))

    def sentence(self) -> str:
        """See Relation."""
        what = f"{self.event} of an item" if self.of_item else self.event
        usual = f"about {np.median(self.lag) / DAY_MS:.3g} days"
        after = "a month" if self.months else usual
        return f"{what} comes again after {after}, with {self.users:.0%} of users"


def a_month_after(time: np.ndarray) -> np.ndarray:
    """Return times (n,) int64 ms a month of the calendar later; 31 January becomes 28 February."""
    stamps = pd.DatetimeIndex(time.astype("datetime64[ms]")) + pd.DateOffset(months=1)
    return stamps.as_unit("ms").asi8


def _apart(tables: Tables, source: np.ndarray, session: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the times (m,) of the rows of sessions, those that begin inside another after it.

    `source` (m,) are rows of the same users.
    """
    visit, every = tables.visit, np.ones(len(tables.user), dtype=bool)
    begins = np.flatnonzero(first_rows(session))
    next_ = count_until(tables, every, tables.user[source[begins]], time[begins].astype(np.int64))
    inside = visit[next_ - 1] == visit[np.minimum(next_, len(visit) - 1)]
    inside &= next_ < len(visit)
    last = pd.Series(tables.time).groupby(visit).transform("max").to_numpy()[next_ - 1]
    shift = np.where(inside, np.maximum(last + BETWEEN_MS - time[begins], 0), 0)
    moved: np.ndarray = time + shift[np.cumsum(first_rows(session)) - 1]
    return moved


class Occurrences(NamedTuple):
    """The first row of an event in each session and of each item, by user, item and time."""

    row: np.ndarray  # (n,)
    visit: np.ndarray  # (n,) number of the session
    about: np.ndarray  # (n,) code of the item, or 0
    time: np.ndarray  # (n,) ms
    owner: np.ndarray  # (n,) a number of the user and the item
    is_first: np.ndarray  # (n,) bool: is it the event's first row in the session?
    alone: np.ndarray  # (n,) bool: is the session about nothing else?

    def lags(self, back: int) -> np.ndarray:
        """Return the ms since the `back`-th occurrence before of the same user and item, (n,).

        It is NaN where there is none, and where the session is about something else as well.
        """
        out = np.full(len(self.row), np.nan)
        there = (self.owner[back:] == self.owner[:-back]) & self.alone[back:]
        out[back:][there] = (self.time[back:] - self.time[:-back])[there]
        return out

    def followed_by(self, shortest: int, longest: int) -> np.ndarray:
        """Return the occurrence that follows each within these ms, (n,); -1 = none.

        None follows two.
        """
        out = np.full(len(self.row), -1)
        taken = np.zeros(len(self.row), dtype=bool)
        for back in range(1, min(MOST_BEFORE, len(self.row) - 1) + 1):
            lag = self.lags(back)
            later = np.flatnonzero((lag >= shortest) & (lag <= longest) & ~taken)
            later = later[out[later - back] < 0]
            out[later - back], taken[later] = later, True
        return out


def occurrences_of(tables: Tables, event: str, *, of_item: bool) -> Occurrences:
    """Return where an event occurs in the rows of a log or a sample."""
    visit, about = tables.visit, about_of(tables, of_item=of_item)
    rows = np.flatnonzero((tables.event == event) & (about >= 0))
    pair = visit[rows] * (int(about.max(initial=0)) + 1) + about[rows]
    rows = rows[first_rows(pair)]
    owner = tables.user * (int(about.max(initial=0)) + 1) + about
    rows = rows[np.lexsort((rows, owner[rows]))]
    first, seen = np.zeros(len(visit), dtype=bool), pd.Series(visit[np.sort(rows)])
    first[np.sort(rows)] = ~seen.duplicated().to_numpy()
    known = pd.Series(np.where(about >= 0, about, np.nan)).groupby(visit)
    alone = (known.transform("min") == known.transform("max")).to_numpy()
    if not of_item:
        others = pd.Series((about < 0).astype(int)).groupby(visit).transform("max")
        alone &= others.to_numpy() == 0
    return Occurrences(
        rows, visit[rows], about[rows], tables.time[rows], owner[rows], first[rows], alone[rows]
    )


def about_of(tables: Tables, *, of_item: bool) -> np.ndarray:
    """Return what each row is about, (n,) int64, -1 = nothing.

    That is the code of its item, or of the next one in its session. Without `of_item`, rows that
    have no item are about 0.
    """
    item = np.full(len(tables.events), -1)
    if "item_id" in tables.events:
        item = codes_of(tables.events["item_id"])
    if not of_item:
        return np.where(item < 0, 0, -1)
    known = pd.Series(np.where(item >= 0, item, np.nan)).groupby(tables.visit).bfill()
    return known.fillna(-1).to_numpy().astype(np.int64)
