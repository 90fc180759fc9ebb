"""The detector: at its floor for two halves, certain where sessions differ; it names by what."""

import json

import numpy as np
import pandas as pd
import pytest
from fixtures.click_log import click_log

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog, tidy
from simulator.__main__ import main
from simulator.realism.detector import detect, session_features


@pytest.fixture(scope="module")
def clicks():
    return click_log(sessions=3_000, seed=1)


def test_two_logs_of_one_kind_cannot_be_told_apart(clicks):
    found = detect(click_log(sessions=3_000, seed=2), clicks)
    assert abs(found.auc - found.floor) < 0.05
    assert found.floor == pytest.approx(0.5, abs=0.05)


def test_the_default_shop_is_hard_to_tell_from_a_click_log(shop_log, clicks):
    found = detect(shop_log, clicks)
    assert found.auc <= 0.75
    assert sum(c.importance for c in found.clues) == pytest.approx(1)


def test_what_gives_a_log_away_is_named(clicks):
    events = clicks.events.copy()
    start = events.groupby("session_id", observed=True)["timestamp"].transform("min")
    events["timestamp"] = start + (events["timestamp"] - start) / 10
    found = detect(EventLog(events, manifest=clicks.manifest), clicks)
    assert found.auc > 0.85
    assert "gap" in found.clues[0].name or "seconds" in found.clues[0].name


def test_features_are_counted_by_hand():
    times = [0, 10, 40, 0, 5]
    events = pd.DataFrame(
        {
            "event_id": range(5),
            "user_id": ["a"] * 3 + ["b"] * 2,
            "session_id": ["s"] * 3 + ["t"] * 2,
            "timestamp": pd.Timestamp("2025-01-06T10:00", tz="UTC")
            + pd.to_timedelta(times, unit="s"),
            "event": "view_item",
            "item_id": ["x", "x", "y", "z", "z"],
        }
    )
    found = session_features(EventLog(tidy(events)))
    first = found.iloc[0]
    assert first["clicks"] == 3
    assert first["different items"] == 2
    assert first["clicks on the item before"] == 1
    assert (first["first gap, s"], first["last gap, s"]) == (10, 30)
    assert first["seconds from first to last"] == 40
    assert first["hour"] == 10
    assert np.isfinite(found.to_numpy()).all()


def test_the_command_line_says_it(clicks, tmp_path, capsys):
    clicks.write(tmp_path / "clicks")
    assert main(["realism", str(tmp_path / "clicks"), "--against", str(tmp_path / "clicks")]) == 0
    assert "detector of sessions: ROC-AUC" in capsys.readouterr().out
    command = ["realism", str(tmp_path / "clicks"), "--against", str(tmp_path / "clicks"), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["detection"]["clues"]


def test_a_log_without_sessions_is_refused(clicks):
    empty = EventLog(clicks.events.iloc[:50], manifest=clicks.manifest)
    with pytest.raises(InputError, match="a detector needs 200"):
        detect(empty, clicks)
