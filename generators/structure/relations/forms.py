"""Columns in a form that is easier to learn: factors, names, groups, folded text."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Decimals, Finite, Relation, Share
from generators.structure.tables import Tables, is_number, numbers_of, text_of

FACTOR = "factor of "  # before the name of a number: the column that is learnt of it


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

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column not in tables.events:
            return
        cut = beginnings(tables.events[self.column], set(self.kept))
        tables.events[self.column] = cut.to_numpy()

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """A cut value stays cut."""

    def sentence(self) -> str:
        """See Relation."""
        return (
            "what few users have is cut after the words that enough of them share "
            f"({self.folded:.1%} of the rows)"
        )


def beginnings(column: pd.Series, kept: Container[str]) -> pd.Series:
    """Return the longest beginning of each text that is kept, by words, (n,), None without any."""
    texts = text_of(column).astype("category")
    names = [beginning(str(v), kept) for v in texts.cat.categories]
    return pd.Series(np.array([*names, None], dtype=object)[texts.cat.codes.to_numpy()])


def beginning(value: str, kept: Container[str]) -> str | None:
    """Return the longest beginning of a text, by words, that is kept; None where none is."""
    words = value.split(" ")
    for n in range(len(words), 0, -1):
        start = " ".join(words[:n])
        if start in kept:
            return start
    return None


def tolerance(values: np.ndarray, decimals: int) -> np.ndarray:
    """Return how far (n,) numbers may be from what they are computed as: half of a last digit."""
    return 0.51 * 10.0**-decimals + 1e-9 * np.abs(np.nan_to_num(values))
