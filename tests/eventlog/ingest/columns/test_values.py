"""Columns as codes: whatever a column holds, row i has the value that it had."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from eventlog.ingest.columns.values import Coded

N = 3_000
WHOLE = [str(i % 700) for i in range(N)]


@pytest.mark.parametrize(
    "texts",
    [
        WHOLE,
        [str(10**17 + i % 700) for i in range(N)],
        [f"00{i % 9}" if i % 5 else str(i % 9) for i in range(N)],  # 007 is not 7
        [str(i * 10**9) for i in range(N)],  # a range that no table has room for
        [*WHOLE, "0x10"],
        [*WHOLE, "-1"],
        [*WHOLE, "+1"],
        [*WHOLE, ""],
        [*WHOLE, "9" * 19],
        [*WHOLE, "9" * 40],
        [*WHOLE, "\u0663"],
        [""] * N,
        ["0"] * N,
        [],
    ],
)
def test_equal_texts_share_a_code_and_no_others_do(texts: list[str]) -> None:
    values = pa.array(["7", *texts], pa.string()).slice(1)  # as a part of a longer one
    found = Coded(np.arange(len(texts), dtype=np.int32), values).merged()
    names = found.values.to_pylist()
    assert [names[code] for code in found.codes] == texts
    assert len(set(names)) == len(names)
