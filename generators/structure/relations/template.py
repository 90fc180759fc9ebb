"""Template: text that is put together from other columns, as an address is from an item's id."""

from __future__ import annotations

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
    """

    patterns: dict[str, list[str]]
    present: Presence = msgspec.field(default_factory=Presence)

    learnt = True

    def __post_init__(self) -> None:
        """Raise ValueError where a pattern does not begin and end with text."""
        if any(len(pieces) % 2 == 0 for pieces in self.patterns.values()):
            raise ValueError(f"a pattern of {self.column} does not begin and end with text")

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        columns = [name for pieces in self.patterns.values() for name in pieces[1::2]]
        return tuple(dict.fromkeys(n for n in columns if n not in ALWAYS))

    def value(self, tables: Tables) -> pd.Series:
        """Return the text of each row, (n,), None where a part of it is missing."""
        texts = {name: text_of(tables.events[name]) for name in self._columns()}
        out = pd.Series(np.full(len(tables.events), None, dtype=object))
        for event, pieces in self.patterns.items():
            rows = np.flatnonzero(tables.is_event([event]))
            made = pd.Series(pieces[0], index=rows, dtype=object)
            for name, literal in zip(pieces[1::2], pieces[2::2], strict=True):
                made = made + texts[name].iloc[rows].set_axis(rows) + literal
            out.iloc[rows] = made
        return out.where(out.notna(), None)

    def _columns(self) -> set[str]:
        return {name for pieces in self.patterns.values() for name in pieces[1::2]}

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        value = self.value(tables)
        there = self.present.of(tables, self.column)
        tables.events[self.column] = value.where(there, None).to_numpy()

    def sentence(self) -> str:
        """See Relation."""
        pieces = max(self.patterns.values(), key=len)
        text = "".join(p if k % 2 == 0 else f"<{p}>" for k, p in enumerate(pieces))
        return f"{self.column} is put together, as {text}"


ALWAYS = frozenset({"user_id", "event"})  # columns that every sample has
