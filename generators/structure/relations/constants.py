"""What stays the same within a user, a session or an order."""

from __future__ import annotations

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
)
from generators.structure.relations.forms import names_of
from generators.structure.relations.times import ISO, times_of
from generators.structure.tables import Tables, filled, first_rows, is_number, numbers_of


class UserConstant(Relation, frozen=True, tag="constant of a user", tag_field="kind"):
    """`column` is the same in all rows of a user: it is learnt as a column of users.

    Attributes:
        names: where it is a number that is a name, as that of a store, those that enough users
            have; see `forms.Name`.
    """

    names: list[Finite] = msgspec.field(default_factory=list)
    present: Presence = msgspec.field(default_factory=Presence)

    def learnt_of_users(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column not in tables.events:
            return
        column = tables.events[self.column]
        value = names_of(column, self.names) if self.names and is_number(column) else column
        move_to_users(tables, self.column, value)
        self.present.keep(tables, self.column)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        value = of_users(tables, self.column)
        if self.names:
            value = pd.Series(numbers_of(value), index=value.index)
        there = self.present.of(tables, self.column)
        tables.events[self.column] = value.where(there)
        drop_from_users(tables, self.column)

    def sentence(self) -> str:
        """See Relation."""
        said = f"{self.column} is the same in all rows of a user"
        return said + ("; what few users have is the nearest that enough have" * bool(self.names))


class UserDate(Relation, frozen=True, tag="date of a user", tag_field="kind"):
    """`column` of users is a date in text, like 2026-03-14: it is learnt as a time.

    So it keeps its distance from the user's first row.

    Attributes:
        format: how it is written.
    """

    format: str = ISO

    def learnt_of_users(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if tables.users is not None and self.column in tables.users:
            ms = pd.Series(
                times_of(tables.users[self.column], self.format), index=tables.users.index
            )
            tables.users[self.column] = pd.to_datetime(ms, unit="ms", utc=True)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        if tables.users is not None and self.column in tables.users:
            date = tables.users[self.column]
            tables.users[self.column] = date.dt.strftime(self.format).where(date.notna(), None)

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} of users is learnt as days before their first row"


class UserLevel(Relation, frozen=True, tag="level of a user", tag_field="kind"):
    """`column` is a number that hardly moves around each user's own level.

    Attributes:
        spread: quantiles of the difference between a row and its user's level.
    """

    spread: Quantiles
    decimals: Decimals = 6
    present: Presence = msgspec.field(default_factory=Presence)

    def learnt_of_users(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column not in tables.events:
            return
        values = pd.Series(tables.numbers(self.column), index=tables.events.index)
        level = values.groupby(tables.user).transform("median")
        move_to_users(tables, self.column, level)
        self.present.keep(tables, self.column)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        level = of_users(tables, self.column).to_numpy(dtype=np.float64, na_value=np.nan)
        n = len(level)
        moved = drawn_from(self.spread, n, rng)
        there = self.present.of(tables, self.column)
        value = (level + moved).round(self.decimals)
        tables.events[self.column] = np.where(there, value, np.nan)
        drop_from_users(tables, self.column)

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} hardly moves around a level of each user"


class SessionConstant(Relation, frozen=True, tag="constant of a session", tag_field="kind"):
    """`column` is the same in all rows of a session: it is learnt of the first row alone.

    Rows that are in no session have a value each.
    """

    present: Presence = msgspec.field(default_factory=Presence)

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column in tables.events:
            alone = tables.session < 0
            _set_group(tables, self.column, tables.session, first_rows(tables.session) | alone)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        there = self.present.of(tables, self.column) | (tables.session < 0)
        _set_group(tables, self.column, tables.session, there)

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} is the same in all rows of a session"


class IdConstant(Relation, frozen=True, tag="constant of an id", tag_field="kind"):
    """`column` is the same in all rows of an order, a card, a device: of what an id names.

    It is learnt of all rows: which of them is the first with its id is not known when a row is
    drawn.

    Attributes:
        of: the column of the ids.
    """

    of: str
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.of,)

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        group = tables.of_id(self.of)
        there = self.present.of(tables, self.column) & (group >= 0)
        _set_group(tables, self.column, group, there)

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} is the same in all rows of each {self.of}"


def _set_group(tables: Tables, name: str, group: np.ndarray, rows: np.ndarray) -> None:
    """Give the `rows` (n,) of a column the value of their group, or their own where it is -1."""
    column = tables.events[name]
    own = column.astype(object)
    value = filled(own, group).where(group >= 0, own).where(rows)
    tables.events[name] = _like(value, column)


def _like(values: pd.Series, column: pd.Series) -> pd.Series:
    return values.astype(np.float64) if pd.api.types.is_numeric_dtype(column) else values


def move_to_users(tables: Tables, column: str, values: pd.Series) -> None:
    """Make a column of users of the first value of each user in `values` (n,)."""
    of_user = values.groupby(tables.events["user_id"].astype(str).to_numpy()).first()
    own = of_user.rename(column).rename_axis("user_id").reset_index()
    if tables.users is None:
        tables.users = own
        return
    users = tables.users.assign(user_id=tables.users["user_id"].astype(str))
    tables.users = users.drop_duplicates("user_id").merge(own, on="user_id", how="outer")


def of_users(tables: Tables, column: str) -> pd.Series:
    """Return the value of a column of users for each row."""
    ids = tables.events["user_id"].astype(str)
    if tables.users is None or column not in tables.users:
        return pd.Series(np.nan, index=tables.events.index)
    table = tables.users.set_index(tables.users["user_id"].astype(str))[column]
    found = table.astype(object) if isinstance(table.dtype, pd.CategoricalDtype) else table
    return pd.Series(found.reindex(ids.to_numpy()).to_numpy(), index=tables.events.index)


def drop_from_users(tables: Tables, column: str) -> None:
    """Remove a column from the users table, and the table where nothing is left of it."""
    assert tables.users is not None
    left = tables.users.drop(columns=[column])
    tables.users = left if len(left.columns) > 1 else None
