"""The closed loop: models at work in the shop, resumable cells, a table of what they earned."""

import numpy as np
import pytest

import benchmark
from benchmark.adapters.baseline_policy import FittedOnce, event_log
from benchmark.adapters.closed_loop import Shadow, World, play
from benchmark.execution.results import Store
from benchmark.report import leaderboard
from benchmark.report.closed_loop_section import ratio
from eventlog._runtime.errors import InputError
from simulator import simulate
from simulator.world.policy import Policy

WORLD = World("small", 120, 10, 3, 1, {"sessions.front_page": 0.5})


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
    policy = FittedOnce(model, seed=0).policy()
    slates = policy.slates(kept.shop, kept.users, np.random.default_rng(0))
    assert slates.shape == (len(kept.users), kept.shop.slate)
    assert (slates >= 0).all()
    if model == "popularity":  # users without a history get the same items as the others
        assert len(np.unique(slates[:, 0])) <= 11


def test_models_that_answer_other_questions_and_wrong_settings_are_refused(kept):
    with pytest.raises(InputError, match="does not predict next items"):
        FittedOnce("logistic", seed=0)
    wrong = FittedOnce("ease", {"penalti": 1}, seed=0)
    with pytest.raises(InputError, match="penalty"):
        wrong.fit(kept.shop)


def test_the_shop_in_the_shadow_of_a_policy_is_the_shop_without_it():
    shop = {"users": 120, "days": 8, "seed": 1, "policy_from": 4}
    shadow = Shadow(FittedOnce("markov", seed=0).policy())
    one = simulate("small", **shop, policy=lambda: shadow)
    two = simulate("small", users=120, days=8, seed=1)
    assert one.events.equals(two.events)
    assert {day for day, *_ in shadow.wanted} == {4, 5, 6, 7}


def test_a_cell_says_what_was_earned_and_what_was_predicted():
    found = play(WORLD, "trending", built_in=True, model_settings={})
    again = play(WORLD, "trending", built_in=True, model_settings={})
    assert found == again
    assert 0 < found["ndcg"] < 1
    assert 0 <= found["retention"] <= 1
    for name in ("clicks", "own_clicks", "ips", "snips", "dr"):
        assert 0 < found[name] < 5, name


def test_the_suite_runs_resumes_and_writes_its_table(tmp_path):
    given = {
        "suite": "closed-loop",
        "profile": "smoke",
        "models": ["popularity"],
        "seeds": [0, 1],
        "settings": ['closed_loop.policies=["random"]', "logs.shop.users=80"],
        "engine": "serial",
        "out": tmp_path,
    }
    table = benchmark.run(**given)
    assert set(table["model"]) == {"popularity", "random"}
    assert (table["status"] == "ok").all()
    records = len(Store(tmp_path).records)
    benchmark.run(**given)
    assert len(Store(tmp_path).records) == records  # nothing was run again
    page = leaderboard.write(Store(tmp_path), tmp_path / "docs", plots=False).read_text()
    assert "In the closed loop" in page
    assert "| random" in page


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
