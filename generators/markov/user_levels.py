"""Levels of users by how much they will do: rows, and rows a session."""

from __future__ import annotations

from typing import Any

import numpy as np

from generators.codec.codec import Codec
from generators.codec.parts import LENGTH, SESSIONS

SIZES = (16, 64, 256)  # bounds of the levels of a user's number of rows
# Bounds of the levels of a user's rows a session: of one log 10, 55 and 85 % of the rows are of
# users with fewer.
VISITS = (2.5, 4.0, 6.0)


def size_of(codec: Codec, user_attributes: np.ndarray) -> np.ndarray:
    """Return the level of the rows that users will have, (n,): below each of SIZES, or more.

    `user_attributes` (n, n_attributes) are codes.
    """
    lengths: Any = codec.user_attributes[LENGTH]
    low = np.ceil(np.nan_to_num(lengths.ends()[0], nan=1.0))  # of whole numbers
    level: np.ndarray = np.searchsorted(SIZES, low, side="right")
    return level[user_attributes[:, list(codec.user_attributes).index(LENGTH)]]


def visit_of(codec: Codec, user_attributes: np.ndarray) -> np.ndarray:
    """Return the level of the rows that users will have a session, (n,): below each of VISITS.

    It is 0 where the number of sessions is not planned.
    """
    if not codec.users.plans_sessions:
        return np.zeros(len(user_attributes), dtype=np.int64)
    names = list(codec.user_attributes)
    rows, sessions = (
        _middle(codec.user_attributes[n])[user_attributes[:, names.index(n)]]
        for n in (LENGTH, SESSIONS)
    )
    level: np.ndarray = np.searchsorted(VISITS, rows / sessions, side="right")
    return level


def _middle(coder: Any) -> np.ndarray:
    """Return the middle of each of the intervals of numbers from 1 on, (size,) float64."""
    low, high = (np.nan_to_num(end, nan=1.0) for end in coder.ends())
    middle: np.ndarray = np.maximum((low + high) / 2, 1.0)
    return middle
