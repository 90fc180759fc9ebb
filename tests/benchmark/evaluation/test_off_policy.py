"""Estimates from logged pages must be right where the truth can be computed."""

import numpy as np
import pytest

from benchmark.evaluation.off_policy import ClickModel, LoggedPages, estimate, examination

ITEMS, PLACES = 6, 3
RATE = np.linspace(0.05, 0.3, ITEMS)[None] * np.array([1.0, 0.7, 0.4])[:, None]  # (places, items)
PREFERENCE = np.arange(1.0, ITEMS + 1) / np.arange(1.0, ITEMS + 1).sum()
EVEN = np.ones(PLACES)


def logged(n, seed):
    """Pages by a policy that prefers some items; each place is clicked by RATE, whatever others."""
    rng = np.random.default_rng(seed)
    item = rng.choice(ITEMS, (n, PLACES), p=PREFERENCE)
    click = rng.random((n, PLACES)) < RATE[np.arange(PLACES), item]
    return LoggedPages(item, PREFERENCE[item], click.astype(float))


@pytest.mark.parametrize("best", [0, 5])
def test_sums_over_places_are_right_where_items_do_not_compete(best):
    pages = logged(40_000, 1)
    wanted = np.tile([best, (best + 1) % ITEMS, (best + 2) % ITEMS], (40_000, 1))
    true = RATE[np.arange(PLACES), wanted[0]].sum()
    found = estimate(pages, wanted, ClickModel(logged(4_000, 2), ITEMS), EVEN)
    for value in (found.ips, found.snips, found.dr):
        assert value == pytest.approx(true, rel=0.1)


def test_the_doubly_robust_estimate_varies_least_and_survives_a_wrong_model():
    wrong = ClickModel(logged(50, 3), ITEMS)
    wrong.by_item = wrong.by_item[::-1].copy()
    model = ClickModel(logged(20_000, 4), ITEMS)
    wanted = np.tile([0, 1, 2], (1_000, 1))
    true = RATE[np.arange(PLACES), [0, 1, 2]].sum()
    runs = [logged(1_000, seed) for seed in range(60)]
    dr, misled, ips = (
        np.array([getattr(estimate(p, wanted, m, EVEN), name) for p in runs])
        for name, m in (("dr", model), ("dr", wrong), ("ips", model))
    )
    assert dr.std() < ips.std()
    for values in (dr, misled, ips):
        assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(len(values))


def test_a_policy_that_shows_what_was_shown_earns_what_was_earned():
    pages = logged(500, 5)
    same = LoggedPages(pages.item, np.ones_like(pages.propensity), pages.click)
    found = estimate(same, pages.item, ClickModel(pages, ITEMS), EVEN)
    earned = pages.click.sum(axis=1).mean()
    assert [found.ips, found.snips, found.dr] == pytest.approx([earned] * 3)
    nothing = estimate(pages, np.full_like(pages.item, -1), ClickModel(pages, ITEMS), EVEN)
    assert nothing == type(nothing)(0.0, 0.0, 0.0, 0.0)


# --- items that compete for the click ---

WEIGHT, LOOKS_ON = np.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.6]), 0.8


def click_chance(item):
    """(pages, places): a multinomial logit among the places that the cascade reaches."""
    weight = WEIGHT[item]
    places = np.arange(PLACES)
    depth = LOOKS_ON**places * np.where(places < PLACES - 1, 1 - LOOKS_ON, 1.0)
    by_depth = depth / (1.0 + np.cumsum(weight, axis=1))
    return weight * np.cumsum(by_depth[:, ::-1], axis=1)[:, ::-1]


def chosen(n, seed, p=PREFERENCE):
    rng = np.random.default_rng(seed)
    item = rng.choice(ITEMS, (n, PLACES), p=p)
    edges = np.cumsum(click_chance(item), axis=1)
    at = (rng.random(n)[:, None] > edges).sum(axis=1)
    return LoggedPages(item, p[item], (np.arange(PLACES) == at[:, None]).astype(float))


@pytest.mark.parametrize("wanted", [[5, 5, 5], [5, 4, 3], [0, 1, 2], [0, 0, 0]])
def test_the_choice_axiom_is_about_right_where_items_compete_and_sums_are_not(wanted):
    true = click_chance(np.array([wanted])).sum()
    shuffled = chosen(60_000, 2, np.full(ITEMS, 1 / ITEMS))
    found = estimate(
        chosen(60_000, 1),
        np.tile(wanted, (60_000, 1)),
        ClickModel(chosen(5_000, 3), ITEMS),
        examination(shuffled),
    )
    assert found.choice == pytest.approx(true, rel=0.1)
    if wanted == [5, 5, 5]:  # better than what was shown: the sums promise more
        assert min(found.ips, found.snips, found.dr) > 1.2 * true


def test_how_often_a_place_is_looked_at_is_found_from_pages_in_random_order():
    rng = np.random.default_rng(0)
    places, looks_on = np.arange(12), 0.86
    clicks = rng.choice(12, 50_000, p=looks_on**places / (looks_on**places).sum())
    pages = LoggedPages(
        np.zeros((50_000, 12), dtype=int), np.ones((50_000, 12)), np.eye(12)[clicks]
    )
    np.testing.assert_allclose(examination(pages), looks_on**places, rtol=0.05)
    none = LoggedPages(pages.item, pages.propensity, np.zeros_like(pages.click))
    assert (examination(none) == 1.0).all()


def test_a_policy_whose_items_nobody_saw_has_no_estimate_by_choice():
    pages = LoggedPages(np.zeros((9, 2), dtype=int), np.ones((9, 2)), np.zeros((9, 2)))
    found = estimate(pages, np.ones((9, 2), dtype=int), ClickModel(pages, 2), np.ones(2))
    assert np.isnan(found.choice)
