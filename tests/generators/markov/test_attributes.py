"""Attributes of users go together in a sample as they do in the log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.team_log import COUNTRIES, HOURS, MEMBERS, team_log

import generators
from eventlog import EventLog
from generators.base import Generator
from generators.markov.attributes import AttributeTables

SETTINGS = {"vae": {"epochs": 4}, "gan": {"epochs": 4, "generator_steps": 50}}


@pytest.fixture(scope="module")
def log() -> EventLog:
    return team_log(400)


@pytest.fixture(scope="module", params=["markov", "vae", "gan"])
def model(request: pytest.FixtureRequest, log: EventLog) -> Generator:
    return generators.fit(
        log, model=request.param, seed=1, settings=SETTINGS.get(request.param, {})
    )


@pytest.fixture(scope="module")
def sample(model: Generator) -> EventLog:
    return model.sample(500, seed=2)


def test_what_a_tier_says_of_a_user_is_kept(sample: EventLog) -> None:
    """With 400 users a network drew them nearly apart: .34, .53 and .46 for .1, .5 and .95."""
    assert sample.users is not None
    rows = sample.events.drop_duplicates("user_id").merge(sample.users, on="user_id")
    member = rows["is_member"].astype(str).str.lower().eq("true")
    for tier, share in MEMBERS.items():
        assert member[rows["tier"] == tier].mean() == pytest.approx(share, abs=0.15)


def test_users_are_where_their_country_is(sample: EventLog) -> None:
    assert sample.users is not None
    rows = sample.events.merge(sample.users, on="user_id").dropna(subset=["country", "latitude"])
    center = rows["country"].astype(str).map(COUNTRIES)
    assert ((rows["latitude"] - center).abs() < 2).mean() > 0.9


def test_segments_keep_their_hours(sample: EventLog) -> None:
    assert sample.users is not None
    rows = sample.events.merge(sample.users, on="user_id")
    hour = rows["timestamp"].dt.hour
    for segment, usual in HOURS.items():
        assert hour[rows["segment"] == segment].mean() == pytest.approx(usual, abs=3.0)


def test_tables_are_the_same_after_saving(model: Generator, tmp_path: Path) -> None:
    generators.save(model, tmp_path / "model")
    first, second = (
        m.sample(30, seed=4).events for m in (model, generators.load(tmp_path / "model"))
    )
    assert first.equals(second)


def test_spans_end_before_the_log_does_and_are_as_frequent_as_in_it(log: EventLog) -> None:
    """One that did not fit moved the user's arrival to the first moment that it could be."""
    model = generators.fit(log, model="markov", seed=1)
    tables = model.attributes_  # type: ignore[attr-defined]
    assert isinstance(tables, AttributeTables)
    drawn = tables.draw(4000, torch.Generator().manual_seed(3))
    assert tables.codec.spans_that_fit(drawn[:, 0])[torch.arange(4000), drawn[:, 1]].all()
    known = model.attribute_counts_  # type: ignore[attr-defined]
    real = [counts / counts.sum() for counts, _ in known]
    for k in (0, 1):
        shares = np.bincount(drawn[:, k], minlength=len(real[k])) / 4000
        assert np.abs(shares - real[k]).max() < 0.03
