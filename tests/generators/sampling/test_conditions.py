"""What was asked for is what comes: users of a kind, a rate of labels, and only what happens after
what is given.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.shop_logs import EVENTS, shop_log

import generators
from eventlog import EventLog, InputError, UnknownNameError
from eventlog.check import check
from eventlog.log import sort_events, tidy, to_ms
from generators.__main__ import main
from generators.base import Generator, SampleConditions
from generators.privacy.judgement import judge
from generators.privacy.statement import find
from generators.sampling.conditions import mix
from generators.sampling.continuation import plan
from generators.sequence_model import SequenceGenerator

FAST = {
    "markov": {},
    "vae": {"epochs": 3, "width": 32, "latent": 8},
    "transformer": {"epochs": 3, "width": 32},
}


@pytest.fixture(scope="module")
def log() -> EventLog:
    return shop_log(users=120, seed=3)


@pytest.fixture(scope="module", params=list(FAST))
def fitted(request: pytest.FixtureRequest, log: EventLog) -> Generator:
    torch.set_num_threads(1)
    return generators.fit(log, model=request.param, seed=1, settings=FAST[request.param])


@pytest.fixture(scope="module")
def markov(log: EventLog) -> Generator:
    return generators.fit(log, model="markov", seed=1)


def test_only_users_of_the_kind_asked_for(fitted: Generator) -> None:
    twin = fitted.sample(60, seed=1, where={"country": "DE"})
    assert twin.events["user_id"].nunique() == 60
    assert set(twin.events.groupby("user_id", observed=True)["country"].first()) == {"DE"}
    assert twin.manifest["where"] == {"country": "DE"}


def test_users_can_be_asked_for_by_what_they_like(fitted: Generator) -> None:
    assert (
        fitted.sample(30, seed=1, where={"favourite category": "c3"}).events["user_id"].nunique()
        == 30
    )


def test_a_rate_of_nothing_and_a_rate_that_is_set(markov: Generator) -> None:
    for rate in (0.0, 0.05, 0.15, 0.25):
        twin = markov.sample(500, seed=2, rates={"fraud_rate": rate})
        labels = 0 if twin.labels is None else len(twin.labels)
        assert labels / (twin.events["event"] == "purchase").sum() == pytest.approx(rate, abs=0.03)


def test_the_future_comes_after_the_past_and_belongs_to_the_same_users(
    fitted: Generator, log: EventLog
) -> None:
    past = log.before(log.time_at(0.4))
    future = fitted.continue_log(past, days=20, seed=1)
    assert future.span[0] > past.span[1]
    assert future.span[1] - past.span[1] <= pd.Timedelta(days=20)
    assert set(future.events["user_id"].astype(str)) <= set(log.events["user_id"].astype(str))
    assert [f.text for f in check(future) if f.level == "error"] == []


def pace(log: EventLog, users: set[str]) -> tuple[int, int]:
    """Rows of `users` in `log`, and how many of them have any."""
    mine = log.events["user_id"].astype(str)
    return int(mine.isin(users).sum()), int(mine[mine.isin(users)].nunique())


@pytest.mark.parametrize("days", [5, 15])
@pytest.mark.parametrize("epsilon", [None, 3.0])
def test_as_many_users_come_back_as_did_with_as_many_rows(
    days: float, epsilon: float | None
) -> None:
    log = shop_log(users=300, seed=3)
    cut = log.time_at(0.5)
    past, end = log.before(cut), cut + pd.Timedelta(days=days)
    happened = replace(
        log, events=log.events[(log.events["timestamp"] >= cut) & (log.events["timestamp"] < end)]
    )
    private: dict[str, Any] = (
        {}
        if epsilon is None
        else {"epsilon": epsilon, "noise_seed": 1, "public": {"event": list(EVENTS)}}
    )
    model = generators.fit(past, model="markov", seed=1, **private)
    known = set(past.events["user_id"].astype(str))
    rows, users = pace(happened, known)
    found = np.mean(
        [pace(model.continue_log(past, days=days, seed=seed), known) for seed in (1, 2)], axis=0
    )
    assert found == pytest.approx([rows, users], rel=0.35)


def test_who_comes_every_day_comes_back_and_who_left_long_ago_does_not(
    log: EventLog, markov: Generator
) -> None:
    assert isinstance(markov, SequenceGenerator)
    start, day = log.span[0], pd.Timedelta(days=1)
    rows = [
        (f"daily{u:03d}", start + k * day + pd.Timedelta(hours=u % 24))
        for u in range(60)
        for k in range(60)
    ]
    rows += [(f"gone{u:03d}", start + pd.Timedelta(hours=u)) for u in range(60)]
    frame = pd.DataFrame(rows, columns=["user_id", "timestamp"]).assign(
        event="view_item", event_id=np.arange(len(rows))
    )
    regulars = replace(log, events=sort_events(tidy(frame)), labels=None)
    now = to_ms(regulars.span[1])
    found = plan(
        regulars,
        markov.codec_,
        now=now,
        days=10,
        sample=lambda users: log,
        rng=np.random.default_rng(1),
    )
    assert (found.rows[:60] >= 8).all()
    assert (found.rows[:60] <= 12).all()
    assert (found.rows[60:] == 0).all()
    assert (found.first[:60] > now).all()
    assert (found.first <= found.last_start).all()
    assert (found.until <= now + 10 * 86_400_000).all()


def test_few_users_go_on_as_users_of_the_generator_do(log: EventLog, markov: Generator) -> None:
    ids = {f"u{k:05d}" for k in range(12)}
    few = log.before(log.time_at(0.4)).only_users(ids)
    future = markov.continue_log(few, days=60, seed=2)
    assert set(future.events["user_id"].astype(str)) <= ids


def test_a_log_of_an_instant_is_not_continued_for_years(log: EventLog) -> None:
    at_once = replace(log, events=log.events.assign(timestamp=log.events["timestamp"].min()))
    model = generators.fit(at_once, model="markov", seed=1)
    with pytest.raises(InputError, match="too short a time"):
        model.continue_log(at_once, days=30, seed=1)


def test_rows_of_a_user_need_not_stand_together(log: EventLog, markov: Generator) -> None:
    past = log.before(log.time_at(0.4))
    mixed = replace(past, events=past.events.sample(frac=1, random_state=1).reset_index(drop=True))
    found, wanted = (markov.continue_log(which, days=10, seed=1).events for which in (mixed, past))
    pd.testing.assert_frame_equal(found, wanted)


def test_nothing_is_claimed_for_users_who_are_continued(log: EventLog) -> None:
    model = generators.fit(
        log, model="markov", seed=1, epsilon=3.0, noise_seed=1, public={"event": list(EVENTS)}
    )
    assert model.privacy["proved"] != "none"
    future = model.continue_log(log.before(log.time_at(0.4)), days=10, seed=1)
    said = future.manifest["privacy"]
    assert (said["proved"], said["epsilon"], said["delta"], said["ledger"], said["public"]) == (
        "none",
        None,
        None,
        [],
        ["event"],
    )
    assert said["model"]["epsilon"] == 3.0
    assert "No privacy is proved" in said["statement"]
    assert judge(find(future.manifest), users=120).verdict == "unproved"
    assert model.sample(10, seed=1).manifest["privacy"]["epsilon"] == 3.0


@pytest.mark.parametrize(
    ("where", "rates", "words"),
    [
        ({"contry": "DE"}, None, "did you mean 'country'"),
        ({"country": "XX"}, None, "value of country"),
        (None, {"froud_rate": 0.1}, "did you mean 'fraud_rate'"),
        (None, {"fraud_rate": 1.5}, "between 0 and 1"),
    ],
)
def test_a_wrong_wish_is_one_sentence(
    markov: Generator, where: dict[str, str], rates: dict[str, float], words: str
) -> None:
    with pytest.raises((InputError, UnknownNameError), match=words):
        markov.sample(10, seed=1, where=where, rates=rates)


def test_the_mix_gives_the_rate() -> None:
    share = mix(0.1, labelled=2.0, rows=5.0, others=1.5)
    assert 2.0 * share / (5.0 * share + 1.5 * (1 - share)) == pytest.approx(0.1)
    with pytest.raises(InputError, match="out of reach"):
        mix(0.5, labelled=2.0, rows=5.0, others=1.5)


def test_the_command_line(
    log: EventLog, markov: Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past = log.before(log.time_at(0.4))
    past.write(tmp_path / "log")
    generators.save(markov, tmp_path / "model")
    start = ["sample", str(tmp_path / "model"), "--seed", "1", "--overwrite"]
    start += ["--out", str(tmp_path / "twin")]
    main([*start, "--users", "50", "--where", "country=DE", "--set", "fraud_rate=0.1"])
    assert "of 50 users" in capsys.readouterr().out
    main([*start, "--continue", str(tmp_path / "log"), "--days", "10"])
    assert "No privacy is proved for the users who are continued" in capsys.readouterr().err
    assert EventLog.read(tmp_path / "twin").span[0] > past.span[1]
    with pytest.raises(InputError, match="either --users"):
        main(start)


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_future_of_no_length_or_of_ages_is_refused(
    log: EventLog, markov: Generator, days: float
) -> None:
    with pytest.raises(InputError, match="at most 36,500 days"):
        markov.continue_log(log, days=days, seed=1)


def test_a_log_that_is_not_like_the_fitted_one_is_not_continued(
    log: EventLog, markov: Generator
) -> None:
    other = replace(log, events=log.events.drop(columns="price"))
    with pytest.raises(InputError, match="price is missing"):
        markov.continue_log(other, days=5, seed=1)
    text = replace(log, events=log.events.assign(price="dear"))
    with pytest.raises(InputError, match="price is no number"):
        markov.continue_log(text, days=5, seed=1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--where", "country=DE", "--where", "country=GB"], "country was given twice"),
        (["--set", "fraud_rate=0.1", "--set", "fraud_rate=0.2"], "fraud_rate was given twice"),
    ],
)
def test_one_name_given_twice_is_refused(tmp_path: Path, more: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        main(["sample", str(tmp_path), "--users", "5", "--out", str(tmp_path / "twin"), *more])


@pytest.mark.parametrize("given", ["-1", "1.5", "x", "", str(2**40)])
def test_a_seed_is_a_whole_number(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["fit", "log", "--seed", given, "--out", str(tmp_path / "model")])
    assert left.value.code == 2
    assert "is not a whole number from 0" in capsys.readouterr().err


def test_a_generator_that_takes_no_conditions_refuses_them_in_one_sentence(
    log: EventLog, tmp_path: Path
) -> None:
    own = str(Path(__file__).parents[3] / "docs/examples/my_generator.py")
    model = generators.fit(log, model=own, seed=1)
    generators.save(model, tmp_path / "model")
    start = ["sample", str(tmp_path / "model"), "--model", own, "--users", "20"]
    for asked, option in (
        (["--where", "country=DE"], "--where"),
        (["--set", "fraud_rate=0.1"], "--set"),
    ):
        with pytest.raises(InputError, match=f"Marginals takes no conditions .* leave {option}"):
            main([*start, *asked, "--out", str(tmp_path / "no")])
        assert not (tmp_path / "no").exists()
    main([*start, "--out", str(tmp_path / "yes")])
    assert EventLog.read(tmp_path / "yes").events["user_id"].nunique() == 20


def test_conditions_are_given_only_where_they_are_asked_for() -> None:
    assert SampleConditions().given() == {}
    assert SampleConditions({"country": "DE"}).given() == {"where": {"country": "DE"}}


@pytest.fixture(scope="module")
def aged() -> Generator:
    """A generator of users with an age, unknown of every fifth, and no labels."""
    log = shop_log(users=150, seed=6)
    user = log.events["user_id"].cat.codes.to_numpy()
    age = np.random.default_rng(0).normal(45, 15, 150).clip(18, 90).round(1)
    age[::5] = np.nan
    events = log.events.assign(age=age[user], gap=(user % 3) * 1.0)
    return generators.fit(replace(log, events=events, labels=None), model="markov", seed=1)


@pytest.mark.parametrize(
    ("value", "low", "high"), [("30..40", 30, 40), ("50..", 50, 90), ("..35.5", 18, 35.5)]
)
def test_numbers_lie_in_the_range_asked_for(
    aged: Generator, value: str, low: float, high: float
) -> None:
    assert aged.sample(50, seed=1, where={"age": value}).events["age"].between(low, high).all()


def test_missing_values_and_columns_with_names_of_our_own_can_be_asked_for(
    aged: Generator,
) -> None:
    assert aged.sample(30, seed=1, where={"age": "null"}).events["age"].isna().all()
    assert (aged.sample(30, seed=1, where={"gap": "2"}).events["gap"] == 2).all()
    with pytest.raises(InputError, match=r"age is a number; give age=5, age=5\.\.10"):
        aged.sample(10, seed=1, where={"age": "old"})


def test_a_rate_of_a_log_without_labels_is_refused_in_one_sentence(aged: Generator) -> None:
    with pytest.raises(InputError, match=r"fraud_rate cannot be set: .* has no labels"):
        aged.sample(10, seed=1, rates={"fraud_rate": 0.1})


def test_ids_are_none_of_the_log_and_differ_between_seeds() -> None:
    log = shop_log(users=100, seed=2)
    one = generators.fit(log, model="markov", seed=1).sample(60, seed=1)
    again = generators.fit(one, model="markov", seed=1)
    samples = [again.sample(60, seed=seed) for seed in (1, 2)]
    ids = [set(x.events["user_id"].astype(str)) for x in (log, one, *samples)]
    assert len(set.union(*ids)) == sum(map(len, ids))
