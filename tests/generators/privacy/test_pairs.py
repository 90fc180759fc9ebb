"""Pairs of labels: which are counted where, and what is seen of them through the noise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.privacy.pairs import Pairs


@given(st.integers(0, 2**31), st.integers(2, 30), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_pairs_are_counted_within_groups_whichever_comes_first(
    seed: int, labels: int, groups: int
) -> None:
    rng = np.random.default_rng(seed)
    group = np.append(np.arange(groups), rng.integers(0, groups, labels))
    one, two = rng.integers(0, len(group), (2, 200))
    of = Pairs.of(group, rng.random(len(group)))
    user, cell = of.cells(np.arange(200), one, two)
    back, same = of.cells(np.arange(200), two, one)
    assert user.tolist() == back.tolist() and cell.tolist() == same.tolist()
    assert user.tolist() == np.flatnonzero((group[one] == group[two]) & (one != two)).tolist()
    found = of.matrices(np.bincount(cell, minlength=of.size).astype(float), 0.0)
    want = np.zeros((len(group), len(group)))
    for a, b in zip(one[user], two[user], strict=True):
        want[a, b] += 1
        want[b, a] += 1
    for members, matrix in zip(of.members, found, strict=True):
        np.testing.assert_allclose(matrix, want[np.ix_(members, members)], atol=1e-6)


def test_tastes_are_seen_where_each_pair_is_hidden_by_the_noise() -> None:
    rng, n, noise = np.random.default_rng(0), 120, 10.0
    taste = np.arange(n) % 3
    pairs = np.where(taste[:, None] == taste, 8.0, 0.0)
    of = Pairs.of(np.zeros(n, dtype=np.int64), -np.arange(n))
    found = of.matrices((pairs + rng.normal(0, noise, pairs.shape)).reshape(-1), noise)[0]
    same = taste[:, None] == taste
    np.fill_diagonal(same, False)
    assert 5 < found[same].mean() < 9
    assert found[taste[:, None] != taste].mean() < 1.5
    nothing = of.matrices(rng.normal(0, noise, n * n), noise)[0]
    assert nothing.mean() < 0.5


def test_only_the_most_popular_labels_of_a_large_group_are_paired() -> None:
    popularity = np.random.default_rng(0).random(1_000)
    of = Pairs.of(np.zeros(1_000, dtype=np.int64), popularity)
    assert of.width.tolist() == [300]
    assert popularity[of.local >= 0].min() > popularity[of.local < 0].max()
