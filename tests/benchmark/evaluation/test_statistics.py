from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import kendalltau, rankdata

from benchmark.evaluation import statistics


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=9))
def test_kendall_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    ours = statistics.kendall(x[:, None], y[:, None])[0]
    theirs = kendalltau(x, y).statistic
    assert ours == pytest.approx(theirs, nan_ok=True)


@settings(max_examples=30)  # a call takes 50 ms
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_raw_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    corrected = statistics.holm(p)
    assert all(
        raw <= c <= min(1.0, raw * len(p)) + 1e-12 for raw, c in zip(p, corrected, strict=True)
    )
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= -1e-12).all()


def test_holm_equals_the_procedure_done_by_hand() -> None:
    """Smallest first, times how many are left: 0.005 x 4, 0.01 x 3, 0.03 x 2; and 0.04 x 1 may not
    lie below what came before it.
    """
    assert statistics.holm([]) == []
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.5, 0.6]) == [1.0, 1.0]


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_holm_rejects_what_the_step_down_rejects(p: list[float], alpha: float) -> None:
    corrected = statistics.holm(p)
    left = set(range(len(p)))
    while left and p[(least := min(left, key=lambda i: p[i]))] * len(left) <= alpha:
        left.remove(least)
    assert {i for i, c in enumerate(corrected) if c > alpha} == left


def test_tiers_tell_apart_what_differs_and_tie_what_does_not() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, 1_000)  # users that are easy or hard for everybody
    replicates = {
        n: v + shared + rng.normal(0, 0.004, 1_000)
        for n, v in (("a", 0.50), ("b", 0.499), ("c", 0.40), ("d", 0.399))
    }
    value = {n: float(r.mean()) for n, r in replicates.items()}
    p = statistics.paired(value, replicates)
    assert statistics.tiers(value, p) == {"a": 1, "b": 1, "c": 3, "d": 3}
    assert statistics.cliques(value, p) == [("a", "b"), ("c", "d")]


def test_identical_models_tie() -> None:
    same = np.random.default_rng(0).normal(size=100)
    value, replicates = {"a": 0.1, "b": 0.1}, {"a": same, "b": same}
    assert statistics.tiers(value, statistics.paired(value, replicates)) == {"a": 1, "b": 1}
    assert (statistics.ranks(np.stack([same, same])) == 1.5).all()


def test_seeds_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    replicates = np.array([[0.2], [0.5], [0.8]]) + rng.normal(0, 0.001, (3, 1_000))
    low, high = statistics.interval(statistics.over_seeds(replicates, rng))
    assert low < 0.35
    assert high > 0.65
    assert np.array_equal(statistics.over_seeds(replicates[:1], rng), replicates[0])


def test_an_interval_of_nothing_is_nan() -> None:
    assert np.isnan(statistics.interval(np.array([np.nan, np.nan]))).all()


def test_the_spread_over_few_seeds_is_not_underestimated() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(300):
        seeds = rng.normal(size=(3, 1)) + np.zeros((1, 2_000))
        found.append(statistics.over_seeds(seeds, rng).var())
    # of a mean over three; as many draws as seeds would give 2/9
    assert np.mean(found) == pytest.approx(1 / 3, rel=0.15)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_ranks_equal_scipy(seed: int, models: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, size=(models, 3)).astype(float)
    assert np.array_equal(statistics.ranks(values), rankdata(-values, axis=0))


def test_bradley_terry_is_the_mode_of_the_penalised_likelihood() -> None:
    rng = np.random.default_rng(0)
    wins = rng.integers(0, 6, size=(2, 4, 4)).astype(float)
    wins[:, range(4), range(4)] = 0
    wins[1, 0] = 3
    wins[1, :, 0] = 0  # wins always
    found = statistics.bradley_terry(wins)

    def loss(s: np.ndarray, w: np.ndarray) -> float:
        return float(-(w * -np.log1p(np.exp(s[None, :] - s[:, None]))).sum() + 0.5 * (s**2).sum())

    for own, w in zip(found, wins, strict=True):
        assert own == pytest.approx(minimize(loss, np.zeros(4), args=(w,), tol=1e-10).x, abs=1e-4)
        assert own.sum() == pytest.approx(0, abs=1e-8)
    assert found[1].argmax() == 0


def test_strengths_order_models_that_met_only_through_others() -> None:
    rng = np.random.default_rng(0)

    def board(**value: float) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        return value, {n: v + rng.normal(0, 0.01, 500) for n, v in value.items()}

    boards = [
        b
        for _ in range(8)
        for b in (board(good=0.9, link=0.5), board(link=0.6, bad=0.2), board(twin=0.7, good=0.7))
    ]
    found = statistics.strengths(boards, rng)
    assert list(found) == ["good", "twin", "link", "bad"] or list(found) == [
        "twin",
        "good",
        "link",
        "bad",
    ]
    assert found["good"][1] > found["bad"][2]
    for value, low, high in found.values():
        assert low <= value <= high


def test_seeds_are_cut_in_two_in_every_way_once() -> None:
    assert statistics.halves([4]) == []
    assert statistics.halves([0, 1]) == [([0], [1])]
    assert statistics.halves([0, 1, 2]) == [([0], [1, 2]), ([1], [0, 2]), ([2], [0, 1])]
    assert len(statistics.halves([0, 1, 2, 3])) == 3
