"""Cleaning removes what it says it removes, keeps the rest, and does nothing a second time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import handmade_log
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import EventLog, InputError
from eventlog.check import check
from eventlog.clean import Cleaning, clean, clean_folder
from eventlog.log import sort_events, tidy
from eventlog.sessions import session_ids

START = pd.Timestamp("2026-01-01", tz="UTC")


def log_of(
    rows: list[tuple], columns: tuple[str, ...] = ("user_id", "seconds", "event")
) -> EventLog:
    frame = pd.DataFrame(rows, columns=list(columns))
    frame.insert(1, "timestamp", START + pd.to_timedelta(frame.pop("seconds"), unit="s"))
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(len(events)))
    return EventLog(events=events)


def rows_of(account: pd.DataFrame, step: str) -> int:
    return int(account.loc[account["step"] == step, "rows"].sum())


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 40), st.sampled_from(["view_item", "purchase"])
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_duplicates_are_removed_once_and_the_account_adds_up(rows: list[tuple]) -> None:
    log = log_of(rows)
    cleaned, account = clean(log, Cleaning(bot_events_per_minute=None, bot_events_per_day=None))
    assert len(cleaned) == len(set(rows))
    assert rows_of(account, "duplicates") == len(rows) - len(set(rows))
    again, second = clean(cleaned, Cleaning(bot_events_per_minute=None, bot_events_per_day=None))
    pd.testing.assert_frame_equal(again.events, cleaned.events)
    assert second.loc[second["step"] != "sessions", "rows"].sum() == 0
    assert set(cleaned.events["event_id"]) <= set(log.events["event_id"])


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 8), st.integers(1, 30))
def test_bots_are_users_with_too_many_events_in_a_window(
    rows: list[tuple], limit: int, minutes: int
) -> None:
    rows = [(user, seconds * 20, event) for user, seconds, event in rows]
    cleaned, account = (
        clean(
            log_of(rows),
            Cleaning(duplicates=False, bot_events_per_minute=limit, bot_events_per_day=None),
        )
        if not _all_bots(rows, limit)
        else (None, None)
    )
    if cleaned is None:
        with pytest.raises(InputError, match="leave no event"):
            clean(
                log_of(rows),
                Cleaning(duplicates=False, bot_events_per_minute=limit, bot_events_per_day=None),
            )
        return
    assert set(cleaned.events["user_id"].astype(str)) == {r[0] for r in rows} - _bots(rows, limit)
    assert rows_of(account, "bots") == len(rows) - len(cleaned)


def _bots(rows: list[tuple], limit: int) -> set[str]:
    """The definition, event by event."""
    return {
        user
        for user, start, _ in rows
        if sum(u == user and start <= s < start + 60 for u, s, _ in rows) > limit
    }


def _all_bots(rows: list[tuple], limit: int) -> bool:
    return _bots(rows, limit) == {r[0] for r in rows}


def test_the_lines_of_one_order_are_one_act() -> None:
    order = [("big", 10, "purchase", "o1")] * 300
    views = [("bot", i / 10, "view_item", None) for i in range(300)]
    log = log_of(
        [*order, *views, ("x", 1, "purchase", "o2")], ("user_id", "seconds", "event", "order_id")
    )
    cleaned, _ = clean(log, Cleaning(duplicates=False))
    assert set(cleaned.events["user_id"].astype(str)) == {"big", "x"}


def test_broken_clocks_are_few_and_far_away() -> None:
    rows = [(f"u{i % 50}", i * 600, "view_item") for i in range(5000)]
    far = [("u1", -20 * 365 * 86_400, "view_item"), ("u2", 11 * 365 * 86_400, "view_item")]
    cleaned, account = clean(log_of(rows + far))
    assert (len(cleaned), rows_of(account, "clock")) == (5000, 2)
    # A second season is no clock error: there are too many of them.
    season = [(user, seconds + 3 * 365 * 86_400, event) for user, seconds, event in rows[:1000]]
    cleaned, account = clean(log_of(rows + season))
    assert rows_of(account, "clock") == 0
    off, _ = clean(log_of(rows + far), Cleaning(clock_gap_days=None))
    assert len(off) == 5002


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 500)), min_size=1, max_size=40),
    st.integers(1, 60),
)
def test_a_session_is_a_run_without_a_longer_pause(rows: list[tuple], gap: int) -> None:
    events = log_of([(user, minute * 60, "view_item") for user, minute in rows]).events
    session = session_ids(events, gap_minutes=gap)
    before: tuple | None = None
    for user, time, name in zip(events["user_id"], events["timestamp"], session, strict=True):
        expected = (
            before is not None
            and before[0] == user
            and (time - before[1]) <= pd.Timedelta(minutes=gap)
        )
        assert (before is not None and before[2] == name) == expected
        assert name.rsplit(":", 1)[0] == user
        before = (user, time, name)


def test_sessions_are_made_anew_only_when_asked(small_log: EventLog) -> None:
    same, _ = clean(small_log)
    kept = small_log.events[small_log.events["event_id"].isin(same.events["event_id"])]
    assert same.events["session_id"].astype(str).tolist() == kept["session_id"].astype(str).tolist()
    new, account = clean(small_log, Cleaning(session_gap_minutes=5))
    assert new.events["session_id"].astype(str).str.contains(":").all()
    assert "sessions" in account["step"].tolist()


def test_labels_and_truth_go_with_their_events(small_log: EventLog) -> None:
    twice = pd.concat(
        [small_log.events, small_log.events.assign(event_id=small_log.events["event_id"] + 10_000)]
    )
    twice = sort_events(twice)
    twice["event_id"] = np.arange(len(twice))
    labels = pd.DataFrame(
        {
            "event_id": twice["event_id"],
            "kind": "fraud",
            "value": 0.0,
            "known_at": twice["timestamp"],
        }
    )
    log = EventLog(
        events=twice,
        labels=labels,
        truth={"events": labels[["event_id"]], "users": pd.DataFrame({"user_id": ["u"]})},
    )
    cleaned, account = clean(log)
    assert rows_of(account, "duplicates") >= len(small_log)
    assert cleaned.labels is not None and set(cleaned.labels["event_id"]) == set(
        cleaned.events["event_id"]
    )
    assert set(cleaned.truth["events"]["event_id"]) == set(cleaned.events["event_id"])
    assert len(cleaned.truth["users"]) == 1
    assert cleaned.manifest["cleaned"] == account.to_dict("records")


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InputError, match="session_gap_minutes is -1"):
        Cleaning(session_gap_minutes=-1)
    with pytest.raises(InputError, match="clock_share"):
        Cleaning(clock_share=0.7)


def test_a_folder_is_cleaned_part_by_part_as_in_memory(tmp_path: Path) -> None:
    log = handmade_log(users=30, days=20)
    twice = log.events.iloc[:50].assign(event_id=np.arange(50) + 10**6)
    late = log.events["user_id"] == log.events["user_id"].iloc[-1]
    events = pd.concat([log.events, twice], ignore_index=True)
    moved = events["user_id"] == log.events.loc[late, "user_id"].iloc[0]
    events["timestamp"] += moved * pd.Timedelta(days=3000)
    EventLog(events, log.users, log.items, log.labels, manifest=log.manifest).ordered().write(
        tmp_path / "log", rows_per_part=100
    )
    how = Cleaning(session_gap_minutes=10)
    wanted, account = clean(EventLog.read(tmp_path / "log"), how)
    left, found = clean_folder(tmp_path / "log", tmp_path / "out", how)
    out = EventLog.read(tmp_path / "out")
    assert left == len(wanted) < len(events)
    pd.testing.assert_frame_equal(found, account)
    columns = list(wanted.events)
    pd.testing.assert_frame_equal(
        out.events[columns].astype(str), wanted.events[columns].astype(str)
    )
    assert out.labels is not None and wanted.labels is not None
    assert out.labels["event_id"].tolist() == wanted.labels["event_id"].tolist()
    assert check(tmp_path / "out") == []
