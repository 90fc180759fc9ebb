"""What the Markov generator counts in tables: a field, a part of the gap, or prices of fresh items.

The gap has three parts, each in a context of its own: does a session begin, and how long is the gap
if so, and if not? How long a session is follows from the user's place in it, how long the user
stays away from the time that is left. In one table each would take the rows that the other needs.
Under a privacy budget the gap is one field: a further table would cost a share of the budget.

Fresh items are weighted by the price level that is likely in their context. It is no field of a
row: it follows from the item.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from generators.codec.codec import Codec
from generators.sequences.feature_layout import Counter

BEGINS, WITHIN, BETWEEN = "session begins", "gap within", "gap between"
PARTS = (BEGINS, WITHIN, BETWEEN)
FRESH_PRICE = "price level of a fresh item"


def table_sizes(codec: Codec) -> dict[str, int]:
    """Return the number of codes of each table."""
    sizes = codec.fields()
    del sizes["item"]
    if codec.private:
        return sizes
    gap, within = sizes.pop("gap"), codec.clock.within.size
    parts = {BEGINS: 2, WITHIN: within - 1, BETWEEN: gap - within}
    if "price" in codec.items.habits:
        parts[FRESH_PRICE] = int(codec.items.habits["price"].max()) + 1
    return {name: size for name, size in parts.items() if size} | sizes


def part_codes(codec: Codec, gap: torch.Tensor, features: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the codes of each part, (n,) int64, -1 = not asked, of gaps (n,) after `features`.

    The end of a user is not asked, and where the plan of the user's rows leaves no choice, it is
    not asked whether a session begins: in a sample this follows from the plan as well.
    """
    begins, within = codec.clock.starts_session(gap), codec.clock.within.size
    free = gap > 0
    if codec.plans_last:
        rows_left, in_last = (
            features[:, codec.counter_column(c)]
            for c in (Counter.ROWS_LEFT, Counter.IN_LAST_SESSION)
        )
        free = free & (rows_left > 0) & (in_last == 0)
    nothing = torch.full_like(gap, -1)
    return {
        BEGINS: torch.where(free, begins.long(), nothing),
        WITHIN: torch.where((gap > 0) & ~begins, gap - 1, nothing),
        BETWEEN: torch.where(begins, gap - within, nothing),
    }


def joined(codec: Codec, parts: Mapping[str, torch.Tensor], cycle: torch.Tensor) -> torch.Tensor:
    """Return the logits of the gap, (n, size), from those of its parts.

    `cycle` (n, size) is added to gaps of a length, and does not change how often a session begins.
    The end has the logit 0: it is drawn where nothing follows.
    """
    within = codec.clock.within.size
    out = torch.zeros_like(cycle)
    for part, of, begins in ((WITHIN, slice(1, within), 0), (BETWEEN, slice(within, None), 1)):
        if part in parts:
            length = torch.log_softmax(parts[part] + cycle[:, of], 1)
            out[:, of] = length + parts[BEGINS][:, begins, None]
    return out
