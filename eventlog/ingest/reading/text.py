"""Read delimited text (CSV and its relatives) with Arrow, and explain where a file is broken."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.values import TEXT, each_its_own
from eventlog.ingest.mapping import FileFormat
from eventlog.ingest.reading import streams
from eventlog.ingest.reading.damage import explain
from eventlog.ingest.reading.opening import PROTECTED, Opening, opening_of
from eventlog.ingest.reading.streams import (
    Batch,
    InputFile,
    Marks,
    WatchedStream,
    no_rows,
    refuse_long_line,
    scan,
)


def read_text(
    file: InputFile, kind: str, layout: FileFormat, known: set[str], allow_ragged: bool
) -> Iterator[Batch]:
    """Yield the rows of a delimited text file; see `batches.read_batches`.

    `kind` is its suffix without that of a compression.
    """
    opening = opening_of(file, kind, layout, known)
    delimiter, names, quote = opening.delimiter, opening.names, layout.quote.encode()
    with opening.open() as utf8:
        stream, marks = _rows_of(utf8, opening, quote)
        ragged: list[tuple[int, str]] = []  # not yet yielded
        left_out: list[int] = []
        before = opening.lines_before + int(opening.header)  # number of the last row seen

        def set_aside(row: Any) -> str:
            number = int(row.number) + opening.lines_before
            ragged.append((number, str(row.text)))
            left_out.append(number)
            return "skip" if allow_ragged else "error"

        options: dict[str, Any] = {
            "read_options": pacsv.ReadOptions(
                column_names=names,
                skip_rows=int(opening.header),
                use_threads=False,
                block_size=streams.BLOCK,
            ),
            "parse_options": pacsv.ParseOptions(
                delimiter="\t" if len(delimiter) > 1 else delimiter,
                quote_char=layout.quote or False,
                newlines_in_values=bool(layout.quote),
                invalid_row_handler=set_aside,
            ),
            "convert_options": pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, TEXT)
                | dict.fromkeys(opening.unlike, pa.string()),
                include_columns=names[: -opening.empty] if opening.empty else names,
                strings_can_be_null=True,
                null_values=list(layout.missing),
            ),
        }
        last = before
        try:
            for chunk in _chunks(stream, options):
                chunk = coded_chunk(chunk, protected=marks.protected)
                rows = np.arange(last + 1, last + 1 + chunk.num_rows + len(left_out))
                if left_out:
                    rows = rows[~np.isin(rows, left_out)][: chunk.num_rows]
                yield Batch(pa.Table.from_batches([chunk]), rows, list(ragged), str(file))
                ragged.clear()
                last = int(rows[-1]) if len(rows) else last
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            explain(opening, len(names))
            if any(text in str(error) for text in ("Empty CSV file", "Could not skip initial")):
                raise no_rows(file, opening.header) from None
            raise InputError(
                f"{file} cannot be read as {opening.encoding} text with {delimiter!r} between the "
                f"fields: {error}"
            ) from None
    last = max([last, *left_out])
    if last == before:
        raise no_rows(file, opening.header)
    spread = marks.lines != last - opening.lines_before
    if quote and marks.quotes and (marks.quotes % 2 or spread):
        explain(opening, None if allow_ragged else len(names))


def _rows_of(utf8: IO[bytes], opening: Opening, quote: bytes) -> tuple[Any, Marks]:
    """Return what Arrow reads the rows from, and the marks of what it has read, at least."""
    if len(opening.delimiter) > 1:  # Arrow splits at one byte
        watched = WatchedStream(utf8, opening.file, quote)
        tabs = TabStream(watched, opening.delimiter)
        return io.BufferedReader(tabs, streams.BLOCK), watched.marks
    if opening.as_it_is:  # without Python in between
        stream = pa.OSFile(os.fsencode(str(opening.file.path)))
        stream.seek(utf8.tell())
        return stream, scan(opening.file, utf8.tell(), quote)
    watched = WatchedStream(utf8, opening.file, quote)
    return watched, watched.marks


def _chunks(stream: Any, options: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield what Arrow reads."""
    with _silent_on_bytes():
        reader = pacsv.open_csv(stream, **options)
    while True:
        with _silent_on_bytes():
            try:
                chunk = reader.read_next_batch()
            except StopIteration:
                return
        yield chunk


@contextmanager
def _silent_on_bytes() -> Iterator[None]:
    """Keep Python from printing that a ragged row is no text; `_explain` says where and why."""
    before = sys.unraisablehook

    def hook(found: Any) -> None:
        if not isinstance(found.exc_value, UnicodeDecodeError):
            before(found)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def coded_chunk(chunk: pa.RecordBatch, *, protected: bool) -> pa.RecordBatch:
    """Return the rows as codes, without what spreadsheets have around texts that are `protected`.

    A ' keeps a text that begins with = + - @ from running as a formula (see `eventlog.formats`);
    ="00123" is a formula that keeps a code's zeros.
    """
    columns = []
    for column in chunk.columns:
        column = column if pa.types.is_dictionary(column.type) else each_its_own(column)
        texts = column.dictionary
        if protected and any(pc.starts_with(texts, mark).true_count for mark in ("'", '="')):
            marked = pc.match_substring_regex(texts, PROTECTED)
            bare = pc.replace_substring_regex(texts, r'^="([^"]*)"$', r"\1")
            texts = pc.if_else(marked, pc.utf8_slice_codeunits(texts, 1), bare)
            column = texts.take(column.indices).dictionary_encode()
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=chunk.schema.names)


class TabStream(io.RawIOBase):
    """A text with a tab for each delimiter of several characters."""

    def __init__(self, watched: WatchedStream, delimiter: str) -> None:
        self.watched, self.blank = watched, delimiter == "whitespace"
        self.pattern = rb"[ \t]+" if self.blank else re.escape(delimiter.encode())
        self.rest, self.cut = b"", b""  # to be handed on, and a line whose end is not read yet

    def readable(self) -> bool:
        """Return True, as a stream for reading must."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` and return the number of bytes, 0 at the end."""
        while not self.rest:
            data = self.watched.read(streams.BLOCK)
            self.cut += data
            end = self.cut.rfind(b"\n") + 1 if data else len(self.cut)
            self.rest, self.cut = self._with_tabs(self.cut[:end]), self.cut[end:]
            refuse_long_line(len(self.cut), self.watched.file)
            if not data:
                break
        n = min(len(self.rest), len(buffer))
        buffer[:n], self.rest = self.rest[:n], self.rest[n:]
        return n

    def _with_tabs(self, text: bytes) -> bytes:
        lines = text.splitlines()
        if self.blank:
            lines = [line.strip() for line in lines]
        return b"".join(re.sub(self.pattern, b"\t", line) + b"\n" for line in lines)
