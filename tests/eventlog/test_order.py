"""Wherever a log is learnt from, the rows of a user stand together, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from eventlog import EventLog, InputError
from eventlog.check import check
from eventlog.clean import clean
from eventlog.log import LogWriter, tidy
from eventlog.order import places
from simulator.realism import scorecard
from simulator.truth import oracles


def log_of(rows: list[tuple[str, int]]) -> EventLog:
    """A log of (user, second) rows in canonical order, with truth and one label an event."""
    rows = sorted(rows)
    n = np.arange(len(rows), dtype=np.int64)
    times = pd.to_datetime([t for _, t in rows], unit="s", utc=True, origin="2026-01-01")
    events = tidy(
        pd.DataFrame(
            {
                "event_id": n,
                "user_id": [u for u, _ in rows],
                "timestamp": times,
                "event": "view_item",
                "item_id": [f"i{k % 7}" for k in n],
            }
        )
    )
    labels = pd.DataFrame({"event_id": n, "kind": "fraud", "value": 1.0, "known_at": times})
    return EventLog(
        events=events,
        labels=labels,
        truth={"events": pd.DataFrame({"event_id": n, "fraud": n % 2})},
    )


def assert_same(one: EventLog, two: EventLog, *, exact: bool = True) -> None:
    """Equal tables; `exact` also in how texts are held, which a folder does not keep."""
    how = {"check_categorical": exact, "check_dtype": exact}
    pd.testing.assert_frame_equal(one.events, two.events, **how)
    pd.testing.assert_frame_equal(one.truth["events"], two.truth["events"], **how)
    pd.testing.assert_frame_equal(one.labels, two.labels, **how)


ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "é", "10", "9"]), st.integers(0, 99)),
    min_size=1,
    max_size=40,
    unique=True,
)


@settings(max_examples=40, deadline=None)
@given(
    rows=ROWS, seed=st.integers(0, 2**31), kind=st.sampled_from(["category", "object", "string"])
)
def test_rows_in_any_order_come_back_as_they_were(
    rows: list[tuple[str, int]], seed: int, kind: str
) -> None:
    log, rng = log_of(rows), np.random.default_rng(seed)
    assert log.ordered() is log
    assert log.grouped() is log
    events = log.events.iloc[rng.permutation(len(log))]
    events.index = pd.Index(rng.integers(0, 3, len(log)))  # an index that repeats
    users = events["user_id"]
    if kind == "category":
        names = rng.permutation([*users.cat.categories, "unused"])
        users = users.cat.set_categories(list(names))
    mixed = replace(log, events=events.assign(user_id=users.astype(kind)))
    before = mixed.events.copy()
    assert_same(mixed.ordered(), log)
    pd.testing.assert_frame_equal(mixed.events, before)  # the log that was given is not changed
    runs = mixed.grouped().events["user_id"].astype(str)
    assert (runs != runs.shift()).sum() == runs.nunique()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=30))
def test_equal_timestamps_keep_their_order(rows: list[tuple[str, int]]) -> None:
    events = pd.DataFrame(
        {
            "event_id": np.arange(len(rows)),
            "user_id": [u for u, _ in rows],
            "event": "search",
            "timestamp": pd.to_datetime([t for _, t in rows], unit="s", utc=True),
        }
    )
    expected = sorted(range(len(rows)), key=lambda k: (*rows[k], k))
    assert EventLog(events=events).ordered().events["event_id"].tolist() == expected


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 2**31))
def test_code_of_a_user_is_its_place(rows: list[tuple[str, int]], seed: int) -> None:
    log = log_of(rows)
    user = (
        replace(log, events=log.events.sample(frac=1, random_state=seed))
        .ordered()
        .events["user_id"]
    )
    codes = user.cat.codes.to_numpy()
    np.testing.assert_array_equal(codes, np.repeat(np.arange(len(set(codes))), np.bincount(codes)))
    assert list(user.cat.categories) == sorted({u for u, _ in rows})


def test_users_that_are_numbers_become_texts() -> None:
    log = log_of([("1", 5), ("2", 3), ("10", 1)])
    numbers = log.events["user_id"].astype(int)
    for users in (numbers, numbers.astype("category")):
        assert_same(replace(log, events=log.events.assign(user_id=users)).ordered(), log)


def test_grouped_rows_stay_where_they_are() -> None:
    log = log_of([("a", 1), ("a", 2), ("b", 1), ("c", 1)])
    parts = log.events.iloc[[2, 0, 1, 3]].reset_index(drop=True)  # b, a, a, c: users in runs
    shards = replace(log, events=parts)
    assert shards.grouped() is shards
    assert_same(shards.ordered(), log)
    cut = replace(log, events=log.events.iloc[1:])
    assert cut.grouped().events["event_id"].tolist() == [1, 2, 3]
    assert cut.grouped().events.index.tolist() == [0, 1, 2]


def test_a_log_without_ids_is_numbered_and_labels_need_them() -> None:
    log = log_of([("a", 2), ("a", 1), ("b", 1)])
    plain = EventLog(events=log.events.drop(columns="event_id").iloc[::-1])
    for numbered in (plain.ordered(), plain.grouped()):
        pd.testing.assert_frame_equal(numbered.events, log.events)
    for broken, what in (
        (replace(plain, labels=log.labels), "labels"),
        (replace(plain, truth=log.truth), "truth"),
    ):
        with pytest.raises(InputError, match=f"no event_id, but the log has {what}"):
            broken.ordered()


def column(name: str, value: object, rows: list[int]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Put `value` into `rows` of a column."""

    def broken(events: pd.DataFrame) -> pd.DataFrame:
        values = events[name].astype(object)
        values.iloc[rows] = value
        kind = None if name == "user_id" else events[name].dtype
        kind = "float64" if value is None and name == "event_id" else kind
        return events.assign(**{name: values if kind is None else values.astype(kind)})

    return broken


REFUSED = {
    "user": (column("user_id", None, [1, 3]), "2 of 5 rows have no user_id, the first is row 1"),
    "time": (column("timestamp", pd.NaT, [2]), "1 of 5 rows have no timestamp, the first is row 2"),
    "id missing": (column("event_id", None, [4]), "1 of 5 rows have no event_id"),
    "id twice": (column("event_id", 0, [1, 2]), "2 of 5 rows .* an earlier row, such as 0; give"),
    "many ids": (lambda e: pd.concat([e] * 3), "10 of 15 .* such as 0, 1, 2; give"),
    "id a text": (lambda e: e.assign(event_id=e["event_id"].astype(str)), "ids are of type object"),
    "no zone": (lambda e: e.assign(timestamp=e["timestamp"].dt.tz_localize(None)), "with a zone"),
    "no column": (lambda e: e.drop(columns="user_id"), "no column 'user_id'; their columns are"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_cannot_be_put_in_order_are_refused(case: str) -> None:
    breaks, said = REFUSED[case]
    events = log_of([("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1)]).events
    broken = EventLog(events=breaks(events))
    for action in (broken.ordered, broken.grouped, lambda: clean(broken)):
        with pytest.raises(InputError, match=said) as error:
            action()
        assert "\n" not in str(error.value)
    assert any(f.level == "error" for f in check(broken)), "check says so too"


def write_parts(path: Path, log: EventLog, *parts: np.ndarray) -> Path:
    """A folder whose parts hold the rows that `parts` name."""
    with LogWriter(path) as writer:
        for rows in parts:
            writer.write_part(log.events.iloc[rows])
        writer.finish(labels=log.labels, truth=log.truth, manifest={"made_by": "hand"})
    return path


def test_parts_that_share_a_user_read_back_as_one_user(tmp_path: Path) -> None:
    log = log_of([(u, t) for u in "abc" for t in range(4)])
    row = np.arange(len(log))
    halves = write_parts(tmp_path / "halves", log, row[row % 2 == 1], row[row % 2 == 0])
    by_time = write_parts(tmp_path / "by_time", log, np.argsort(row % 4, kind="stable"))
    for folder in (halves, by_time):
        assert_same(EventLog.read(folder), log, exact=False)
        assert any("user_id" in f.column for f in check(folder))
    with pytest.raises(InputError, match=r"part-00001.* holds 3 user.s. of an earlier part"):
        list(EventLog.parts(halves))
    (ordered,) = EventLog.parts(by_time)
    pd.testing.assert_frame_equal(ordered.events, log.events, check_categorical=False)


def test_a_shuffled_log_is_written_in_order(tmp_path: Path) -> None:
    log = log_of([(u, t) for u in "abcd" for t in range(30)])
    mixed = replace(log, events=log.events.sample(frac=1, random_state=0))
    folder = mixed.write(tmp_path / "log")
    assert len(list((folder / "events").iterdir())) == 1, "and not in a part per run of rows"
    assert check(folder) == []
    assert_same(EventLog.read(folder), log, exact=False)


def test_a_well_formed_folder_is_read_as_it_stands(tmp_path: Path) -> None:
    log = log_of([(u, t) for u in "abcd" for t in range(3)])
    folder = write_parts(
        tmp_path / "log", log, np.arange(6, 12), np.arange(6)
    )  # users c, d, then a, b
    read = EventLog.read(folder)
    assert read.events["event_id"].tolist() == [*range(6, 12), *range(6)]
    assert len(list(EventLog.parts(folder))) == 2


def test_ids_that_two_parts_share_are_refused(tmp_path: Path) -> None:
    log = log_of([(u, t) for u in "abcd" for t in range(3)])
    events = log.events.assign(event_id=np.tile(np.arange(6), 2))
    rows = np.arange(len(log))
    folder = write_parts(tmp_path / "log", EventLog(events=events), rows[:6], rows[6:])
    with pytest.raises(InputError, match=r"6 of 12 rows .* such as 0, 1, 2; give"):
        EventLog.read(folder).ordered()
    texts = [f.text for f in check(folder)]
    assert "6 rows have the id of an earlier row, such as 0, 1, 2" in texts
    halves = write_parts(tmp_path / "halves", EventLog(events=events), rows[::2], rows[1::2])
    with pytest.raises(InputError, match=f"{halves}: 6 of 12 rows"):
        EventLog.read(halves)


def test_cleaning_does_not_depend_on_the_order_of_rows(small_log: EventLog) -> None:
    mixed = replace(small_log, events=small_log.events.sample(frac=1, random_state=3))
    (one, first), (two, second) = clean(small_log), clean(mixed)
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(one.events, two.events)


def test_oracles_and_the_scorecard_do_not_depend_on_it_either() -> None:
    log = simulator.simulate("small", users=60, days=20, seed=3)
    mixed = replace(log, events=log.events.sample(frac=1, random_state=0))
    cut, horizon = log.time_at(0.5), pd.Timedelta(days=5)
    users = log.events["user_id"].astype(str).unique()[:20]
    bought = log.events.loc[(log.role() == "purchase"), "event_id"].to_numpy()
    one, two = (oracles.oracle_churn(x, users, cut, horizon) for x in (log, mixed))
    np.testing.assert_array_equal(one, two)
    one, two = (oracles.oracle_fraud(x, bought) for x in (log, mixed))
    np.testing.assert_allclose(one, two)
    assert [f.value for f in scorecard.score(log)] == pytest.approx(
        [f.value for f in scorecard.score(mixed)], nan_ok=True
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=40), st.booleans())
def test_rows_of_one_user_and_time_keep_their_order(
    rows: list[tuple[int, int]], far_apart: bool
) -> None:
    codes = np.array([code for code, _ in rows], dtype=np.int32)
    time = np.array([t for _, t in rows], dtype=np.int64) * (2**61 if far_apart else 1)

    expected = sorted(range(len(rows)), key=lambda i: (codes[i], time[i], i))

    assert places(codes, time).tolist() == expected
