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
from numba import njit

from generators.sequences.codes import (
    BOUGHT,
    CART,
    EVER,
    FLAGS_CLEARED,
    FLAGS_SET,
    IN_SESSION,
    SEEN,
)
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
        there = carried(tables, self.flag, carts_end=self.carts_end)
        broken = tables.is_event([self.event]) & ~there
        if broken.any():
            tables.rename_events(broken, self.other)
        tables.roles[self.other] = tables.roles[self.event]

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        tables.rename_events(tables.is_event([self.other]), self.event)

    def sentence(self) -> str:
        """See Relation."""
        what = {CART: "a cart row", BOUGHT: "a purchase", EVER: "a purchase", SEEN: "a view"}
        return (
            f"{self.event} comes without {what[self.flag]} of its item in {self.exceptions:.1%} "
            "of its rows"
        )


def carried(tables: Tables, flag: int, *, carts_end: bool = False) -> np.ndarray:
    """Return whether the item of each row carries a flag before the row, (n,) bool.

    With `carts_end` what was put into the cart in an earlier session does not count, and with
    IN_SESSION among the flags nothing that was done then.
    """
    if "item_id" not in tables.events:
        return np.zeros(len(tables.events), dtype=bool)
    item = codes_of(tables.events["item_id"])
    change = np.zeros(len(tables.event_names), dtype=np.int64)
    for k, name in enumerate(tables.event_names):
        role = tables.roles.get(name, "other")
        if FLAGS_SET.get(role, 0) & flag:
            change[k] = SETS
        if FLAGS_CLEARED.get(role, 0) & flag:
            change[k] = CLEARS
    of_visit = flag & IN_SESSION or (carts_end and flag == CART)
    owner = tables.visit if of_visit else tables.user
    return _carried(owner, item, change[tables.event_code], int(item.max(initial=-1)) + 1)


SETS, CLEARS = 1, 2  # what a row does to the flag of its item


@njit(cache=True)
def _carried(owner, item, change, items):
    """Return whether the item of each row carries the flag; the rows of an owner stand together."""
    carrier = np.full(items, -1)  # the last owner for whom the item carried the flag
    out = np.ones(len(item), dtype=np.bool_)
    for i in range(len(item)):
        k = item[i]
        if k < 0:
            continue
        out[i] = carrier[k] == owner[i]
        if change[i] == SETS:
            carrier[k] = owner[i]
        elif change[i] == CLEARS:
            carrier[k] = -1
    return out
