"""Data frames go the way of a file: the same log, the same sentences."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import generators
from eventlog import Encoder, EventLog, InputError
from eventlog.check import check
from eventlog.ingest.ingest import imported

FRAME = pd.DataFrame(
    {
        "customer": [f"u{i % 14:02d}" for i in range(140)],
        "time": pd.date_range("2026-01-01", periods=140, freq="7h"),
        "action": ["view", "cart", "buy", "view"] * 35,
        "sku": [f"i{i % 9}" for i in range(140)],
        "price": np.arange(140) / 4,
    }
)


def test_a_frame_gives_the_log_that_its_file_gives(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "shop.csv", index=False)
    file = imported(tmp_path / "shop.csv", tmp_path / "log")
    for log in (
        EventLog.from_pandas(FRAME),
        EventLog.from_pandas(FRAME.assign(time=FRAME["time"].dt.tz_localize("UTC"))),
        EventLog.from_arrow(pa.Table.from_pandas(FRAME)),
    ):
        pd.testing.assert_frame_equal(log.events, file.events, check_categorical=False)
        assert log.manifest["roles"] == file.manifest["roles"]
        assert not [f for f in check(log) if f.level == "error"]


def test_the_order_of_rows_and_the_index_do_not_matter(tmp_path: Path) -> None:
    ordered = EventLog.from_pandas(FRAME).events
    shuffled = FRAME.sample(frac=1, random_state=1)
    indexed = shuffled.set_index(["customer", "time"])
    for frame in (shuffled, indexed):
        pd.testing.assert_frame_equal(EventLog.from_pandas(frame).events[ordered.columns], ordered)


def test_what_learns_from_unsorted_rows_learns_whole_users() -> None:
    log = EventLog.from_pandas(FRAME)
    mixed = EventLog(log.events.sample(frac=1, random_state=2))
    assert (np.diff(Encoder.fit(mixed).encode(mixed).offsets) == 10).all()
    sample = generators.fit(mixed, model="markov", seed=1).sample(5, seed=np.int64(1))
    assert sample.events["user_id"].value_counts().mean() > 5


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    model = generators.fit(EventLog.from_pandas(FRAME), model="markov", seed=np.int32(1))
    log = model.sample(np.int64(6), seed=np.int64(1))
    log.manifest["note"] = {"share": np.float32(0.5), "n": np.int64(3)}
    assert EventLog.read(log.write(tmp_path / "log")).manifest["note"] == {"share": 0.5, "n": 3}


def test_columns_of_several_types_become_text_as_in_a_file() -> None:
    frame = FRAME.assign(note=[1, "a", None, dt.date(2026, 1, 1)] * 35).rename(columns={"sku": 7})
    log = EventLog.from_pandas(frame.rename(columns={"note": "Note"}))
    assert set(log.events["Note"].dropna()) == {"1", "a", "2026-01-01"}
    assert set(log.events["7"]) == set(FRAME["sku"])


def test_what_a_file_import_notes_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"Prices are in 2 currencies .* were not converted"):
        EventLog.from_pandas(FRAME.assign(currency=["EUR", "USD"] * 70))
    with pytest.warns(UserWarning, match="Nested columns left out: tags"):
        EventLog.from_pandas(FRAME.assign(tags=[["a"]] * 140))


def test_columns_in_any_encoding_of_arrow() -> None:
    table = pa.Table.from_pandas(FRAME)
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([70, 140], pa.int32()), pa.array(["a", "b"]))
    log = EventLog.from_arrow(table.set_column(0, "customer", pa.chunked_array([runs])))
    assert log.events["user_id"].value_counts().tolist() == [70, 70]


def two_alike() -> pd.DataFrame:
    frame = FRAME.copy()
    frame.columns = pd.Index(["customer", "time", "action", "sku", "sku"])
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.drop(columns="customer"), "the table has no column that could be user_id"),
        (FRAME.assign(time="yesterday"), "time"),
        (two_alike(), "the table has two columns called 'sku'; rename one"),
        (FRAME.iloc[:0], "no rows"),
        (FRAME.assign(price=-1.0), "negative price"),
        ([1, 2], "takes a data frame of pandas, not list"),
        (None, "not NoneType"),
        (FRAME.assign(sku="\ud800"), "'sku' has a value that cannot be read"),
    ],
)
def test_a_wrong_frame_is_one_sentence(frame: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EventLog.from_pandas(frame)


def test_rows_that_are_no_events_are_reported() -> None:
    frame = pd.concat([FRAME] * 2, ignore_index=True)
    frame.loc[5, "customer"] = None
    with pytest.warns(UserWarning, match="missing user_id: 1"):
        log = EventLog.from_pandas(frame)
    assert len(log) == len(frame) - 1


def test_numbers_of_other_types_keep_their_digits() -> None:
    frame = FRAME.assign(
        price=np.float32(9.99),
        weight=np.float16(0.1),
        stay=pd.Timedelta(minutes=1.5),
        month=pd.period_range("2026-01", periods=140, freq="M"),
    )
    events = EventLog.from_pandas(frame).events
    assert set(events["price"]) == {9.99}
    assert set(events["stay"]) == {90.0}, "in seconds"
    assert set(events["weight"]) == {float(np.float32(np.float16(0.1)).astype(str))}
    assert events["month"].min() == pd.Timestamp("2026-01-01", tz="UTC")


def test_polars_is_read_through_arrow() -> None:
    class Frame:
        """What Polars offers of a frame; Int128 and Object are no types of Arrow."""

        schema: ClassVar = {"customer": "Int128", "time": "Datetime"}

        def collect(self) -> Frame:
            return self

        def drop(self, names: list[str]) -> Frame:
            assert names == ["customer"]
            return self

        def __getitem__(self, name: str) -> pd.Series:
            return pd.Series([2**100 + k % 14 for k in range(140)], dtype=object)

        def to_arrow(self) -> pa.Table:
            return pa.Table.from_pandas(FRAME.drop(columns="customer"))

    log = EventLog.from_polars(Frame())
    assert sorted(set(log.events["user_id"])) == [str(2**100 + k) for k in range(14)]
    with pytest.raises(InputError, match="data frame of Polars, not int"):
        EventLog.from_polars(3)
    with pytest.raises(InputError, match="table of Arrow, not list"):
        EventLog.from_arrow([1, 2])


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (FRAME, "no column 'user_id'"),
        (
            FRAME.rename(columns={"customer": "user_id", "time": "timestamp", "action": "event"}),
            "timestamps are of type .*utc=True",
        ),
    ],
)
def test_a_log_made_by_hand_is_checked_where_it_is_used(events: Any, message: str) -> None:
    for use in (Encoder.fit, lambda log: generators.fit(log, model="markov"), EventLog.grouped):
        with pytest.raises(InputError, match=message):
            use(EventLog(events))


def test_a_frame_where_a_log_is_wanted_is_one_sentence() -> None:
    for use in (check, lambda frame: generators.fit(frame, model="markov"), Encoder.fit):
        with pytest.raises(InputError, match=r"takes an EventLog, not pandas.*from_pandas"):
            use(FRAME)
    with pytest.raises(InputError, match="seed is -1"):
        generators.fit(EventLog.from_pandas(FRAME), model="markov", seed=-1)


def test_groups_of_numbers_are_their_limits() -> None:
    ages = pd.cut(np.arange(len(FRAME)) % 9, 3)
    events = EventLog.from_pandas(FRAME.assign(age=ages)).events
    assert sorted(set(events["age.left"])) == sorted(ages.categories.left)
    assert sorted(set(events["age.right"])) == sorted(ages.categories.right)
