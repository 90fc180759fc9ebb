"""What every generator must hold: valid logs, same seed same rows, a saved model samples the same,
nothing raw is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog, InputError, UnknownNameError
from eventlog._runtime.settings import parameters
from eventlog.check import check
from generators.base import Generator
from generators.nn.adversarial import train_adversarially
from generators.persistence import make

FAST = {
    "markov": {},
    "vae": {"epochs": 3, "width": 32, "latent": 8},
    "gan": {"epochs": 3, "width": 32, "latent": 8, "generator_steps": 60},
    "transformer": {"epochs": 3, "width": 32},
}


@pytest.fixture(scope="module")
def log() -> EventLog:
    return shop_log(users=120, seed=3)


@pytest.fixture(scope="module", params=list(FAST))
def fitted(request: pytest.FixtureRequest, log: EventLog) -> Generator:
    torch.set_num_threads(1)
    return generators.fit(log, model=request.param, seed=1, settings=FAST[request.param])


def test_a_sample_is_a_valid_log_of_new_people(fitted: Generator, log: EventLog) -> None:
    twin = fitted.sample(80, seed=2)
    assert [f.text for f in check(twin) if f.level == "error"] == []
    assert twin.events["user_id"].nunique() <= 80
    assert set(twin.events["event"].astype(str)) <= set(log.events["event"].astype(str))
    assert not set(twin.events["user_id"].astype(str)) & set(log.events["user_id"].astype(str))
    assert twin.span[0] >= log.span[0].floor("D")
    assert twin.span[1] <= log.span[1].ceil("D")


def test_same_seed_same_rows_another_seed_others(fitted: Generator) -> None:
    one, two, other = (fitted.sample(40, seed=seed).events for seed in (5, 5, 6))
    assert one.equals(two)
    assert not one.equals(other)


def test_a_saved_generator_samples_the_same_and_holds_no_raw_user(
    fitted: Generator, log: EventLog, tmp_path: Path
) -> None:
    generators.save(fitted, tmp_path / "model")
    assert (
        generators.load(tmp_path / "model")
        .sample(40, seed=5)
        .events.equals(fitted.sample(40, seed=5).events)
    )
    saved = b"".join(p.read_bytes() for p in (tmp_path / "model").iterdir())
    assert not [u for u in log.events["user_id"].astype(str).unique() if u.encode() in saved]
    assert {p.suffix for p in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}


def test_users_stay_to_the_end_that_was_drawn_for_them(fitted: Generator, log: EventLog) -> None:
    """Not past the span, whose end would then be crowded; and the last session is no afterthought
    of a single row.
    """

    def shares(of: EventLog) -> tuple[float, float]:
        events = of.events.assign(user_id=of.events["user_id"].astype(str))
        gap = events.groupby("user_id")["timestamp"].diff().dt.total_seconds()
        last = ~events["user_id"].duplicated(keep="last")
        several = events["user_id"].map(events.groupby("user_id").size()) > 5
        at_the_end = (of.span[1] - events["timestamp"][last]).dt.total_seconds() < 60
        return float((gap[last & several] > 1_800).mean()), float(at_the_end.mean())

    (real, _), (made, crowded) = shares(log), shares(fitted.sample(200, seed=3))
    assert abs(made - real) < 0.2
    assert crowded < 0.03


def test_who_does_not_stay_has_one_row(fitted: Generator) -> None:
    """Else all rows of such a user would fall on one moment; in the log nobody has two rows at
    once.
    """
    events = fitted.sample(300, seed=4).events
    users = events.groupby("user_id", observed=True)["timestamp"].agg(["size", "min", "max"])
    assert ((users["size"] > 1) & (users["min"] == users["max"])).mean() < 0.01


def test_without_epsilon_nothing_is_claimed(fitted: Generator) -> None:
    assert fitted.privacy["epsilon"] is None
    assert "No privacy is proved" in fitted.sample(5, seed=1).manifest["privacy"]["statement"]


def test_the_latent_of_the_vae_is_used(log: EventLog) -> None:
    model = generators.fit(
        log, model="vae", seed=1, settings={"epochs": 25, "width": 48, "latent": 8}
    )
    draws = model._latents(400, torch.Generator().manual_seed(1))  # type: ignore[attr-defined]
    assert float(draws.std(0).mean()) > 0.05, "the latents of all users have fallen onto one point"


def test_the_networks_of_the_gan_come_closer_and_do_not_collapse(log: EventLog) -> None:
    model = generators.fit(
        log, model="gan", seed=1, settings={**FAST["gan"], "generator_steps": 400}
    )
    real = (
        torch.from_numpy(np.random.default_rng(0).normal(size=(500, 8)).astype("float32"))
        * torch.linspace(0.2, 2, 8)
        + 1
    )
    made_by, distances = train_adversarially(real, model.adversarial, seed=1)
    model.generator_network_ = made_by  # type: ignore[attr-defined]
    made = model._latents(2000, torch.Generator().manual_seed(1))  # type: ignore[attr-defined]
    assert np.mean(distances[-50:]) < 0.5 * max(
        np.mean(distances[i : i + 20]) for i in range(0, 200, 20)
    )
    assert (made.std(0) / real.std(0)).min() > 0.4, "mode collapse"
    assert ((made.mean(0) - real.mean(0)).abs() / real.std(0)).max() < 0.6


def test_wrong_settings_and_logs_are_one_sentence(log: EventLog) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'epochs'"):
        generators.fit(log, model="gan", settings={"epoch": 3})
    with pytest.raises(InputError, match="needs at least"):
        generators.fit(
            log.only_users(list(log.events["user_id"].astype(str).unique()[:3])), model="markov"
        )
    with pytest.raises(InputError, match="epsilon is -1"):
        generators.fit(log, model="vae", epsilon=-1.0)


def test_users_who_never_came_are_no_users_of_the_log(log: EventLog) -> None:
    """A log that was cut, or simulated in memory, still names in its categories those who have no
    event.
    """
    users = log.events["user_id"].astype(str)
    few = sorted(users.unique())[::2]
    cut = EventLog(
        events=log.events[users.isin(few)].reset_index(drop=True),
        manifest=dict(log.manifest),
        users=pd.DataFrame(
            {"user_id": sorted(users.unique()), "signup": pd.Timestamp("2020-01-01", tz="UTC")}
        ),
    )
    assert (
        generators.fit(cut, model="markov", seed=1).sample(20, seed=1).events["user_id"].nunique()
        == 20
    )


def test_to_ask_for_the_state_changes_nothing(fitted: Generator) -> None:
    before, names = fitted.sample(30, seed=5).events, set(vars(fitted))
    (first, facts), (second, again) = fitted.state(), fitted.state()
    assert set(vars(fitted)) == names
    assert facts == again
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert fitted.sample(30, seed=5).events.equals(before)


@pytest.mark.parametrize(
    ("model", "setting"),
    [
        ("transformer", "latent"),
        ("transformer", "free_bits"),
        ("transformer", "components"),
        ("gan", "components"),
        ("vae", "heads"),
        ("vae", "generator_steps"),
        ("markov", "width"),
    ],
)
def test_a_setting_that_a_model_does_not_use_is_refused(model: str, setting: str) -> None:
    with pytest.raises(UnknownNameError, match=f"No key of generator {model} is called"):
        make(model, {setting: 1})


@pytest.mark.parametrize("model", list(FAST))
def test_settings_make_the_same_generator_again(model: str) -> None:
    made = make(model, FAST[model])
    assert FAST[model].items() <= made.settings().items()
    assert made.settings().keys() == parameters(type(made)).keys()
    assert make(model, made.settings()).settings() == made.settings()
