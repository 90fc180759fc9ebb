"""What the context of a row is made of, and conditions: what else a field may be given."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

NOT_READ = np.zeros(0, dtype=np.int64)


@dataclass
class ContextFeatures:
    """What the contexts of n rows are made of; arrays are (n,) int64 unless noted otherwise."""

    features: np.ndarray  # (n, F): see feature_layout
    event: np.ndarray  # code of the row's event
    passed: np.ndarray  # since the row before, see `clock.Passed`
    session_label: np.ndarray  # of the row's session, 0 = none
    orders: np.ndarray  # level of the orders so far
    size: np.ndarray  # level of the rows that the user will have
    visit: np.ndarray  # level of the rows that the user will have a session
    attributes: np.ndarray  # (n, n_attributes): of the user
    item: np.ndarray  # code of the row's item
    response: np.ndarray  # to the offer that is open at the row, see `codes.NO_OFFER`
    flags: np.ndarray  # that any recent item carries
    copies: np.ndarray  # level of the items that can be copied, see `copies_level`
    last_move: np.ndarray  # whether the price of the last item is reduced, see `price_moves`
    move: np.ndarray  # likewise, of the row's item
    drawn: dict[str, np.ndarray]  # codes of fields of the row: see fields_of_row

    def only(self, index: np.ndarray, reads: Collection[str] | None = None) -> ContextFeatures:
        """Return the rows of `index`: of all parts, or of those that `reads` names.

        Names are those of the arrays, and `drawn_part` of fields of the row; others are empty.
        """
        arrays: dict[str, Any] = {
            name: getattr(self, name).take(index, 0) if reads is None or name in reads else NOT_READ
            for name in _ARRAYS
        }
        drawn = {
            name: code.take(index)
            for name, code in self.drawn.items()
            if reads is None or drawn_part(name) in reads
        }
        return ContextFeatures(**arrays, drawn=drawn)


_ARRAYS = [f.name for f in fields(ContextFeatures) if f.name != "drawn"]


def drawn_part(name: str) -> str:
    """Return how `ContextFeatures.only` calls a drawn field of the row."""
    return f"drawn {name}"


@dataclass(frozen=True)
class Usual:
    """A level that a field's context has unless others tell more."""

    size: int  # number of codes
    parts: frozenset[str]  # what it reads, as `ContextFeatures.only` calls it
    of: Callable[[ContextFeatures], np.ndarray]  # the codes, (n,) int64

    def reads(self) -> Collection[str]:
        """Return what it reads, as `ContextFeatures.only` calls it."""
        return self.parts


@dataclass(frozen=True)
class Condition:
    """Something with few codes that a field may be given beside its context."""

    name: str
    size: int  # number of codes
    attribute: int = -1  # column of ContextFeatures.attributes
    feature: int = -1  # column of ContextFeatures.features
    field: str = ""  # field of the row before which it is not known
    own: str = ""  # the only field that may be given it; "" = all
    # where it is a trait of an item, the row's or the feature's: (n_items,) int64 codes
    table: np.ndarray | None = None
    part: str = ""  # of ContextFeatures, "" = none

    def reads(self) -> Collection[str]:
        """Return what it reads, as `ContextFeatures.only` calls it."""
        if self.part:
            return {self.part}
        if self.attribute >= 0:
            return {"attributes"}
        if self.feature >= 0:
            return {"features"}
        return {drawn_part(self.field) if self.table is None else "item"}

    def of(self, seen: ContextFeatures) -> np.ndarray:
        """Return the codes, (n,) int64."""
        if self.part:
            part: np.ndarray = getattr(seen, self.part)
            return part
        if self.attribute >= 0:
            return seen.attributes[:, self.attribute]
        if self.feature >= 0:
            code = seen.features[:, self.feature]
            return code if self.table is None else self.table[code]
        return seen.drawn[self.field] if self.table is None else self.table[seen.item]
