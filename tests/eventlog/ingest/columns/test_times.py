"""Times: each way to write one is read as it stands, or the import asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import InputError
from eventlog.ingest.columns.times import NO_TIME, clocks, column_times, parse_times
from eventlog.ingest.ingest import import_file, imported
from eventlog.ingest.mapping import TimeFormat, load, preset


def utc(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(ms))).isoformat(
        sep=" ", timespec="milliseconds"
    )[:-6]


def read(*texts: str, **how: object) -> list[str]:
    found = parse_times(list(texts), TimeFormat(**how))  # type: ignore[arg-type]
    return ["none" if ms == NO_TIME else utc(ms) for ms in found]


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2024-07-01 12:00:00+02", 10),
        ("2024-07-01 12:00:00+0200", 10),
        ("2024-07-01T12:00:00+02:00", 10),
        ("2024-07-01 12:00:00 +02:00", 10),
        ("2024-07-01 12+02", 10),
        ("2024-07-01 08:00:00-04", 12),
        ("2024-07-01 12:00:00Z", 12),
        ("2024-07-01 12:00:00 UTC", 12),
        ("2024-07-01 12:00:00.000000 UTC", 12),
        ("2024-07-01 12:00:00 GMT", 12),
        ("2024-07-01 12:00:00 America/New_York", 16),
        ("2024-07-01 12:00:00.000 Asia/Kolkata", 6.5),
        ("2024-07-01T12:00:00[Etc/UTC]", 12),
        ("2024-07-01 12:00:00+01:00 Europe/London", 11),
        ("2024-07-01 12:00:00", 10),  # Berlin's
        ("20240701120000", 10),
        ("2024-07-01 12:00:00 GMT+2", 10),
        ("2024-07-01 12:00:00 UTC+02:00", 10),
        ("2024-07-01 12:00 GMT-0330 (NDT)", 15.5),
        ("2024-07-01 12:00:00\u221202:00", 14),
        ("2024-07-01T12:00:00+02:00[Europe/Berlin]", 10),
        ("2024-06-30T24:00:00Z", 0),
        ("2024-07-01T24:00", 22),
    ],
)
def test_an_offset_counts_once_however_it_is_written(text: str, hours: float) -> None:
    others = ["2024-07-01T00:00:00Z", "2024-07-01 00:00", "2024-07-01 00:00-03", "x"]
    for beside in ([], *([other] for other in others)):  # quick way and slow, in any order
        for texts in ([text, *beside], [*beside, text]):
            found = dict(zip(texts, read(*texts, timezone="Europe/Berlin"), strict=True))
            assert found[text] == f"2024-07-01 {int(hours):02d}:{int(60 * (hours % 1)):02d}:00.000"


def test_seconds_and_halves_of_days_beyond_the_usual() -> None:
    assert read("2016-12-31T23:59:60Z", "2016-12-31 23:59:60.5") == [
        "2017-01-01 00:00:00.000",
        "2017-01-01 00:00:00.500",
    ]
    assert read("2024-07-01 25:00", "2024-07-01 24:01", "2024-07-01 12:00:61") == ["none"] * 3


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["2024-07-31 12:05:10 AM", "2024-07-31 01:05:10 PM"], "2024-07-31 00:05:10"),
        (["7/31/2024 1:05PM", "7/31/2024 12:05am"], "2024-07-31 13:05:00"),
        (["31.07.2024 1:05 p.m.", "31.07.2024 12:05 a.m."], "2024-07-31 13:05:00"),
        (["31-JUL-24 01.05.10.123 PM"], "2024-07-31 13:05:10"),
        (["Jul 31 2024  1:05PM", "Jul 31 2024 11:05AM"], "2024-07-31 13:05:00"),
        (["2024-07-31-13.05.10.123456"], "2024-07-31 13:05:10"),
        (["2024-W27-1", "2024-W27-2"], "2024-07-01 00:00:00"),
        (["2024-183", "2024-184"], "2024-07-01 00:00:00"),
        (["Mon Jul 01 2024 12:00:00 GMT+0200 (CEST)"], "2024-07-01 10:00:00"),
        (["Monday, July 1, 2024", "Tuesday, July 2, 2024"], "2024-07-01 00:00:00"),
        (["29/12/23", "31/12/23", "02/01/24"], "2023-12-29 00:00:00"),
        (["24/07/01", "24/07/02", "24/07/30"], "2024-07-01 00:00:00"),
        (["24-07-01", "24-07-02", "24-07-30"], "2024-07-01 00:00:00"),
        (["Jul 31, 2024, 1:05 PM", "Jul 2, 2024, 11:05 AM"], "2024-07-31 13:05:00"),
        (["7/31/2024, 1:05:10 PM", "7/2/2024, 11:05:10 AM"], "2024-07-31 13:05:10"),
        (["July 31, 2024 at 1:05 PM", "July 2, 2024 at 11:05 AM"], "2024-07-31 13:05:00"),
        (["13:05 31/07/2024", "11:05 02/07/2024"], "2024-07-31 13:05:00"),
        (["2024-07-31_13-05-10", "2024-07-02_11-05-10"], "2024-07-31 13:05:10"),
        (["2024年7月31日 13:05", "2024年7月2日 11:05"], "2024-07-31 13:05:00"),
    ],
)
def test_formats_that_all_values_agree_on(texts: list[str], first: str, tmp_path: Path) -> None:
    rows = "".join(f'u{i},"{text}",view\n' for i, text in enumerate(texts))
    (tmp_path / "a.csv").write_text(f"user_id,time,event\n{rows}")
    found = imported(tmp_path / "a.csv", tmp_path / "log").events["timestamp"]
    assert str(found.iloc[0])[:19] == first


def test_a_year_of_two_digits_that_may_be_the_day_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,time,event\nu,31/12/24,view\nv,31/12/24,view\n")
    with pytest.raises(InputError, match="may be %d/%m/%y or %y/%m/%d"):
        imported(tmp_path / "a.csv", tmp_path / "log")


def test_a_date_ends_in_no_offset() -> None:
    assert read("2024-01-06", timezone="Europe/Berlin") == ["2024-01-05 23:00:00.000"]
    assert read("x", "2024-01-06", timezone="Europe/Berlin") == ["none", "2024-01-05 23:00:00.000"]
    form = "%d.%m.%Y %H:%M %z"
    assert read("01.07.2024 12:00 +0200", format=(form,), timezone="Europe/Berlin") == [
        "2024-07-01 10:00:00.000"
    ]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(662_688_000_000, 4_000_000_000_000), min_size=1, max_size=20))
def test_no_millisecond_is_lost_in_any_unit(times: list[int]) -> None:
    ms = np.array(times)
    for unit, texts in (
        ("s", [f"{t // 1000}.{t % 1000:03d}" for t in times]),
        ("ms", [str(t) for t in times]),
        ("us", [f"{t}000" for t in times]),
        ("us", [f"{t}999" for t in times]),
        ("ns", [f"{t}000000" for t in times]),
        ("ns", [f"{t}999999" for t in times]),
        ("ms", [f"{t}.0" for t in times]),
    ):
        for how in (TimeFormat(unit=unit), TimeFormat(unit="auto")):  # type: ignore[arg-type]
            np.testing.assert_array_equal(parse_times(texts, how), ms)
    for kind, values in (
        (pa.int64(), ms * 1_000_000),
        (pa.float64(), ms / 1000),
        (pa.timestamp("ns"), ms * 1_000_000),
        (pa.timestamp("us", "UTC"), ms * 1000),
    ):
        column = pa.chunked_array([pa.array(values).cast(kind)])
        np.testing.assert_array_equal(column_times(column, TimeFormat(unit="auto"))[0], ms)


def test_each_number_is_read_by_its_own_size_and_the_summary_says_so(tmp_path: Path) -> None:
    rows = "".join(f"u{i},{1_700_000_000 + i},view\n" for i in range(9))
    (tmp_path / "a.csv").write_text(f"user_id,ts,event\n{rows}u9,1700000009000,view\n")
    log = imported(tmp_path / "a.csv", tmp_path / "log")
    assert (log.span[1] - log.span[0]) == pd.Timedelta(seconds=9)
    summary = import_file(tmp_path / "a.csv", tmp_path / "log2")
    assert "times count in different units, each read by its size: 9 in s and 1 in ms" in str(
        summary
    )


def test_digits_alone_are_a_date(tmp_path: Path) -> None:
    for i, text in enumerate(("20250106123000", "20250106", "202501061230", "20250106123000250")):
        (tmp_path / f"{i}.csv").write_text(f"user_id,time,event\nu,{text},view\n")
        found = imported(tmp_path / f"{i}.csv", tmp_path / str(i)).events["timestamp"].iloc[0]
        assert found.strftime("%Y%m%d%H%M%S%f").startswith(text)
        frame = pd.DataFrame({"user_id": ["u"], "time": [int(text)], "event": ["view"]})
        frame.to_parquet(tmp_path / f"{i}.parquet")
        same = imported(tmp_path / f"{i}.parquet", tmp_path / f"p{i}").events["timestamp"].iloc[0]
        assert same == found


def test_a_year_that_is_missing_is_asked_for_or_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,time,event\nu,6-4,view\nv,12-31,view\n")
    with pytest.raises(InputError, match=r"dates without a year, such as '12-31'; give year"):
        imported(tmp_path / "a.csv", tmp_path / "log")
    assert read("6-4", "12-31", "0604", "604", "2-29", year=2024) == [
        f"2024-{day} 00:00:00.000" for day in ("06-04", "12-31", "06-04", "06-04", "02-29")
    ]
    assert read("2-29", year=2023) == ["none"]
    assert read("4 Jun 10:30", year=2024, format=("%d %b %H:%M",)) == ["2024-06-04 10:30:00.000"]


def test_a_clock_without_a_calendar_is_asked_about_or_given_a_start(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,step,event\nu,1,view\nv,743.5,view\n")
    (tmp_path / "b.csv").write_text("user_id,time,event\nu,1,view\nv,743.5,view\n")
    with pytest.raises(InputError, match=r'give unit = "hours".* and start'):
        imported(tmp_path / "b.csv", tmp_path / "log")
    toml = (
        '[columns]\nuser_id = "user_id"\n[event]\ncolumn = "event"\n[time]\ncolumn = "step"\n'
        'unit = "hours"\n'
    )
    (tmp_path / "m.toml").write_text(toml)
    with pytest.raises(InputError, match=r"must give unit .* and start"):
        load(tmp_path / "m.toml")
    (tmp_path / "m.toml").write_text(toml + 'start = "2024-01-01"\n')
    log = imported(tmp_path / "a.csv", tmp_path / "log", mapping=load(tmp_path / "m.toml"))
    assert log.events["timestamp"].astype(str).tolist() == [
        "2024-01-01 01:00:00+00:00",
        "2024-01-31 23:30:00+00:00",
    ]


@pytest.mark.parametrize("names", ["date,time", "trans_date,trans_time", "eventdate,clock"])
@pytest.mark.parametrize("written", ["2024-03-31,{0}", "31.03.2024,{0}"])
def test_a_date_and_a_time_of_day_in_two_columns(names: str, written: str, tmp_path: Path) -> None:
    rows = "".join(f"u,{written.format(t)},view\n" for t in ("00:15:00", "9:05", "23:59:59.5"))
    (tmp_path / "a.csv").write_text(f"customer_id,{names},event\n{rows}")
    log = imported(tmp_path / "a.csv", tmp_path / "log")
    assert log.events["timestamp"].dt.strftime("%d %H:%M:%S.%f").tolist() == [
        "31 00:15:00.000000",
        "31 09:05:00.000000",
        "31 23:59:59.500000",
    ]
    assert set(log.events) == {"event_id", "user_id", "timestamp", "event", "session_id"}


def test_a_time_of_day_that_is_missing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "user_id,date,time,event\nu,2024-03-01,,view\nu,2024-03-02,9:05,view\n"
    )
    summary = import_file(tmp_path / "a.csv", tmp_path / "log")
    assert "time has no time of day in 1 rows, which were put at 0:00" in str(summary)


def test_the_zone_counts_for_date_and_clock_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,d,t\nx,2024-03-31,01:30\nx,2024-03-31,12:00\n")
    (tmp_path / "m.toml").write_text(
        '[columns]\nuser_id = "u"\n[event]\nconstant = "view_item"\n[time]\ncolumn = "d"\n'
        'clock = "t"\ntimezone = "Europe/Berlin"\n'
    )
    log = imported(tmp_path / "a.csv", tmp_path / "log", mapping=load(tmp_path / "m.toml"))
    assert log.events["timestamp"].dt.strftime("%H:%M").tolist() == ["00:30", "10:00"]


def test_times_of_day() -> None:
    texts = ["0:05", "09:05", "9:05 PM", "091530", "915", "12:00:00.25", "25:00", "noon", ""]
    minute = 60_000
    expected = [5, 545, 21 * 60 + 5, 555.5, 555, 720, None, None, None]
    found = clocks(pa.array(texts), None)
    for ms, value in zip(found, expected, strict=True):
        assert ms == (NO_TIME if value is None else value * minute + 250 * (value == 720))
    assert clocks(pa.array(["526309", "x"]), "ms").tolist() == [526309, NO_TIME]


def test_a_time_that_no_millisecond_can_hold_is_none() -> None:
    column = pa.chunked_array([pa.array([2**61, 0], pa.int64()).cast(pa.timestamp("s"))])
    assert column_times(column, TimeFormat())[0].tolist() == [NO_TIME, 0]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("customer_id,date,hour", "u,2024-03-31,13"),
        ("customer_id,date,time", "u,20240331,130000"),
        ("customer_id,date,time", "u,03/31/2024,1:00 PM"),
        ("customer_id,timestamp", "u,2024-03-31t13:00:00z"),
        ("customer_id,timestamp", 'u,"2024-03-31 13:00:00,000"'),
        ("customer_id,timestamp", 'u,"Sun, 31 Mar 2024 13:00:00 GMT"'),
        ("customer_id,timestamp", "u,31/Mar/2024:15:00:00 +0200"),
        ("customer_id,timestamp", 'u,"Sun, 31 Mar 2024 15:00:00 +0200"'),
        ("customer_id,timestamp", "u,31.03.24 13:00"),
        ("customer_id,timestamp", 'u,"March 31, 2024 13:00"'),
    ],
)
def test_further_ways_to_write_a_time(header: str, row: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{header},event\n{row},view\n")
    log = imported(tmp_path / "a.csv", tmp_path / "log")
    assert log.events["timestamp"].tolist() == [pd.Timestamp("2024-03-31 13:00", tz="UTC")]
    assert set(log.events) == {"event_id", "user_id", "timestamp", "event", "session_id"}


def test_mails_write_offsets_in_two_ways(tmp_path: Path) -> None:
    rows = '"Fri, 01 Mar 2024 10:00:00 +0100"', '"Sat, 02 Mar 2024 10:00:00 GMT"'
    lines = "".join(f"u,{row},view\n" for row in rows)
    (tmp_path / "a.csv").write_text(f"user_id,time,event\n{lines}")
    times = imported(tmp_path / "a.csv", tmp_path / "log").events["timestamp"]
    assert times.dt.strftime("%d %H").tolist() == ["01 09", "02 10"]


@pytest.mark.parametrize("last", ["13/12/2009 07:45", "12/13/2009 07:45"])
def test_of_two_formats_the_one_that_reads_all_times_counts(last: str, tmp_path: Path) -> None:
    names = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    rows = "".join(f"1,2,x,1,{time},1,3,France\n" for time in ("01/12/2009 07:45", last))
    (tmp_path / "a.csv").write_text(f"{names}\n{rows}")
    log = imported(tmp_path / "a.csv", tmp_path / "log", mapping=preset("online-retail"))
    first = "2009-12-01" if last.startswith("13") else "2009-01-12"
    assert log.events["timestamp"].dt.strftime("%Y-%m-%d").tolist() == [first, "2009-12-13"]
