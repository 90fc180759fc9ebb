"""Trees as arrays say what LightGBM says, and noise teaches nothing."""

from __future__ import annotations

import numpy as np
import pytest

from generators.markov import trees
from generators.validation import StateError


def learnt(wanted: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, trees.Trees]:
    found = trees.learn_trees(codes, wanted)
    assert found is not None
    return found


def test_what_depends_on_two_columns_together_is_learnt_from_these() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 8, (8_000, 20))
    wanted = (codes[:, 3] >= 4) * (codes[:, 7] >= 2) * 1.0  # neither column says it alone
    columns, found = learnt(wanted + rng.normal(0, 0.1, 8_000), codes)
    assert len(columns) <= trees.MOST_COLUMNS and {3, 7} <= set(columns.tolist())
    new = rng.integers(0, 8, (2_000, 20))
    expected = (new[:, 3] >= 4) * (new[:, 7] >= 2) * 1.0
    assert np.abs(found.predict(np.ascontiguousarray(new[:, columns])) - expected).max() < 0.1


def test_arrays_predict_what_the_booster_does() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 30, (4_000, 5))
    wanted = np.sin(codes[:, 0]) + codes[:, 1] * codes[:, 2] / 100
    held = np.arange(4_000) % 4 == 0
    booster = trees._boosted(codes, wanted, held, rounds=30)
    np.testing.assert_allclose(
        trees._as_arrays(booster).predict(codes), booster.predict(codes), atol=1e-4
    )


@pytest.mark.parametrize("rows", [200, 3_000])
def test_nothing_is_learnt_from_noise(rows: int) -> None:
    rng = np.random.default_rng(3)
    assert trees.learn_trees(rng.integers(0, 60, (rows, 30)), rng.normal(size=rows)) is None


def test_trees_that_lead_in_a_circle_are_refused() -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 9, (4_000, 2))
    _, found = learnt(codes[:, 0] + codes[:, 1] * 1.0, codes)
    arrays = {f"x/{name}": values for name, values in vars(found).items()}
    again = trees.restored_trees(arrays, "x/", columns=2)
    assert (again.predict(codes) == found.predict(codes)).all()
    arrays["x/left"] = np.zeros_like(found.left)
    with pytest.raises(StateError, match="lead to no leaf"):
        trees.restored_trees(arrays, "x/", columns=2)
