"""What follows from other rows: totals of a group, earlier values, numbers that only grow."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Decimals, Finite, Presence, Relation
from generators.structure.relations.constants import drop_from_users, move_to_users, of_users
from generators.structure.tables import Tables, codes_of, first_rows, is_number

Group = Literal["order", "session", "user"]
GROUPS: tuple[Group, ...] = get_args(Group)
NumberedGroup = Literal["order", "session"]
How = Literal["count", "sum", "max", "min", "first", "last"]
STEP = "step of "  # before the name of a number that grows: the column that is learnt of it


class GroupTotal(Relation, frozen=True, tag="total of a group", tag_field="kind"):
    """`column` is one value of all rows of an order, a session or a user.

    Attributes:
        scope: "order", "session" or "user".
        how: "count" (of rows), "sum", "max", "min", or the "first" or "last" value.
        of: the column of which it is the total; None counts rows.
        events: names of the events whose rows count; None = all.
        so_far: does a row see only those before it, and itself? For "max" and "min".
        decimals: to which numbers are rounded.
    """

    scope: Group
    how: How
    of: str | None = None
    events: list[str] | None = None
    so_far: bool = False
    decimals: Decimals = 6
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        own = ("order_id",) if self.scope == "order" else ()
        return own if self.of is None else (*own, self.of)

    def value(self, tables: Tables) -> pd.Series:
        """Return the total at each row, (n,), missing where there is none."""
        group = tables.group(self.scope)
        counts = group >= 0
        if self.events is not None:
            counts = counts & tables.is_event(self.events)
        if self.of is None:
            total = pd.Series(counts.astype(float)).groupby(group).transform("sum")
            return total.where(group >= 0)
        column = tables.events[self.of].reset_index(drop=True)
        if self.how in ("first", "last"):
            column = column if is_number(column) else column.astype(object)
            return column.where(counts).groupby(group).transform(self.how).where(group >= 0)
        numbers = pd.Series(tables.numbers(self.of)).where(counts).groupby(group)
        if self.so_far:
            far = numbers.cummax() if self.how == "max" else numbers.cummin()
            return far.groupby(group).ffill().where(group >= 0)
        least = {"min_count": 1} if self.how == "sum" else {}
        return numbers.transform(self.how, **least).where(group >= 0)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        value = self.value(tables)
        if is_number(value):
            value = value.round(self.decimals)
        value = value.where(self.present.of(tables, self.column))
        tables.events[self.column] = value.to_numpy()

    def sentence(self) -> str:
        """See Relation."""
        what = "rows" if self.of is None else self.of
        at = "" if self.events is None else f" of {', '.join(self.events)}"
        far = " so far" if self.so_far else ""
        return f"{self.column} = {self.how} of {what}{at} in the {self.scope}{far}"


class Lagged(Relation, frozen=True, tag="earlier value", tag_field="kind"):
    """`column` is the value that another column has in an earlier row.

    Attributes:
        of: the other column.
        scope: of whose rows: "order", "session", "user", or "item" (rows of the user and the item).
        last_known: is it the last value that is not missing, and not that of the row before?
        start: what rows without an earlier value have; None = nothing.
    """

    of: str
    scope: Literal["order", "session", "user", "item"]
    last_known: bool = False
    start: str | Finite | None = None

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        own = {"order": ("order_id",), "item": ("item_id",)}.get(self.scope, ())
        return (*own, self.of)

    def value(self, tables: Tables) -> pd.Series:
        """Return the earlier value at each row, (n,), missing where there is none."""
        column = tables.events[self.of].reset_index(drop=True)
        column = column if is_number(column) else column.astype(object)
        group = group_of(tables, self.scope)
        if self.last_known:
            column = column.groupby(group).ffill()
        return column.groupby(group).shift().where(group >= 0)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        value = self.value(tables)
        if self.start is not None:
            value = value.where(value.notna(), self.start)
        tables.events[self.column] = value.to_numpy()

    def sentence(self) -> str:
        """See Relation."""
        which = "the last known" if self.last_known else "the row before's"
        return f"{self.column} = {which} {self.of} of the {self.scope}"


class AsBefore(Relation, frozen=True, tag="as before", tag_field="kind"):
    """`column` of some events' rows is that of the user's last row of the item that has one.

    As what is bought has the size that was put in the cart, and a refund is of the amount paid. The
    column is learnt of all rows; those that have no such row before keep what is drawn.

    Attributes:
        events: their names; the row before is of another event.
    """

    events: list[str]

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return ("item_id",)

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        column, group = tables.events[self.column], group_of(tables, "item")
        mine, known = tables.is_event(self.events), column.notna().to_numpy()
        place = np.arange(len(mine), dtype=np.float64)
        before = pd.Series(np.where(known & ~mine, place, np.nan)).groupby(group).ffill().to_numpy()
        taken = mine & known & (group >= 0) & np.isfinite(before)
        source = np.where(taken, before, place).astype(np.int64)
        tables.events[self.column] = column.iloc[source].set_axis(column.index)

    def sentence(self) -> str:
        """See Relation."""
        events = " and ".join(self.events)
        return f"{self.column} of {events} is that of the row before of the user and the item"


def group_of(tables: Tables, scope: str) -> np.ndarray:
    """Return the code of each row's group, (n,) int64; "item" is the user and the item."""
    if scope != "item":
        return tables.group(scope)
    item = codes_of(tables.events["item_id"])
    both = tables.user * (int(item.max(initial=0)) + 1) + item
    return np.where(item < 0, -1, both)


class GroupNumber(Relation, frozen=True, tag="number of a group", tag_field="kind"):
    """`column` numbers the orders, or the sessions, of each user, as their first rows come.

    Attributes:
        scope: "order" or "session".
        start: number of a user's first.
    """

    scope: NumberedGroup
    start: Finite = 1.0
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return ("order_id",) if self.scope == "order" else ()

    def value(self, tables: Tables) -> pd.Series:
        """Return the number of each row's group, (n,), missing where it is in none."""
        group = tables.group(self.scope)
        first = pd.Series(first_rows(group))
        number = first.groupby(tables.user).cumsum().where(first)
        return number.groupby(group).transform("first").where(group >= 0) + (self.start - 1)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        there = self.present.of(tables, self.column)
        tables.events[self.column] = self.value(tables).where(there).to_numpy()

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} numbers the {self.scope}s of a user"


class Growing(Relation, frozen=True, tag="growing number", tag_field="kind"):
    """`column` never falls within a user: its steps are learnt, and where each user begins.

    Attributes:
        by_session: does it move at the beginning of sessions only?
        decimals: to which it is rounded.
    """

    by_session: bool = False
    decimals: Decimals = 0

    @property
    def step(self) -> str:
        """Name of the column that holds the steps."""
        return STEP + self.column

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.step,)

    def learnt_of_users(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def uses_up(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.step,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column not in tables.events:
            return
        value = pd.Series(tables.numbers(self.column), index=tables.events.index)
        move_to_users(tables, self.column, value)
        step = value.groupby(tables.user).diff().fillna(0.0).round(self.decimals)
        if self.by_session:
            step = step.where(first_rows(tables.session))
        tables.events[self.step] = step
        del tables.events[self.column]

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        start = of_users(tables, self.column).to_numpy(dtype=np.float64, na_value=np.nan)
        step = np.maximum(np.nan_to_num(tables.numbers(self.step)), 0)
        moves = ~first_rows(tables.user)
        if self.by_session:
            moves &= first_rows(tables.session)
        risen = pd.Series(np.where(moves, step, 0)).groupby(tables.user).cumsum().to_numpy()
        tables.events[self.column] = (start + risen).round(self.decimals)
        del tables.events[self.step]
        drop_from_users(tables, self.column)

    def sentence(self) -> str:
        """See Relation."""
        when = " and moves between sessions only" if self.by_session else ""
        return f"{self.column} never falls within a user{when}"
