"""Columns in a form that is easier to learn: factors, names, folded text, differences of time."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Decimals, Finite, Relation, Share
from generators.structure.tables import DAY_MS, Tables, is_number, is_time, numbers_of, text_of

FACTOR = "factor of "  # before the name of a number: the column that is learnt of it
DISTANCE = "distance of "  # before the name of a time: the column that is learnt of it
HOURS, HOUR_MS = 24, 3_600_000
OWN_DAY = 0.9  # share of the rows with one distance, from which on it is counted from the row
OWN_HOUR = 0.9  # share of the rows that have their user's usual distance from the hour
DATE = r"\d{4}-\d{2}-\d{2}"


class Multiple(Relation, frozen=True, tag="multiple", tag_field="kind"):
    """`column` is another number of the row times one of few factors.

    What is learnt is the factor, as a column of text, and `column` without it.

    Attributes:
        of: the other number.
        factors: the factors, most frequent first.
        decimals: to which `column` is rounded.
    """

    of: str
    factors: Annotated[list[Finite], msgspec.Meta(min_length=1)]
    decimals: Decimals = 2

    learnt = True

    @property
    def factor(self) -> str:
        """Name of the column that holds the factor."""
        return FACTOR + self.column

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return self.of, self.factor

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def uses_up(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.factor,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column not in tables.events or self.of not in tables.events:
            return
        value, base = tables.numbers(self.column), tables.numbers(self.of)
        factor = np.full(len(value), None, dtype=object)
        for f in self.factors[::-1]:
            near = np.abs(value - base * f) <= tolerance(value, self.decimals)
            factor[near] = f"{f:.15g}"
        tables.events[self.factor] = factor
        known = pd.notna(factor)
        tables.events[self.column] = np.where(known, base, value)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        factor, base = numbers_of(tables.events[self.factor]), tables.numbers(self.of)
        value = tables.numbers(self.column)
        there = np.isfinite(value) & np.isfinite(base) & np.isfinite(factor)
        tables.events[self.column] = np.where(there, (base * factor).round(self.decimals), value)
        del tables.events[self.factor]

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} = {self.of} x {' or '.join(f'{f:g}' for f in self.factors)}"


class Name(Relation, frozen=True, tag="name", tag_field="kind"):
    """`column` has few whole numbers for its range, as stores have: it is learnt as text.

    Attributes:
        kept: those that enough users have, ascending; another one becomes the nearest of them.
            Without any, all stay.
    """

    kept: list[Finite] = msgspec.field(default_factory=list)

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column in tables.events and is_number(tables.events[self.column]):
            tables.events[self.column] = names_of(tables.events[self.column], self.kept)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        tables.events[self.column] = numbers_of(tables.events[self.column])

    def sentence(self) -> str:
        """See Relation."""
        return (
            f"{self.column} has few values for its range; each is learnt by itself, as a name, and "
            "what few users have is the nearest that enough have"
        )


def names_of(column: pd.Series, kept: list[float]) -> pd.Series:
    """Return a column of numbers as text, each the nearest of the `kept` ones, if there are any."""
    if kept:
        known, values = np.array(kept), column.to_numpy(dtype=np.float64, na_value=np.nan)
        above = np.searchsorted(known, values).clip(0, len(known) - 1)
        below = (above - 1).clip(0)
        nearer = np.abs(known[below] - values) <= np.abs(known[above] - values)
        near = np.where(np.isnan(values), np.nan, known[np.where(nearer, below, above)])
        column = pd.Series(near, index=column.index)
    return text_of(column)


class AsCategory(Relation, frozen=True, tag="category", tag_field="kind"):
    """`column` is what items are grouped by, and rows without an item have it too, as a search has.

    A log without a column `category` is learnt with this one in its place, so that items are drawn
    of the group that the rows before are about.
    """

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return ("category",)

    def uses_up(self) -> tuple[str, ...]:
        """See Relation."""
        return ("category",)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column in tables.events:
            tables.events["category"] = tables.events.pop(self.column)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        tables.events[self.column] = tables.events.pop("category")

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} follows from item_id where there is one, and groups items"


class FoldedText(Relation, frozen=True, tag="folded text", tag_field="kind"):
    """`column` is text with a long tail: what few users have is cut after the words they share.

    Attributes:
        kept: values, and beginnings of values, that enough users have.
        folded: share of the rows that are cut.
    """

    kept: list[str]
    folded: Share

    learnt = True

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column not in tables.events:
            return
        kept = set(self.kept)
        column = tables.events[self.column].astype("category")
        names = [_beginning(str(v), kept) for v in column.cat.categories]
        code = column.cat.codes.to_numpy()
        tables.events[self.column] = np.array([*names, None], dtype=object)[code]

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """A cut value stays cut."""

    def sentence(self) -> str:
        """See Relation."""
        return (
            "what few users have is cut after the words that enough of them share "
            f"({self.folded:.1%} of the rows)"
        )


def _beginning(value: str, kept: set[str]) -> str | None:
    words = value.split(" ")
    for n in range(len(words), 0, -1):
        start = " ".join(words[:n])
        if start in kept:
            return start
    return None


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
        text: is it text, like 2026-03-14?
        of_session: is it the same in all rows of a session, also beyond midnight?
    """

    days: bool
    text: bool = False
    of_session: bool = False

    def of_row(self, tables: Tables) -> bool:
        """Is the distance from the row's own time the same in nearly all rows?"""
        far = self._distance(tables)
        known = far[np.isfinite(far)]
        return bool(len(known)) and np.unique(known, return_counts=True)[1].max() > OWN_DAY * len(
            known
        )

    def _distance(self, tables: Tables) -> np.ndarray:
        """See Difference: seconds, or days."""
        ms, begin = times_of(tables.events[self.column]), self._begin(tables)
        return ms // DAY_MS - begin // DAY_MS if self.days else (ms - begin) / 1000

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        moved = tables.numbers(self.distance)
        del tables.events[self.distance]
        unit = DAY_MS if self.days else 1000
        begin = self._begin(tables)
        begin = begin // DAY_MS * DAY_MS if self.days else begin
        there = np.isfinite(moved)
        ms = (begin + np.nan_to_num(moved) * unit).round().astype(np.int64)
        stamps = pd.Series(pd.to_datetime(ms, unit="ms", utc=True), index=tables.events.index)
        stamps = stamps.astype("datetime64[ms, UTC]")
        if self.text:
            tables.events[self.column] = stamps.dt.strftime("%Y-%m-%d").where(there, None)
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


def times_of(column: pd.Series) -> np.ndarray:
    """Return a column of times, or of text like 2026-03-14, as (n,) float64 ms, NaN = missing."""
    if is_time(column):
        stamps = column.dt.tz_localize("UTC") if column.dt.tz is None else column
    else:
        stamps = pd.to_datetime(column.astype(object), format="%Y-%m-%d", errors="coerce", utc=True)
    ms = stamps.astype("datetime64[ms, UTC]").astype("int64").to_numpy().astype(np.float64)
    return np.where(stamps.isna(), np.nan, ms)


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


def tolerance(values: np.ndarray, decimals: int) -> np.ndarray:
    """Return how far (n,) numbers may be from what they are computed as: half of a last digit."""
    return 0.51 * 10.0**-decimals + 1e-9 * np.abs(np.nan_to_num(values))
