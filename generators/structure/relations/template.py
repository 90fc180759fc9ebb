"""Template: text that is put together from other columns, or contains them, as an address does."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Presence, Relation
from generators.structure.tables import Tables, text_of


class Template(Relation, frozen=True, tag="template", tag_field="kind"):
    """`column` is a text that contains the values of other columns.

    Attributes:
        patterns: of each event, literal text and names of columns in turn, beginning and ending
            with text, which may be empty.
        rest: of other events, the columns that the text contains; what is left of it, with
            `{name}` for a column, is learnt in a column of its own.
    """

    patterns: dict[str, list[str]]
    rest: dict[str, list[str]] = msgspec.field(default_factory=dict)
    present: Presence = msgspec.field(default_factory=Presence)

    def __post_init__(self) -> None:
        """Raise ValueError where a pattern does not begin and end with text."""
        if any(len(pieces) % 2 == 0 for pieces in self.patterns.values()):
            raise ValueError(f"a pattern of {self.column} does not begin and end with text")

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        columns = [n for n in self._columns() if n not in ALWAYS]
        return tuple([self.left, *columns] if self.rest else columns)

    def uses_up(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.left,) if self.rest else ()

    @property
    def left(self) -> str:
        """Name of the column that holds what is left of the text."""
        return REST + self.column

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.rest and self.column in tables.events:
            tables.events[self.left] = self.what_is_left(tables)
        super().reduce(tables)

    def what_is_left(self, tables: Tables) -> pd.Series:
        """Return the text of each row with a mark for each column, (n,), None = nothing is left."""
        out, texts = text_of(tables.events[self.column]).reset_index(drop=True), self._texts(tables)
        for name, rows in self._marked(tables):
            pairs = zip(out.iloc[rows], texts[name].iloc[rows], strict=True)
            out.iloc[rows] = [t.replace(v, _mark(name), 1) if t and v else t for t, v in pairs]
        return out.where(tables.is_event(self.rest), None)

    def _marked(self, tables: Tables) -> Iterator[tuple[str, np.ndarray]]:
        """Yield columns and the rows in whose text they have a mark."""
        for event, names in self.rest.items():
            rows = np.flatnonzero(tables.is_event([event]))
            for name in names:
                yield name, rows

    def value(self, tables: Tables) -> pd.Series:
        """Return the text of each row, (n,), None where a part of it is missing."""
        texts = self._texts(tables)
        out = pd.Series(np.full(len(tables.events), None, dtype=object))
        for event, pieces in self.patterns.items():
            rows = np.flatnonzero(tables.is_event([event]))
            made = pd.Series(pieces[0], index=rows, dtype=object)
            for name, literal in zip(pieces[1::2], pieces[2::2], strict=True):
                made = made + texts[name].iloc[rows].set_axis(rows) + literal
            out.iloc[rows] = made
        if self.rest:
            there = np.flatnonzero(tables.is_event(self.rest))
            out.iloc[there] = text_of(tables.events[self.left]).iloc[there]
            for name, rows in self._marked(tables):
                pairs = zip(out.iloc[rows], texts[name].iloc[rows], strict=True)
                out.iloc[rows] = [t.replace(_mark(name), v or "") if t else t for t, v in pairs]
        return out.where(out.notna(), None)

    def _texts(self, tables: Tables) -> dict[str, pd.Series]:
        return {name: text_of(tables.events[name]) for name in self._columns()}

    def _columns(self) -> list[str]:
        """Return the columns that the texts contain, each once."""
        columns = [name for pieces in self.patterns.values() for name in pieces[1::2]]
        columns += [name for names in self.rest.values() for name in names]
        return list(dict.fromkeys(columns))

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        value = self.value(tables)
        if self.rest:
            del tables.events[self.left]
        there = self.present.of(tables, self.column)
        tables.events[self.column] = value.where(there, None).to_numpy()

    def sentence(self) -> str:
        """See Relation."""
        pieces = max(self.patterns.values(), key=len, default=[""])
        most = max(self.rest.values(), key=len, default=[])
        if len(most) * 2 >= len(pieces):
            return f"{self.column} contains {' and '.join(most)}; the rest of it is learnt"
        text = "".join(p if k % 2 == 0 else f"<{p}>" for k, p in enumerate(pieces))
        return f"{self.column} is put together, as {text}"


def has_marks(text: str, names: list[str]) -> bool:
    """Has a text a mark for each of the columns?"""
    return all(_mark(n) in text for n in names)


def _mark(name: str) -> str:
    return "{" + name + "}"


REST = "rest of "  # before the name of the column that holds what is left of a text
ALWAYS = frozenset({"user_id", "event"})  # columns that every sample has
