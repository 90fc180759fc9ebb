"""Bands: what follows from the range in which a number lies, as a group of ages."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from generators.structure.relations.base import Finite, Presence, Relation
from generators.structure.relations.dependency import looked_up
from generators.structure.tables import Tables

Edges = Annotated[list[Finite], msgspec.Meta(min_length=1)]


class Bands(Relation, frozen=True, tag="bands", tag_field="kind"):
    """`column` has one value in each range of another number of the row.

    Attributes:
        of: the number.
        edges: ascending; a band begins at its edge.
        values: of the bands, one more than edges; text or numbers.
    """

    of: str
    edges: Edges
    values: list[str | Finite]
    present: Presence = msgspec.field(default_factory=Presence)

    def __post_init__(self) -> None:
        """Raise ValueError where edges do not rise, or there is not a value for each band."""
        if np.any(np.diff(self.edges) <= 0) or len(self.values) != len(self.edges) + 1:
            raise ValueError(f"the bands of {self.column} need edges that rise, and a value each")

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.of,)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        number = tables.numbers(self.of)
        code = np.searchsorted(self.edges, number, side="right")
        there = self.present.of(tables, self.column) & np.isfinite(number)
        tables.events[self.column] = looked_up(self.values, np.where(there, code, -1), self, rng)

    def sentence(self) -> str:
        """See Relation."""
        edges = ", ".join(f"{e:g}" for e in self.edges)
        return f"{self.column} follows from the range of {self.of}, with edges at {edges}"
