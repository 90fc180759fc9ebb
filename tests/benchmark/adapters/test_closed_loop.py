"""The closed loop: models at work in the shop, resumable cells, a table of what they earned."""

import re

import numpy as np
import pytest

import benchmark
from benchmark.adapters.baseline_policy import ShopModel, event_log
from benchmark.adapters.closed_loop import Trial, World, outcome, play
from benchmark.adapters.logged_pages import Codes, Slates, predicted
from benchmark.execution.results import Store
from benchmark.report import leaderboard
from benchmark.report.closed_loop_section import mean, ratio
from eventlog._runtime.errors import InputError
from simulator import simulate
from simulator.policies.taste import Taste
from simulator.scenario import load
from simulator.world.policy import Policy

WORLD = World("small", 120, 10, 3, 4, 1, {"sessions.front_page": 0.5})


class Kept(Policy):
    """Keeps the shop that it was shown, and leaves the pages alone."""

    def slates(self, shop, users, rng):
        self.shop, self.users = shop, users


@pytest.fixture(scope="module")
def kept():
    policy = Kept()
    simulate("small", users=120, days=8, seed=1, policy=lambda: policy)
    return policy


def test_the_log_of_a_policy_is_that_of_the_shop(kept):
    shop = kept.shop
    log = event_log(shop, 5, kept.users)
    events = log.events
    assert set(events["user_id"].astype(int)) <= set(kept.users.tolist())
    assert events.groupby("user_id", observed=True).size().max() == 5
    assert log.grouped() is log
    price = shop.catalogue.price[events["item_id"].astype(int)]
    views = (events["event"] == "view_item").to_numpy()
    assert np.mean(np.isclose(price[views], events["price"][views], rtol=0.5)) > 0.9


@pytest.mark.parametrize("model", ["popularity", "markov"])
def test_a_model_fills_every_front_page(kept, model):
    policy = ShopModel(model, seed=0).policy()
    policy.learn(kept.shop, np.random.default_rng(0))
    slates = policy.slates(kept.shop, kept.users, np.random.default_rng(0))
    assert slates.shape == (len(kept.users), kept.shop.slate)
    assert (slates >= 0).all()
    if model == "popularity":  # users without a history get the same items as the others
        assert len(np.unique(slates[:, 0])) <= 11


def test_models_that_answer_other_questions_and_wrong_settings_are_refused(kept):
    with pytest.raises(InputError, match="does not predict next items"):
        ShopModel("logistic", seed=0)
    wrong = ShopModel("ease", {"penalti": 1}, seed=0)
    with pytest.raises(InputError, match="penalty"):
        wrong.fit(kept.shop)


def test_a_model_is_fitted_again_when_its_fit_is_old():
    nights = []

    class Noted(ShopModel):
        def fit(self, shop):
            nights.append(shop.day)
            return super().fit(shop)

    model = Noted("popularity", seed=0, refit_days=3)
    for _ in range(2):  # the second world is the same until the first fit, which it shares
        simulate("small", users=60, days=9, seed=1, policy=model.policy, policy_from=2)
    assert nights == [2, 5, 8, 5, 8]


def test_a_policy_on_trial_leaves_the_shop_alone_until_it_goes_live():
    shop = {"users": 120, "days": 8, "seed": 1}
    trial = Trial(ShopModel("markov", seed=0).policy(), live=8)
    own = simulate("small", **shop)
    assert simulate("small", **shop, policy=lambda: trial, policy_from=4).events.equals(own.events)
    assert {day for day, *_ in trial.slates_by_day} == {4, 5, 6, 7}
    trial = Trial(Taste(), live=6)
    live = simulate("small", **shop, policy=lambda: trial, policy_from=4)
    shown = live.truth["exposures"]
    own_pages = shown[shown["policy"] == "policy"]
    start = live.events["timestamp"].min().floor("D")
    # who comes back late on a day is played with the next one
    assert set((own_pages["timestamp"] - start).dt.days) | {5} == {5, 6, 7}
    assert own_pages["query"].notna().any()  # its order of result pages counts from then on, too


def test_slates_are_found_in_every_shard_of_a_shop(monkeypatch):
    monkeypatch.setattr("simulator.output.shards.ROWS_PER_SHARD", 400)
    codes = Codes(load("small"), users=120, days=6, seed=2)
    assert len(codes.shard_users) > 1
    trials = []

    def trial():
        trials.append(Trial(Taste(), live=6))
        return trials[-1]

    log = simulate("small", users=120, days=6, seed=2, policy=trial, policy_from=3)
    slates = Slates([t.slates_by_day for t in trials if t.asked], codes)
    found = predicted(log, slates, codes, 3)
    assert found["ndcg"] > 0.05  # an oracle's; users of the wrong shard have those of strangers
    day = (log.events["timestamp"] - log.events["timestamp"].min().floor("D")).dt.days
    late = (log.events["event"] == "view_item") & (day >= 3)
    came = codes.user(log.events.loc[late, "user_id"])
    asked, _ = slates.find(day[late].to_numpy(), came)
    assert asked.mean() > 0.9


def test_a_cell_says_what_was_earned_and_what_was_predicted():
    found = play(WORLD, "trending", built_in=True, model_settings={})
    again = play(WORLD, "trending", built_in=True, model_settings={})
    assert found == again
    assert 0 < found["ndcg"] < 1
    assert 0 < found["retention"] < 1
    assert 0 < found["clicks"] < 1
    for name in ("ips", "snips", "dr", "choice"):
        assert 0 < found[name] < 5, name


def test_clicks_of_an_oracle_are_foreseen_by_choice_and_overstated_by_the_sums():
    """Two worlds of one seed: the log of one must say what the policy does in the other."""
    settings = {
        "catalogue.items": 60,
        "catalogue.launched": 0.0,
        "sessions.front_page": 1.0,
        # The axiom holds for each kind of session, not for a mixture, and what is estimated is a
        # page that was not seen the day before.
        "navigation.detachment": 0.0,
        "sessions.satiation": 0.0,
        "recommender.explore": 0.5,
        "truth.exposures": True,
        "truth.programme": False,
    }
    shop = {"users": 2000, "days": 12, "seed": 1, "settings": settings, "policy_from": 4}
    trial = Trial(Taste(), live=12)
    without = simulate("small", **shop, policy=lambda: trial)
    codes = Codes(load("small", settings), users=2000, days=12, seed=1)
    found = predicted(without, Slates([trial.slates_by_day], codes), codes, 4)
    true = outcome(simulate("small", **shop, policy=Taste), 4)["clicks"]
    assert found["choice"] == pytest.approx(true, rel=0.1)
    for name in ("ips", "snips", "dr"):
        assert found[name] > 1.2 * true, name


def test_the_suite_runs_resumes_and_writes_its_table(tmp_path):
    given = {
        "suite": "closed-loop",
        "profile": "smoke",
        "models": ["popularity"],
        "seeds": [0, 1],
        "settings": ["closed_loop.policies=[]", "logs.shop.users=80"],
        "engine": "serial",
        "out": tmp_path,
    }
    table = benchmark.run(**given)
    assert set(table["model"]) == {"popularity", "trending"}  # to be compared with
    assert (table["status"] == "ok").all()
    records = len(Store(tmp_path).records)
    benchmark.run(**given)
    assert len(Store(tmp_path).records) == records  # nothing was run again
    page = leaderboard.write(Store(tmp_path), tmp_path / "docs", plots=False).read_text()
    assert "In the closed loop" in page
    assert re.search(r"\| trending +\| 1\.00 \[1\.00, 1\.00\] +\| 1\.00 ", page)
    assert len(re.findall(r"\| popularity +\|", page)) == 2  # earned, and predicted


def test_a_policy_and_a_model_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="markov is a policy of the simulator and a model"):
        benchmark.run(
            "closed-loop",
            models=["markov"],
            settings=['closed_loop.policies=["markov"]'],
            out=tmp_path,
        )


def test_the_interval_of_a_ratio_covers():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        own = rng.normal(100, 15, 10)
        hits_of = ratio(own, 1.2 * own + rng.normal(0, 8, 10))
        hits += hits_of[1] <= 1.2 <= hits_of[2]
    assert 0.91 < hits / 400 < 0.98
    assert np.isnan(ratio(np.zeros(3), np.ones(3))[0])
    assert mean(np.array([1.0, 3.0]))[0] == 2.0
    assert np.isnan(mean(np.zeros(0))).all()
