"""Event by event must give what the batch gives, for every model with a carried state or a
cache.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines.base import Model
from baselines.online import Online
from eventlog import EventLog, InputError
from eventlog._runtime import plugins
from eventlog.arrays import Examples, Queries
from eventlog.encode import Encoder

MODELS = ("lstm", "gru", "transformer", "lstm_hybrid")
SETTINGS = {"dim": 16, "budget": 0.1, "batch_rows": 300}


@pytest.fixture(scope="module")
def items(small_log: EventLog) -> EventLog:
    """Only rows with an item, as the next-item task has them."""
    torch.set_num_threads(1)
    return small_log


def fitted(name: str, log: EventLog, **settings: object):
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    row = np.setdiff1d(np.arange(sequences.n_rows), sequences.offsets[:-1])
    queries = Queries(sequences.row_user()[row], row, sequences.time[row])
    model = plugins.load("baselines.models", name, Model, kind="model")(**{**SETTINGS, **settings})
    model.fit(
        Examples(sequences, queries, sequences.columns["item"][row]), None, encoder=encoder, seed=0
    )
    return model, encoder, sequences


def events_of(log: EventLog) -> list[dict[str, object]]:
    return log.events.astype(object).where(log.events.notna(), None).to_dict("records")


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_one_event_at_a_time_equals_the_batch(name: str, layers: int, items: EventLog) -> None:
    model, encoder, sequences = fitted(name, items, layers=layers, length=80)
    events = events_of(items)
    live = Online(model, encoder, users=len(sequences))
    n = int(np.diff(sequences.offsets).max())
    for step in range(n):  # one event of every user who still has one
        user = np.flatnonzero(np.diff(sequences.offsets) > step)
        row = sequences.offsets[user] + step
        names = [str(sequences.users[u]) for u in user]
        live.observe(names, [events[r] for r in row], sequences.time[row])
        if step % 5 == 0 or step == n - 1:
            when = sequences.time[row] + 77_000
            batch = model.score(sequences, Queries(user, row + 1, when))
            np.testing.assert_allclose(live.score(names, when), batch, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_users_alone_or_together_and_beyond_the_window(name: str, items: EventLog) -> None:
    model, encoder, sequences = fitted(name, items, length=8)
    events = events_of(items)
    together, alone = (Online(model, encoder, users=9) for _ in range(2))
    users = np.argsort(-np.diff(sequences.offsets))[:4]
    names = [str(sequences.users[u]) for u in users]
    for step in range(int(np.diff(sequences.offsets)[users].min())):
        row = sequences.offsets[users] + step
        together.observe(names, [events[r] for r in row], sequences.time[row])
        for name_, r in zip(names, row, strict=True):
            alone.observe(name_, events[r], int(sequences.time[r]))
    now = int(sequences.time.max())
    got = together.score(names, now)
    np.testing.assert_allclose(alone.score(names, now), got, atol=1e-5)
    assert np.isfinite(got).all()
    if name != "transformer":  # a state that is carried remembers the whole history
        model.length = 1000
        end = sequences.offsets[users] + step + 1
        np.testing.assert_allclose(
            got, model.score(sequences, Queries(users, end, np.full(4, now))), atol=1e-5
        )


def test_room_is_bounded_and_the_longest_unseen_is_forgotten(items: EventLog) -> None:
    model, encoder, sequences = fitted("lstm", items)
    events = events_of(items)
    live = Online(model, encoder, users=2)
    for name in ("a", "b", "a", "c"):
        live.observe(name, events[0], int(sequences.time[0]))
    assert len(live) == 2
    with pytest.raises(InputError, match="b"):
        live.score(["b"], int(sequences.time[0]))
    fresh = Online(model, encoder, users=1)
    fresh.observe("c", events[0], int(sequences.time[0]))
    np.testing.assert_array_equal(
        live.score(["c"], int(sequences.time[0])), fresh.score(["c"], int(sequences.time[0]))
    )


def test_users_of_one_call_are_not_forgotten_for_each_other(items: EventLog) -> None:
    model, encoder, sequences = fitted("lstm", items)
    first, second, *_ = events_of(items)
    live, alone = (Online(model, encoder, users=2) for _ in range(2))
    time = int(sequences.time[0])
    live.observe(["a", "b"], [first, second], [time, time])
    live.observe(["c", "a"], [first, second], [time, time])  # "a" is the one seen longest ago
    alone.observe("a", first, time)
    alone.observe("a", second, time)
    np.testing.assert_allclose(live.score(["a"], time), alone.score(["a"], time), atol=1e-6)
    with pytest.raises(InputError, match="3 users in one call, but room for 2"):
        live.observe(["a", "b", "c"], [first] * 3, [time] * 3)


def test_wrong_input_is_refused(items: EventLog) -> None:
    model, encoder, _ = fitted("lstm", items)
    event = events_of(items)[0]
    live = Online(model, encoder, users=3)
    live.observe("a", event, 1_000_000)
    with pytest.raises(InputError, match="older"):
        live.observe("a", event, 999_000)
    with pytest.raises(InputError, match="no user twice"):
        live.observe(["a", "a"], [event, event], [1_000_000, 1_000_000])
    with pytest.raises(InputError, match="users is 0; it must be at least 1"):
        Online(model, encoder, users=0)
    bert, _, _ = fitted("bert", items)
    with pytest.raises(InputError, match="causal"):
        Online(bert, encoder, users=1)
