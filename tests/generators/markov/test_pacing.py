"""Gaps that bring users to the end of their rows in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.markov.pacing import paced
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.sequences.levels import hours_a_row, level_of_pace

HOURS = np.array([0.0, 0.01, 0.1, 1.0, 10.0, 100.0])
# the first code is never drawn
SHARE = np.array([[0, 0.5, 0.2, 0.1, 0.1, 0.1], [0, 0.1, 0.1, 0.2, 0.3, 0.3]])
WEIGHT = np.array([3.0, 1.0])


@given(target=st.floats(0.02, 99.0))
def test_the_mean_gap_is_the_target_and_shares_are_tilted_by_one_rate(target: float) -> None:
    found = paced(SHARE, WEIGHT, HOURS, target)
    np.testing.assert_allclose(found.sum(1), 1)
    assert WEIGHT @ found @ HOURS / WEIGHT.sum() == pytest.approx(target, rel=1e-6)
    assert (found[:, 0] == 0).all()
    changed = np.log(np.maximum(found[:, 1:], 1e-300) / SHARE[:, 1:])
    kept = (found[:, 1:] > 1e-200).all(0)
    rates = np.diff(changed[:, kept], axis=1) / np.diff(HOURS[1:][kept])
    np.testing.assert_allclose(rates, rates[0, 0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("target", "nearest"), [(1e-9, 1), (1e9, 5)])
def test_a_target_beyond_all_gaps_takes_the_nearest(target: float, nearest: int) -> None:
    assert (paced(SHARE, WEIGHT, HOURS, target).argmax(1) == nearest).all()


def test_drawn_gaps_that_happen_to_add_up_have_these_shares() -> None:
    # what the module's reference proves, by rejection
    rng, share, rows = np.random.default_rng(1), np.array([[0.5, 0.3, 0.2]]), 12
    hours = np.array([1.0, 2.0, 3.0])
    drawn = rng.choice(3, (200_000, rows), p=share[0])
    kept = drawn[hours[drawn].sum(1) == 24]
    found = np.bincount(kept[:, 0], minlength=3) / len(kept)
    np.testing.assert_allclose(found, paced(share, np.ones(1), hours, 24 / rows)[0], atol=0.02)


def test_a_level_of_pace_stands_for_its_time_a_row() -> None:
    hours = hours_a_row()
    for level in range(2, COUNTER_SIZES[Counter.PACE]):
        assert level_of_pace.py_func(1_000_000, 1_000_000 * hours[level]) == level
