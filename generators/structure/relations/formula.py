"""Formula: a number that is computed from other columns of its row, or from other rows."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import (
    Decimals,
    Finite,
    Presence,
    Quantiles,
    Relation,
    drawn_from,
    spoilt,
)
from generators.structure.relations.constants import drop_from_users, move_to_users, of_users
from generators.structure.tables import DAY_MS, Tables, numbers_of, text_of

Scope = Literal["user", "session", "order"]
Since = Literal["epoch", "user", "session", "previous"]


class Formula(Relation, frozen=True, tag="formula", tag_field="kind"):
    """`column` = scale x (product of columns) / per x (1 - less) + plus - minus + offset, rounded.

    Attributes:
        product: one or two columns.
        where_known: a further factor of the rows that have it, as the weight of what is weighed.
        scale: a constant factor.
        per: a column that divides.
        offset: a constant that is added.
        less: a share (or, with `percent`, a percentage) that is taken off.
        plus, minus: columns that are added and subtracted; missing ones count as 0.
        decimals: to which it is rounded.
        down: is it rounded down, as points are?
    """

    product: Annotated[list[str], msgspec.Meta(min_length=1)]
    where_known: str | None = None
    scale: Finite = 1.0
    per: str | None = None
    offset: Finite = 0.0
    less: str | None = None
    percent: bool = False
    plus: list[str] = msgspec.field(default_factory=list)
    minus: list[str] = msgspec.field(default_factory=list)
    decimals: Decimals = 2
    down: bool = False
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        single = [n for n in (self.where_known, self.per, self.less) if n is not None]
        return tuple(dict.fromkeys([*self.product, *single, *self.plus, *self.minus]))

    def value(self, tables: Tables) -> np.ndarray:
        """Return what the formula gives for each row, (n,) float64, before it is rounded."""
        out = np.full(len(tables.events), self.scale)
        for name in self.product:
            out = out * tables.numbers(name)
        if self.where_known is not None:
            out = out * np.nan_to_num(tables.numbers(self.where_known), nan=1.0)
        if self.per is not None:
            out = divided(out, tables.numbers(self.per))
        if self.less is not None:
            out = out * (1 - tables.numbers(self.less) / (100 if self.percent else 1))
        for names, sign in ((self.plus, 1.0), (self.minus, -1.0)):
            for name in names:
                out = out + sign * np.nan_to_num(tables.numbers(name))
        return out + self.offset

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        value = self.value(tables) + 0.0
        value = rounded_down(value, self.decimals) if self.down else value.round(self.decimals)
        value = np.where(self.present.of(tables, self.column), value, np.nan)
        there = np.isfinite(value)
        value[there] = spoilt(value[there], self.exceptions, rng)
        tables.events[self.column] = value

    def sentence(self) -> str:
        """See Relation."""
        text = " x ".join(([] if self.scale == 1 else [f"{self.scale:g}"]) + list(self.product))
        text += "" if self.where_known is None else f" x {self.where_known} where it is known"
        text += "" if self.per is None else f" / {self.per}"
        if self.less is not None:
            text += f" x (1 - {self.less}{' / 100' if self.percent else ''})"
        text += "".join(f" + {n}" for n in self.plus) + "".join(f" - {n}" for n in self.minus)
        text += f" {'-' if self.offset < 0 else '+'} {abs(self.offset):g}" if self.offset else ""
        return f"{self.column} = {text}{', rounded down' if self.down else ''}"


def rounded_down(values: np.ndarray, decimals: int = 0) -> np.ndarray:
    """Return (n,) numbers rounded down; what is whole but for its last digits stays."""
    unit = 10.0**-decimals
    return np.floor(values / unit + 1e-6) * unit


def divided(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return `values` / `by` (n,), NaN where `by` is 0."""
    return values / np.where(by == 0, np.nan, by)


class RunningSum(Relation, frozen=True, tag="running sum", tag_field="kind"):
    """`column` counts rows, or adds up another column, within a user, a session or an order.

    Attributes:
        scope: "user", "session" or "order".
        of: the column that is added up; None counts rows.
        events: names of the events whose rows count; None = all.
        before: does a row not count itself?
        start: the value before the first row that counts.
        step: a constant factor.
        steps: the factors of events that have another one.
        down: is what a row adds rounded down to a whole number?
    """

    scope: Scope = "user"
    of: str | None = None
    events: list[str] | None = None
    before: bool = False
    start: Finite = 0.0
    step: Finite = 1.0
    steps: dict[str, Finite] = msgspec.field(default_factory=dict)
    decimals: Decimals = 0
    down: bool = False
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        own = ("order_id",) if self.scope == "order" else ()
        return own if self.of is None else (*own, self.of)

    def value(self, tables: Tables) -> np.ndarray:
        """Return the sum at each row, (n,) float64."""
        added = np.full(len(tables.events), self.step)
        for event, step in self.steps.items():
            added[tables.is_event([event])] = step
        if self.of is not None:
            added = added * np.nan_to_num(tables.numbers(self.of))
        if self.down:
            added = rounded_down(added)
        if self.events is not None:
            added = np.where(tables.is_event(self.events), added, 0.0)
        group = tables.group(self.scope)
        total = pd.Series(added).groupby(group).cumsum().to_numpy()
        return self.start + (total - added if self.before else total)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        there = self.present.of(tables, self.column) & (tables.group(self.scope) >= 0)
        tables.events[self.column] = np.where(
            there, self.value(tables).round(self.decimals), np.nan
        )

    def sentence(self) -> str:
        """See Relation."""
        what = "rows" if self.of is None else self.of
        at = "" if self.events is None else f" of {', '.join(self.events)}"
        at += "".join(f", {step:g} for each {event}" for event, step in self.steps.items())
        if self.down:
            what = f"{self.step:g} x {what}, each rounded down,"
        return f"{self.column} = running sum of {what}{at} within the {self.scope}"


class Elapsed(Relation, frozen=True, tag="elapsed time", tag_field="kind"):
    """`column` is the time since a beginning, in a unit.

    Attributes:
        since: "epoch" (1970), "user" (the first row of the user), "session" or "previous" (row).
        unit_ms: ms of the unit.
        decimals: to which it is rounded; -1 = whole units, rounded down.
        negative: is it counted from the row back to the beginning, as a distance is?
        calendar: are dates counted, and not times? The unit is a day.
    """

    since: Since
    unit_ms: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    decimals: Annotated[int, msgspec.Meta(ge=-1, le=15)] = -1
    negative: bool = False
    calendar: bool = False
    present: Presence = msgspec.field(default_factory=Presence)

    def value(self, tables: Tables) -> np.ndarray:
        """Return the time of each row, (n,) float64, NaN = there is no beginning."""
        time = tables.time.astype(np.float64)
        time = time // DAY_MS * DAY_MS if self.calendar else time
        if self.since == "previous":
            begin = pd.Series(time).groupby(tables.user).shift().to_numpy()
        elif self.since == "epoch":
            begin = np.zeros(len(time))
        else:
            group = tables.group(self.since)
            begin = pd.Series(time).groupby(group).transform("min").to_numpy()
            begin = np.where(group < 0, np.nan, begin)
        out: np.ndarray = (time - begin) / (-self.unit_ms if self.negative else self.unit_ms)
        return np.floor(out) if self.decimals < 0 else out.round(self.decimals)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        there = self.present.of(tables, self.column)
        tables.events[self.column] = np.where(there, self.value(tables), np.nan)

    def sentence(self) -> str:
        """See Relation."""
        unit = "days of the calendar" if self.calendar else f"units of {self.unit_ms} ms"
        return f"{self.column} = time since {self.since}, in {unit}"


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each row of an event adds to a balance.

    Attributes:
        step: a constant, or the factor of a column.
        of: a column of numbers that is added.
        by: a column of text by whose value constants are added, and those.
    """

    step: Finite = 0.0
    of: str | None = None
    by: str | None = None
    steps: dict[str, Finite] = msgspec.field(default_factory=dict)

    def added(self, tables: Tables, rows: np.ndarray) -> np.ndarray:
        """Return what the rows (m,) add, (m,) float64."""
        if self.by is not None:
            text = text_of(tables.events[self.by].iloc[rows])
            return text.map(self.steps).fillna(0.0).to_numpy(dtype=np.float64)
        if self.of is not None:
            return self.step * np.nan_to_num(numbers_of(tables.events[self.of].iloc[rows]))
        return np.full(len(rows), self.step)


class Balance(Relation, frozen=True, tag="balance", tag_field="kind"):
    """`column` changes by what the rows of each event add in a way of their own.

    A wallet gains what is bought, and a fixed sum for each game that is won, and loses what is
    spent; a level rises where a game is won.

    Attributes:
        parts: of events; others add nothing.
        start: of each user, before the first row; None = a user's own, learnt as a column of users.
        least: below which no balance falls: users who would fall below it have a higher start,
            where that is their own.
    """

    parts: dict[str, Part]
    start: Finite | None = None
    least: Finite | None = None
    decimals: Decimals = 0
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        columns = [n for part in self.parts.values() for n in (part.of, part.by) if n is not None]
        return tuple(dict.fromkeys(columns))

    def learnt_of_users(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,) if self.start is None else ()

    def value(self, tables: Tables) -> np.ndarray:
        """Return the balance after each row, (n,) float64, of users who start with 0 or `start`."""
        added = np.zeros(len(tables.events))
        for event, part in self.parts.items():
            rows = np.flatnonzero(tables.is_event([event]))
            added[rows] = part.added(tables, rows)
        return (self.start or 0.0) + pd.Series(added).groupby(tables.user).cumsum().to_numpy()

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.start is None and self.column in tables.events:
            start = pd.Series(tables.numbers(self.column) - self.value(tables))
            start = start.round(self.decimals).set_axis(tables.events.index)
            move_to_users(tables, self.column, start)
        super().reduce(tables)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        value = self.value(tables)
        there = self.present.of(tables, self.column)
        if self.start is None:
            start = of_users(tables, self.column).to_numpy(dtype=np.float64, na_value=np.nan)
            value += np.nan_to_num(start)
            if self.least is not None:
                lowest = pd.Series(value).groupby(tables.user).transform("min").to_numpy()
                value += np.maximum(self.least - lowest, 0.0)
            drop_from_users(tables, self.column)
        tables.events[self.column] = np.where(there, (value + 0.0).round(self.decimals), np.nan)

    def sentence(self) -> str:
        """See Relation."""
        start = " from a start of each user" if self.start is None else ""
        return f"{self.column} is a balance that {', '.join(self.parts)} change{start}"


class RunningNumber(Relation, frozen=True, tag="running number", tag_field="kind"):
    """`column` numbers the rows of the log in the order of their times, with gaps.

    A sample has numbers of its own, beyond those of the log.

    Attributes:
        first: below all numbers of a sample.
        steps: quantiles of the steps from one row to the next.
    """

    first: Annotated[float, msgspec.Meta(ge=1, le=1e30)]
    steps: Quantiles

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        n = len(tables.events)
        step = drawn_from(self.steps, n, rng)
        order = np.lexsort((np.arange(n), tables.time))
        value = np.empty(n)
        begin = self.first * (1 + int(rng.integers(0, 1000)) / 1000)
        value[order] = np.floor(begin) + np.cumsum(np.maximum(step.round(), 1))
        tables.events[self.column] = value

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} numbers the rows in the order of their times"
