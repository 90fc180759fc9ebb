from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, mannwhitneyu

from generators.evaluation.distances import auc_score, js, ks, total_variation

counts = hnp.arrays(np.int64, st.integers(2, 12), elements=st.integers(0, 50))
samples = hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-5, 5).map(float))


@given(counts, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_js_equals_scipy_and_is_symmetric(p, random):
    q = np.array(random.sample(p.tolist(), len(p)))
    if p.sum() == 0:
        assert js(p, q) == 0.0
        return
    assert js(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert js(p, q) == pytest.approx(js(q, p), abs=1e-12)
    assert js(p, 7 * p) == pytest.approx(0.0, abs=1e-12)


def test_js_of_disjoint_and_of_empty_is_one():
    assert js(np.array([3, 0]), np.array([0, 5])) == pytest.approx(1.0)
    assert js(np.array([0, 0]), np.array([0, 5])) == 1.0


@given(samples, samples)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:ks_2samp")
def test_ks_equals_scipy_and_ignores_monotone_changes(x, y):
    assert ks(x, y) == pytest.approx(ks_2samp(x, y).statistic, abs=1e-12)
    assert ks(np.exp(x), np.exp(y)) == pytest.approx(ks(x, y), abs=1e-12)


def test_ks_leaves_missing_out():
    assert ks(np.array([1.0, np.nan]), np.array([1.0])) == 0.0
    assert ks(np.array([np.nan]), np.array([1.0])) == 1.0
    assert np.isnan(ks(np.array([np.nan]), np.array([np.nan])))


@given(counts, counts)
@settings(max_examples=60, deadline=None)
def test_js_equals_its_formula(p, q):
    size = min(len(p), len(q))
    p, q = p[:size], q[:size]
    if p.sum() == 0 or q.sum() == 0:
        assert js(p, q) == float(p.sum() != q.sum())
        return
    a, b = p / p.sum(), q / q.sum()
    m = (a + b) / 2
    terms = [np.sum(x[x > 0] * np.log2(x[x > 0] / m[x > 0])) for x in (a, b)]
    assert js(p, q) == pytest.approx(sum(terms) / 2, abs=1e-9)


@given(samples, samples)
@settings(max_examples=60, deadline=None)
def test_ks_and_auc_equal_sums_over_the_samples(x, y):
    at = np.concatenate([x, y])
    steps = [(s[:, None] <= at).mean(axis=0) for s in (x, y)]
    assert ks(x, y) == pytest.approx(np.abs(steps[0] - steps[1]).max(), abs=1e-9)
    wins = (x[:, None] > y).mean() + (x[:, None] == y).mean() / 2
    assert auc_score(x, y) == pytest.approx(wins, abs=1e-9)
    assert auc_score(x, y) == pytest.approx(mannwhitneyu(x, y).statistic / (len(x) * len(y)))


def test_auc_of_a_constant_a_perfect_and_a_random_score():
    rng = np.random.default_rng(0)
    assert auc_score(np.ones(20), np.ones(30)) == 0.5
    assert auc_score(np.full(20, 2.0), np.ones(30)) == 1.0
    assert auc_score(rng.random(4_000), rng.random(4_000)) == pytest.approx(0.5, abs=0.02)


def test_total_variation():
    assert total_variation(np.array([0, 0, 1]), np.array([0, 0, 1, 0, 0, 1])) == 0.0
    assert total_variation(np.array([0, 0]), np.array([3])) == 1.0
    assert total_variation(np.array([0, 1]), np.array([1, 1])) == 0.5
