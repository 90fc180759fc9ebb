"""Times of items and of users, and dates as teams write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows
from hypothesis import given
from hypothesis import strategies as st

import generators
from eventlog import EventLog
from generators.structure.finding.texts import FORMATS, find_format

DAY_S = 86_400
START = pd.Timestamp("2026-01-10", tz="UTC")


def dated_log(users: int = 220) -> EventLog:
    """Return a log with dates of several makes, some of the row, one of the item, one of a user."""
    rng, rows = np.random.default_rng(47), list[dict[str, Any]]()
    released = [START - pd.Timedelta(seconds=int(s)) for s in rng.integers(0, 5e7, 40)]
    for u in range(users):
        time = float(rng.uniform(0, 60)) * DAY_S
        registered = START + pd.Timedelta(seconds=time - float(rng.uniform(0, 9e6)))
        for _ in range(int(rng.poisson(12)) + 1):
            time += float(rng.exponential(90_000))
            item, now = int(rng.integers(40)), START + pd.Timedelta(seconds=time)
            row = {"user_id": f"d{u}", "t": time, "item_id": f"i{item}", "event": "view_item"}
            row |= {"released": released[item], "registered": registered}
            row |= {"day": int(f"{now:%Y%m%d}"), "seen": f"{now:%d.%m.%Y %H:%M}"}
            if rng.random() < 0.3:
                due, sent = now + pd.Timedelta(days=14), now + pd.Timedelta(days=rng.integers(1, 5))
                row |= {"event": "purchase", "due": f"{due:%d.%m.%Y}", "sent": f"{sent:%m/%d/%Y}"}
            rows.append(row)
    return log_of_rows(pd.DataFrame(rows), f"{START:%Y-%m-%d}", {})


@pytest.fixture(scope="module")
def log() -> EventLog:
    return dated_log()


@pytest.fixture(scope="module")
def twin(log: EventLog) -> EventLog:
    return generators.fit(log, model="markov", seed=1).sample(240, seed=2).ordered()


def test_a_time_of_an_item_is_the_items(log: EventLog, twin: EventLog) -> None:
    """It was learnt as seconds from the row: an item had as many as rows."""
    released = log.events.drop_duplicates("item_id").set_index("item_id")["released"]
    released.index = released.index.astype(str)
    wanted = twin.events["item_id"].astype(str).map(released)
    assert (twin.events["released"] == wanted).all()
    assert twin.items is not None
    assert twin.items["released"].dtype == log.events["released"].dtype


def test_a_time_of_a_user_has_a_time_of_day(twin: EventLog) -> None:
    """It was always midnight."""
    first = twin.events.drop_duplicates("user_id")
    assert twin.events.groupby("user_id", observed=True)["registered"].nunique().max() == 1
    assert (first["registered"] <= first["timestamp"]).all()
    assert (first["registered"].dt.floor("D") != first["registered"]).mean() > 0.9


def test_dates_in_text_stay_as_far_from_their_rows(log: EventLog, twin: EventLog) -> None:
    assert [str(t) for t in twin.events.dtypes] == [str(t) for t in log.events.dtypes]
    row = twin.events["timestamp"]
    assert (row.dt.strftime("%Y%m%d").astype(int) == twin.events["day"]).all()
    assert (row.dt.strftime("%d.%m.%Y %H:%M") == twin.events["seen"].astype(str)).all()
    bought = twin.events[twin.events["event"] == "purchase"]
    for name, written, least, most in (("due", "%d.%m.%Y", 14, 14), ("sent", "%m/%d/%Y", 1, 4)):
        date = pd.to_datetime(bought[name].astype(str), format=written, utc=True)
        days = (date - bought["timestamp"].dt.floor("D")).dt.days
        assert days.between(least, most).all(), name


@given(
    st.sampled_from(FORMATS),
    st.lists(st.datetimes(pd.Timestamp(1990, 1, 1), pd.Timestamp(2060, 1, 1)), min_size=1),
)
def test_how_dates_are_written_is_read_from_them(written: str, dates: list[Any]) -> None:
    """Where two ways fit, it is the one whose dates are near."""
    stamps = pd.to_datetime(pd.Series(dates))
    text = stamps.dt.strftime(written)
    near = stamps.astype("datetime64[ms]").astype("int64").to_numpy()
    found = find_format(text, near)
    assert found is not None
    read = pd.to_datetime(text, format=found)
    assert (read.dt.strftime(written) == text).all() or found != written
    assert (read - stamps).abs().max() < pd.Timedelta(days=1)


def test_other_text_and_numbers_are_no_dates() -> None:
    for column in (
        pd.Series(["2026-01-10", "soon"]),
        pd.Series(["31.02.2026"]),
        pd.Series([20_261_301.0]),
        pd.Series([12_345_678.0]),
        pd.Series(["1/5/2026"]),  # not as it would be written again
        pd.Series([], dtype=object),
    ):
        assert find_format(column) is None
