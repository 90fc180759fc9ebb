"""Dictionary-coded columns: which are written by their codes, and that the file reads the same."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
