"""BG/NBD, against customers drawn by its own model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from baselines.models.bgnbd import BGNBD, expected_purchases, log_likelihood


def simulate_bgnbd(
    n: int, parameters: tuple[float, float, float, float], age: float, horizon: float, seed: int
) -> pd.DataFrame:
    """Customers by the model's own story."""
    r, alpha, a, b = parameters
    rng = np.random.default_rng(seed)
    rows = []
    for rate, drop in zip(rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), strict=True):
        time, last, x, future = 0.0, 0.0, 0, 0
        while rng.random() >= (drop if time > 0 else 0):
            time += rng.exponential(1 / rate)
            if time > age + horizon:
                break
            if time <= age:
                x, last = x + 1, time
            else:
                future += 1
        rows.append((x, last, age, future))
    return pd.DataFrame(rows, columns=["x", "recency", "age", "future"])


def test_bgnbd_finds_the_parameters_of_its_own_story_and_expects_what_comes() -> None:
    truth = (0.8, 20.0, 0.9, 2.5)
    data = simulate_bgnbd(8_000, truth, age=200, horizon=60, seed=1)
    x, recency, age = (data[k].to_numpy(dtype=float) for k in ("x", "recency", "age"))
    found = BGNBD()._maximise(x, recency, age)
    assert np.allclose(found[0] / found[1], truth[0] / truth[1], rtol=0.1)
    assert np.allclose(
        found[2] / (found[2] + found[3]), truth[2] / (truth[2] + truth[3]), rtol=0.15
    )
    best, true = (log_likelihood(np.array(p), x, recency, age).sum() for p in (found, truth))
    assert best > true - 10  # the penalty costs next to nothing
    expected = expected_purchases(found, x, recency, age, horizon=60)
    assert expected.sum() == pytest.approx(data["future"].sum(), rel=0.08)
    for low, high in ((0, 0), (1, 3), (4, 99)):
        chosen = (x >= low) & (x <= high)
        assert expected[chosen].mean() == pytest.approx(data["future"][chosen].mean(), rel=0.2)


def test_bgnbd_likelihood_integrates_to_the_probability_of_no_repeat_order() -> None:
    """x = 0: the rate is gamma, so the chance of no order within T is (alpha / (alpha + T))^r."""
    got = log_likelihood(
        np.array([0.5, 10.0, 1.2, 2.0]), np.zeros(1), np.zeros(1), np.full(1, 30.0)
    )
    assert got[0] == pytest.approx(0.5 * np.log(10 / 40))
