from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu

from generators.evaluation.attacks.common import (
    Rate,
    Z,
    auc,
    clopper_pearson_low,
    residual,
    wilson,
)


@pytest.mark.parametrize(("k", "n"), [(0, 50), (3, 50), (25, 50), (50, 50), (1, 1)])
def test_wilson_and_clopper_pearson_equal_scipy(k, n):
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert (wilson(k, n).low, wilson(k, n).high) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )
    one_sided = binomtest(k, n, alternative="greater").proportion_ci(method="exact").low
    assert clopper_pearson_low(k, n) == pytest.approx(one_sided, abs=1e-9)


def test_auc_equals_mann_whitney_and_its_interval_covers():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
    assert auc(x, y).value == pytest.approx(mannwhitneyu(x, y).statistic / (40 * 30))
    true = 0.7602499389065233  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt(2))
    found = [auc(rng.normal(1, 1, 30), rng.normal(0, 1, 40)) for _ in range(400)]
    covered = np.mean([r.low <= true <= r.high for r in found])
    assert 0.92 <= covered <= 0.99
    perfect = auc(np.ones(20), np.zeros(20))
    assert perfect.value == 1.0
    assert perfect.low < 0.95  # 20 users do not prove a certain attack
    assert perfect.high == pytest.approx(1.0)


def test_residual_risk():
    assert residual(wilson(50, 100), wilson(50, 100))[0] == 0.0
    value, low, high = residual(wilson(900, 1000), wilson(100, 1000))
    assert low < value < high
    assert value == pytest.approx((0.9 - 0.1) / 0.9, abs=0.01)


@pytest.mark.parametrize(
    ("rate", "control"), [(0.985, 0.985), (0.99, 0.985), (0.9, 0.9), (0.2, 0.05), (0.01, 0.01)]
)
def test_the_interval_of_a_risk_holds_what_it_says(rate, control):
    """Propagated errors are above 0 in 6 of 100 samples of the first pair, where 2.5 may be."""
    rng, n = np.random.default_rng(0), 1_100
    true = (rate - control) / (1 - control)
    drawn = [
        residual(wilson(int(a), n), wilson(int(c), n))
        for a, c in zip(rng.binomial(n, rate, 1_500), rng.binomial(n, control, 1_500), strict=True)
    ]
    above, below = (np.mean([d[1] > true for d in drawn]), np.mean([d[2] < true for d in drawn]))
    assert above <= 0.035
    assert below <= 0.035
    assert all(low <= value <= high for value, low, high in drawn)


def test_a_risk_without_a_failure_in_either_group():
    assert residual(wilson(50, 50), wilson(50, 50)) == (0.0, 0.0, 1.0)
    assert residual(wilson(0, 5_000), wilson(0, 5_000))[2] < 0.001
    _, low, high = residual(wilson(50, 50), wilson(0, 50))
    assert (low > 0.9, high) == (True, 1.0)


def test_intervals_of_several_tests_hold_together() -> None:
    one, five = wilson(10, 100), wilson(10, 100, tests=5)
    assert five.low < one.low < 0.1 < one.high < five.high
    rng = np.random.default_rng(0)
    missed = np.mean(
        [
            any(
                not r.low <= 0.1 <= r.high
                for r in (wilson(int(k), 100, tests=5) for k in rng.binomial(100, 0.1, 5))
            )
            for _ in range(400)
        ]
    )
    assert missed <= 0.08


@pytest.mark.parametrize(("k", "n"), [(0, 50), (3, 50), (49, 50), (50, 50), (37, 5_000)])
@pytest.mark.parametrize("tests", [1, 5])
def test_wilson_equals_its_formula(k, n, tests):
    z = NormalDist().inv_cdf(1 - 0.025 / tests)
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(k * (n - k) / n + z * z / 4)
    found = wilson(k, n, tests=tests)
    assert (found.value, found.n) == (k / n, n)
    assert found.low == pytest.approx(max(middle - half, 0.0), abs=1e-9)
    assert found.high == pytest.approx(min(middle + half, 1.0), abs=1e-9)


@pytest.mark.parametrize("shift", [-9.0, -0.5, 0.0, 0.7, 9.0])
def test_the_interval_of_an_auc_equals_halving(shift):
    rng = np.random.default_rng(0)
    x, y = rng.normal(shift, 1, 31), rng.normal(0, 1, 47)
    found = auc(x, y)
    middle = (31 + 47) / 2 - 1

    def beyond(theta):
        spread = 1 + middle * (1 - theta) / (2 - theta) + middle * theta / (1 + theta)
        return abs(found.value - theta) - Z * sqrt(theta * (1 - theta) * spread / (31 * 47))

    for end, bound in ((0.0, found.low), (1.0, found.high)):
        inside = found.value
        for _ in range(60):
            half = (inside + end) / 2
            inside, end = (half, end) if beyond(half) < 0 else (inside, half)
        assert bound == pytest.approx((inside + end) / 2, abs=1e-9)


def test_nothing_tried_is_nothing_known():
    assert wilson(0, 0) == Rate(0.0, 0.0, 1.0, 0)
    assert auc(np.zeros(0), np.ones(3)) == Rate(0.5, 0.0, 1.0, 3)
