"""Follow-up: a row that an order has once, some time after another of its rows.

A parcel is sent a day after its order, and delivered some days later: nobody visits the shop for
it. Such rows are taken out of a log before a generator learns what users do, and put into a sample
after the rows that they follow.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import (
    Finite,
    Quantiles,
    Relation,
    Share,
    drawn_from,
)
from generators.structure.relations.campaigns import INSERTED, PAST
from generators.structure.relations.offers import insert
from generators.structure.relations.rows import Lagged
from generators.structure.tables import Tables, step_ms

OWN = ("user_id", "order_id")  # columns that a row has of the one that it follows, always


class FollowUp(Relation, frozen=True, tag="follow-up", tag_field="kind"):
    """An order has a row of `event` some time after the last of its rows of another event.

    Attributes:
        event: name of the event, which belongs to no session.
        after: name of the event that is followed.
        rate: share of the orders that have it.
        lag: quantiles of the ms between the two.
        same: columns that have the value of the row that is followed.
        latest: columns that have the last value that the user had before, of any row.
        constants: values of columns that are the same in all rows of the event.
        drawn: columns that follow from nothing: their values are drawn together.
        values: what these are together, of each row that occurs; None = missing.
        shares: how frequent each is.
    """

    event: str
    after: str
    rate: Share
    lag: Quantiles
    same: list[str] = msgspec.field(default_factory=list)
    latest: list[str] = msgspec.field(default_factory=list)
    constants: dict[str, str | Finite] = msgspec.field(default_factory=dict)
    drawn: list[str] = msgspec.field(default_factory=list)
    values: list[list[str | Finite | None]] = msgspec.field(default_factory=list)
    shares: list[Share] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Raise ValueError where values and shares are not those of the columns drawn."""
        wide = {len(values) for values in self.values} | {len(self.drawn)}
        if len(wide) > 1 or len(self.values) != len(self.shares):
            raise ValueError(f"values and shares of {self.event} are not those of what is drawn")
        if self.drawn and not sum(self.shares) > 0:
            raise ValueError(f"the shares of {self.event} add up to nothing")

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return ("order_id",)

    def learnt_of_events(self) -> tuple[str, ...]:
        """See Relation."""
        return (*self.same, *self.latest)

    def reduce(self, tables: Tables) -> None:
        """Take out the rows that follow another."""
        follows = followed(tables, self.event, self.after) >= 0
        if follows.any():
            tables.keep_rows(~follows)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Put the rows that follow into a sample."""
        last = last_rows(tables, self.after)
        had = tables.order[tables.is_event([self.event])]
        own = tables.events["event_id"].to_numpy()[last] != PAST
        last = last[own & ~np.isin(tables.order[last], had)]
        last = last[rng.random(len(last)) < self.rate]
        if not len(last):
            return
        time = tables.time[last] + drawn_from(self.lag, len(last), rng).astype(np.int64)
        last, time = last[time <= tables.time.max()], time[time <= tables.time.max()]
        if len(last):
            time = time // step_ms(tables) * step_ms(tables)
            insert(tables, self._rows(tables, last, time, rng))
            put_in = tables.events["event_id"].to_numpy() == INSERTED
            put_in &= tables.is_event([self.event])
            for name in self.latest:
                before = known_before(tables, name)
                tables.events[name] = tables.events[name].astype(object).where(~put_in, before)

    def _rows(
        self, tables: Tables, last: np.ndarray, time: np.ndarray, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return the rows that follow the rows `last` (m,) at `time` (m,) ms."""
        out = pd.DataFrame(index=np.arange(len(last)))
        for name, column in tables.events.items():
            if name in (*OWN, *self.same):
                plain = isinstance(column.dtype, pd.CategoricalDtype)
                out[name] = (column.astype(object) if plain else column).iloc[last].to_numpy()
        for name, value in self.constants.items():
            out[name] = value
        if self.drawn:
            share = np.array(self.shares) / sum(self.shares)
            row = rng.choice(len(share), size=len(out), p=share)
            for name, values in zip(self.drawn, zip(*self.values, strict=True), strict=True):
                out[name] = np.array(values, dtype=object)[row]
        stamps = pd.to_datetime(time, unit="ms", utc=True).as_unit("ms")
        out = out.assign(event=self.event, timestamp=stamps, event_id=INSERTED)
        return out.assign(_place=len(tables.events) + np.arange(len(out)))

    def sentence(self) -> str:
        """See Relation."""
        days = np.median(self.lag) / 86_400_000
        return (
            f"{self.event} follows {self.after} of an order after about {days:.3g} days, "
            f"{self.rate:.0%} of the time"
        )


def last_rows(tables: Tables, event: str) -> np.ndarray:
    """Return the last row of an event in each order that has one, (m,)."""
    rows = np.flatnonzero(tables.is_event([event]) & (tables.order >= 0))
    return rows[~pd.Series(tables.order[rows]).duplicated(keep="last").to_numpy()]


def followed(tables: Tables, event: str, after: str) -> np.ndarray:
    """Return for each row of `event` the last row of `after` in its order, (n,); -1 = none.

    It must be an earlier row, and rows of other events follow none.
    """
    last, out = last_rows(tables, after), np.full(len(tables.user), -1)
    of_order = np.full(int(tables.order.max(initial=-1)) + 2, -1)
    of_order[tables.order[last]] = last
    rows = np.flatnonzero(tables.is_event([event]) & (tables.order >= 0))
    found = of_order[tables.order[rows]]
    earlier = (found >= 0) & (found < rows)
    out[rows[earlier]] = found[earlier]
    return out


def known_before(tables: Tables, column: str) -> pd.Series:
    """Return the last value that is known of the user before each row, (n,) object."""
    lagged = Lagged(column=column, of=column, scope="user", last_known=True)
    return lagged.value(tables).astype(object)
