"""Explanations: they share out a difference, name the event that decides, and deleting what they
name moves the score.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from baselines.base import Model
from baselines.explain import by_deletion, explain, faithfulness, plot
from eventlog import EventLog, InputError
from eventlog._runtime import plugins
from eventlog.arrays import Examples, Queries
from eventlog.encode import Encoder
from eventlog.log import tidy

NEURAL = ("lstm", "transformer", "bert")


def alarm(users: int = 240, rows: int = 8, seed: int = 0) -> tuple[Encoder, Examples, np.ndarray]:
    """(encoder, examples, (n,) row of the alarm, -1 = none): the answer is 1 where one of the rows
    is an alarm.
    """
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), rows)
    event = rng.choice(["view_item", "add_to_cart", "search"], len(user))
    alarmed = rng.random(users) < 0.5
    place = np.arange(users) * rows + rng.integers(0, rows, users)
    event[place[alarmed]] = "alarm"
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(
        np.tile(np.arange(rows), users) * 60, unit="s"
    )
    frame = pd.DataFrame(
        {
            "event_id": np.arange(len(user)),
            "user_id": [f"u{u:03d}" for u in user],
            "timestamp": time,
            "event": event,
            "item_id": [f"i{k}" for k in rng.integers(0, 12, len(user))],
        }
    )
    log = EventLog(events=tidy(frame))
    encoder = Encoder.fit(log)
    s = encoder.encode(log)
    queries = Queries(np.arange(users), s.offsets[1:], s.time[s.offsets[1:] - 1] + 86_400_000)
    return encoder, Examples(s, queries, alarmed.astype(np.float32)), np.where(alarmed, place, -1)


@pytest.fixture(scope="module", params=NEURAL)
def fitted(request: pytest.FixtureRequest):
    torch.set_num_threads(1)
    encoder, examples, row = alarm()
    model = plugins.load("baselines.models", request.param, Model, kind="model")(
        dim=16,
        length=12,
        budget=3.0,
        pretrain=0.0,
        batch_rows=400,
        label_lr=5e-3,
        dropout=0.0,
    )
    model.fit(examples, None, encoder=encoder, seed=0)
    return model, encoder, examples, row


def test_contributions_add_up_and_name_the_event_that_decides(fitted) -> None:
    model, _, examples, row = fitted
    asked = np.flatnonzero(row >= 0)[:12]
    found = explain(model, examples.sequences, examples.queries[asked])
    named = [f.rows[np.argmax(f.contribution)] for f in found]
    assert np.mean(np.array(named) == row[asked]) > 0.5  # by chance 1 in 8
    for f in found:
        assert f.item is None
        assert f.error < 0.05 * max(1.0, np.abs(f.contribution).sum())


def test_deleting_what_is_named_moves_the_score_more_than_chance(fitted) -> None:
    model, _, examples, row = fitted
    falls = faithfulness(
        model, examples.sequences, examples.queries[np.flatnonzero(row >= 0)[:12]], seed=0
    )
    assert falls["named"].mean() > 2 * falls["random"].mean()
    assert falls["random"].mean() > falls["least"].mean()


def test_next_items_are_explained_too_and_a_user_can_be_drawn(fitted, tmp_path) -> None:
    model, encoder, examples, _ = fitted
    s = examples.sequences
    row = np.setdiff1d(np.arange(s.n_rows), s.offsets[:-1])
    queries = Queries(s.row_user()[row], row, s.time[row])
    ranker = type(model)(dim=16, length=12, budget=0.1)
    ranker.fit(Examples(s, queries, s.columns["item"][row]), None, encoder=encoder, seed=0)
    empty = Queries(np.array([0]), s.offsets[:1], s.time[:1])
    for f in explain(ranker, s, queries[[3, 20]]):
        assert f.item is not None and np.isfinite(f.contribution).all()
        table = f.events(s, encoder)
        assert list(table.columns) == ["event", "item", "time", "contribution"]
        path = plot(f, s, encoder, tmp_path / "user.svg")
        assert path.read_text().lstrip().startswith("<?xml")
    assert len(explain(ranker, s, empty)[0].rows) == 0


def test_by_deletion_explains_any_model(fitted) -> None:
    _, encoder, examples, row = fitted
    model = plugins.load("baselines.models", "logistic", Model, kind="model")()
    model.fit(examples, None, encoder=encoder, seed=0)
    asked = np.flatnonzero(row >= 0)[:4]
    found = by_deletion(model, examples.sequences, examples.queries[asked])
    assert [f.rows[np.argmax(f.contribution)] for f in found] == row[asked].tolist()
    with pytest.raises(InputError, match="by_deletion"):
        explain(model, examples.sequences, examples.queries[asked])  # type: ignore[arg-type]
