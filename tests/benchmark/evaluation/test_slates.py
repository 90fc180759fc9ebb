"""The slate of a question is the page that was on the screen, and says nothing of the click."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import simulator
from benchmark.evaluation.slates import slates_of
from benchmark.tasks.recommendation import Recommendation
from eventlog import EventLog
from eventlog._runtime.errors import InputError


@pytest.fixture(scope="module")
def corner() -> EventLog:
    return simulator.simulate("small", users=120, days=20, seed=5)


def test_slates_hold_what_was_clicked_and_were_shown_before(corner: EventLog) -> None:
    task = Recommendation()
    data = task.prepare(corner, corner, task.split(corner))
    sequences, queries = data.test.sequences, data.test.queries
    slates = slates_of(corner, sequences, queries, data.encoder)
    there = slates.time >= 0
    assert there.mean() > 0.5
    assert (slates.time[there] < queries.time[there]).all()
    assert (slates.kind[there] >= 0).all()
    size = np.diff(slates.offsets)
    assert (size[~there] == 0).all()
    assert size.max() == 12
    of = np.repeat(np.arange(len(queries)), size)
    hit = np.bincount(of, weights=slates.items == data.test.target[of], minlength=len(queries)) > 0
    assert hit[there].mean() > 0.3  # others open again what they have seen before
    shown = corner.truth["exposures"]
    by_id = corner.events.set_index("event_id")
    for q in np.flatnonzero(there)[:20]:
        session = by_id.loc[sequences.event_id[queries.end[q]], "session_id"]
        page = shown[
            (shown["session_id"] == session)
            & (shown["timestamp"].astype("int64") == slates.time[q])
        ]
        names = ["", "", *data.encoder.vocabularies["item_id"]]
        mine = [names[c] for c in slates.items[slates.offsets[q] : slates.offsets[q + 1]]]
        known = [str(i) if str(i) in names else "" for i in page["item_id"]]
        assert mine == known


def test_slates_do_not_depend_on_clicks(corner: EventLog) -> None:
    task = Recommendation()
    data = task.prepare(corner, corner, task.split(corner))
    shown = corner.truth["exposures"]
    turned = dataclasses.replace(
        corner, truth={"exposures": shown.assign(clicked=~shown["clicked"], known=False)}
    )
    one, two = (
        slates_of(log, data.test.sequences, data.test.queries, data.encoder)
        for log in (corner, turned)
    )
    assert np.array_equal(one.items, two.items)


def test_a_log_without_exposures_is_refused(corner: EventLog) -> None:
    task = Recommendation()
    data = task.prepare(corner, corner, task.split(corner))
    without = dataclasses.replace(corner, truth={})
    with pytest.raises(InputError, match=r"truth\.exposures"):
        slates_of(without, data.test.sequences, data.test.queries, data.encoder)
