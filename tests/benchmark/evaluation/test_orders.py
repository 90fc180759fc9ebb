from __future__ import annotations

import numpy as np
import pytest
from fixtures.known_tables import known_table
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, rankdata

from benchmark.evaluation import orders
from benchmark.evaluation.statistics import Comparison


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=9))
def test_kendall_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    ours = orders.kendall(x[:, None], y[:, None])[0]
    theirs = kendalltau(x, y).statistic
    assert ours == pytest.approx(theirs, nan_ok=True)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_ranks_equal_scipy(values: list[int]) -> None:
    found = orders.ranks({str(i): float(v) for i, v in enumerate(values)})
    assert list(found.values()) == list(rankdata([-v for v in values]))


def table(truth: np.ndarray, rng: np.random.Generator, seeds: int = 3) -> Comparison:
    return Comparison(known_table(truth, rng, seeds=seeds, seed_sd=0.05, users=200), rng)


@pytest.mark.parametrize("spread", [0.02, 0.2, 0.8], ids=["near", "between", "far"])
@pytest.mark.parametrize("turned", [False, True])
def test_the_interval_of_tau_covers(spread: float, turned: bool) -> None:
    """Near ties and clear orders alike; a percentile interval of resampled taus never has 1."""
    rng = np.random.default_rng(7)
    one = np.arange(6) * spread
    two = one[[0, 1, 3, 2, 5, 4]] if turned else one
    true = kendalltau(one, two).statistic
    names = [str(i) for i in range(6)]
    covered, widths = [], []
    for _ in range(100):
        found = orders.agreement(table(one, rng), table(two, rng), names)
        assert found is not None
        assert found.low - 1e-9 <= found.tau <= found.high + 1e-9
        covered.append(found.low - 1e-9 <= true <= found.high + 1e-9)
        widths.append(found.high - found.low)
    assert np.mean(covered) >= 0.93
    if spread == 0.8:
        assert np.mean(widths) < 0.05  # power: where all pairs are clear, the interval is a point


def test_fewer_than_three_models_have_no_order() -> None:
    rng = np.random.default_rng(0)
    one = table(np.zeros(2), rng)
    assert orders.agreement(one, one, ["0", "1"]) is None


def test_seeds_are_cut_in_two_in_every_way_once() -> None:
    assert orders.halves([4]) == []
    assert orders.halves([0, 1]) == [([0], [1])]
    assert orders.halves([0, 1, 2]) == [([0], [1, 2]), ([1], [0, 2]), ([2], [0, 1])]
    assert len(orders.halves([0, 1, 2, 3])) == 3
