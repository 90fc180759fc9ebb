"""Estimates from logged pages must be right where the truth can be computed."""

import numpy as np
import pytest

from benchmark.evaluation.off_policy import ClickModel, LoggedPages, estimate

ITEMS, PLACES = 6, 3
RATE = np.linspace(0.05, 0.6, ITEMS)[None] * np.array([1.0, 0.7, 0.4])[:, None]  # (places, items)


def logged(n, seed):
    """Pages by a policy that prefers some items, whose clicks follow RATE."""
    rng = np.random.default_rng(seed)
    chance = np.arange(1.0, ITEMS + 1) / np.arange(1.0, ITEMS + 1).sum()
    item = rng.choice(ITEMS, (n, PLACES), p=chance)
    clicked = rng.random((n, PLACES)) < RATE[np.arange(PLACES), item]
    return LoggedPages(item, chance[item], clicked.astype(float))


@pytest.mark.parametrize("best", [0, 5])
def test_all_estimators_find_the_value_of_another_policy(best):
    pages = logged(40_000, 1)
    wanted = np.tile([best, (best + 1) % ITEMS, (best + 2) % ITEMS], (40_000, 1))
    true = RATE[np.arange(PLACES), wanted[0]].sum()
    found = estimate(pages, wanted, ClickModel(logged(4_000, 2), ITEMS))
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
        np.array([getattr(estimate(p, wanted, m), name) for p in runs])
        for name, m in (("dr", model), ("dr", wrong), ("ips", model))
    )
    assert dr.std() < ips.std()
    for values in (dr, misled, ips):
        assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(len(values))


def test_a_policy_that_shows_what_was_shown_earns_what_was_earned():
    pages = logged(500, 5)
    same = LoggedPages(pages.item, np.ones_like(pages.propensity), pages.reward)
    found = estimate(same, pages.item, ClickModel(pages, ITEMS))
    earned = pages.reward.sum(axis=1).mean()
    assert [found.ips, found.snips, found.dr] == pytest.approx([earned] * 3)
    nothing = estimate(pages, np.full_like(pages.item, -1), ClickModel(pages, ITEMS))
    assert [nothing.ips, nothing.snips, nothing.dr] == [0.0, 0.0, 0.0]
