"""Whether prices are reduced on the day of a row, as something that fields may be given."""

from __future__ import annotations

import numpy as np

from generators.codec.codec import Codec
from generators.markov.conditions import Condition
from generators.sequences import feature_layout as layout


def conditions_on_moves(codec: Codec) -> list[Condition]:
    """Return whether the prices of the last item and of the row's are reduced."""
    n = layout.PRICE_MOVES if codec.moves_prices else 0
    found = [
        Condition("price of the last item moved", n, part="last_move"),
        Condition("price of the item moved", n, field="item", part="move"),
    ]
    return found if n else []


def last_move_of(codec: Codec, clock: np.ndarray) -> np.ndarray:
    """Return the last of `clock` (n, levels), see `Codec.row_levels`; 0 where no price moves."""
    return clock[:, -1] if codec.moves_prices else np.zeros_like(clock[:, 0])
