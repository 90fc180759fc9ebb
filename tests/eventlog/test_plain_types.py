"""Whatever a program wrote into a log folder is read in few types, or refused in a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import handmade_log
from fixtures.fuzz.inputs import whole_log
from fixtures.fuzz.mutations import odd_columns

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog.ingest.ingest import imported
from eventlog.log_folder import read_arrow
from eventlog.plain_types import CODED, TIME, plain_column
from eventlog.tables import read_tables, read_truth

PLAIN = (CODED, TIME, pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(),
         pa.float64())  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log = handmade_log(users=40, days=10)
    return whole_log(log).write(tmp_path / "log")


def _type_of(file: Path, name: str) -> pa.DataType | str:
    """Return the type of a column, or how the sentence begins that refuses it."""
    try:
        return read_arrow(file).schema.field(name).type
    except InputError as error:
        return re.split(" (?:holds|has) ", str(error))[0]


@pytest.mark.parametrize("number", range(len(odd_columns(np.random.default_rng(0), 1))))
def test_every_type_is_read_as_a_plain_one_or_refused(number: int, folder: Path) -> None:
    for table, key in (("users", "age"), ("labels", "own"), ("truth/events", "fraud")):
        file = folder / f"{table}.parquet"
        before = pq.read_table(file)
        column = odd_columns(np.random.default_rng(0), before.num_rows)[number]()
        before = before.drop_columns(key) if key in before.column_names else before
        try:
            pq.write_table(before.append_column(key, column), file)
        except pa.ArrowException:
            return  # Parquet has no such type
        assert _type_of(file, key) in (*PLAIN, f"{file}: the column {key!r}")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["1.10", None], pa.string()).cast(pa.decimal128(30, 2)), [1.1, None]),
        (pa.array([255, 3], pa.uint8()), [255, 3]),
        (pa.array([20_000], pa.int32()).cast(pa.date32()), [pd.Timestamp("2024-10-04", tz="UTC")]),
        (pa.array(["b", None, "a"]).dictionary_encode(), ["b", None, "a"]),
        (pa.array([7, 8]).dictionary_encode(), ["7", "8"]),
        (pa.array([None, None]), [None, None]),
    ],
)
def test_values_stay_what_they_are(values: pa.Array, expected: list[object]) -> None:
    assert plain_column(pa.chunked_array([values])).to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([1], pa.int64()).cast(pa.duration("s")), "duration"),
        (pa.array([[1]]), "list"),
        (pa.array([2**63], pa.uint64()), "cannot be read"),
        (pa.array([2**60]).cast(pa.timestamp("s", "UTC")), "cannot be read"),
    ],
)
def test_other_values_are_refused(values: pa.Array, said: str) -> None:
    with pytest.raises(InputError, match=said):
        plain_column(pa.chunked_array([values]))


def test_the_index_and_the_types_that_pandas_keeps_beside_a_table_do_not_come_back(
    folder: Path,
) -> None:
    users = pd.read_parquet(folder / "users.parquet")
    users["age"] = pd.array(users["age"], dtype="Int64")
    users.set_index("user_id").to_parquet(folder / "users.parquet")
    found = read_tables(folder)["users"]
    assert found.index.equals(pd.RangeIndex(len(users)))
    assert found["age"].dtype == "int64" and "user_id" in found


def test_a_column_without_a_value_has_the_type_of_the_schema(folder: Path) -> None:
    file = next((folder / "events").iterdir())
    table = pq.read_table(file)
    place = table.column_names.index("price")
    pq.write_table(table.set_column(place, "price", pa.nulls(table.num_rows, pa.string())), file)
    assert EventLog.read(folder).events["price"].dtype == "float64"


@pytest.mark.parametrize(
    ("table", "column", "values", "said"),
    [
        ("labels", "event_id", lambda n: [True] * n, "event_id: has type bool"),
        ("labels", "event_id", lambda n: [None, *range(n - 1)], "event_id: has type float64"),
        ("labels", "kind", lambda n: [1] * n, "kind: has type int64"),
        ("labels", "value", lambda n: ["a"] * n, "value: has type category"),
        ("labels", "known_at", lambda n: [None] * n, "known_at, row 0: has no value"),
        ("users", "user_id", lambda n: ["a"] * n, "user_id, row 1: occurs twice"),
        ("items", "item_id", lambda n: [None, *map(str, range(n - 1))], "row 0: has no value"),
        ("truth/events", "event_id", lambda n: ["a"] * n, "event_id: has type category"),
    ],
)
def test_tables_whose_keys_mean_nothing_are_refused(
    table: str, column: str, values: object, said: str, folder: Path
) -> None:
    file = folder / f"{table}.parquet"
    before = pq.read_table(file)
    place = before.column_names.index(column)
    changed = pa.array(values(before.num_rows))  # type: ignore[operator]
    pq.write_table(before.set_column(place, column, changed), file)
    with pytest.raises(InputError, match=said):
        read_tables(folder), read_truth(folder)


def test_an_import_takes_what_a_log_refuses(folder: Path, tmp_path: Path) -> None:
    file = next((folder / "events").iterdir())
    table = pq.read_table(file)
    n = table.num_rows
    table = table.append_column("pause", pa.array([90] * n, pa.int64()).cast(pa.duration("s")))
    table = table.append_column("day", pa.array([19_000] * n, pa.int32()).cast(pa.date32()))
    pq.write_table(table.append_column("geo", pa.array([{"lat": 1.5}] * n)), file)
    with pytest.raises(InputError, match=r"'pause' holds duration.*; import it again"):
        EventLog.read(folder)
    events = imported(folder, tmp_path / "again").events
    assert events["pause"].eq(90).all() and events["geo.lat"].eq(1.5).all()
    assert events["day"].dtype == "datetime64[ms, UTC]"
