"""JSON lines: an object for each event, compressed if the name ends in .gz."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa

from eventlog.formats._text import times_as_text
from eventlog.log import EventLog, to_arrow

FOLDER = False
CHUNK_ROWS = 100_000  # written at once


def write(log: EventLog, path: Path) -> None:
    """Write the events."""
    table = times_as_text(to_arrow(log.events))
    # The shortest text of a float32 (1.04) rather than its digits as a double (1.0399999619).
    table = pa.table(
        [
            c.cast(pa.string()).cast(pa.float64()) if c.type == pa.float32() else c
            for c in table.columns
        ],
        table.column_names,
    )
    with gzip.GzipFile(path, "wb", mtime=0) if path.suffix == ".gz" else open(path, "wb") as stream:
        for start in range(0, table.num_rows, CHUNK_ROWS):
            chunk = table.slice(start, CHUNK_ROWS).to_pandas(types_mapper=pd.ArrowDtype)
            numbers = chunk.select_dtypes("number").abs()
            tiny = bool(
                ((numbers > 0) & (numbers < 1e-3)).to_numpy(dtype=bool, na_value=False).any()
            )
            if tiny:  # pandas writes a fixed number of decimals, too few for them
                rows = table.slice(start, CHUNK_ROWS).to_pylist()
                lines = (
                    json.dumps(
                        {k: None if v != v else v for k, v in row.items()}, ensure_ascii=False
                    )
                    for row in rows
                )
                text = "".join(f"{line}\n" for line in lines)
            else:
                text = chunk.to_json(orient="records", lines=True, force_ascii=False)
            stream.write(text.encode())
