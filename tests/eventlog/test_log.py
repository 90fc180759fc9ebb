from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import EventLog, InputError
from eventlog._runtime.files import check_replaceable, new_folder
from eventlog.log import LogWriter, digest, read_manifest, sort_events, tidy, to_ms


def test_a_written_log_reads_back_equal(small_log: EventLog, tmp_path: Path) -> None:
    back = EventLog.read(small_log.write(tmp_path / "log"), verify=True)
    for table in ("events", "labels"):
        pd.testing.assert_frame_equal(
            getattr(back, table),
            getattr(small_log, table),
            check_categorical=False,
            check_dtype=False,
        )
    assert back.manifest["made_by"] == "tests"


def test_same_log_same_bytes_and_digest(small_log: EventLog, tmp_path: Path) -> None:
    one, two = small_log.write(tmp_path / "one"), small_log.write(tmp_path / "two")
    assert (one / "events/part-00000.parquet").read_bytes() == (
        two / "events/part-00000.parquet"
    ).read_bytes()
    assert digest(one) == digest(two)


def test_parts_hold_disjoint_users_and_all_rows(small_log: EventLog, tmp_path: Path) -> None:
    small_log.write(tmp_path / "log", rows_per_part=200)
    parts = list(EventLog.parts(tmp_path / "log"))
    users = [set(part.events["user_id"].astype(str)) for part in parts]
    assert len(parts) > 2
    assert sum(map(len, users)) == len(set.union(*users))
    pd.testing.assert_frame_equal(
        EventLog.read(tmp_path / "log").events.astype({"user_id": str}),
        small_log.events.astype({"user_id": str}),
        check_categorical=False,
    )


def test_a_part_never_holds_falling_user_ids(small_log: EventLog, tmp_path: Path) -> None:
    users = small_log.events["user_id"].astype(str)
    halves = [small_log.events[users >= "u030"], small_log.events[users < "u030"]]
    EventLog(pd.concat(halves, ignore_index=True)).write(tmp_path / "log")
    parts = [part.events["user_id"].astype(str) for part in EventLog.parts(tmp_path / "log")]
    assert len(parts) == 2
    assert all(part.is_monotonic_increasing for part in parts)


def test_before_keeps_only_what_was_known(small_log: EventLog) -> None:
    cut = small_log.time_at(0.5)
    known = small_log.before(cut)
    assert (known.events["timestamp"] < cut).all()
    assert known.labels is not None
    assert (known.labels["known_at"] < cut).all()
    assert known.labels["event_id"].isin(known.events["event_id"]).all()
    later = set(small_log.events["item_id"].astype(str)) - set(known.events["item_id"].astype(str))
    assert not later & set(known.events["item_id"].cat.categories), (
        "a level seen only later must not stay in the vocabulary"
    )


def test_reading_some_users_is_reading_all_and_keeping_these(
    small_log: EventLog, tmp_path: Path
) -> None:
    path = small_log.write(tmp_path / "log", rows_per_part=100)
    users = sorted(small_log.events["user_id"].astype(str).unique())[::3]
    some, kept = EventLog.read(path, users=users), EventLog.read(path).only_users(users)
    pd.testing.assert_frame_equal(some.events, kept.events)
    for name in ("users", "items", "labels"):
        one, two = getattr(some, name), getattr(kept, name)
        assert (one is None) == (two is None)
        if one is not None:
            pd.testing.assert_frame_equal(one.astype(str), two.astype(str))
    outline = EventLog.read(path, truth=False, columns=("user_id", "timestamp", "event", "no"))
    assert set(outline.events.columns) == {"user_id", "timestamp", "event"}
    assert len(outline) == len(small_log)


def test_a_changed_file_is_noticed(small_log: EventLog, tmp_path: Path) -> None:
    path = small_log.write(tmp_path / "log")
    file = path / "labels.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"X")
    with pytest.raises(InputError, match=r"labels\.parquet was changed"):
        EventLog.read(path, verify=True)


def test_reading_what_is_no_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        EventLog.read(tmp_path / "nothing")
    with pytest.raises(InputError, match="not a log folder"):
        EventLog.read(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema_version": 99}')
    with pytest.raises(InputError, match="schema version 99"):
        read_manifest(tmp_path)
    for wrong in (
        "[]",
        "3",
        '"text"',
        '{"schema_version": 1, "roles": ["view"]}',
        '{"schema_version": 1, "roles": 3}',
    ):
        (tmp_path / "manifest.json").write_text(wrong)
        with pytest.raises(InputError, match="it must be an object"):
            read_manifest(tmp_path)


def test_nothing_stays_when_writing_fails(small_log: EventLog, tmp_path: Path) -> None:
    def interrupted() -> None:
        with LogWriter(tmp_path / "log") as writer:
            writer.write_part(small_log.events)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_not_replaced(small_log: EventLog, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not written by this program"):
        small_log.write(tmp_path / "precious")
    assert (tmp_path / "precious" / "thesis.txt").exists()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abé10"), st.integers(0, 5)), max_size=40))
def test_sort_is_stable_by_user_then_time(rows: list[tuple[str, int]]) -> None:
    frame = pd.DataFrame(
        {
            "user_id": [user for user, _ in rows],
            "timestamp": pd.to_datetime([time for _, time in rows], unit="s", utc=True),
            "event": "view_item",
            "position": np.arange(len(rows)),
        }
    )
    expected = sorted(range(len(rows)), key=lambda i: (rows[i][0], rows[i][1], i))
    for given_frame in (frame, tidy(frame)):
        assert sort_events(given_frame)["position"].tolist() == expected


def test_to_ms_does_not_depend_on_the_unit() -> None:
    time = pd.Timestamp("2026-11-23 10:00:00.123", tz="UTC")
    assert {to_ms(time.as_unit(unit)) for unit in ("ms", "us", "ns")} == {1_795_428_000_123}


def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "log", tmp_path / "file" / "deeper" / "log"):
        with pytest.raises(InputError, match="file is a file"):
            check_replaceable(path)
    with pytest.raises(InputError, match="cannot be written"), new_folder("/proc/nowhere/log"):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_log_shows_itself_in_a_notebook(small_log: EventLog) -> None:
    assert repr(small_log).startswith(f"<EventLog: events {len(small_log):,}, users ")
    assert len(repr(small_log)) < 200
    evil = EventLog(small_log.events.assign(note="<script>"), manifest=small_log.manifest)
    assert "<script>" not in evil._repr_html_() and "<table>" in evil._repr_html_()
    assert f"{len(small_log):,}" in small_log._repr_html_()


def test_what_is_no_frame_is_no_log() -> None:
    with pytest.raises(InputError, match="takes a data frame of events, not NoneType"):
        EventLog(None)  # type: ignore[arg-type]


def test_a_notebook_offers_public_names_only() -> None:
    import eventlog

    assert set(dir(eventlog)) == {*eventlog.__all__, "__version__"}


def test_values_that_no_file_holds_are_refused(small_log: EventLog, tmp_path: Path) -> None:
    odd = [object() for _ in range(len(small_log))]
    log = EventLog(small_log.events.assign(category=pd.Series(odd, dtype=object)))
    with pytest.raises(InputError, match=r"cannot be written .* category"):
        log.write(tmp_path / "log")
    assert not (tmp_path / "log").exists()
