"""The stated propensities must be those of the rankings that are really drawn."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator.scenario as scenarios
from simulator.world.build import build
from simulator.world.propensity import place_probabilities
from simulator.world.recommender import PAGES, Recommender

NOISE = 0.6


def enumerated(score: np.ndarray, places: int) -> np.ndarray:
    """(n, places): the probability of each item at each place, summed over all orders."""
    weight = np.exp((score - score.max()) / NOISE)
    found = np.zeros((len(score), places))
    for order in itertools.permutations(range(len(score)), places):
        probability, left = 1.0, list(weight)
        for item in order:
            probability *= left[item] / sum(left)
            left[item] = 0.0
        found[list(order), range(places)] += probability
    return found


@given(
    score=st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=6),
    places=st.integers(1, 6),
)
@settings(max_examples=15, deadline=None)
def test_probabilities_are_those_of_all_orders_enumerated(score, places):
    score, places = np.array(score), min(places, len(score))
    found = place_probabilities(score, NOISE, places)
    np.testing.assert_allclose(found, enumerated(score, places), atol=1e-8)


@pytest.mark.parametrize(("items", "places"), [(80, 36), (400, 12), (300, 150)])
def test_every_place_of_a_long_list_is_filled_by_exactly_one_item(items, places):
    score = np.random.default_rng(1).normal(0, 1, items)
    found = place_probabilities(score, NOISE, places)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-7)
    assert (found >= 0).all()
    assert (found.sum(axis=1) <= 1 + 1e-7).all()


def test_items_without_a_score_are_never_shown_and_no_noise_is_no_chance():
    score = np.array([0.5, -np.inf, 2.0, 1.0])
    assert place_probabilities(score, NOISE, 3)[1].sum() == 0
    sure = place_probabilities(score, 0.0, 4)
    np.testing.assert_array_equal(sure.argmax(axis=0)[:3], [2, 3, 0])
    assert sure.sum() == 3


def test_propensities_are_the_frequencies_over_repeated_worlds():
    """The same interest, the rankings drawn again and again: how often is the item at its place?"""
    changes = {"catalogue.items": 60, "catalogue.categories": 3, "recommender.explore": 0.3}
    scenario = scenarios.load("small", changes)
    world = build(scenario, days=1, seed=np.random.SeedSequence(4))
    shop = Recommender(scenario, world, np.random.SeedSequence(5))
    slate, ranked = scenario.sessions.slate, shop.ranked
    n = len(world.query_pool)
    counts = np.zeros((n + 1, world.n_items, slate))
    stated = np.zeros((n + 1, world.n_items, slate))
    worlds = 100
    for key in range(worlds):
        shop.key = np.uint64(key)
        shop.gumbel = np.random.default_rng(key).gumbel(size=1 << 16).astype(np.float32)
        slates = shop.slates(0)
        first = np.arange(n + 1)[:, None] * slates.variants + np.arange(slates.variants)
        row = np.where(np.arange(n + 1)[:, None] < n, first * PAGES, n * slates.variants * PAGES)
        row[n] += np.arange(slates.variants)
        weight = np.where(np.arange(slates.variants) < ranked, 0.7, 0.3) / ranked
        place, which = np.arange(slate), np.arange(n + 1)[:, None, None]
        items = slates.items[row]  # (lists, variants, slate)
        there = items >= 0
        at = tuple(np.broadcast_arrays(which, items, place))
        np.add.at(
            counts,
            tuple(a[there] for a in at),
            np.broadcast_to(weight[None, :, None], items.shape)[there],
        )
        given = shop.propensities(row.ravel()).reshape(items.shape)
        stated[tuple(a[there] for a in at)] = given[there]
    seen = stated > 0
    frequency, p = counts[seen] / worlds, stated[seen]
    # The variants of a world share its interest but not its noise.
    z = (frequency - p) / np.sqrt(p * (1 - p) * (weight**2).sum() / worlds)
    assert 0.9 < z.std() < 1.1
    assert np.abs(z.mean()) < 0.05
    np.testing.assert_allclose(stated.sum(axis=1).max(), 1.0, atol=1e-5)
