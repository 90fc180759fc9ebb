"""What calibration releases under a budget: sensitivity, noise, thresholds, an audit."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from fixtures.dp_audit import epsilon_lower_bound
from fixtures.odd_user import IDS, SECRET, with_odd_user
from fixtures.shop_logs import shop_log
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from eventlog import EventLog, InputError
from eventlog.privacy.noise import default_delta, seeded_secret
from simulator.calibration import private_outline, statistics
from simulator.calibration import private_release as released
from simulator.calibration.facts_of_sums import facts_of
from simulator.calibration.private_outline import DAYS, LABELS, NAMES, OUTLINE_BOUNDS
from simulator.calibration.private_release import Release, release
from simulator.calibration.statistics import BOUNDS, Answer
from simulator.calibration.target import target_of
from simulator.calibration.window import Window, outline_of, window_of


def make(*, users=60, orders="none", sessions="none", views=True, items=False, labels=True, seed=0):
    """A log of the asked make; `orders` and `sessions`: ids that are there, empty or no column."""
    log = shop_log(users=users, items=40, seed=seed)
    events = log.events.astype({"user_id": object, "event": object})
    who = events["user_id"].to_numpy()
    if sessions != "none":
        days = events["timestamp"].dt.strftime("-%m%d").to_numpy()
        events["session_id"] = pd.Categorical(
            who + days if sessions == "there" else [None] * len(events)
        )
    if orders != "none":
        hour = events["timestamp"].dt.strftime("o%m%d%H-").to_numpy() + who
        bought = (events["event"] == "purchase") & (orders == "there")
        events["order_id"] = pd.Categorical(np.where(bought, hour, None))
    if not views:
        events = events[events["event"] != "view_item"]
    log.events = events.astype({"user_id": "category", "event": "category"}).reset_index(drop=True)
    table = pd.DataFrame(
        {"item_id": [f"i{k}" for k in range(40)], "category": [f"c{k % 10}" for k in range(40)]}
    )
    kept = log.labels[log.labels["event_id"].isin(log.events["event_id"])].reset_index(drop=True)
    return EventLog(log.events, items=table if items else None, labels=kept if labels else None)


makes = st.fixed_dictionaries(
    {
        "orders": st.sampled_from(["none", "empty", "there"]),
        "sessions": st.sampled_from(["none", "empty", "there"]),
        "views": st.booleans(),
        "items": st.booleans(),
        "labels": st.booleans(),
        "seed": st.integers(0, 99),
    }
)


def bounded_sums(log, roles, items):
    """Every question's bounded sum, the names' by name; the window is the same for all logs."""
    names = private_outline.foreign_names(log)
    outline = private_outline.outline_answers(log, names)
    found = {name: answer.sums(OUTLINE_BOUNDS[name]) for name, answer in outline.items()}
    by_name = dict(zip([*private_outline.ROLES, *names], found.pop(NAMES), strict=True))
    window = Window(pd.Timestamp("2026-01-05", tz="UTC"), 30, frozenset(roles), items)
    asked = {
        q: a.sums(BOUNDS[q]) for q, a in statistics.summary_statistics(log, window).answers.items()
    }
    return asked | {f"outline: {q}": v for q, v in found.items()}, by_name


@settings(max_examples=15, deadline=None)
@given(how=makes, at=st.sampled_from(list(IDS)))
def test_an_odd_user_adds_a_part_within_the_bound_and_changes_no_other_part(how, at):
    log = make(**how)
    odd = with_odd_user(log, at=at, rows=2_000)
    alone = odd.only_users([IDS[at]])
    roles = {*log.roles.values(), "wishlist"}
    items = log.items["item_id"].to_numpy() if how["items"] else None
    (before, names), (after, more), (own, its) = (
        bounded_sums(x, roles, items) for x in (log, odd, alone)
    )
    assert before.keys() == after.keys() == own.keys()
    for question, whole in after.items():
        bound = {**BOUNDS, **{f"outline: {q}": b for q, b in OUTLINE_BOUNDS.items()}}[question]
        assert np.linalg.norm(whole - before[question]) <= bound + 1e-9, question
        assert np.array_equal(whole, before[question] + own[question]), (
            question
        )  # exactly: sums lie on a grid
    moved = {name: more[name] - names.get(name, 0.0) for name in more}
    assert moved == {name: its.get(name, 0.0) for name in more}
    assert math.hypot(*moved.values()) <= OUTLINE_BOUNDS[NAMES] + 1e-9


@pytest.mark.parametrize("column", ["session_id", "order_id", "user_id"])
def test_what_users_add_does_not_follow_from_the_order_of_rows_or_ids(column):
    log = make(orders="there", sessions="there")
    roles = set(log.roles.values())
    mixed = log.events.sample(frac=1, random_state=3).reset_index(drop=True)
    mixed[column] = mixed[column].cat.reorder_categories(mixed[column].cat.categories[::-1])
    for one, other in zip(
        bounded_sums(log, roles, None),
        bounded_sums(EventLog(mixed, labels=log.labels), roles, None),
        strict=True,
    ):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_user_s_orders_without_ids_count_by_instant_whoever_has_ids():
    log = make(orders="empty", sessions="there")
    window = window_of(log, days=None, longest=120, items=None)
    facts = facts_of(statistics.summary_statistics(log, window).sums(), start=window.start)
    assert facts["orders per buyer"] > 1
    rest = make(orders="there", sessions="there", views=False)
    window = window_of(rest, days=None, longest=120, items=None)
    facts = facts_of(statistics.summary_statistics(rest, window).sums(), start=window.start)
    assert math.isnan(facts["sessions that buy"])
    assert math.isnan(facts["users who buy"])


@pytest.mark.parametrize("roles", [{"view"}, {"view", "cart"}, set()])
def test_where_no_purchase_is_looked_at_nobody_has_orders_or_waits(roles):
    """The noise may hide that a log has purchases: the questions about them are asked all the
    same.
    """
    asked, _ = bounded_sums(make(orders="there", sessions="there"), roles, None)
    assert not asked["gaps"].any()
    assert not asked["prices"].any()


# --- the release ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log():
    return make(users=400, orders="there", sessions="there", items=True)


def ask(log, **changes):
    return release(
        log,
        **({"epsilon": 3.0, "delta": None, "days": None, "longest": 120, "items": None} | changes),
    )


def test_the_noise_is_as_large_as_the_ledger_says(log):
    items = log.items["item_id"].to_numpy()
    found = [ask(log, delta=1e-6, items=items, noise_seed=seed) for seed in range(8)]
    noise = {name: [] for name in found[0].sums}
    for one in found:
        window = window_of(one.outline, days=None, longest=120, items=items)
        for name, answer in statistics.summary_statistics(log, window).answers.items():
            if name != DAYS:
                noise[name].append((one.sums[name] - answer.sums(BOUNDS[name])) / one.sd[name])
    noise = np.concatenate([x for parts in noise.values() for x in parts])
    assert abs(noise.std() - 1) < 0.06
    assert abs(noise.mean()) < 0.1
    by_name = {entry["what"].split(",")[0]: entry for entry in found[0].privacy["ledger"]}
    for name, sd in found[0].sd.items():
        bound = BOUNDS.get(name) or OUTLINE_BOUNDS[name]
        assert by_name[name]["sigma"] == pytest.approx(sd / bound, abs=1e-6)
    assert not np.array_equal(
        found[0].sums["hours"], ask(log, delta=1e-6, items=items).sums["hours"]
    )


def test_the_ledger_is_the_budget_by_another_accountant(log):
    from dp_accounting import GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    privacy = ask(log, epsilon=1.5).privacy
    accountant = PLDAccountant()
    for entry in privacy["ledger"]:
        if entry["sigma"]:
            accountant.compose(GaussianDpEvent(entry["sigma"]))
    pure = sum(entry["epsilon"] for entry in privacy["ledger"] if not entry["sigma"])
    left = privacy["delta"] - sum(entry["delta"] for entry in privacy["ledger"])
    assert pure + accountant.get_epsilon(left) == pytest.approx(1.5, rel=2e-3)
    assert privacy["epsilon_spent"] == pytest.approx(1.5, rel=1e-6)
    assert sum(part["share_of_mu_squared"] for part in privacy["split"].values()) == pytest.approx(
        1, abs=1e-3
    )


def test_the_number_of_users_is_noisy_everywhere(log):
    found = [ask(log, epsilon=5.0, noise_seed=seed) for seed in range(6)]
    assert len({one.users for one in found}) > 3
    assert all(one.privacy["delta"] == default_delta(one.users) for one in found)
    assert all(one.privacy["users"] == one.users for one in found)
    assert sum(one.users == 400 for one in found) < 3, "the exact number of users is 400"
    with pytest.raises(InputError, match="protects nobody") as refused:
        ask(log, delta=0.1)
    assert "400" not in str(refused.value)
    target = target_of(log, epsilon=5.0, delta=None, public=(), days=None, noise_seed=3, keep=None)
    assert target.n_users == f"about {found[3].users:,}"


def test_who_gives_a_seed_is_told_what_that_proves(log):
    given, drawn = ask(log, noise_seed=5), ask(log)
    assert given.privacy["noise_source"] == "seed"
    assert "nothing is proved against whoever knows it" in given.privacy["noise"]
    assert "noise seed" in given.privacy["statement"]
    assert drawn.privacy["noise_source"] == "system"
    assert "seed" not in drawn.privacy["statement"] + drawn.privacy["noise"]
    assert json.dumps(ask(log, noise_seed=5).to_json()) == json.dumps(given.to_json())


def test_what_one_user_brings_is_not_released(log):
    odd = with_odd_user(log, at="middle")
    for seed in range(5):
        found = ask(odd, noise_seed=seed)
        assert SECRET not in json.dumps(found.to_json())
        assert found.outline.first >= log.span[0].floor("D")
        assert found.outline.last <= log.span[1]
        assert "wishlist" not in found.outline.events.values()
        assert set(found.outline.kinds) <= {"fraud"}


def test_the_outline_of_a_log_is_found():
    log = make(users=1_500, orders="there", sessions="there")
    names = log.events["event"].cat.rename_categories({"purchase": "gekauft"})
    log.events, log.manifest = log.events.assign(event=names), {"roles": {"gekauft": "purchase"}}
    found = ask(log, noise_seed=1)
    exact = outline_of(log)
    assert found.outline.events == exact.events
    assert next(iter(found.outline.events)) == "view_item"  # most users first
    assert found.outline.kinds == ["fraud"]
    inside = log.events["timestamp"].between(
        found.outline.first, found.outline.last + pd.Timedelta(days=1)
    )
    assert inside.mean() > 0.9  # the log fades out over weeks: its last days are lost in noise
    again = Release.from_json(json.loads(json.dumps(found.to_json())))
    assert again.outline == found.outline
    assert all(np.array_equal(again.sums[name], found.sums[name]) for name in found.sums)


def test_a_small_epsilon_ends_in_a_sentence(log):
    with pytest.raises(InputError, match="larger epsilon"):
        ask(log, epsilon=0.01)


@pytest.mark.parametrize("names", [1, 3, 16])
def test_names_of_one_user_pass_with_probability_delta_at_most(names):
    """Exactly, from the noise's distribution: `names` own names that share a vector of length 1."""
    for sd in (0.3, 5.0, 40.0):
        for delta in (0.05, 1e-7):
            one = norm.sf(
                private_outline.name_threshold(sd, delta) - 1 / math.sqrt(names), scale=sd
            )
            assert -math.expm1(names * math.log1p(-one)) <= delta


@settings(max_examples=30, deadline=None)
@given(
    first=st.integers(0, 39_000),
    length=st.integers(10, 400),
    level=st.floats(8, 50),
    seed=st.integers(0, 999),
)
def test_days_that_stand_out_are_found(first, length, level, seed):
    counts = np.random.default_rng(seed).normal(0, 2.0, private_outline.N_DAYS)
    counts[first : first + length] += 2 * level
    low, high = private_outline.covered(counts, 2.0)
    assert abs(low - first) <= 2
    assert abs(high - min(first + length - 1, private_outline.N_DAYS - 1)) <= 2


def test_noise_alone_covers_no_days_and_a_far_busy_time_counts():
    rng = np.random.default_rng(0)
    assert (
        sum(
            private_outline.covered(rng.normal(0, 3, private_outline.N_DAYS), 3.0) is not None
            for _ in range(20)
        )
        <= 1
    )
    counts = rng.normal(0, 1, private_outline.N_DAYS)
    counts[9_000:9_100] += 20
    counts[9_400:9_600] += 2
    low, high = private_outline.covered(counts, 1.0)
    assert low == 9_000
    assert abs(high - 9_599) <= 3


# --- an audit: what can an attacker show who knows everything but whether one user is there? ------


def test_the_bound_is_that_of_a_known_mechanism():
    """Randomised response with epsilon 2, and a mechanism that tells nothing."""
    rng, n = np.random.default_rng(0), 40_000
    honest = rng.random((2, n)) < 1 / (1 + math.exp(-2.0))
    found = epsilon_lower_bound(honest[0] * 1.0, 1.0 - honest[1], delta=0.0)
    assert 1.9 < found < 2.0
    assert epsilon_lower_bound(rng.random(n), rng.random(n), delta=0.0) < 0.2


class Fixed:
    """An answer whose bounded sum is known, drawn `times` over."""

    def __init__(self, sums, times):
        self.values, self.times = sums, times

    def sums(self, bound):
        return np.tile(self.values, self.times)


@pytest.mark.parametrize("at", list(IDS))
def test_the_audit_shows_less_than_is_claimed_and_more_where_the_noise_is_a_quarter(at):
    epsilon, delta, times = 1.0, 1e-6, 6_000
    log = make(users=400, orders="there", sessions="there", items=True)
    odd = with_odd_user(log, at=at, rows=1_000)
    items = log.items["item_id"].to_numpy()
    sd = {
        f"outline: {q}" if q == LABELS else q: v
        for q, v in ask(odd, epsilon=epsilon, delta=delta, items=items).sd.items()
        if q != NAMES
    }
    # Both steps at once: what the first one leads to, which decides the second, is equal in both.
    (before, _), (after, _) = (bounded_sums(x, set(log.roles.values()), items) for x in (log, odd))
    before[DAYS], after[DAYS] = before.pop("outline: days"), after.pop("outline: days")
    moved = {
        q: np.flatnonzero(after[q] != before[q]) for q in sd
    }  # elsewhere the worlds are the same
    reached = math.sqrt(sum((np.linalg.norm(after[q] - before[q]) / sd[q]) ** 2 for q in sd))
    most = math.sqrt(sum((({**BOUNDS, f"outline: {LABELS}": 1.0}[q]) / sd[q]) ** 2 for q in sd))
    assert (
        0.95 * most < reached <= most + 1e-9
    )  # a user as odd as can be: nearly every bound is reached

    def scores(sums, of_noise, of_world):
        noise = {q: s * of_noise for q, s in sd.items()}
        drawn = released.noisy_sums(
            {q: Fixed(sums[q][moved[q]], times) for q in sd},
            dict.fromkeys(sd, 1.0),
            noise,
            seeded_secret(of_world),
        )
        return sum(
            (drawn[q].reshape(times, -1) - before[q][moved[q]])
            @ (after[q] - before[q])[moved[q]]
            / noise[q] ** 2
            for q in sd
        )

    shown = [
        epsilon_lower_bound(scores(after, of, 1), scores(before, of, 2), delta=delta)
        for of in (1.0, 0.25)
    ]
    assert shown[0] < epsilon < shown[1]


# --- what is kept, and what is public -------------------------------------------------------------


def test_what_is_kept_is_read_again_for_the_same_question_only(log, tmp_path, monkeypatch):
    keep, drawn, really = tmp_path / "trials.jsonl", [], released.release
    monkeypatch.setattr(
        "simulator.calibration.target.release",
        lambda *args, **given: drawn.append(1) or really(*args, **given),
    )
    same = {
        "epsilon": 3.0,
        "delta": None,
        "public": (),
        "days": None,
        "noise_seed": None,
        "keep": keep,
        "name": "mine",
    }
    first, second = target_of(log, **same), target_of(log, **same)
    assert len(drawn) == 1
    assert all(np.array_equal(first.sums[name], second.sums[name]) for name in first.sums)
    assert second.privacy == first.privacy
    one_less = log.only_users(sorted(log.events["user_id"].astype(str).unique())[1:])
    target_of(
        one_less, **same
    )  # whether the release fits is told by what was asked, not by the log's exact users
    assert len(drawn) == 1
    for k, other in enumerate(
        ({"name": "another"}, {"epsilon": 2.0}, {"delta": 1e-7}, {"days": 14}, {"noise_seed": 3})
    ):
        target_of(log, **same | other)
        assert len(drawn) == 2 + k
    assert (
        keep.read_text().count('"release"') == 5
    )  # a seed's noise can be drawn again: none is kept


def test_only_a_catalogue_that_was_given_is_public(log):
    given = {
        "epsilon": 3.0,
        "delta": None,
        "days": None,
        "noise_seed": 2,
        "keep": None,
        "public": ("items", "category"),
    }
    for provenance in ({}, {"provenance": {"items": "derived"}}):
        with pytest.raises(InputError, match="made from the events"):
            target_of(EventLog(log.events, items=log.items, manifest=provenance), **given)
    with pytest.raises(InputError, match=r"no items\.parquet"):
        target_of(EventLog(log.events), **given)
    target = target_of(
        EventLog(log.events, items=log.items, manifest={"provenance": {"items": "given"}}), **given
    )
    assert target.privacy["public"] == ["items"]
    assert target.taken["catalogue.items"] == 40
    private = target_of(log, **given | {"public": ()})
    assert private.privacy["public"] == []
    assert private.taken.keys() == {"calendar.start", "catalogue.price_level"}


def test_parts_are_cut_to_the_grid_and_not_lengthened():
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(50), 4)
    answer = Answer(user, np.tile(np.arange(4), 50), rng.lognormal(0, 3, 200), 4)
    for u in range(50):
        mine = user == u
        part = Answer(user[mine], answer.cell[mine], answer.value[mine], 4).sums(2.0)
        assert np.linalg.norm(part) <= 2.0
        assert np.array_equal(part / statistics.PART_GRID, np.rint(part / statistics.PART_GRID))
