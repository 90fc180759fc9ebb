"""Repeats, wrong clocks and users who are too many: check warns, clean removes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import EventLog, InputError
from eventlog.__main__ import main
from eventlog.check import check
from eventlog.checking.oddities import duplicated
from eventlog.clean import Cleaning, clean
from eventlog.log import sort_events, tidy


def log_of(rows: list[tuple[object, ...]]) -> EventLog:
    """Rows of (user, time, event, order, item, price)."""
    names = ["user_id", "timestamp", "event", "order_id", "item_id", "price"]
    frame = pd.DataFrame(rows, columns=names)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601")
    events = sort_events(tidy(frame))
    return EventLog(events.assign(event_id=np.arange(len(events))))


def shop(users: int = 20) -> list[tuple[object, ...]]:
    return [
        (f"u{u:02d}", f"2026-01-{d:02d} 10:{u:02d}", "purchase", f"o{u}-{d}", f"i{d}", 5.0)
        for u in range(users)
        for d in range(1, 11)
    ]


def warnings(log: EventLog) -> dict[str, str]:
    return {f.column: f.text for f in check(log) if f.level == "warning"}


def test_an_order_sent_twice_is_seen_and_its_second_copy_removed() -> None:
    again = [
        ("u03", "2026-01-05 10:04", "purchase", "o3-5", "i5", 5.0),
        ("u03", "2026-01-06 09:00", "purchase", "o3-5", "i5", 5.0),
    ]
    log = log_of([*shop(), *again])
    assert "as if the order was sent twice" in warnings(log)["order_id"]
    cleaned, account = clean(log)
    assert len(cleaned) == len(shop())
    assert account.set_index("step").loc["orders", "rows"] == 2
    assert cleaned.events["event_id"].isin(log.events["event_id"]).all()
    assert len(clean(log, Cleaning(repeated_orders=False))[0]) == len(log)


@pytest.mark.parametrize(
    "line",
    [
        ("u03", "2026-01-05 10:04", "purchase", "o3-5", "i6", 5.0),  # another item of the order
        ("u03", "2026-01-05 10:04", "purchase", "o3-6x", "i5", 5.0),  # another order
        ("u03", "2026-01-05 10:04", "purchase", None, "i5", 5.0),  # of no order
        ("u04", "2026-01-05 10:05", "purchase", "o3-5", "i5", 5.0),  # another user
        ("u03", "2026-01-09 10:03", "refund", "o3-5", "i5", 5.0),
    ],
)
def test_what_only_resembles_a_repeated_order_is_kept(line: tuple[object, ...]) -> None:
    log = log_of([*shop(), line])
    assert warnings(log) == {}
    assert len(clean(log)[0]) == len(log)


def test_rows_that_equal_an_earlier_one_are_seen() -> None:
    log = log_of([*shop(), shop()[7], shop()[7]])
    assert "(2 rows, this is the first)" in warnings(log)["event_id"]
    assert len(clean(log)[0]) == len(shop())


def test_repeated_rows_are_seen_where_prices_are_half_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = log_of([*shop(), shop()[7], shop()[7]])
    half = EventLog(log.events.assign(price=log.events["price"].astype(np.float16)))
    half.write(tmp_path / "log")
    (part,) = (tmp_path / "log" / "events").iterdir()
    assert pq.read_schema(part).field("price").type == pa.float32()
    assert main(["check", str(tmp_path / "log")]) == 0
    assert "(2 rows, this is the first)" in capsys.readouterr().out
    table = pq.read_table(part)  # as another program would have written it
    prices = table["price"].cast(pa.float16())
    pq.write_table(table.set_column(table.column_names.index("price"), "price", prices), part)
    assert len(clean(EventLog.read(tmp_path / "log"))[0]) == len(shop())


@pytest.mark.parametrize("year", [2019, 2031])
def test_one_clock_years_off_is_seen_and_its_events_removed(year: int, tmp_path: Path) -> None:
    wrong = [("u99", f"{year}-05-{d:02d}", "purchase", f"x{d}", "i1", 5.0) for d in range(1, 13)]
    log = log_of([*shop(), *wrong])
    text = warnings(log)["timestamp"]
    assert f"12 rows, from {year}-05-01 to {year}-05-12, are more than 365 days away" in text
    assert len(clean(log)[0]) == len(shop())
    log.write(tmp_path / "log", rows_per_part=50)
    found = [f for f in check(tmp_path / "log") if f.column == "timestamp"]
    assert [f.text for f in found] == [text], "the same part by part"


def test_a_shop_that_pauses_for_years_has_no_wrong_clock() -> None:
    later = [
        (u, t.replace("2026", "2029"), e, f"{o}b", i, p) for u, t, e, o, i, p in map(tuple, shop())
    ]
    log = log_of([*shop(), *later])
    assert warnings(log) == {}
    assert len(clean(log)[0]) == len(log)


def test_a_user_with_most_of_the_rows_is_seen(tmp_path: Path) -> None:
    times = pd.date_range("2026-01-01", periods=800, freq="17min").astype(str)
    log = log_of([*shop(), *(("NA", t, "view_item", None, "i1", None) for t in times)])
    assert "'NA' has 800 of 1,000 events" in warnings(log)["user_id"]
    log.write(tmp_path / "log", rows_per_part=100)
    assert "'NA' has 800 of 1,000 events" in str([str(f) for f in check(tmp_path / "log")])
    assert warnings(log_of(shop(3))) == {}, "a few users may have large shares"


@pytest.mark.parametrize("column", ["user_id", "event"])
def test_blank_texts_are_errors(column: str) -> None:
    log = log_of(shop())
    values = log.events[column].astype(object)
    values[0] = " "
    found = check(EventLog(log.events.assign(**{column: values})))
    assert ("error", column, "is blank") in {(f.level, f.column, f.text) for f in found}


@pytest.mark.parametrize("gap", [-5.0, 0.0, float("nan")])
def test_a_session_gap_that_is_no_time_is_refused(gap: float) -> None:
    with pytest.raises(InputError, match="session_gap_minutes is"):
        Cleaning(session_gap_minutes=gap)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 3),
            st.sampled_from(["view", "buy"]),
            st.none() | st.floats(0, 2).map(round),
        ),
        max_size=30,
    ),
    st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_repeats_are_those_of_whole_rows_in_any_order(
    rows: list[tuple[object, ...]], in_order: bool
) -> None:
    frame = pd.DataFrame(rows, columns=["user_id", "timestamp", "event", "price"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="D", utc=True)
    frame["price"] = frame["price"].astype(float)
    frame = frame.sort_values(["user_id", "timestamp"], kind="stable") if in_order else frame
    coded = frame.astype({"user_id": "category", "event": "category"})
    expected = frame.duplicated().to_numpy()
    found = duplicated(coded.assign(event_id=range(len(frame)), session_id="x"))
    np.testing.assert_array_equal(found, expected)
