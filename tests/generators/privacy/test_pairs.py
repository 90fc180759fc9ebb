"""Pairs of labels: which are counted where, and what is seen of them through the noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.privacy.pairs import PSEUDO_PAIRS, Facts, Pairs

SIZE = 120  # labels of one group


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
    popularity = rng.random(len(group)) + 0.1
    counts = np.bincount(cell, minlength=of.size).astype(float)
    want = np.zeros((len(group), len(group)))
    for a, b in zip(one[user], two[user], strict=True):
        want[a, b] += 1
        want[b, a] += 1
    for members, lift in zip(of.members, of.lifts(counts, 0.0, popularity, Facts()), strict=True):
        share, exact = (
            popularity[members] / popularity[members].sum(),
            want[np.ix_(members, members)],
        )
        after = lift * share
        assert np.isfinite(lift).all() and (lift >= 0).all()
        np.testing.assert_allclose(after.sum(1), 1.0, rtol=1e-4)
        # without noise the shares are those of the counts, and of PSEUDO_PAIRS more
        many = exact.sum(1)
        seen = many > 0
        off = after[seen] * (many[seen, None] + PSEUDO_PAIRS) - exact[seen]
        assert (off > -1e-2).all() and (off < PSEUDO_PAIRS + 1e-2).all()


def noisy_lifts(pairs: np.ndarray, noise: float, facts: Facts, seed: int = 0) -> np.ndarray:
    """Return the lifts of SIZE labels, all equally popular, of a matrix of counts with noise."""
    rng = np.random.default_rng(seed)
    of = Pairs.of(np.zeros(SIZE, dtype=np.int64), -np.arange(SIZE))
    counts = (pairs + rng.normal(0, noise, pairs.shape)).reshape(-1)
    return of.lifts(counts, noise, np.ones(SIZE), facts)[0]


def test_tastes_are_seen_where_each_pair_is_hidden_by_the_noise() -> None:
    taste = np.arange(SIZE) % 3
    same = taste[:, None] == taste
    lift = noisy_lifts(np.where(same, 8.0, 0.0), 10.0, Facts())
    np.fill_diagonal(same, False)
    assert lift[same].mean() > 1.7 and lift[taste[:, None] != taste].mean() < 0.7
    nothing = noisy_lifts(np.zeros((SIZE, SIZE)), 10.0, Facts())
    np.fill_diagonal(nothing, 1.0)
    assert abs(nothing - 1).max() < 0.5


@pytest.mark.parametrize("fact", ["text", "number"])
def test_what_is_known_of_labels_shows_where_the_pairs_alone_show_nothing(fact: str) -> None:
    """Thirty brands of four labels, or prices close to each other, at a fifth of the noise."""
    brand = 1 + np.arange(SIZE) // 4
    same = brand[:, None] == brand
    pairs = np.where(same, 6.0, 2.0)
    facts = Facts(texts=[brand]) if fact == "text" else Facts(numbers=[np.arange(SIZE) * 1.0])
    np.fill_diagonal(same, False)
    without, known = (noisy_lifts(pairs, 10.0, f) for f in (Facts(), facts))
    assert without[same].mean() < 1.2
    # of prices the four nearest are more or less of one class
    assert (
        known[same].mean() > (1.8 if fact == "text" else 1.3) and 0.8 < known[~same].mean() < 1.05
    )


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_facts_that_tell_nothing_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = np.where(rng.random(SIZE) < 0.2, np.nan, rng.random(SIZE))
    facts = Facts(texts=[rng.integers(0, 9, SIZE)], numbers=[number])
    lift = noisy_lifts(np.full((SIZE, SIZE), 5.0), 10.0, facts, seed)
    np.fill_diagonal(lift, 1.0)
    assert np.abs(lift - 1).mean() < 0.15
    unknown = Facts(texts=[np.zeros(SIZE, dtype=np.int64)], numbers=[np.full(SIZE, np.nan)])
    pairs = rng.random((SIZE, SIZE))
    np.testing.assert_allclose(
        noisy_lifts(pairs, 3.0, unknown, seed), noisy_lifts(pairs, 3.0, Facts(), seed), rtol=1e-3
    )


def test_only_the_most_popular_labels_of_a_large_group_are_paired() -> None:
    popularity = np.random.default_rng(0).random(1_000)
    of = Pairs.of(np.zeros(1_000, dtype=np.int64), popularity)
    assert of.width.tolist() == [300]
    assert popularity[of.local >= 0].min() > popularity[of.local < 0].max()
    assert of.lifts(np.zeros(of.size), 1.0, popularity, Facts())[0].shape == (300, 300)
