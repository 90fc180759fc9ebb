"""What is read off raw rows, against plain pandas: a user's last session, and what they have most
of.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from generators.codec.features import favourites, last_sessions, spread
from generators.sequences import feature_layout as layout
from generators.sequences.levels import least_rows, rows_level, time_level


def rows(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, ms and breaks of some 300 rows; many users have one session or one row."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(60), rng.integers(1, 10, 60))
    time = np.sort(rng.integers(0, 10_000, len(user)))
    first = np.append(True, user[1:] != user[:-1])
    return user, time, (rng.random(len(user)) < 0.2) & ~first


def test_the_last_session_is_what_comes_from_the_last_break_on() -> None:
    for seed in range(5):
        user, time, is_session_start = rows(seed)
        counts, begin = last_sessions(user, time, is_session_start)
        session = pd.Series(is_session_start).groupby(user).cumsum()
        for u in range(60):
            mine = user == u
            last = mine & (session == session[mine].max()).to_numpy()
            assert counts[u] == (last.sum() if session[mine].max() else 0)
            assert begin[u] == time[last][0]


def test_favourites_are_the_most_frequent_codes() -> None:
    user, _, _ = rows(1)
    code = np.random.default_rng(2).integers(0, 6, len(user))
    found = np.stack([favourites(user, code, rank) for rank in (1, 2)])
    for u in range(60):
        counts = np.bincount(code[user == u], minlength=7)
        counts[0] = 0
        order = [c for c in np.lexsort((np.arange(7), -counts)) if counts[c]]
        assert found[:, u].tolist() == [*order, 0, 0][:2]


def test_levels_of_what_is_left_rise_with_it_and_tell_few_rows_exactly() -> None:
    left = torch.arange(5_000)
    level = rows_level(left)
    assert level[:9].tolist() == list(range(9))
    assert (level.diff() >= 0).all()
    assert int(level.max()) == layout.COUNTER_SIZES[layout.Counter.ROWS_LEFT] - 1
    assert (
        rows_level(least_rows()) == torch.arange(layout.COUNTER_SIZES[layout.Counter.ROWS_LEFT])
    ).all()
    ms = 10 ** torch.arange(0, 12)
    assert (time_level(ms).diff() >= 0).all()
    assert len(set(time_level(torch.tensor([30, 90, 545]) * 86_400_000).tolist())) == 3, (
        "months of a long log look alike"
    )


def test_a_spread_is_that_of_the_rows_that_have_the_number() -> None:
    owner = np.array([0, 0, 0, 1, 1, 2, 2, 3])
    values = np.array([1.0, 3.0, np.nan, 5.0, 5.0, 7.0, np.nan, np.nan])
    np.testing.assert_allclose(spread(owner, values, 4), [np.sqrt(2), 0, np.nan, np.nan])
