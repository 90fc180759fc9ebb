from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
from fixtures.shop_logs import renamed, shop_log
from scipy.stats import binomtest, mannwhitneyu

from eventlog import EventLog, InputError
from generators.evaluation.align import align_logs
from generators.evaluation.attacks import membership, profiles, similarity, suite
from generators.evaluation.attacks.common import (
    Attack,
    auc,
    clopper_pearson_low,
    rate_at_false_positives,
    residual,
    wilson,
)
from generators.evaluation.attacks.copied_runs import copied_runs
from generators.evaluation.canaries import audit, epsilon_lower_bound, guess, plant


@pytest.fixture(scope="module")
def real() -> EventLog:
    return shop_log(seed=0)


@pytest.fixture(scope="module")
def holdout() -> EventLog:
    return shop_log(seed=1, prefix="h")


@pytest.fixture(scope="module")
def on_a_copy(real, holdout) -> dict[str, Attack]:
    return {a.name: a for a in suite.run(real, renamed(real, "x"), holdout, seed=1)}


@pytest.fixture(scope="module")
def on_independent(real, holdout) -> dict[str, Attack]:
    return {a.name: a for a in suite.run(real, shop_log(seed=2, prefix="s"), holdout, seed=1)}


# --- intervals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), [(0, 50), (3, 50), (25, 50), (50, 50), (1, 1)])
def test_wilson_and_clopper_pearson_equal_scipy(k, n):
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert (wilson(k, n).low, wilson(k, n).high) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )
    one_sided = binomtest(k, n, alternative="greater").proportion_ci(method="exact").low
    assert clopper_pearson_low(k, n) == pytest.approx(one_sided, abs=1e-9)


def test_auc_equals_mann_whitney_and_its_interval_covers():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
    assert auc(x, y).value == pytest.approx(mannwhitneyu(x, y).statistic / (40 * 30))
    true = 0.7602499389065233  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt(2))
    found = [auc(rng.normal(1, 1, 30), rng.normal(0, 1, 40)) for _ in range(400)]
    covered = np.mean([r.low <= true <= r.high for r in found])
    assert 0.92 <= covered <= 0.99
    perfect = auc(np.ones(20), np.zeros(20))
    assert perfect.value == 1.0
    assert perfect.low < 0.95  # 20 users do not prove a certain attack
    assert perfect.high == pytest.approx(1.0)


def test_residual_risk():
    assert residual(wilson(50, 100), wilson(50, 100))[0] == 0.0
    value, low, high = residual(wilson(900, 1000), wilson(100, 1000))
    assert low < value < high
    assert value == pytest.approx((0.9 - 0.1) / 0.9, abs=0.01)


# --- the attacks bite, and do not bite at nothing -------------------------------------------------


def test_every_attack_bites_on_a_copy(on_a_copy):
    for name, attack in on_a_copy.items():
        assert attack.verdict == "fail", name
        assert attack.risk > 0.8, name
        assert 0 <= attack.low <= attack.risk <= attack.high <= 1


def test_no_attack_bites_on_independent_data(on_independent):
    assert len(on_independent) >= 12
    for name, attack in on_independent.items():
        assert attack.verdict != "fail", name
        assert attack.low < 0.02, name


def test_what_single_users_did_is_found_though_no_run_is_copied():
    """A walk from item to item by the steps that members made: nobody is copied, and yet the steps
    of single users stand there.
    """
    real, holdout = (
        shop_log(users=400, items=400, seed=k, prefix=p) for k, p in ((0, "u"), (1, "h"))
    )
    events, rng = real.events, np.random.default_rng(0)
    item = events["item_id"].astype(object).to_numpy()
    after: dict[object, list[object]] = {}
    user = events["user_id"].to_numpy()
    for k in np.flatnonzero(
        (user[1:] == user[:-1])
        & events["item_id"].notna().to_numpy()[1:]
        & events["item_id"].notna().to_numpy()[:-1]
    ):
        after.setdefault(item[k], []).append(item[k + 1])
    shop = shop_log(users=400, items=400, seed=2, prefix="s")
    walked = shop.events["item_id"].astype(object).to_numpy().copy()
    owner = shop.events["user_id"].to_numpy()
    for k in range(1, len(walked)):
        if (
            owner[k] == owner[k - 1]
            and walked[k] is not None
            and walked[k - 1] in after
            and rng.random() < 0.3
        ):
            walked[k] = after[walked[k - 1]][rng.integers(len(after[walked[k - 1]]))]
    found = {
        a.name: a
        for a in suite.run(
            real, EventLog(events=shop.events.assign(item_id=walked)), holdout, seed=1
        )
    }
    assert found["exposed_exact_8"].risk < 0.05
    assert found["membership_learnt_auc"].low > 0.2
    assert found["membership_learnt_auc"].risk > 2 * found["membership_auc"].risk


def test_half_a_copy_is_found_in_half_of_the_users(real, holdout):
    fresh = shop_log(seed=2, prefix="s", users=75)
    users = real.events["user_id"].cat.categories[:75]
    half = renamed(real.only_users(users), "x")
    events = attacks_join(half, fresh)
    found = {a.name: a for a in suite.run(real, events, holdout, seed=1)}
    assert found["exposed_exact_8"].rate.value == pytest.approx(0.5, abs=0.03)
    assert 0.3 < found["linkage"].risk < 0.6
    assert found["membership_auc"].verdict == "fail"


def attacks_join(a: EventLog, b: EventLog) -> EventLog:
    import pandas as pd

    from eventlog.log import sort_events, tidy

    frames = [
        log.events.astype({c: object for c in log.events if log.events[c].dtype == "category"})
        for log in (a, b)
    ]
    events = sort_events(tidy(pd.concat(frames, ignore_index=True)))
    return EventLog(events=events.assign(event_id=np.arange(len(events))))


@pytest.mark.parametrize(("every", "near"), [(8, 1.0), (3, 0.0)])
def test_near_copies_survive_one_changed_row_and_not_two(real, holdout, every, near):
    """Every eighth or third row gets an item that nobody knows: no run of 8 is exact; one row of it
    differs, or two and more.
    """
    items = real.events["item_id"].astype(object).to_numpy().copy()
    items[::every] = "unheard-of"
    a, b, c = align_logs(
        real, renamed(EventLog(events=real.events.assign(item_id=items)), "x"), holdout
    )
    found = {x.name: x for x in copied_runs(a, a, b, c, rng=np.random.default_rng(0))}
    assert found["exposed_exact_8"].rate.value == 0.0
    assert found["exposed_near_8"].rate.value == near


def test_windows_equal_a_loop(real):
    (flat,) = align_logs(real)
    flat = flat.take(np.arange(8))
    code, user = similarity.windows(flat, 4)
    rows = list(zip(flat.codes["event"].tolist(), flat.codes["item_id"].tolist(), strict=True))
    expected = [
        (u, tuple(rows[i : i + 4]))
        for u in range(8)
        for i in range(flat.offsets[u], flat.offsets[u + 1] - 3)
        if len({r[1] for r in rows[i : i + 4]} - {-1}) >= 2
    ]
    assert user.tolist() == [u for u, _ in expected]
    assert len(np.unique(code)) == len({run for _, run in expected})
    near = similarity.windows(flat, 4, near=True)[0].reshape(4, -1)
    i, j = 0, 1
    differ = sum(a != b for a, b in zip(expected[i][1], expected[j][1], strict=True))
    assert (near[:, i] == near[:, j]).any() == (differ <= 1)


def test_closest_is_one_for_a_copy_whatever_the_order(real, holdout):
    a, c = align_logs(real, holdout)
    shuffled = a.take(np.random.default_rng(0).permutation(a.n_users))
    assert similarity.closest(a, shuffled) == pytest.approx(np.ones(a.n_users), abs=1e-6)
    assert similarity.closest(c, a).max() < 0.9


def test_nearest_profile_equals_a_loop(real, holdout):
    a, b = (profiles.profiles(f) for f in align_logs(real, holdout))
    a, b = a.sample(12, np.random.default_rng(0)), b.sample(20, np.random.default_rng(1))
    (found,) = profiles.nearest(a, b, [np.ones(len(a.names), dtype=bool)])
    span = np.nanmax(b.values, axis=0) - np.nanmin(b.values, axis=0)

    def gower(x, y):
        total = 0.0
        for j, categorical in enumerate(a.categorical):
            missing = np.isnan(x[j]), np.isnan(y[j])
            if categorical or any(missing):
                total += float(x[j] != y[j]) if not all(missing) else 0.0
            else:
                total += abs(x[j] - y[j]) / (span[j] or 1.0)
        return total

    for i in range(12):
        distance = [gower(a.values[i], b.values[k]) for k in range(20)]
        assert distance[found[i]] == pytest.approx(min(distance), abs=1e-4)


def test_the_same_seed_gives_the_same_figures(real, holdout, on_independent):
    again = suite.run(real, shop_log(seed=2, prefix="s"), holdout, seed=1)
    assert again == list(on_independent.values())


def test_without_a_control_group_nothing_is_settled(real):
    found = suite.run(real, shop_log(seed=2, prefix="s", users=60), seed=1)
    assert not [a for a in found if a.name.startswith("membership")]
    assert {a.verdict for a in found} == {"unsettled"}


def test_a_holdout_that_shares_users_is_refused(real):
    with pytest.raises(InputError, match="150 user"):
        suite.run(real, real, real, seed=1)


def test_a_log_without_items(real, holdout):
    def bare(log):
        return EventLog(events=log.events[["event_id", "user_id", "timestamp", "event"]])

    found = {
        a.name: a for a in suite.run(bare(real), renamed(bare(real), "x"), bare(holdout), seed=1)
    }
    assert found["membership_auc"].verdict == "fail"
    assert found["exposed_exact_8"].verdict == "fail"


def test_what_is_learnt_from_noise_is_noise():
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        inside, outside = membership._classifier_scores(
            rng.normal(size=(600, 6)), rng.normal(size=(300, 6)), rng=rng
        )
        found.append(
            (auc(inside, outside).value, rate_at_false_positives(inside, outside, 0.01)[0].value)
        )
    assert np.mean(found, axis=0) == pytest.approx([0.5, 0.012], abs=0.02)
    inside, outside = membership._classifier_scores(
        rng.normal(1.0, size=(600, 6)), rng.normal(size=(300, 6)), rng=rng
    )
    assert auc(inside, outside).value > 0.9


# --- canaries -------------------------------------------------------------------------------------


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
