"""Which rows have a column that follows from nothing else, or from their item."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from generators.structure.relations.base import Presence, Relation
from generators.structure.tables import Tables, codes_of

SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


class Where(Relation, frozen=True, tag="where", tag_field="kind"):
    """`column` is learnt as it is; another column decides which rows have it.

    As change is given where cash is paid, and a discount is taken where there is a promo code.

    Attributes:
        own: is it an id? Rows that lack it then get one of their user.
    """

    present: Presence
    own: bool = False

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Take out what is too much; rows that lack it get that of another row like them."""
        column = tables.events[self.column]
        there, known = self.present.of(tables, self.column), column.notna().to_numpy()
        lacking, usable = np.flatnonzero(there & ~known), np.flatnonzero(there & known)
        source = np.arange(len(column))
        if len(lacking) and len(usable):
            alike = self._alike(tables)
            ordered = usable[np.argsort(alike[usable], kind="stable")]
            begin, end = (np.searchsorted(alike[ordered], alike[lacking], s) for s in SIDES)
            drawn = begin + (rng.random(len(lacking)) * (end - begin)).astype(np.int64)
            source[lacking] = np.where(end > begin, ordered[drawn % len(ordered)], lacking)
        tables.events[self.column] = column.iloc[source].set_axis(column.index).where(there)

    def _alike(self, tables: Tables) -> np.ndarray:
        """Return a code of the rows whose values are drawn from each other's, (n,)."""
        if self.own:
            return tables.user
        by = self.present.by
        return np.zeros_like(tables.user) if by is None else codes_of(tables.events[by])

    def sentence(self) -> str:
        """See Relation."""
        values = self.present.values
        what = "is known" if values is None else f"is {' or '.join(values)}"
        return f"{self.column} is known where {self.present.by} {what}"


class OfItem(Relation, frozen=True, tag="text of an item", tag_field="kind"):
    """`column` is text that the item decides, and rows of some events have it.

    Items are learnt with it, whatever the event: each then has one value in all rows of a sample.
    """

    present: Presence

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return ("item_id",)

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.column,)

    def reduce(self, tables: Tables) -> None:
        """Give all rows of an item its usual value."""
        if self.column not in tables.events:
            return
        item, value = codes_of(tables.events["item_id"]), codes_of(tables.events[self.column])
        rows = np.flatnonzero((item >= 0) & (value >= 0))
        pair, count = np.unique(item[rows] * (value.max() + 1) + value[rows], return_counts=True)
        pair = pair[np.argsort(count, kind="stable")]  # the most frequent is set last
        names = tables.events[self.column].astype("category").cat.categories
        usual = np.full(int(item.max(initial=-1)) + 2, -1)
        usual[pair // (value.max() + 1)] = pair % (value.max() + 1)
        tables.events[self.column] = pd.Categorical.from_codes(usual[item], categories=names)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        column = tables.events[self.column]
        tables.events[self.column] = column.where(self.present.of(tables, self.column))

    def sentence(self) -> str:
        """See Relation."""
        return (
            f"{self.column} follows from item_id, in rows of {', '.join(self.present.events or [])}"
        )
