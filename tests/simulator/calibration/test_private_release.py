"""What calibration releases under a budget: noise, thresholds, what is kept and what is public."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from fixtures.odd_user import SECRET, with_odd_user
from fixtures.private_release import ask, log_with
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from eventlog import EventLog, InputError
from eventlog.privacy.noise import default_delta
from simulator.calibration import private_outline, statistics
from simulator.calibration import private_release as released
from simulator.calibration.private_outline import DAYS, OUTLINE_BOUNDS
from simulator.calibration.private_release import Release
from simulator.calibration.statistics import BOUNDS
from simulator.calibration.target import target_of
from simulator.calibration.window import outline_of, window_of


@pytest.fixture(scope="module")
def log():
    return log_with(users=400, orders="there", sessions="there", items=True)


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
    log = log_with(users=1_500, orders="there", sessions="there")
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
