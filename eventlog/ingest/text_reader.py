"""Read delimited text (CSV and its relatives) with Arrow, and explain where a file is broken."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from eventlog._runtime.errors import InputError
from eventlog.ingest import streams
from eventlog.ingest.mapping import FileFormat
from eventlog.ingest.mapping_values import check_encoding
from eventlog.ingest.streams import Batch, WatchedStream, no_rows, open_stream

STRINGS = pa.dictionary(pa.int32(), pa.string())
HEAD_BYTES = 1 << 18  # read to find the first line


def read_text(
    path: Path, kind: str, packed: str, layout: FileFormat, known: set[str], allow_ragged: bool
) -> Iterator[Batch]:
    """Yield the rows of a delimited text file; see `readers.read_batches`.

    `kind` is its suffix, `packed` its compression ("" for none).
    """
    encoding = check_encoding(layout.encoding, f"{path}: the encoding")
    with open_stream(path, packed) as file:
        head = WatchedStream(file, path, b"").read(HEAD_BYTES)  # type: ignore[arg-type]
    first = _first_line(path, head, encoding)
    delimiter = layout.delimiter or (
        "\t" if kind in (".tsv", ".inter") else _guess_delimiter(first)
    )
    names, header = _names(path, first, delimiter, layout, known)

    quote = layout.quote.encode()
    with open_stream(path, packed) as file:
        watched = WatchedStream(file, path, quote)
        stream: Any = watched
        # Arrow splits at one byte. Files with longer delimiters are small: rewrite them in memory.
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
        ragged: list[tuple[int, str]] = []  # not yet yielded
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
                block_size=streams.BLOCK,
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
                raise no_rows(path, header) from None
            raise InputError(
                f"{path} cannot be read as {encoding} text with {delimiter!r} between the fields: "
                f"{error}"
            ) from None
    last = max([last, *left_out])
    if last == header:
        raise no_rows(path, header)
    spread = watched.lines + (watched.last != b"\n") != last
    if quote and watched.quotes and (watched.quotes % 2 or spread):
        _explain(path, packed, layout, delimiter, encoding, None if allow_ragged else len(names))


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
    """Return the column names, and whether the first line holds them."""
    fields = [f.strip() for f in _split(line, delimiter, layout.quote)]
    header = any(f in known for f in fields) if layout.header == "auto" else layout.header
    if not header:
        for layout_names in layout.columns:
            if len(layout_names) == len(fields):
                return list(layout_names), False
        if layout.columns:
            wanted = " or ".join(str(len(names)) for names in layout.columns)
            raise InputError(
                f"{path} has {len(fields)} fields in row 1, but {wanted} were expected "
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
    """Read a file again, slowly, and raise InputError at the place where it is broken, if any."""
    _explain_encoding(path, packed, encoding)
    if len(delimiter) > 1 or not layout.quote:
        fields: Iterator[list[str]]
        with open_stream(path, packed) as file:
            lines = io.TextIOWrapper(file, encoding)
            fields = (_split(line.rstrip("\r\n"), delimiter, "") for line in lines if line.strip())
            _explain_width(path, fields, width)
        return
    with open_stream(path, packed) as file:
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
                            f"{path} has {len(values)} fields in row {row}{spans}, but {width} "
                            "were expected."
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
                f"{path} has {len(values)} fields in row {row}, but {width} were expected."
            )


def _explain_encoding(path: Path, packed: str, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = 0, 1
    with open_stream(path, packed) as file:
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
