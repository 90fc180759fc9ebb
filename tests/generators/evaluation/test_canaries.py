from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
from fixtures.shop_logs import renamed, shop_log

from eventlog import EventLog, InputError
from generators.evaluation.align import align_logs
from generators.evaluation.attacks import similarity
from generators.evaluation.attacks.common import auc
from generators.evaluation.canaries import audit, epsilon_lower_bound, guess, plant


def test_canaries_on_a_copier_and_on_nothing(real):
    train, canaries = plant(real, 40, rng=np.random.default_rng(0))
    inside = int(canaries.included.sum())
    assert train.events["user_id"].astype(str).nunique() == 150 + inside
    assert canaries.log.events["user_id"].astype(str).nunique() == 40
    assert train.events["event_id"].is_unique
    leaked = audit(canaries, renamed(train, "x"))
    assert leaked.correct == leaked.guesses == 32
    assert leaked.epsilon == pytest.approx(leaked.reachable)
    assert leaked.epsilon > 1.5
    nothing = audit(canaries, shop_log(seed=2, prefix="s"))
    assert nothing.epsilon < 1.0


def test_guesses_are_of_the_few_where_only_a_few_are_repeated():
    rng = np.random.default_rng(0)
    included = rng.random(1000) < 0.5
    few = np.where(included & (rng.random(1000) < 0.12), 1.0, 0.0) + rng.random(1000) / 2
    found = guess(included, few)
    assert found.guesses == found.correct == 50
    assert found.epsilon == pytest.approx(found.reachable)
    # all of them: most guesses, highest bound
    assert guess(included, included + rng.random(1000) / 2).epsilon > 4.5


def test_the_best_of_several_guesses_is_no_luckier_than_it_says():
    rng = np.random.default_rng(0)
    found = [guess(rng.random(200) < 0.5, rng.random(200)).epsilon > 0 for _ in range(400)]
    assert np.mean(found) <= 0.07


def test_pairs_of_items_beyond_chance_are_a_canarys_mark(real):
    train, canaries = plant(real, 200, rng=np.random.default_rng(0))
    (flat,) = align_logs(train)
    pair = similarity.surprise(*align_logs(canaries.log, train))
    assert auc(pair[canaries.included], pair[~canaries.included]).value > 0.95
    assert flat.n_users == 150 + canaries.included.sum()


def test_canaries_follow_from_the_log_and_not_from_the_order_of_its_categories(real):
    turned = real.events["item_id"].cat.reorder_categories(
        list(real.events["item_id"].cat.categories[::-1])
    )
    made = [
        plant(EventLog(events=events), 10, rng=np.random.default_rng(0))[1]
        .log.events["item_id"]
        .astype(str)
        .tolist()
        for events in (real.events, real.events.assign(item_id=turned))
    ]
    assert made[0] == made[1]


def test_canaries_do_not_depend_on_the_order_of_rows(real):
    unique = EventLog(events=real.events.drop_duplicates(["user_id", "timestamp"]))
    mixed = EventLog(events=unique.events.sample(frac=1, random_state=0))
    (one, a), (two, b) = (plant(x, 20, rng=np.random.default_rng(3)) for x in (unique, mixed))
    assert one.events.astype(str).equals(two.events.astype(str))
    assert a.log.events.astype(str).equals(b.log.events.astype(str))
    np.testing.assert_array_equal(a.included, b.included)


def test_canaries_need_two_and_a_log(real):
    with pytest.raises(InputError, match="at least 2"):
        plant(real, 1, rng=np.random.default_rng(0))


def test_epsilon_lower_bound():
    assert epsilon_lower_bound(50, 100, canaries=200) == 0.0
    assert epsilon_lower_bound(0, 100, canaries=200) == 0.0
    all_right = epsilon_lower_bound(100, 100, canaries=200)
    # Clopper-Pearson at n of n
    assert all_right == pytest.approx(log(0.05**0.01 / (1 - 0.05**0.01)), rel=1e-6)
    assert all_right < inf
    with_delta = epsilon_lower_bound(100, 100, canaries=200, delta=1e-5)
    assert 0.9 * all_right < with_delta < all_right
    assert epsilon_lower_bound(90, 100, canaries=200, delta=1e-12) == pytest.approx(
        epsilon_lower_bound(90, 100, canaries=200), abs=1e-4
    )


def test_the_bound_holds_for_randomised_response():
    """Guesses of a mechanism that tells the truth with probability e / (1 + e) is 1-DP: the bound
    exceeds 1 in at most 5 %.
    """
    rng = np.random.default_rng(0)
    right = rng.binomial(100, np.e / (1 + np.e), size=300)
    assert np.mean([epsilon_lower_bound(int(k), 100, canaries=200) > 1.0 for k in right]) <= 0.08
