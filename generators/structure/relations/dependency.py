"""What follows from another value: of the row, of its item, of the calendar."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Decimals, Presence, Relation, ValueOf, spoilt
from generators.structure.tables import DAY_MS, Tables, text_of

Unit = Literal["hour", "weekday", "month", "date"]
UNITS: tuple[Unit, ...] = get_args(Unit)


class Dependency(Relation, frozen=True, tag="dependency", tag_field="kind"):
    """Each value of the column `key` has one value of `column`.

    Attributes:
        key: a column of text, or of numbers that name something.
        second: another one, where only the two together decide.
        values: key -> the value of `column`, text or a number; two keys are divided by a tab.
    """

    key: str
    values: ValueOf
    second: str | None = None
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.key,) if self.second is None else (self.key, self.second)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Derive the column; a key that is not known gets the value of another, always the same."""
        keys = keys_of(tables, self.key, self.second).astype("category")
        known = list(self.values.values())
        found = []
        for name in keys.cat.categories:
            at = int(rng.integers(len(known))) if name not in self.values else -1
            found.append(known[at] if at >= 0 else self.values[name])
        code = keys.cat.codes.to_numpy()
        there = self.present.of(tables, self.column) & (code >= 0)
        tables.events[self.column] = looked_up(found, np.where(there, code, -1), self, rng)

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} follows from {' and '.join(self.reads())}"


class Rate(Dependency, frozen=True, kw_only=True, tag="rate", tag_field="kind"):
    """`column` is another number of the row times a rate that follows from one key, or two.

    As a tax is a share of the price that follows from the country.

    Attributes:
        of: the other number.
        values: key -> rate; two keys are divided by a tab.
        decimals: to which `column` is rounded.
    """

    of: str
    decimals: Decimals = 2

    def __post_init__(self) -> None:
        """Raise ValueError where a rate is no number."""
        if any(isinstance(v, str) for v in self.values.values()):
            raise ValueError(f"the values of the rate {self.column} must be numbers")

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.of, *super().reads())

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Derive the column; a key that is not known gets the rate of another, always the same."""
        super().restore(tables, rng)
        value = tables.numbers(self.of) * tables.numbers(self.column)
        tables.events[self.column] = (value + 0.0).round(self.decimals)

    def sentence(self) -> str:
        """See Relation."""
        return (
            f"{self.column} = {self.of} x a rate that follows from {' and '.join(super().reads())}"
        )


def keys_of(tables: Tables, key: str, second: str | None = None) -> pd.Series:
    """Return the text that decides, (n,), None where a key is missing."""
    text = text_of(tables.events[key])
    if second is None:
        return text
    other = text_of(tables.events[second])
    return (text + "\t" + other).where(text.notna() & other.notna(), None)


class Calendar(Relation, frozen=True, tag="calendar", tag_field="kind"):
    """`column` follows from the time of the row.

    Attributes:
        unit: "hour", "weekday" (0 = Monday), "month" or "date".
        values: hour, weekday, month or date -> the value of `column`.
    """

    unit: Unit
    values: ValueOf
    present: Presence = msgspec.field(default_factory=Presence)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        names, code = np.unique(calendar(tables.time, self.unit), return_inverse=True)
        usual = next(iter(self.values.values()))
        found = [self.values.get(str(n), usual) for n in names]
        there = self.present.of(tables, self.column)
        tables.events[self.column] = looked_up(found, np.where(there, code, -1), self, rng)

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} follows from the {self.unit}"


def calendar(time: np.ndarray, unit: str) -> np.ndarray:
    """Return the hour, weekday, month or date of (n,) ms, as (n,) text."""
    if unit == "hour":
        return (time // 3_600_000 % 24).astype(str)
    if unit == "weekday":
        return ((time // DAY_MS + 3) % 7).astype(str)
    code, days = pd.factorize(time // DAY_MS)
    dates = pd.to_datetime(days * DAY_MS, unit="ms")
    names = dates.month.astype(str) if unit == "month" else dates.strftime("%Y-%m-%d")
    return np.asarray(names, dtype=object)[code].astype(str)


def looked_up(
    found: list[str | float], code: np.ndarray, relation: Relation, rng: np.random.Generator
) -> np.ndarray:
    """Return found[code] (n,), missing where the code is -1; text, or numbers if all are."""
    numeric = all(isinstance(v, int | float) for v in found)
    table = np.array([*found, np.nan if numeric else None], dtype=np.float64 if numeric else object)
    there = code >= 0
    out = table[code]
    out[there] = spoilt(out[there], relation.exceptions, rng)
    return out
