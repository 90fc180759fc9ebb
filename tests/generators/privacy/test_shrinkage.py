"""Counts under noise: shrunk where the table is noise, kept where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.privacy.shrinkage import FAR, shrunk, with_tail

SD = 20.0


def errors(true: np.ndarray, expected: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Return the mean squared error of noisy counts, of what is expected, and of the estimates."""
    found = true + np.random.default_rng(seed).normal(0, SD, len(true))
    made = shrunk(found, expected, SD)
    return tuple(float(((x - true) ** 2).mean()) for x in (found, expected, made))  # type: ignore[return-value]


@given(
    seed=st.integers(0, 2**31),
    off=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    mean=st.sampled_from([0.5, 10.0, 60.0, 2_000.0]),
    how=st.sampled_from(["gone", "five times", "half again"]),
)
@settings(deadline=None, max_examples=40)
def test_estimates_are_hardly_worse_than_noisy_counts_or_expectations_whichever_is_better(
    seed: int, off: float, mean: float, how: str
) -> None:
    """Whether no, some or all counts differ from what is expected of them, and by how much."""
    rng = np.random.default_rng(seed)
    expected = mean * rng.uniform(0.7, 1.4, 2_000)
    multiple = {"gone": 0.0, "five times": 5.0, "half again": 1.5}[how]
    true = expected * np.where(rng.random(2_000) < off, multiple, 1.0)
    noisy, usual, made = errors(true, expected, seed)
    assert made < 1.1 * min(noisy, usual) + 0.03 * SD**2


def test_few_counts_that_stand_out_are_kept_and_the_others_are_not() -> None:
    expected = np.full(5_000, 2.0)
    true = expected.copy()
    true[:25] = 120.0  # six standard deviations
    found = true + np.random.default_rng(0).normal(0, SD, 5_000)
    made = shrunk(found, expected, SD)
    assert made[:25].mean() == pytest.approx(120, rel=0.2)
    assert made[25:].max() < 80 and made[25:].mean() < 4.0, "the largest of 5,000 noises is 76"


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_estimates_are_finite_and_not_negative_whatever_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = rng.normal(0, 10.0 ** rng.integers(-3, 9), 300)
    expected = rng.choice([0.0, 1e-9, 1.0, 1e9], 300)
    made = shrunk(found, expected, SD)
    assert np.isfinite(made).all() and (made >= 0).all()
    far = (found >= FAR * SD) & (np.abs(found - expected) >= FAR * SD)
    assert made[far] == pytest.approx(found[far])
    assert len(shrunk(np.zeros(0), np.zeros(0), SD)) == 0


def test_the_highest_cells_decline_where_the_noise_hides_them() -> None:
    """What a sum over the cells is made of is not the noise on the highest of them."""
    true, size = 3_000 * 0.4 ** np.arange(20), 1.4 ** np.arange(20)
    rng = np.random.default_rng(3)
    noisy = [np.maximum(true + rng.normal(0, SD, 20), 0) for _ in range(200)]
    asked = [(x @ size) / (true @ size) for x in noisy]
    made = [(with_tail(x, SD) @ size) / (true @ size) for x in noisy]
    assert np.mean(asked) > 1.3
    assert np.mean(made) == pytest.approx(1, abs=0.05)
    assert np.std(made) < 0.5 * np.std(asked)


def test_where_all_are_in_one_cell_the_noise_beyond_it_is_nothing() -> None:
    """No decline is seen up to it, but that nobody stands out beyond it says enough."""
    true, size = np.zeros(20), 1.4 ** np.arange(20)
    true[3] = 3_000
    rng = np.random.default_rng(4)
    noisy = [np.maximum(true + rng.normal(0, SD, 20), 0) for _ in range(200)]
    made = [(with_tail(x, SD) @ size) / (true @ size) for x in noisy]
    assert np.mean(made) == pytest.approx(1, abs=0.02)
    assert max(made) < 1.1


def test_cells_that_stand_out_stay_as_they_are() -> None:
    found = np.array([500.0, 300, 0, 0, 400, 10])
    assert (with_tail(found, SD)[:5] == found[:5]).all()
    assert (with_tail(found, 0.0) == found).all()
    assert (with_tail(np.zeros(4), SD) == 0).all()
