"""Comparison: a column of two values that says how two others compare."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Finite, Presence, Relation
from generators.structure.tables import Tables, is_number, text_of

Operator = Literal["<", "<=", "=="]


class Comparison(Relation, frozen=True, tag="comparison", tag_field="kind"):
    """`column` is `yes` where `left` compares with `right`, or with a number, and `no` otherwise.

    Attributes:
        left: a column.
        operator: "<", "<=" or "==".
        right: a column; None compares with `number`.
        number: what `left` is compared with where there is no `right`.
        yes, no: the two values of `column`.
    """

    left: str
    operator: Operator
    yes: str | Finite
    no: str | Finite
    right: str | None = None
    number: Finite = 0.0
    present: Presence = msgspec.field(default_factory=Presence)

    def reads(self) -> tuple[str, ...]:
        """See Relation."""
        return (self.left,) if self.right is None else (self.left, self.right)

    def value(self, tables: Tables) -> np.ndarray:
        """Return 1 where it holds, 0 where not, NaN where either side is missing, (n,)."""
        left, right = tables.events[self.left], None
        if self.right is not None:
            right = tables.events[self.right]
        return compared(left, self.operator, self.number if right is None else right)

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """See Relation."""
        holds = self.value(tables)
        numeric = not isinstance(self.yes, str) and not isinstance(self.no, str)
        names = np.array(
            [self.no, self.yes, np.nan if numeric else None], dtype=float if numeric else object
        )
        there = np.isfinite(holds) & self.present.of(tables, self.column)
        tables.events[self.column] = names[np.where(there, np.nan_to_num(holds), 2).astype(int)]

    def sentence(self) -> str:
        """See Relation."""
        right = f"{self.number:g}" if self.right is None else self.right
        return f"{self.column} says whether {self.left} {self.operator} {right}"


def compared(left: pd.Series, operator: str, right: pd.Series | float) -> np.ndarray:
    """Return 1 where `left` (n,) compares so with `right`, 0 where not, NaN = one is missing."""
    if isinstance(right, pd.Series) and not (is_number(left) and is_number(right)):
        a, b = text_of(left).to_numpy(), text_of(right).to_numpy()
        there = pd.notna(a) & pd.notna(b)
    else:
        a = left.to_numpy(dtype=np.float64, na_value=np.nan)
        if isinstance(right, pd.Series):
            b = right.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            b = np.full(len(a), right)
        there = np.isfinite(a) & np.isfinite(b)
    out = np.full(len(a), np.nan)
    a, b = a[there], b[there]
    out[there] = a < b if operator == "<" else a <= b if operator == "<=" else a == b
    return out
