from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from benchmark import statistics


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=9))
def test_kendall_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    ours = statistics.kendall(x[:, None], y[:, None])[0]
    theirs = kendalltau(x, y).statistic
    assert ours == pytest.approx(theirs, nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_raw_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    corrected = statistics.holm(p)
    assert all(raw <= c <= min(1.0, raw * len(p)) + 1e-12 for raw, c in zip(p, corrected, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= -1e-12).all()


def test_tiers_tell_apart_what_differs_and_tie_what_does_not() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, 1_000)  # users that are easy or hard for everybody
    replicates = {n: v + shared + rng.normal(0, 0.004, 1_000) for n, v in (("a", 0.50), ("b", 0.499), ("c", 0.40), ("d", 0.399))}
    value = {n: float(r.mean()) for n, r in replicates.items()}
    assert statistics.tiers(value, replicates) == {"a": 1, "b": 1, "c": 3, "d": 3}


def test_identical_models_tie() -> None:
    same = np.random.default_rng(0).normal(size=100)
    assert statistics.tiers({"a": 0.1, "b": 0.1}, {"a": same, "b": same}) == {"a": 1, "b": 1}


def test_seeds_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    replicates = np.array([[0.2], [0.5], [0.8]]) + rng.normal(0, 0.001, (3, 1_000))
    low, high = statistics.interval(statistics.over_seeds(replicates, rng))
    assert low < 0.35
    assert high > 0.65
    assert np.array_equal(statistics.over_seeds(replicates[:1], rng), replicates[0])


def test_an_interval_of_nothing_is_nan() -> None:
    assert np.isnan(statistics.interval(np.array([np.nan, np.nan]))).all()
