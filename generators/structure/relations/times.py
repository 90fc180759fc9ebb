"""Columns that tell a time, in a form that is easier to learn, and hours that an event keeps to."""

from __future__ import annotations

import numpy as np
import pandas as pd

from generators.structure.relations.base import Quantiles, Relation, drawn_from
from generators.structure.relations.campaigns import PAST, Time
from generators.structure.relations.offers import in_time
from generators.structure.tables import DAY_MS, Tables, is_time, step_ms, text_of

DISTANCE = "distance of "  # before the name of a time: the column that is learnt of it
HOURS, HOUR_MS = 24, 3_600_000
OWN_DAY = 0.9  # share of the rows with one distance, from which on it is counted from the row
OWN_HOUR = 0.9  # share of the rows that have their user's usual distance from the hour
ISO = "%Y-%m-%d"
EXACT = "%Y-%m-%dT%H:%M:%S.%f"


class Difference(Relation, frozen=True):
    """`column` tells a time: it is learnt as its distance from the time of the row."""

    @property
    def distance(self) -> str:
        """Name of the column that holds the distance."""
        return DISTANCE + self.column

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.distance,)

    def uses_up(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.distance,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column in tables.events:
            tables.events[self.distance] = self._distance(tables)
            del tables.events[self.column]

    def _distance(self, tables: Tables) -> np.ndarray:
        """Return the distance of each row, (n,) float64, NaN = missing."""
        raise NotImplementedError


class TimeDifference(Difference, frozen=True, tag="time difference", tag_field="kind"):
    """`column` is a time: it is learnt as its distance from the time of the row.

    Attributes:
        days: is the column a date, without a time of day?
        format: how it is written where it is text, or a number, like "%d.%m.%Y"; None = it is a
            time.
        of_session: is it the same in all rows of a session, also beyond midnight?
    """

    days: bool
    format: str | None = None
    of_session: bool = False

    @property
    def _unit(self) -> int:
        """Return the ms of a unit of the distance."""
        return DAY_MS if self.days else 1000

    @property
    def _grid(self) -> int:
        """Return the ms of which what is written is a multiple."""
        if self.days or self.format is None:
            return DAY_MS if self.days else 1
        return 1000 if "%S" in self.format else 60_000

    def of_row(self, tables: Tables) -> bool:
        """Is the distance from the row's own time the same in nearly all rows?"""
        far = self._distance(tables)
        known = far[np.isfinite(far)]
        return bool(len(known)) and np.unique(known, return_counts=True)[1].max() > OWN_DAY * len(
            known
        )

    def _distance(self, tables: Tables) -> np.ndarray:
        """See Difference: seconds, or days."""
        ms = times_of(tables.events[self.column], self.format or ISO)
        begin = self._begin(tables)
        return (ms // self._grid - begin // self._grid) * (self._grid / self._unit)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        moved = tables.numbers(self.distance)
        del tables.events[self.distance]
        begin = self._begin(tables) // self._grid * self._grid
        there = np.isfinite(moved)
        ms = (begin + np.nan_to_num(moved) * self._unit).round().astype(np.int64)
        stamps = pd.Series(pd.to_datetime(ms, unit="ms", utc=True), index=tables.events.index)
        stamps = stamps.astype("datetime64[ms, UTC]")
        if self.format is not None:
            tables.events[self.column] = stamps.dt.strftime(self.format).where(there, None)
        else:
            tables.events[self.column] = stamps.where(there)

    def _begin(self, tables: Tables) -> np.ndarray:
        """Return the time from which the distance is counted, (n,) int64 ms."""
        if not self.of_session:
            return tables.time
        first = pd.Series(tables.time).groupby(tables.session).transform("first").to_numpy()
        return np.where(tables.session >= 0, first, tables.time)

    def sentence(self) -> str:
        """See Relation."""
        unit, since = "days" if self.days else "seconds", "session" if self.of_session else "row"
        return f"{self.column} is learnt as {unit} from the {since}'s time"


class HourDifference(Difference, frozen=True, tag="hour difference", tag_field="kind"):
    """`column` is the hour on the user's clock: it is learnt as its distance from the row's hour.

    That is the same in nearly all rows of a user, and not with all users.
    """

    def differs(self, tables: Tables) -> bool:
        """Is the column an hour whose distance is the users' own?"""
        hour = tables.numbers(self.column)
        there = np.isfinite(hour)
        known = hour[there]
        if not there.any() or known.min() < 0 or known.max() > 23 or (known % 1 != 0).any():
            return False
        far, user = self._distance(tables)[there], tables.user[there]
        pair, rows = np.unique(user * HOURS + far.astype(np.int64) % HOURS, return_counts=True)
        most = np.zeros(int(user.max()) + 1, dtype=np.int64)
        np.maximum.at(most, pair // HOURS, rows)
        usual = np.unique(far, return_counts=True)[1].max()
        return bool(most.sum() >= OWN_HOUR * len(far) > usual)

    def _distance(self, tables: Tables) -> np.ndarray:
        """See Difference: hours, from -11 to 12."""
        hour = tables.numbers(self.column)
        far = (np.where(np.isfinite(hour), hour, np.nan) - tables.time // HOUR_MS) % HOURS
        return np.where(far > HOURS / 2, far - HOURS, far)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        far = tables.numbers(self.distance).round()
        tables.events[self.column] = (tables.time // HOUR_MS + far) % HOURS
        del tables.events[self.distance]

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} is learnt as hours from the row's hour, as in a time zone"


def times_of(column: pd.Series, written: str = ISO) -> np.ndarray:
    """Return a column of times, or of text that is `written` so, as (n,) float64 ms, NaN = none."""
    if is_time(column):
        stamps = column.dt.tz_localize("UTC") if column.dt.tz is None else column
    else:
        stamps = pd.to_datetime(text_of(column), format=written, errors="coerce", utc=True)
    ms = stamps.astype("datetime64[ms, UTC]").astype("int64").to_numpy().astype(np.float64)
    return np.where(stamps.isna(), np.nan, ms)


class TimeOfItem(Relation, frozen=True, tag="time of an item", tag_field="kind"):
    """`column` is a time that the item decides: items are learnt with it, as with text."""

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column in tables.events and is_time(tables.events[self.column]):
            stamps = tables.events[self.column]
            tables.events[self.column] = stamps.dt.strftime(EXACT).where(stamps.notna(), None)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        tables.events[self.column] = self.times(tables.events[self.column])

    @staticmethod
    def times(column: pd.Series) -> pd.Series:
        """Return the times that a column of text says."""
        stamps = pd.to_datetime(text_of(column), format=EXACT, utc=True)
        return stamps.astype("datetime64[ms, UTC]")

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} is a time that follows from item_id"


class LocalDays(Relation, frozen=True, tag="local days", tag_field="kind"):
    """Times are days of a time zone, or otherwise lie on a grid of its clock.

    A generator learns the local time, as if it were UTC.

    Attributes:
        zone: a name of the IANA database, or hours from UTC as "+05:30".
    """

    zone: str

    def __post_init__(self) -> None:
        """Raise ValueError where there is no such zone."""
        pd.Timestamp(0, tz=self.zone)

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        tables.events[self.column] = self.local(tables.events[self.column])
        tables.__dict__.pop("time", None)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        tables.events[self.column] = self.utc(tables.events[self.column])
        tables.__dict__.pop("time", None)

    def local(self, stamps: pd.Series) -> pd.Series:
        """Return the local time at UTC times, as if it were UTC."""
        local = stamps.dt.tz_convert(self.zone).dt.tz_localize(None)
        return local.dt.tz_localize("UTC").astype("datetime64[ms, UTC]")

    def utc(self, stamps: pd.Series) -> pd.Series:
        """Return the UTC times at which clocks show `stamps`, which are given as if UTC."""
        local = stamps.dt.tz_localize(None)
        ambiguous = np.ones(len(local), dtype=bool)
        shown = local.dt.tz_localize(self.zone, ambiguous=ambiguous, nonexistent="shift_forward")
        return shown.dt.tz_convert("UTC").astype("datetime64[ms, UTC]")

    def sentence(self) -> str:
        """See Relation."""
        return f"times are days of {self.zone}"


class TimeOfDay(Relation, frozen=True, tag="time of day", tag_field="kind"):
    """Rows of an event, alone in their sessions, come at the event's own time of the day.

    As a salary does, a renewal at midnight, or whatever a machine does.

    Attributes:
        event: its name.
        start: ms after midnight of UTC, from which its times are counted.
        times: quantiles of these times, ms.
    """

    event: str
    start: Time
    times: Quantiles

    def reduce(self, tables: Tables) -> None:
        """See Relation."""

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Move the rows to such a time of their day, or of the day before at the log's end."""
        past = tables.events["event_id"].to_numpy() == PAST
        rows = np.flatnonzero(tables.is_event([self.event]) & ~past)
        rows = rows[rng.random(len(rows)) >= self.exceptions]
        if not len(rows):
            return
        self._leave(tables, rows)
        day = tables.time[rows] // DAY_MS * DAY_MS + self.start
        time, step = tables.time.copy(), step_ms(tables)
        time[rows] = day + drawn_from(self.times, len(rows), rng) // step * step
        time[rows] -= np.where(time[rows] > tables.time.max(), DAY_MS, 0)
        stamps = pd.to_datetime(time, unit="ms", utc=True).as_unit("ms")
        events = in_time(tables.events.assign(timestamp=stamps), np.arange(len(time)))
        tables.replace_events(events.reset_index(drop=True))

    def _leave(self, tables: Tables, rows: np.ndarray) -> None:
        """Give rows that are not alone in their session sessions of their own."""
        if "session_id" not in tables.events:
            return
        among = rows[~alone(tables, self.event)[rows]]
        ids = tables.events["session_id"].astype(object).to_numpy(copy=True)
        there = pd.notna(ids[among])
        ids[among[there]] = [f"{ids[k]}-{n}" for n, k in enumerate(among[there])]
        tables.events["session_id"] = pd.Series(ids).astype("category")

    def sentence(self) -> str:
        """See Relation."""
        minutes = int(self.start + np.median(self.times)) % DAY_MS // 60_000
        return f"{self.event} comes at about {minutes // 60:02d}:{minutes % 60:02d} UTC"


def alone(tables: Tables, event: str) -> np.ndarray:
    """Return the rows (n,) of an event in whose session no other event is, or that have none."""
    mine, session = tables.is_event([event]), tables.session
    others = pd.Series(~mine).groupby(session).transform("any").to_numpy()
    return mine & ((session < 0) | ~others)
