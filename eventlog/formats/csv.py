"""One CSV file, compressed if the name ends in .gz; text is quoted only where needed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from eventlog.formats._text import times_as_text, without_formulas
from eventlog.log import EventLog, to_arrow

FOLDER = False


def write(log: EventLog, path: Path, *, formulas: bool = False) -> None:
    """Write the events; `formulas`: leave texts as they are that a spreadsheet would run."""
    table = times_as_text(to_arrow(log.events))
    with pa.output_stream(path, compression="gzip" if path.suffix == ".gz" else None) as stream:
        pacsv.write_csv(table if formulas else without_formulas(table), stream)
