"""Whether the prices of the items of rows are reduced, or raised, on their days."""

from __future__ import annotations

import numpy as np

from generators.codec.codec import Codec
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col


def price_moves(
    codec: Codec,
    row: np.ndarray,
    starts: np.ndarray,
    used: np.ndarray,
    features: np.ndarray,
    clock: np.ndarray,
    items: np.ndarray,
) -> np.ndarray:
    """Return of each step what the price of its item is, (n_steps,): see `Codec.price_moves`.

    The last of its levels `clock` (n_steps, L) becomes that of the last item before it.

    Args:
        codec: of the log.
        row: (n, columns) rows of all users.
        starts, used: (n_users,) the first row of each user, and how many of them are steps; after
            them each user has another step, which is no row.
        features: (n_steps, F).
        clock: (n_steps, L).
        items: (n_steps,) codes.
    """
    moves = np.zeros(len(items), dtype=np.int64)
    if codec.moves_prices:
        number = np.arange(used.sum()) - np.repeat(np.cumsum(used) - used, used)
        step = number + np.repeat(np.cumsum(used + 1) - used - 1, used)
        time = row[number + np.repeat(starts, used), col.TIME]
        clock[step, -1] = codec.price_moves(features[step, layout.LAST_ITEMS], time)
        moves[step] = codec.price_moves(items[step], time)
    return moves


def last_move_of(codec: Codec, clock: np.ndarray) -> np.ndarray:
    """Return the last of `clock` (n, levels), see `Codec.row_levels`; 0 where no price moves."""
    return clock[:, -1] if codec.moves_prices else np.zeros_like(clock[:, 0])
