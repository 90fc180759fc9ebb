import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from eventlog._runtime.console import run
from eventlog._runtime.errors import InputError
from eventlog.log import EventLog, tidy
from simulator import scenario
from simulator.__main__ import main
from simulator.calibration import moves, statistics, target
from simulator.calibration.calibrate import calibrate
from simulator.calibration.facts_of_sums import days_without_chance, facts_of
from simulator.calibration.optimizer import minimize, most_allowed
from simulator.calibration.result import ledger_path
from simulator.calibration.window import Window, window_of
from simulator.realism import scorecard

CHANGED = {
    "catalogue.items": 300,
    "shoppers.visits": 0.45,
    "checkout.cart": -3.0,
    "checkout.begin": -1.4,
    "catalogue.price_sigma": 0.5,
    "calendar.weekend": 0.8,
    "sessions.reopen": -1.6,
}


@pytest.fixture(scope="module")
def their_log():
    """A log of a shop that is not the default one, as a team would have it: without truth."""
    log = simulator.simulate("shop", users=500, days=21, seed=31, settings=CHANGED)
    log.truth = {}
    log.manifest["provenance"] = {"items": "given"}
    return log


def window(log, **changes):
    items = log.items["item_id"].astype(str).to_numpy()
    made = window_of(log, days=None, longest=120, items=items)
    return Window(
        **(
            {"start": made.start, "days": made.days, "roles": made.roles, "items": made.items}
            | changes
        )
    )


@pytest.mark.parametrize("users_a_day", [15, 60, 2_000])
def test_the_busiest_day_of_a_small_log_stands_out_no_more_than_that_of_a_large_one(users_a_day):
    rng = np.random.default_rng(0)
    true = rng.lognormal(0, 0.25, 120)
    true[5::7] = 0.0  # closed
    raw, found = [], []
    for _ in range(40):
        users = rng.poisson(users_a_day * true).astype(np.float64)
        days = days_without_chance(users)
        assert ((days == 0) == (users == 0)).all()
        raw.append(users.max() / np.median(users))
        found.append(days.max() / np.median(days))
    expected = true.max() / np.median(true)
    assert abs(np.mean(found) / expected - 1) < 0.1
    assert users_a_day > 100 or np.mean(raw) > np.mean(found) + 0.05


def test_the_sums_tell_the_facts_of_the_scorecard(shop_log):
    found = window(shop_log)
    facts = facts_of(statistics.summary_statistics(shop_log, found).sums(), start=found.start)
    card = {
        f.name.removesuffix(", ranks 10-1000"): f.value
        for f in scorecard.score(shop_log)
        if f.inside is not None
    }
    both = facts.keys() & card.keys()
    assert len(both) >= 20
    for name in both:
        assert facts[name] == pytest.approx(card[name], rel=0.02), name


def dirty_log(rng):
    """Ids shared between users, missing ids, refunds without orders: whatever a team's file may
    hold.
    """
    n = 120
    roles = np.array(["view_item", "add_to_cart", "purchase", "refund"])
    events = pd.DataFrame(
        {
            "event_id": np.arange(n),
            "user_id": [f"u{i}" for i in rng.integers(0, 8, n)],
            "event": roles[rng.integers(0, 4, n)],
            "timestamp": pd.Timestamp("2025-01-06", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 20 * 86_400, n), "s"),
            "session_id": [f"s{i}" if i else None for i in rng.integers(0, 12, n)],
            "order_id": [f"o{i}" if i else None for i in rng.integers(0, 12, n)],
            "item_id": [f"i{i}" for i in rng.integers(0, 9, n)],
            "price": rng.lognormal(3, 1, n),
        }
    )
    labels = pd.DataFrame(
        {
            "event_id": np.arange(0, n, 7),
            "kind": "fraud",
            "value": 1.0,
            "known_at": pd.Timestamp("2025-03-01", tz="UTC"),
        }
    )
    return EventLog(
        tidy(events.sort_values(["user_id", "timestamp"], kind="stable")), labels=labels
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_one_user_moves_no_bounded_sum_by_more_than_its_bound(seed):
    log = dirty_log(np.random.default_rng(seed))
    found = Window(
        pd.Timestamp("2025-01-06", tz="UTC"),
        21,
        frozenset(log.roles.values()),
        np.array([f"i{i}" for i in range(9)]),
    )
    whole = statistics.summary_statistics(log, found).sums(statistics.BOUNDS)
    assert set(whole) == set(statistics.BOUNDS)
    users = log.events["user_id"].astype(str).unique()
    without = statistics.summary_statistics(
        log.only_users([u for u in users if u != users[seed % len(users)]]), found
    ).sums(statistics.BOUNDS)
    for name, bound in statistics.BOUNDS.items():
        assert np.linalg.norm(whole[name] - without[name]) <= bound + 1e-9, name


def test_the_search_finds_a_least_square_that_its_guess_does_not_know():
    rng = np.random.default_rng(0)
    true, matrix = rng.normal(size=5), np.eye(5) + 0.4 * rng.normal(size=(5, 5))
    trials = list(
        minimize(
            lambda x: np.tanh(matrix @ (x - true)) * 4,
            start=np.zeros(5),
            low=np.full(5, -3.0),
            high=np.full(5, 3.0),
            step=np.full(5, 0.5),
            jacobian=np.eye(5),
            most=np.full(5, np.inf),
            trials=60,
        )
    )
    best = min(trials, key=lambda found: found.loss)
    assert np.abs(best.x - true).max() < 0.05
    assert best.loss < trials[0].loss / 1000


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_fact_ends_farther_off_than_in_the_default_shop(seed):
    rng = np.random.default_rng(seed)
    matrix, aim = rng.normal(size=(8, 3)), 4 * rng.normal(size=8)  # not all can be met
    trials = list(
        minimize(
            lambda x: matrix @ x - aim,
            start=np.zeros(3),
            low=np.full(3, -9.0),
            high=np.full(3, 9.0),
            step=np.ones(3),
            jacobian=np.eye(8, 3),
            most=most_allowed(-aim),
            trials=40,
        )
    )
    best = min(trials, key=lambda found: found.loss)
    assert (np.abs(best.residual) <= most_allowed(trials[0].residual) + 0.2).all()
    assert best.loss <= trials[0].loss


def test_calibration_recovers_the_facts_of_a_changed_shop(their_log, tmp_path):
    fit = calibrate(their_log, trials=9, users=400, keep=tmp_path / "trials.jsonl")
    assert fit.distance < fit.distance_before / 2
    assert fit.settings["catalogue.items"] == 300
    path = fit.write(tmp_path / "mine.toml")
    text = path.read_text()
    assert f"{fit.distance:.3f} after" in text
    assert "none is proved" in text
    loaded = scenario.load(str(path))
    assert loaded.checkout.cart == fit.settings["checkout.cart"]
    assert not (tmp_path / "trials.jsonl").exists()
    assert not (tmp_path / "mine.ledger.json").exists()


def test_an_interrupted_calibration_goes_on_and_spends_no_more_privacy(
    their_log, tmp_path, monkeypatch
):
    from simulator import api

    keep, calls, really = tmp_path / "trials.jsonl", [], api.simulate
    released = []

    def simulate(*args, **kwargs):
        calls.append(kwargs)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return really(*args, **kwargs)

    release = target.release
    monkeypatch.setattr(
        target, "release", lambda *args, **given: released.append(1) or release(*args, **given)
    )
    monkeypatch.setattr(api, "simulate", simulate)
    ask = {"trials": 3, "users": 300, "epsilon": 4.0, "public": ("items",), "keep": keep}
    with pytest.raises(KeyboardInterrupt):
        calibrate(their_log, **ask)
    keep.write_text(keep.read_text() + '{"trial": "torn')
    fit = calibrate(their_log, **ask)
    assert len(released) == 1
    # The default shop and a trial were kept; two more trials, then the six of the report.
    assert len(calls) == 3 + 2 + 6
    assert fit.trials == 3
    ledger = ledger_path(fit.write(tmp_path / "mine.toml"))
    said = json.loads(ledger.read_text())
    assert said["epsilon"] == 4.0
    assert sum(part["share_of_mu_squared"] for part in said["split"].values()) == pytest.approx(
        1, abs=1e-3
    )
    assert "(4, " in (tmp_path / "mine.toml").read_text()
    assert scenario.load(str(tmp_path / "mine.toml")).catalogue.items == 300


def test_purchases_alone_can_be_fitted(their_log):
    log = EventLog(
        their_log.events[their_log.events["event"] == "purchase"].drop(
            columns=["item_id", "discount"]
        )
    )
    fit = calibrate(log, trials=3, users=300)
    names = {f.name for f in fit.facts}
    assert "buyers who buy once" in names
    assert not names & {"add_to_cart / view", "sessions that buy", "Zipf slope of clicks"}
    assert "catalogue.items" not in fit.settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"trials": 0}, "trials"),
        ({"delta": 1e-5}, "without epsilon"),
        ({"epsilon": -1.0}, "positive"),
        ({"epsilon": 1.0, "delta": 0.5}, "protects nobody"),
        ({"days": 3}, "7 or more"),
        ({"noise_seed": 1}, "without epsilon"),
        ({"epsilon": 9.0, "days": 3}, "7 or more"),
    ],
)
def test_wrong_numbers_are_named(their_log, given, words):
    with pytest.raises(InputError, match=words):
        calibrate(their_log, **given)


def test_every_setting_that_is_searched_exists():
    known = {key: (low, high) for key, _, low, high, _ in scenario.settings()}
    for key, move in moves.MOVES.items():
        low, high = known[key]
        x = moves.TO_SEARCH[move.scale]((low + high) / 2)
        assert moves.FROM_SEARCH[move.scale](x) == pytest.approx((low + high) / 2, rel=1e-3)
        assert move.step > 0
        assert move.effects


def test_the_command_writes_a_scenario_that_can_be_simulated(their_log, tmp_path, capsys):
    their_log.write(tmp_path / "log")
    out = tmp_path / "mine.toml"
    with pytest.raises(SystemExit) as end:
        run(
            main,
            [
                "calibrate",
                str(tmp_path / "log"),
                "--out",
                str(out),
                "--trials",
                "2",
                "--users",
                "300",
            ],
        )
    assert end.value.code == 0
    assert "after 2 trials" in capsys.readouterr().out
    assert len(simulator.simulate(str(out), users=20, days=7, seed=1)) > 0
    with pytest.raises(SystemExit) as end:
        run(main, ["calibrate", str(tmp_path / "log"), "--out", str(tmp_path / "mine.json")])
    assert end.value.code == 2
    assert "ends in .toml" in capsys.readouterr().err
