"""Breach: how often an event happens without what usually comes before it.

A purchase needs a cart with its item in it, but in some rows of a real log there is none. Were the
need a rule, those rows could not be drawn; were it none, most of a sample's purchases would have no
cart. So such rows are an event of their own while a generator learns: the rule holds for the
others, and how often, and after what, it is broken is learnt like everything else.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from generators.sequences.codes import BOUGHT, CART, EVER, FLAGS_CLEARED, FLAGS_SET, SEEN
from generators.structure.relations.base import Relation
from generators.structure.tables import Tables, codes_of

SUFFIX = " (without what usually comes before)"


class Breach(Relation, frozen=True, tag="breach", tag_field="kind"):
    """Rows of the event `event` whose item lacks what usually comes before.

    `exceptions` is their share of the event's rows.

    Attributes:
        event: its name.
        flag: what the item lacks; see generators.sequences.codes.
        carts_end: does the cart end with its session?
    """

    event: str
    flag: Annotated[int, msgspec.Meta(ge=1, le=8)]
    carts_end: bool = False

    @property
    def other(self) -> str:
        """Name under which such rows are learnt."""
        return self.event + SUFFIX

    def reduce(self, tables: Tables) -> None:
        """See Relation."""
        broken = (tables.event == self.event) & ~carried(
            tables, self.flag, carts_end=self.carts_end
        )
        if broken.any():
            name = np.where(broken, self.other, tables.event)
            tables.events[self.column] = pd.Categorical(name)
            tables.__dict__.pop("event", None)
        tables.roles[self.other] = tables.roles[self.event]

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        name = np.where(tables.event == self.other, self.event, tables.event)
        tables.events[self.column] = pd.Categorical(name)
        tables.__dict__.pop("event", None)

    def sentence(self) -> str:
        """See Relation."""
        what = {CART: "a cart row", BOUGHT: "a purchase", EVER: "a purchase", SEEN: "a view"}
        return (
            f"{self.event} comes without {what[self.flag]} of its item in {self.exceptions:.1%} "
            "of its rows"
        )


def carried(tables: Tables, flag: int, *, carts_end: bool = False) -> np.ndarray:
    """Return whether the item of each row carries a flag before the row, (n,) bool.

    With `carts_end` what was put into the cart in an earlier session does not count.
    """
    if "item_id" not in tables.events:
        return np.zeros(len(tables.events), dtype=bool)
    item = codes_of(tables.events["item_id"])
    if not len(item):
        return np.zeros(0, dtype=bool)
    role = np.array([tables.roles[e] for e in tables.event], dtype=object)
    state = np.full(len(role), np.nan)
    state[np.isin(role, [r for r, f in FLAGS_SET.items() if f & flag])] = 1.0
    state[np.isin(role, [r for r, f in FLAGS_CLEARED.items() if f & flag])] = 0.0
    state[item < 0] = np.nan
    owner = tables.user
    if carts_end and flag == CART:
        owner = visits(tables)
    key = owner * (int(item.max(initial=0)) + 2) + item + 1
    before = pd.Series(state).groupby(key).ffill().groupby(key).shift()
    found: np.ndarray = before.fillna(0).to_numpy() > 0
    return found | (item < 0)


def visits(tables: Tables) -> np.ndarray:
    """Number the sessions as a generator sees them: rows without an id are in the one before."""
    session = tables.session.astype(np.float64)
    known = pd.Series(np.where(session < 0, np.nan, session)).groupby(tables.user).ffill()
    first = np.append(True, np.diff(tables.user) != 0)[: len(session)]
    before = known.shift().to_numpy()
    begins = first | ((known.to_numpy() != before) & known.notna().to_numpy() & np.isfinite(before))
    return np.cumsum(begins)
