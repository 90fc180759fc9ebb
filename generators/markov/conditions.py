"""What the context of a row is made of, and conditions: what else a field may be given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass
class ContextFeatures:
    """What the contexts of n rows are made of; tensors are (n,) int64 unless noted otherwise."""

    features: torch.Tensor  # (n, F): see feature_layout
    event: torch.Tensor  # code of the row's event
    passed: torch.Tensor  # since the row before, see `clock.Passed`
    session_label: torch.Tensor  # of the row's session, 0 = none
    orders: torch.Tensor  # level of the orders so far
    size: torch.Tensor  # level of the rows that the user will have
    attributes: torch.Tensor  # (n, n_attributes): of the user
    item: torch.Tensor  # code of the row's item
    response: torch.Tensor  # to the offer that is open at the row, see `codes.NO_OFFER`
    flags: torch.Tensor  # that any recent item carries
    copies: torch.Tensor  # level of the items that can be copied, see `copies_level`
    drawn: dict[str, torch.Tensor]  # codes of fields of the row: see fields_of_row

    def only(self, index: torch.Tensor, drawn: Sequence[str]) -> ContextFeatures:
        """Return the rows of `index`, with these fields of the row only."""
        return ContextFeatures(
            features=self.features.index_select(0, index),
            event=self.event.index_select(0, index),
            passed=self.passed.index_select(0, index),
            session_label=self.session_label.index_select(0, index),
            orders=self.orders.index_select(0, index),
            size=self.size.index_select(0, index),
            attributes=self.attributes.index_select(0, index),
            item=self.item.index_select(0, index),
            response=self.response.index_select(0, index),
            flags=self.flags.index_select(0, index),
            copies=self.copies.index_select(0, index),
            drawn={name: self.drawn[name].index_select(0, index) for name in drawn},
        )


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
    table: torch.Tensor | None = None

    def reads(self) -> set[str]:
        """Return the drawn fields of the row that it reads."""
        return {self.field} if self.field and self.table is None else set()

    def of(self, seen: ContextFeatures) -> torch.Tensor:
        """Return the codes, (n,) int64."""
        if self.attribute >= 0:
            return seen.attributes[:, self.attribute]
        if self.feature >= 0:
            code = seen.features[:, self.feature]
            return code if self.table is None else self.table[code]
        return seen.drawn[self.field] if self.table is None else self.table[seen.item]
