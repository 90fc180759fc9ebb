"""Read a file of events as batches of its own columns, knowing formats but not meanings.

Text stays text (strings, dictionary-coded), so that one bad value never fails a file; numbers and
times are parsed later. A file that is broken as a whole raises InputError with file, row and
column. Rows count from 1, a header line included.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog.ingest import streams
from eventlog.ingest.mapping import FileFormat
from eventlog.ingest.streams import (
    COMPRESSIONS,
    Batch,
    WatchedStream,
    no_rows,
    open_stream,
)
from eventlog.ingest.text_reader import read_text

BATCH_ROWS = 500_000  # of a Parquet file
TEXT = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
LINES = (".jsonl", ".ndjson", ".json")
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
SUFFIXES = (*TEXT, *LINES, ".parquet")


def read_batches(
    path: Path, layout: FileFormat, known: set[str], *, allow_ragged: bool = False
) -> Iterator[Batch]:
    """Yield the rows of a delimited text, JSON lines or Parquet file, in order.

    Args:
        path: the file; text may be compressed (.gz, .bz2, .zst).
        layout: how a text file is laid out.
        known: column names that the mapping uses; they distinguish a header from data if
            `layout.header` is "auto".
        allow_ragged: set rows with too few or too many fields aside instead of refusing the file.
    """
    kind, packed = _kind(path)
    if kind == ".parquet":
        yield from _parquet(path)
    elif kind in LINES:
        yield from _json_lines(path, packed)
    else:
        yield from read_text(path, kind, packed, layout, known, allow_ragged)


# --- what kind of file it is ----------------------------------------------------------------------


def _kind(path: Path) -> tuple[str, str]:
    """Return the suffix without that of a compression, and the compression ("" for none).

    Raises InputError if the first bytes contradict the suffix.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    suffixes = [s.lower() for s in path.suffixes] or [""]
    packed = COMPRESSIONS.get(suffixes[-1], "")
    kind = (suffixes[-2] if len(suffixes) > 1 else "") if packed else suffixes[-1]
    if kind in SPREADSHEETS:
        raise InputError(f"{path} is a spreadsheet; save its sheet as CSV and import that.")
    if kind not in SUFFIXES or (packed and kind == ".parquet"):
        raise InputError(
            f"{path} has a name that does not tell its format; known endings: "
            f"{', '.join(SUFFIXES)} (text also with {' '.join(COMPRESSIONS)})."
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); there is nothing to import.")
    with open(path, "rb") as file:
        magic = file.read(16)
    expected = packed or ("Parquet" if kind == ".parquet" else "text")
    found = _format_of(magic)
    if found != expected:
        name = "".join(path.suffixes[-2:] if packed else path.suffixes[-1:])
        raise InputError(
            f"{path} is named {name}, but holds {found}, not {expected}; rename it or export it "
            "again."
        )
    return kind, packed


def _format_of(magic: bytes) -> str:
    for start, name in (
        (b"PAR1", "Parquet"),
        (b"\x1f\x8b", "gzip"),
        (b"PK\x03\x04", "a zip archive or spreadsheet"),
        (b"BZh", "bzip2"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
        (b"SQLite", "an SQLite database"),
        (b"%PDF", "PDF"),
        (b"ARROW1", "Arrow/Feather"),
        (b"ORC", "ORC"),
    ):
        if magic.startswith(start):
            return name
    return "text"


# --- JSON lines and Parquet -----------------------------------------------------------------------


def _json_lines(path: Path, packed: str) -> Iterator[Batch]:
    n = 0
    with open_stream(path, packed) as file:
        watched = WatchedStream(file, path, b"")
        rest = b""
        while True:
            data = watched.read(streams.BLOCK)
            cut = data.rfind(b"\n") + 1 if data else 0
            if data and not cut:
                rest += data  # a line longer than a block
                continue
            block, rest = (rest + data[:cut], data[cut:]) if data else (rest, b"")
            if n == 0 and block.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
                raise InputError(
                    f"{path} has a list in row 1, but each line must be one JSON object (jq -c "
                    "'.[]' makes such a file)."
                )
            if block.strip():
                table = _json_table(path, block.removeprefix(codecs.BOM_UTF8), n)
                yield Batch(table, np.arange(n + 1, n + table.num_rows + 1))
                n += table.num_rows
            if not data:
                break
    if n == 0:
        raise no_rows(path, False)


def _json_table(path: Path, block: bytes, before: int) -> pa.Table:
    try:
        options = pajson.ReadOptions(use_threads=False, block_size=max(len(block) + 1, 1 << 16))
        return pajson.read_json(io.BytesIO(block), read_options=options)
    except pa.ArrowInvalid:
        return _json_slowly(path, block, before)


def _json_slowly(path: Path, block: bytes, before: int) -> pa.Table:
    """Read JSON line by line, to find a broken line and turn mixed columns into text."""
    records: list[dict[str, Any]] = []
    for line in block.split(b"\n"):
        if not line.strip():
            continue
        row = before + len(records) + 1
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path} has no valid JSON in row {row}: {error.msg} at character {error.colno}."
            ) from None
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is not utf-8 text: row {row}, byte {error.start} of the line."
            ) from None
        if not isinstance(record, dict):
            raise InputError(
                f"{path} has {type(record).__name__} in row {row}; each line must be one JSON "
                "object."
            )
        records.append(record)
    columns = {}
    for name in dict.fromkeys(itertools.chain.from_iterable(records)):
        values = [record.get(name) for record in records]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            columns[name] = pa.array(
                [v if v is None or isinstance(v, str) else json.dumps(v) for v in values],
                pa.string(),
            )
    return pa.table(columns)


def _parquet(path: Path) -> Iterator[Batch]:
    n = 0
    try:
        file = pq.ParquetFile(path)
        for chunk in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            yield Batch(pa.Table.from_batches([chunk]), np.arange(n + 1, n + chunk.num_rows + 1))
            n += chunk.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is a damaged Parquet file ({error}); export it again.") from None
    if n == 0:
        raise no_rows(path, False)
