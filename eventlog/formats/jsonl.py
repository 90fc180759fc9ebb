"""JSON lines: an object for each event, compressed if the name ends in .gz."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from eventlog.formats._text import times_as_text
from eventlog.log import EventLog, to_arrow

FOLDER = False
CHUNK_ROWS = 100_000  # written at once


def write(log: EventLog, path: Path) -> None:
    """Write the events."""
    with gzip.GzipFile(path, "wb", mtime=0) if path.suffix == ".gz" else open(path, "wb") as stream:
        for text in lines(log.events):
            stream.write(text)


def lines(events: pd.DataFrame) -> Iterator[bytes]:
    """Yield the lines of CHUNK_ROWS events at a time."""
    table = times_as_text(to_arrow(events))
    # The shortest text of a float32 (1.04) rather than its digits as a double (1.0399999619).
    table = pa.table(
        [
            c.cast(pa.string()).cast(pa.float64()) if c.type == pa.float32() else c
            for c in table.columns
        ],
        table.column_names,
    )
    for start in range(0, table.num_rows, CHUNK_ROWS):
        yield _lines(table.slice(start, CHUNK_ROWS))


def _lines(table: pa.Table) -> bytes:
    chunk = table.to_pandas(types_mapper=pd.ArrowDtype)
    numbers = chunk.select_dtypes("number").abs()
    tiny = ((numbers > 0) & (numbers < 1e-3)).to_numpy(dtype=bool, na_value=False).any()
    if not tiny:
        text: str = chunk.to_json(orient="records", lines=True, force_ascii=False)
        return text.encode()
    # pandas writes a fixed number of decimals, too few for them
    rows = ({k: None if v != v else v for k, v in row.items()} for row in table.to_pylist())
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()
