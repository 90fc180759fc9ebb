"""Read delimited text (CSV and its relatives) with Arrow, and explain where a file is broken."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from eventlog._runtime.errors import InputError
from eventlog.ingest import streams
from eventlog.ingest.aliases import ALIASES
from eventlog.ingest.mapping import FileFormat
from eventlog.ingest.mapping_values import check_encoding
from eventlog.ingest.streams import Batch, InputFile, WatchedStream, no_rows, refuse_long_line
from eventlog.ingest.values import TEXT, each_its_own, plain_name

# A text that a ' keeps a spreadsheet from running, as in exports; see `unprotected`.
PROTECTED = r"^'+[=+@\t\r\n-]"
HEAD_BYTES = 1 << 22  # read to find the first line
SAMPLE, FEW_ROWS = 20_000, 100  # fields of the first rows, and rows that are too few
NUMBER_OR_TIME = re.compile(r"[\d.:/+TZ -]*")


def read_text(
    file: InputFile, kind: str, layout: FileFormat, known: set[str], allow_ragged: bool
) -> Iterator[Batch]:
    """Yield the rows of a delimited text file; see `readers.read_batches`.

    `kind` is its suffix without that of a compression.
    """
    opening = _opening(file, kind, layout, known)
    delimiter, names, quote = opening.delimiter, opening.names, layout.quote.encode()
    with opening.open() as utf8:
        watched = WatchedStream(utf8, file, quote)
        stream: Any = watched
        # Arrow splits at one byte.
        if len(delimiter) > 1:
            stream = io.BufferedReader(TabStream(watched, delimiter), streams.BLOCK)
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
                chunk = unprotected(chunk)
                rows = np.arange(last + 1, last + 1 + chunk.num_rows + len(left_out))
                rows = rows[~np.isin(rows, left_out)][: chunk.num_rows]
                yield Batch(pa.Table.from_batches([chunk]), rows, list(ragged), str(file))
                ragged.clear()
                last = int(rows[-1]) if len(rows) else last
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            _explain(opening, len(names))
            if "Empty CSV file" in str(error):
                raise no_rows(file, opening.header) from None
            raise InputError(
                f"{file} cannot be read as {opening.encoding} text with {delimiter!r} between the "
                f"fields: {error}"
            ) from None
    last = max([last, *left_out])
    if last == before:
        raise no_rows(file, opening.header)
    spread = watched.lines + (watched.last != b"\n") != last - opening.lines_before
    if quote and watched.quotes and (watched.quotes % 2 or spread):
        _explain(opening, None if allow_ragged else len(names))


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


def unprotected(chunk: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows without the ' that keeps a spreadsheet from running a text as a formula.

    Exports have it before texts that begin with = + - @ (see `eventlog.formats`).
    """
    columns = []
    for column in chunk.columns:
        column = column if pa.types.is_dictionary(column.type) else each_its_own(column)
        texts = column.dictionary
        if pc.any(pc.starts_with(texts, "'")).as_py():
            marked = pc.match_substring_regex(texts, PROTECTED)
            texts = pc.if_else(marked, pc.utf8_slice_codeunits(texts, 1), texts)
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


# --- how the file begins --------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    """What the first lines of a file say, and how to open it after those that are no rows."""

    file: InputFile
    layout: FileFormat
    encoding: str
    delimiter: str
    names: list[str]  # of all fields of a row
    header: bool
    lines_before: int  # the header, or the first row
    empty: int = 0  # fields at the end of each row that have no name and no value
    unlike: tuple[str, ...] = ()  # columns of numbers or times that hardly occur twice

    def open(self) -> IO[bytes]:
        """Open the file as UTF-8 text from its header, or its first row, on."""
        stream: Any = self.file.open()
        if self.encoding != "utf-8" or self.layout.comment:
            text = io.TextIOWrapper(stream, self.encoding, newline="")
            stream = io.BufferedReader(Utf8Stream(text, self.layout.comment))
        for _ in range(self.lines_before):
            stream.readline()
        return stream  # type: ignore[no-any-return]


class Utf8Stream(io.RawIOBase):
    """A text file as UTF-8 bytes, without the lines that begin with a comment mark."""

    def __init__(self, text: io.TextIOWrapper, comment: str) -> None:
        self.text, self.comment = text, comment
        self.rest = b""  # read, and not yet handed on

    def readable(self) -> bool:
        """Return True, as a stream for reading must."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` and return the number of bytes, 0 at the end."""
        while not self.rest and (text := self.text.read(1 << 20)):
            if self.comment:
                lines = (text + self.text.readline()).splitlines(keepends=True)
                # An empty line counts as a row of the file, but is none of the table.
                text = "".join("\n" if n.startswith(self.comment) else n for n in lines)
            self.rest = text.encode()
        n = min(len(self.rest), len(buffer))
        buffer[:n], self.rest = self.rest[:n], self.rest[n:]
        return n

    def close(self) -> None:
        """Close the file too."""
        self.text.close()
        super().close()


def _opening(file: InputFile, kind: str, layout: FileFormat, known: set[str]) -> Opening:
    """Find the delimiter, the names and the header of a file.

    Lines before the header that begin with # and the `sep=;` that Excel understands are left out.
    """
    encoding = check_encoding(layout.encoding, f"{file}: the encoding")
    with file.open() as stream:
        head = WatchedStream(stream, file, b"").read(HEAD_BYTES)
    lines = _lines(file, head, encoding)
    start, separator = layout.skip_rows, None
    marks = ("#", layout.comment) if layout.comment else ("#",)
    commented = ""  # the last line before the header that begins with #
    while start < len(lines):
        line = lines[start].strip()
        found = re.fullmatch(r"""\s*["']?sep=(.)["']?[ \r]*""", lines[start])
        separator = found[1] if found else separator
        if line and not line.startswith(marks) and not found:
            break
        commented = line if line.startswith("#") else ""
        start += 1
    else:
        raise InputError(
            f"{file} has no row after the {start:,} line(s) that are skipped; there is nothing to "
            "import."
        )
    if _is_header(commented.lstrip("# "), lines[start], layout.quote, known):
        start -= 1
        lines[start] = commented.lstrip("# ")
    guessed = separator or _guess_delimiter(lines[start], layout.quote)
    delimiter = layout.delimiter or ("\t" if kind in (".tsv", ".inter") else guessed)
    names, header = _names(file, lines[start], delimiter, layout, known)
    empty = _empty_fields(lines[start : start + 50], delimiter, layout.quote, len(names))
    if empty and header:
        names = [*names, *(f"no name {i}" for i in range(empty))]
    rows = lines[start + int(header) : -1][: 1 + SAMPLE // len(names)]
    unlike = _unlike([_split(line, delimiter, layout.quote) for line in rows], names)
    # Lines of the file that are blank do not count, as in Arrow.
    return Opening(
        file, layout, encoding, delimiter, names, header, start, empty if header else 0, unlike
    )


def _unlike(rows: list[list[str]], names: list[str]) -> tuple[str, ...]:
    """Return the columns of which nearly each value is another: to code them would not pay."""
    rows = [row for row in rows if len(row) == len(names)]
    if len(rows) < FEW_ROWS:
        return ()
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return tuple(
        name
        for name, values in columns.items()
        if len(set(values)) > 0.9 * len(rows) and all(map(NUMBER_OR_TIME.fullmatch, values))
    )


def _is_header(commented: str, line: str, quote: str, known: set[str]) -> bool:
    """Return whether a line that begins with # names the fields of the line after it."""
    delimiter = _guess_delimiter(line, quote)
    names = _split(commented, delimiter, quote) if commented else []
    values = _split(line, delimiter, quote)
    if len(names) < 2 or len(names) != len(values):
        return False
    usual = {alias for aliases in ALIASES.values() for alias in aliases}

    def named(fields: list[str]) -> bool:
        return any(f.strip() in known or plain_name(f) in usual for f in fields)

    return named(names) and not named(values)


def _empty_fields(lines: list[str], delimiter: str, quote: str, width: int) -> int:
    """Return 1 if each row has an empty field more than the header, as `a,b,` has."""
    rows = [_split(line, delimiter, quote) for line in lines[1:-1] or lines[1:] if line.strip()]
    more = all(len(row) == width + 1 and not row[-1].strip() for row in rows)
    return int(bool(rows) and more and delimiter != "whitespace")


def _lines(file: InputFile, head: bytes, encoding: str) -> list[str]:
    """Return the first lines of a file. Raises InputError if it is no text or has none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not encoding.startswith(
        "utf-16"
    ):
        raise InputError(
            f"{file} is UTF-16 text, not {encoding}; give --encoding utf-16, or set it in [file] "
            "of a mapping."
        )
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        at = head.index(b"\0")
        raise InputError(
            f"{file} is not a text file: byte {at} (row {head.count(b'%c' % 10, 0, at) + 1}) is "
            "zero."
        )
    try:
        text = codecs.getincrementaldecoder(encoding)("replace").decode(head).lstrip("\ufeff")
    except UnicodeError as error:
        raise InputError(
            f"{file} is not {encoding} text: {error}; name the right one with --encoding or in "
            "[file] of a mapping."
        ) from None
    lines = re.split(r"\r\n|\n|\r", text)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise InputError(f"{file} is empty (blank lines only); there is nothing to import.")
    if first.lstrip().startswith(("{", "[{")):
        raise InputError(
            f"{file} holds JSON, not delimited text; name it .jsonl, one object a line."
        )
    return lines


def _guess_delimiter(line: str, quote: str) -> str:
    """Return the delimiter that occurs most often in a line, outside quotes."""
    if quote:
        q = re.escape(quote)
        line = re.sub(rf"{q}[^{q}]*{q}", "", line)
    return "::" if "::" in line else max((",", "\t", ";", "|"), key=line.count)


def _split(line: str, delimiter: str, quote: str) -> list[str]:
    if delimiter == "whitespace":
        return line.split()
    if len(delimiter) > 1:
        return line.split(delimiter)
    before = csv.field_size_limit(HEAD_BYTES)
    try:
        return next(
            csv.reader(
                [line],
                delimiter=delimiter,
                quotechar=quote or None,
                quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            )
        )
    finally:
        csv.field_size_limit(before)


def _names(
    path: InputFile, line: str, delimiter: str, layout: FileFormat, known: set[str]
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
    names = [name[1:] if re.match(PROTECTED, name) else name for name in names]
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns called {twice!r} in row 1; rename one.")
    return names, True


# --- where the file is broken ---------------------------------------------------------------------


def _explain(opening: Opening, width: int | None) -> None:
    """Read a file again, slowly, and raise InputError at the place where it is broken, if any."""
    file, layout, delimiter = opening.file, opening.layout, opening.delimiter
    _explain_encoding(file, opening.encoding)
    if len(delimiter) > 1 or not layout.quote:
        with opening.open() as stream:
            lines = io.TextIOWrapper(_buffered(stream), "utf-8")
            fields = (_split(line.rstrip("\r\n"), delimiter, "") for line in lines if line.strip())
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
                        raise InputError(
                            f"{file} has {len(values)} fields in row {row}{spans if quoted else ''}"
                            f", but {width} were expected."
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
                f"{file} has broken quoting: {where} has {what}; double the quotes inside values."
            ) from None
        finally:
            csv.field_size_limit(before)


def _buffered(stream: Any) -> Any:
    return stream if isinstance(stream, io.BufferedIOBase) else io.BufferedReader(stream)


def _explain_width(opening: Opening, records: Iterator[list[str]], width: int | None) -> None:
    for row, values in enumerate(records, start=1 + opening.lines_before):
        if width is not None and len(values) != width:
            raise InputError(
                f"{opening.file} has {len(values)} fields in row {row}, but {width} were expected."
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
