"""Labelled sessions that users are to have come, and a row of each carries the label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog
from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import N_LABELLED_SESSIONS
from generators.models.markov import Markov
from generators.sampling.conditions import with_labelled_sessions
from generators.sampling.counted_rows import rows_of_sample
from generators.sequences.encode import encode
from generators.sequences.feature_layout import Counter

USERS = 300


@pytest.fixture(scope="module")
def log() -> EventLog:
    return shop_log(users=200, rows=30, seed=4)


@pytest.fixture(scope="module")
def fitted(log: EventLog) -> Markov:
    model = generators.fit(log, model="markov", seed=1)
    assert isinstance(model, Markov)
    return model


def planned(codec: Codec, attributes: np.ndarray) -> np.ndarray:
    """Return how many labelled sessions users are to have, (n,)."""
    ends = codec.user_attributes[N_LABELLED_SESSIONS].ends()[1]  # type: ignore[union-attr]
    code = attributes[:, list(codec.user_attributes).index(N_LABELLED_SESSIONS)]
    found: np.ndarray = np.nan_to_num(ends)[code]
    return found


def test_rows_are_asked_for_labels_in_sessions_that_have_one(log: EventLog, fitted: Markov) -> None:
    """A row of another session has none: a network that is asked learns that there are none."""
    codec = fitted.codec_
    steps = encode(log, codec)
    label = steps.target[:, steps.names.index("label:fraud")].numpy()
    assert log.labels is not None
    assert (label == 1).sum() == len(log.labels)
    assert 0 < (label >= 0).sum() < 0.5 * len(label)
    assert codec.rules.allowed["label:fraud"][:, 0].all()


def test_every_labelled_session_that_is_planned_comes(fitted: Markov) -> None:
    codec = fitted.codec_
    assert codec.plans_last
    accept = with_labelled_sessions(codec, True, None)
    with torch.inference_mode():
        sampled = fitted._rows(USERS, accept, torch.Generator().manual_seed(3))
    rows, user = rows_of_sample(codec, sampled, USERS), sampled.user.numpy()
    session = np.cumsum(rows.begins) - 1
    labelled = np.bincount(session, rows.label) > 0
    has = np.zeros(len(labelled), dtype=bool)
    np.logical_or.at(has, session, rows.labels["label:fraud"] > 0)
    assert not has[~labelled].any()
    of_user = np.bincount(user[rows.begins], labelled, USERS)
    assert (planned(codec, sampled.user_attributes.numpy()) >= 1).all()
    assert (of_user >= 1).all()
    assert has[labelled].mean() > 0.9


def test_none_begins_later_than_those_of_the_log(log: EventLog, fitted: Markov) -> None:
    codec = fitted.codec_
    steps = encode(log, codec)
    begun = (steps.target[:, steps.names.index(SESSION_LABEL)] > 0).numpy()
    left = steps.features[:, codec.counter_column(Counter.ROWS_LEFT)].numpy()[begun]
    assert (left < codec.rules.latest_label).mean() <= 0.05
    assert (left >= codec.rules.latest_label).any()
