"""Arrow columns hold what the arrays held; a column written by its codes reads the same."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.log import write_parquet
from simulator.output import arrow_columns


def test_a_column_written_by_its_codes_reads_the_same(tmp_path):
    rng = np.random.default_rng(0)
    few = arrow_columns.dictionary(rng.integers(-1, 3, 100), pa.array(["b", "a", "no row", "c"]))
    many = arrow_columns.scrambled(np.arange(100), 7, "s")
    table = pa.table({"country": few, "session_id": many, "price": np.arange(100.0)})
    encoded = arrow_columns.with_few_values(table)
    assert encoded == ["country"]
    for name, columns in (("codes", encoded), ("texts", [])):
        write_parquet(tmp_path / f"{name}.parquet", table, encoded=columns)
    codes, texts = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("codes", "texts"))
    assert codes.equals(texts)
    assert codes.schema.field("country").type == pa.string()


@pytest.mark.parametrize("kind", ["i1", "i4", "i8", "f4", "f8", "bool"])
@given(values=st.lists(st.integers(0, 100), max_size=40), data=st.data())
def test_numbers_are_those_that_arrow_makes(kind, values, data):
    array = np.array(values, dtype=kind)
    missing = np.array(data.draw(st.lists(st.booleans(), min_size=len(array), max_size=len(array))))
    missing = missing.astype(bool)
    for mask in (None, missing):
        made = arrow_columns.numbers(array, mask)
        made.validate(full=True)
        assert made.equals(pa.array(array, mask=mask))


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=20))
def test_texts_and_codes_are_those_that_arrow_makes(texts):
    made = arrow_columns.texts(texts)
    made.validate(full=True)
    assert made.equals(pa.array(texts, pa.string()))
    codes = np.arange(-1, len(texts))
    expected = [None, *texts]
    assert arrow_columns.dictionary(codes, texts).to_pylist() == expected
    assert arrow_columns.named(codes, texts).to_pylist() == expected


def test_times_are_instants():
    ms = np.array([0, 1_736_121_600_123])
    made = arrow_columns.times(ms, np.array([True, False]))
    assert made.equals(pa.array([None, int(ms[1])], arrow_columns.TIME))


@given(
    st.lists(st.text(max_size=5), max_size=6),
    st.lists(st.integers(-1, 5), max_size=20),
    st.integers(0, 20),
)
def test_decoded_columns_are_those_of_arrow(values, codes, first):
    codes = np.array([code for code in codes if code < len(values)], dtype=np.int64)
    column = arrow_columns.dictionary(codes, values).slice(min(first, len(codes)))
    decoded = arrow_columns.decoded(column)
    decoded.validate(full=True)
    assert decoded.equals(column.dictionary_decode())
