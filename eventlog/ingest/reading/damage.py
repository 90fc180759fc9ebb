"""Find the place at which a text file is broken, by reading it again, slowly."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import Any

from eventlog._runtime.errors import InputError
from eventlog.ingest.reading.opening import Opening, split
from eventlog.ingest.reading.streams import (
    InputFile,
    refuse_long_line,
)


def explain(opening: Opening, width: int | None) -> None:
    """Read a file again, slowly, and raise InputError at the place where it is broken, if any."""
    file, layout, delimiter = opening.file, opening.layout, opening.delimiter
    _explain_encoding(file, opening.encoding)
    if len(delimiter) > 1 or not layout.quote:
        with opening.open() as stream:
            lines = io.TextIOWrapper(_buffered(stream), "utf-8")
            fields = (split(line.rstrip("\r\n"), delimiter, "") for line in lines if line.strip())
            _explain_width(opening, fields, width)
        return
    with opening.open() as stream:
        reader = csv.reader(
            io.TextIOWrapper(_buffered(stream), "utf-8", newline=""),
            delimiter=delimiter,
            quotechar=layout.quote,
            strict=True,
        )
        row, line, before = opening.lines_before, 0, csv.field_size_limit(1 << 30)
        try:
            for values in reader:
                if values:
                    row += 1
                    if width is not None and len(values) != width:
                        first, end = line + 1, reader.line_num
                        quoted = end > first
                        spans = f" (a quoted value in it runs from line {first} to {end})"
                        raise _wrong_width(file, len(values), row, width, spans if quoted else "")
                line = reader.line_num
        except csv.Error as error:
            what = (
                "a quote that is never closed"
                if "unexpected end" in str(error)
                else "text after a closing quote"
            )
            where = f"row {row + 1} (from line {line + 1})"
            raise InputError(
                f"{file} has broken quoting: {where} has {what}; double the quotes inside values."
            ) from None
        finally:
            csv.field_size_limit(before)


def _buffered(stream: Any) -> Any:
    return stream if isinstance(stream, io.BufferedIOBase) else io.BufferedReader(stream)


def _explain_width(opening: Opening, records: Iterator[list[str]], width: int | None) -> None:
    for row, values in enumerate(records, start=1 + opening.lines_before):
        if width is not None and len(values) != width:
            raise _wrong_width(opening.file, len(values), row, width)


def _wrong_width(file: InputFile, n: int, row: int, width: int, spans: str = "") -> InputError:
    title = "; if lines of text stand before the header, count them in skip_rows ([file])"
    return InputError(
        f"{file} has {n} fields in row {row}{spans}, but {width} were expected"
        f"{title if width == 1 else ''}."
    )


def _explain_encoding(file: InputFile, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line, long = 0, 1, 0  # `long`: bytes since the last line end
    with file.open() as stream:
        for data in iter(lambda: stream.read(1 << 20), b""):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(data)
            except UnicodeDecodeError as error:
                at = error.start - pending
                line += data.count(b"\n", 0, max(at, 0))
                raise InputError(
                    f"{file} is not {encoding} text: row {line}, byte {offset + at} "
                    f"({error.object[error.start]:#04x}); "
                    "name the right one with --encoding or in [file] of a mapping (latin-1 or "
                    "cp1252, perhaps)."
                ) from None
            offset += len(data)
            line += data.count(b"\n")
            end = data.rfind(b"\n") + 1
            long = len(data) - end if end else long + len(data)
            refuse_long_line(long, file)
