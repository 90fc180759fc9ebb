"""Read files of events as batches of their own columns, knowing formats but not meanings.

Text stays text (strings, dictionary-coded), so that one bad value never fails a file; numbers and
times are parsed later. A file that is broken as a whole raises InputError with file, row and
column. Rows count from 1, a header line included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.values import TEXT
from eventlog.ingest.mapping import FileFormat
from eventlog.ingest.reading.json_lines import read_json
from eventlog.ingest.reading.sources import JSON_SUFFIXES, SUFFIXES
from eventlog.ingest.reading.streams import COMPRESSIONS, Batch, InputFile, NoRowsError, no_rows
from eventlog.ingest.reading.text import read_text

BATCH_ROWS = 500_000  # of a Parquet file
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")


def read_batches(
    file: InputFile, layout: FileFormat, known: set[str], *, allow_ragged: bool = False
) -> Iterator[Batch]:
    """Yield the rows of a delimited text, JSON lines or Parquet file, in order.

    Args:
        file: the file; text may be compressed (.gz, .bz2, .zst, .xz).
        layout: how a text file is laid out.
        known: column names that the mapping uses; they distinguish a header from data if
            `layout.header` is "auto".
        allow_ragged: set rows with too few or too many fields aside instead of refusing the file.
    """
    kind = _kind(file)
    if kind == ".parquet":
        batches = _parquet(file)
    elif kind in JSON_SUFFIXES:
        batches = read_json(file, layout.encoding)
    else:
        batches = read_text(file, kind, layout, known, allow_ragged)
    for batch in batches:
        yield _with_partitions(batch, file)


def _with_partitions(batch: Batch, file: InputFile) -> Batch:
    """Add the columns that the folders of a file stand for: day=2024-01-01."""
    n = batch.table.num_rows
    for name, value in file.partitions:
        if name not in batch.table.column_names:
            codes = pa.array(np.zeros(n, dtype=np.int32), mask=np.full(n, value is None))
            column = pa.DictionaryArray.from_arrays(codes, pa.array([value or ""], pa.string()))
            batch.table = batch.table.append_column(pa.field(name, TEXT), column)
    return batch


# --- what kind of file it is ----------------------------------------------------------------------


def _kind(file: InputFile) -> str:
    """Return the suffix without that of a compression.

    Raises InputError if the first bytes contradict the suffix.
    """
    suffixes, packed = file.suffixes or [""], file.compression
    kind = (suffixes[-2] if len(suffixes) > 1 else "") if packed else suffixes[-1]
    if kind in SPREADSHEETS:
        raise InputError(f"{file} is a spreadsheet; save its sheet as CSV and import that.")
    if kind not in SUFFIXES or (packed and kind == ".parquet"):
        raise InputError(
            f"{file} has a name that does not tell its format; known endings: "
            f"{', '.join(SUFFIXES)} (text also with {' '.join(COMPRESSIONS)}), .zip."
        )
    if file.size == 0:
        raise NoRowsError(f"{file} is empty (0 bytes); there is nothing to import.")
    with file.open_raw() as stream:
        magic = stream.read(16)
    expected = packed or ("Parquet" if kind == ".parquet" else "text")
    found = _format_of(magic)
    if found != expected:
        name = "".join(suffixes[-2:] if packed else suffixes[-1:])
        raise InputError(
            f"{file} is named {name}, but holds {found}, not {expected}; rename it or export it "
            "again."
        )
    return kind


def _format_of(magic: bytes) -> str:
    for start, name in (
        (b"PAR1", "Parquet"),
        (b"\x1f\x8b", "gzip"),
        (b"PK\x03\x04", "a zip archive or spreadsheet"),
        (b"BZh", "bzip2"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
        (b"SQLite", "an SQLite database"),
        (b"%PDF", "PDF"),
        (b"ARROW1", "Arrow/Feather"),
        (b"ORC", "ORC"),
    ):
        if magic.startswith(start):
            return name
    return "text"


# --- Parquet --------------------------------------------------------------------------------------


def _parquet(file: InputFile) -> Iterator[Batch]:
    n = 0
    source: Any = str(file.path) if file.path else file.open_raw()
    try:
        for chunk in pq.ParquetFile(source).iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            rows = np.arange(n + 1, n + chunk.num_rows + 1)
            yield Batch(pa.Table.from_batches([chunk]), rows, file=str(file))
            n += chunk.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file} is a damaged Parquet file ({error}); export it again.") from None
    if n == 0:
        raise no_rows(file, False)
