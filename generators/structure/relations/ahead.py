"""What rows say of the row that comes next, as a search does."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Relation, spoilt
from generators.structure.relations.forms import beginnings
from generators.structure.relations.template import REST
from generators.structure.tables import Tables, text_of

# a value of the next row -> the texts that stand before it, most frequent first
Texts = Annotated[dict[str, list[str]], msgspec.Meta(min_length=1)]


class Ahead(Relation, frozen=True, tag="ahead", tag_field="kind"):
    """`column` is a text that decides what another column is in the session's next row with it.

    What is learnt is the place of the text among those that stand before the same value, so that
    the text of a sample follows from what comes next.

    Attributes:
        of: the other column; rows with the text have none of their own.
        texts: what stands before each of its values. Of a longer text its beginning counts.
    """

    of: str
    texts: Texts

    @property
    def place(self) -> str:
        """Name of the column that holds the places."""
        return REST + self.column

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return self.of, self.place

    def uses_up(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.place,)

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        if self.column not in tables.events:
            return
        places = {t: str(k) for texts in self.texts.values() for k, t in enumerate(texts)}
        text = beginnings(tables.events[self.column], places)
        tables.events[self.place] = text.map(places, na_action="ignore").to_numpy(dtype=object)
        del tables.events[self.column]

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Take the text at the place, of those before what comes next, or of all of them."""
        place = tables.numbers(self.place)
        there = np.flatnonzero(np.isfinite(place))
        every = np.array([t for texts in self.texts.values() for t in texts], dtype=object)
        many = np.array([len(texts) for texts in self.texts.values()])
        # the last is for rows after which nothing comes that has texts
        first, many = np.append(np.cumsum(many) - many, 0), np.append(many, len(every))
        of = pd.Index(list(self.texts)).get_indexer(next_in_session(tables, self.of).iloc[there])
        text = every[first[of] + place[there].astype(np.int64) % many[of]]
        column = np.full(len(place), None, dtype=object)
        column[there] = spoilt(text, self.exceptions, rng)
        tables.events[self.column] = column
        del tables.events[self.place]

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} decides {self.of} of the session's next row that has one"


class AsNext(Relation, frozen=True, tag="as next", tag_field="kind"):
    """`column` of some events' rows, which have no item, is that of the session's next item.

    As a list of a category is looked at before its items are. The column is learnt of all rows;
    those after which no item comes keep what is drawn.

    Attributes:
        events: their names.
    """

    events: list[str]

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return "item_id", self.column

    def reduce(self, tables: Tables) -> None:
        """See Relation."""

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        column = tables.events[self.column]
        ahead = place_of_next(tables, self.column)
        about = (ahead >= 0) & tables.is_event(self.events)
        source = np.where(about, ahead, np.arange(len(column)))
        tables.events[self.column] = column.iloc[source].set_axis(column.index)

    def sentence(self) -> str:
        """See Relation."""
        return f"{self.column} of {' and '.join(self.events)} is that of the session's next item"


def place_of_next(tables: Tables, column: str) -> np.ndarray:
    """Return where the session's next row with an item and a value is, (n,) int64.

    That is of rows with a value and no item; -1 for others, and where there is none.
    """
    item, known = (tables.events[n].notna().to_numpy() for n in ("item_id", column))
    place = pd.Series(np.where(item & known, np.arange(len(item), dtype=np.float64), np.nan))
    ahead = place.groupby(tables.visit).bfill().fillna(-1).to_numpy().astype(np.int64)
    return np.where(known & ~item, ahead, -1)


def next_in_session(tables: Tables, column: str) -> pd.Series:
    """Return the value of each session's next row with one, as text (n,), None without any."""
    value = text_of(tables.events[column]).reset_index(drop=True)
    ahead = value.groupby(tables.visit).shift(-1).groupby(tables.visit).bfill()
    return ahead.astype(object).where(ahead.notna(), None)
