"""Relation: one thing that is determined in a log.

`reduce` takes it out of a log, so that a generator learns only what is free; `restore` puts it into
a sample. Each kind is a frozen `msgspec.Struct` whose fields say everything, so that relations are
written to a file, declared in one, and checked, all in the same way.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from generators.structure.tables import Tables, text_of

# What the fields of a relation may hold; NaN is in no range.
Finite = Annotated[float, msgspec.Meta(ge=-1e36, le=1e36)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Decimals = Annotated[int, msgspec.Meta(ge=0, le=15)]
Quantiles = Annotated[list[Finite], msgspec.Meta(min_length=2)]
ValueOf = Annotated[dict[str, str | Finite], msgspec.Meta(min_length=1)]  # key -> value


class Relation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all kinds.

    Attributes:
        column: the column that is derived.
        exceptions: share of the rows that do not follow the relation; a sample has as many.
    """

    column: str
    exceptions: Share = 0.0

    def reads(self) -> tuple[str, ...]:
        """Return the columns of events from which `restore` derives the column."""
        return ()

    def needs(self) -> tuple[str, ...]:
        """Return what `restore` reads, and what says which rows have the column."""
        present = getattr(self, "present", None)
        by = None if present is None else present.by
        return self.reads() if by is None else tuple(dict.fromkeys([*self.reads(), by]))

    def uses_up(self) -> tuple[str, ...]:
        """Return those of them that are no columns of the log: `restore` takes them out."""
        return ()

    def learnt_of_events(self) -> tuple[str, ...]:
        """Return the columns of events that a generator must have learnt for the relation."""
        present = getattr(self, "present", None)
        return (self.column,) if present is not None and present.drawn else ()

    def learnt_of_users(self) -> tuple[str, ...]:
        """Return the columns of users that a generator must have learnt for the relation."""
        return ()

    def reduce(self, tables: Tables) -> None:
        """Take the column out of the tables, or replace it by what is free of it."""
        if self.column in tables.events:
            getattr(self, "present", Presence()).keep(tables, self.column)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Derive the column again."""
        raise NotImplementedError

    def sentence(self) -> str:
        """Say what is determined by what."""
        raise NotImplementedError


class Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows have a derived column, of those for which it can be derived.

    Attributes:
        events: names of the events whose rows have it; None = all.
        by: another column that decides which of these rows have it.
        values: those of `by` whose rows have it; None = all that are not missing.
        drawn: it follows from nothing: a generator learns which rows have the column.
    """

    events: list[str] | None = None
    by: str | None = None
    values: list[str] | None = None
    drawn: bool = False

    def keep(self, tables: Tables, column: str) -> None:
        """Replace the column by what is to be learnt of it: nothing, or where it is present."""
        present = tables.events[column].notna().to_numpy()
        if self.drawn:
            tables.events[column] = np.array([None, PRESENT], dtype=object)[present.astype(int)]
        else:
            del tables.events[column]

    def of(self, tables: Tables, column: str) -> np.ndarray:
        """Return which rows have the column in a sample, (n,) bool."""
        if self.drawn:
            return tables.events[column].notna().to_numpy()
        there = np.ones(len(tables.events), dtype=bool)
        if self.events is not None:
            there &= tables.is_event(self.events)
        if self.by is not None:
            decides = tables.events[self.by]
            there &= (
                decides.notna() if self.values is None else text_of(decides).isin(self.values)
            ).to_numpy()
        return there


PRESENT = "present"


def drawn_from(quantiles: list[float], n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n numbers, float64, whose quantiles at even distances are `quantiles`."""
    return np.interp(rng.random(n), np.linspace(0, 1, len(quantiles)), quantiles)


def spoilt(values: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Return `values` (n,) with the values of other rows in a share `rate` of the rows."""
    if rate <= 0 or len(values) == 0:
        return values
    rows = np.flatnonzero(rng.random(len(values)) < rate)
    out = values.copy()
    out[rows] = values[rng.integers(0, len(values), len(rows))]
    return out
