"""A file of events -> batches of columns as they stand in it. Knows formats and how they break,
nothing about their meaning.

Text is read as text (strings, dictionary-coded), so that one bad value never fails a file; numbers
and times are made later. A file that is broken as a whole raises InputError with file, row and
column; rows count from 1, a header line included.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog.ingest.mapping import FileFormat

BLOCK = 16 << 20  # bytes of text per batch
BATCH_ROWS = 500_000
TEXT = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
LINES = (".jsonl", ".ndjson", ".json")
PACKED = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
SUFFIXES = (*TEXT, *LINES, ".parquet")
STRINGS = pa.dictionary(pa.int32(), pa.string())
RAGGED = "wrong number of fields"


@dataclass
class Batch:
    """Some rows of a file."""

    table: pa.Table
    # (n_rows,) int64: row number in the file
    rows: np.ndarray
    ragged: list[tuple[int, str]] = field(default_factory=list)  # rows left out: number, text


def read_batches(
    path: Path, layout: FileFormat, known: set[str], *, allow_ragged: bool = False
) -> Iterator[Batch]:
    """Yield the rows of a .csv/.tsv/.txt/.jsonl file (also .gz, .bz2, .zst) or .parquet file, in
    order.

    `known` are column names that the mapping uses: they tell a header from data where
    `layout.header` is "auto". `allow_ragged` sets rows with too few or too many fields aside
    instead of refusing the file.
    """
    kind, packed = _kind(path)
    if kind == ".parquet":
        yield from _parquet(path)
    elif kind in LINES:
        yield from _json_lines(path, packed)
    else:
        yield from _text(path, kind, packed, layout, known, allow_ragged)


# --- what kind of file it is ----------------------------------------------------------------------


def _kind(path: Path) -> tuple[str, str]:
    """Suffix without that of its packing, and the packing ("" for none); InputError where the bytes
    say otherwise.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    suffixes = [s.lower() for s in path.suffixes] or [""]
    packed = PACKED.get(suffixes[-1], "")
    kind = (suffixes[-2] if len(suffixes) > 1 else "") if packed else suffixes[-1]
    if kind in SPREADSHEETS:
        raise InputError(f"{path} is a spreadsheet; save its sheet as CSV and import that.")
    if kind not in SUFFIXES or (packed and kind == ".parquet"):
        raise InputError(
            f"{path} has a name that says nothing about its format; known endings: "
            f"{', '.join(SUFFIXES)} "
            f"(text also {' '.join(PACKED)})."
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
            f"{path} is named {name}, but holds {found}, not {expected}; give it the name of what "
            "it is or export it again."
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


def _open(path: Path, packed: str) -> IO[bytes]:
    if packed == "zstd":
        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")  # type: ignore[no-any-return]
    return {"gzip": gzip.open, "bzip2": bz2.open, "": open}[packed](path, "rb")  # type: ignore[operator, no-any-return]


class _Watched(io.RawIOBase):
    """The stream that Arrow reads, with quotes and line ends counted on the way: their parity
    betrays broken quoting.
    """

    def __init__(self, stream: IO[bytes], path: Path, quote: bytes) -> None:
        self.stream, self.path, self.quote = stream, path, quote
        self.quotes = self.lines = 0
        self.last = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            data = self.stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            packed = PACKED.get(self.path.suffix.lower(), "text")
            raise InputError(
                f"{self.path} is a damaged {packed} file ({error}); fetch it again."
            ) from None
        if self.quote:
            self.quotes += data.count(self.quote)
        self.lines += data.count(b"\n")
        self.last = data[-1:] or self.last
        return data

    def close(self) -> None:
        self.stream.close()
        super().close()


# --- delimited text -------------------------------------------------------------------------------


def _text(
    path: Path, kind: str, packed: str, layout: FileFormat, known: set[str], allow_ragged: bool
) -> Iterator[Batch]:
    encoding = _codec(path, layout.encoding)
    with _open(path, packed) as file:
        head = _Watched(file, path, b"").read(1 << 18)  # type: ignore[arg-type]
    first = _first_line(path, head, encoding)
    delimiter = layout.delimiter or (
        "\t" if kind in (".tsv", ".inter") else _guess_delimiter(first)
    )
    names, header = _names(path, first, delimiter, layout, known)

    quote = layout.quote.encode()
    with _open(path, packed) as file:
        watched = _Watched(file, path, quote)
        stream: Any = watched
        # Arrow splits at one byte; such files are small, so they are rewritten in memory
        if len(delimiter) > 1:
            pattern = (
                rb"[ \t]+" if delimiter == "whitespace" else re.escape(delimiter.encode(encoding))
            )
            lines = watched.read().splitlines()
            stream = io.BytesIO(
                b"\n".join(
                    re.sub(pattern, b"\t", line.strip() if delimiter == "whitespace" else line)
                    for line in lines
                )
            )
        ragged: list[tuple[int, str]] = []  # not yet handed on
        left_out: list[int] = []

        def set_aside(row: Any) -> str:
            ragged.append((int(row.number), str(row.text)))
            left_out.append(int(row.number))
            return "skip" if allow_ragged else "error"

        options: dict[str, Any] = {
            "read_options": pacsv.ReadOptions(
                column_names=names,
                skip_rows=int(header),
                use_threads=False,
                block_size=BLOCK,
                encoding=encoding,
            ),
            "parse_options": pacsv.ParseOptions(
                delimiter="\t" if len(delimiter) > 1 else delimiter,
                quote_char=layout.quote or False,
                newlines_in_values=bool(layout.quote),
                invalid_row_handler=set_aside,
            ),
            "convert_options": pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, STRINGS),
                strings_can_be_null=True,
                null_values=list(layout.missing),
            ),
        }
        last = int(header)  # number of the last row seen
        try:
            for chunk in pacsv.open_csv(stream, **options):
                rows = np.arange(last + 1, last + 1 + chunk.num_rows + len(left_out))
                rows = rows[~np.isin(rows, left_out)][: chunk.num_rows]
                yield Batch(pa.Table.from_batches([chunk]), rows, list(ragged))
                ragged.clear()
                last = int(rows[-1]) if len(rows) else last
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            _explain(path, packed, layout, delimiter, encoding, len(names))
            if "Empty CSV file" in str(error):
                raise _no_rows(path, header) from None
            raise InputError(
                f"{path} cannot be read as {encoding} text with {delimiter!r} between the fields: "
                f"{error}"
            ) from None
    last = max([last, *left_out])
    if last == header:
        raise _no_rows(path, header)
    spread = watched.lines + (watched.last != b"\n") != last
    if quote and watched.quotes and (watched.quotes % 2 or spread):
        _explain(path, packed, layout, delimiter, encoding, None if allow_ragged else len(names))


def _no_rows(path: Path, header: bool) -> InputError:
    return InputError(
        f"{path} has {'a header and ' if header else ''}no rows; there is nothing to import."
    )


def _codec(path: Path, name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise InputError(
            f"The encoding {name!r} for {path} is not known; utf-8, latin-1 and cp1252 are common "
            "ones."
        ) from None


def _first_line(path: Path, head: bytes, encoding: str) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not encoding.startswith(
        "utf-16"
    ):
        raise InputError(
            f"{path} is UTF-16 text, not {encoding}; give --encoding utf-16, or set it in [file] "
            "of a mapping."
        )
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        at = head.index(b"\0")
        raise InputError(
            f"{path} is not a text file: byte {at} (row {head.count(b'%c' % 10, 0, at) + 1}) is "
            "zero."
        )
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip("\ufeff")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty (blank lines only); there is nothing to import.")
    if lines[0].lstrip().startswith(("{", "[{")):
        raise InputError(
            f"{path} holds JSON, not delimited text; name it .jsonl, one object a line."
        )
    return lines[0]


def _guess_delimiter(line: str) -> str:
    return "::" if "::" in line else max((",", "\t", ";", "|"), key=line.count)


def _split(line: str, delimiter: str, quote: str) -> list[str]:
    if delimiter == "whitespace":
        return line.split()
    if len(delimiter) > 1:
        return line.split(delimiter)
    return next(
        csv.reader(
            [line],
            delimiter=delimiter,
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        )
    )


def _names(
    path: Path, line: str, delimiter: str, layout: FileFormat, known: set[str]
) -> tuple[list[str], bool]:
    """Column names, and whether the first line holds them."""
    fields = [f.strip() for f in _split(line, delimiter, layout.quote)]
    header = any(f in known for f in fields) if layout.header == "auto" else layout.header
    if not header:
        for layout_names in layout.columns:
            if len(layout_names) == len(fields):
                return list(layout_names), False
        if layout.columns:
            wanted = " or ".join(str(len(names)) for names in layout.columns)
            raise InputError(
                f"{path} has {len(fields)} fields in row 1, {wanted} were expected "
                f"({', '.join(layout.columns[0])})."
            )
        return [f"column_{i + 1}" for i in range(len(fields))], False
    names = [name or f"column_{i + 1}" for i, name in enumerate(fields)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns called {twice!r} in row 1; rename one.")
    return names, True


def _explain(
    path: Path, packed: str, layout: FileFormat, delimiter: str, encoding: str, width: int | None
) -> None:
    """Read a file that does not parse once more, slowly, and raise InputError at the place where it
    breaks (if it does).
    """
    _explain_encoding(path, packed, encoding)
    if len(delimiter) > 1 or not layout.quote:
        fields: Iterator[list[str]]
        with _open(path, packed) as file:
            lines = io.TextIOWrapper(file, encoding)
            fields = (_split(line.rstrip("\r\n"), delimiter, "") for line in lines if line.strip())
            _explain_width(path, fields, width)
        return
    with _open(path, packed) as file:
        reader = csv.reader(
            io.TextIOWrapper(file, encoding, newline=""),
            delimiter=delimiter,
            quotechar=layout.quote,
            strict=True,
        )
        row, line, before = 0, 0, csv.field_size_limit(1 << 30)
        try:
            for values in reader:
                if values:
                    row += 1
                    if width is not None and len(values) != width:
                        quoted = reader.line_num > line + 1
                        spans = (
                            f" (a quoted value in it runs from line {line + 1} to "
                            f"{reader.line_num})"
                            if quoted
                            else ""
                        )
                        raise InputError(
                            f"{path} has {len(values)} fields in row {row}{spans}, {width} were "
                            "expected."
                        )
                line = reader.line_num
        except csv.Error as error:
            what = (
                "a quote that is never closed"
                if "unexpected end" in str(error)
                else "text after a closing quote"
            )
            where = f"row {row + 1} (from line {line + 1})"
            raise InputError(
                f"{path} has broken quoting: {where} has {what}; double the quotes inside values."
            ) from None
        finally:
            csv.field_size_limit(before)


def _explain_width(path: Path, records: Iterator[list[str]], width: int | None) -> None:
    for row, values in enumerate(records, start=1):
        if width is not None and len(values) != width:
            raise InputError(
                f"{path} has {len(values)} fields in row {row}, {width} were expected."
            )


def _explain_encoding(path: Path, packed: str, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = 0, 1
    with _open(path, packed) as file:
        for data in iter(lambda: file.read(1 << 20), b""):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(data)
            except UnicodeDecodeError as error:
                at = error.start - pending
                line += data.count(b"\n", 0, max(at, 0))
                raise InputError(
                    f"{path} is not {encoding} text: row {line}, byte {offset + at} "
                    f"({error.object[error.start]:#04x}); "
                    "name the right one with --encoding or in [file] of a mapping (latin-1 or "
                    "cp1252, perhaps)."
                ) from None
            offset += len(data)
            line += data.count(b"\n")


# --- JSON lines and Parquet -----------------------------------------------------------------------


def _json_lines(path: Path, packed: str) -> Iterator[Batch]:
    n = 0
    with _open(path, packed) as file:
        watched = _Watched(file, path, b"")
        rest = b""
        while True:
            data = watched.read(BLOCK)
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
        raise _no_rows(path, False)


def _json_table(path: Path, block: bytes, before: int) -> pa.Table:
    try:
        options = pajson.ReadOptions(use_threads=False, block_size=max(len(block) + 1, 1 << 16))
        return pajson.read_json(io.BytesIO(block), read_options=options)
    except pa.ArrowInvalid:
        return _json_slowly(path, block, before)


def _json_slowly(path: Path, block: bytes, before: int) -> pa.Table:
    """Line by line: says which line is broken; a column that mixes numbers and text becomes
    text.
    """
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
        raise _no_rows(path, False)
