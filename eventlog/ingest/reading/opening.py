"""How a text file begins: its encoding, delimiter and header, and where its rows start."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.values import plain_name, wholly_match
from eventlog.ingest.detection.aliases import ALIASES
from eventlog.ingest.mapping import FileFormat
from eventlog.ingest.mapping_values import check_encoding
from eventlog.ingest.reading.streams import (
    InputFile,
    NoRowsError,
    WatchedStream,
)

# A text that a ' keeps a spreadsheet from running, as in exports; see `coded_chunk`.
PROTECTED = r"^'+[=+@\t\r\n-]"
HEAD_BYTES = 1 << 22  # read to find the first line
SAMPLE, FEW_ROWS = 20_000, 100  # fields of the first rows, and rows that are too few
NUMBER_OR_TIME = re.compile(r"[\d.:/+TZ -]*")


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

    @property
    def as_it_is(self) -> bool:
        """Whether the rows can be read from the file on this machine as they are."""
        plain = self.encoding == "utf-8" and not self.layout.comment and not self.file.compression
        return plain and self.file.path is not None

    def open(self) -> IO[bytes]:
        """Open the file as UTF-8 text from its header, or its first row, on."""
        stream = open_utf8(self.file, self.encoding, self.layout.comment)
        for _ in range(self.lines_before):
            stream.readline()
        return stream


def open_utf8(file: InputFile, encoding: str, comment: str = "") -> IO[bytes]:
    """Open a text file as UTF-8, without the lines that begin with `comment`."""
    stream = file.open()
    if encoding == "utf-8" and not comment:
        return stream
    text = io.TextIOWrapper(stream, encoding, newline="")
    return io.BufferedReader(Utf8Stream(text, comment))


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


def opening_of(file: InputFile, kind: str, layout: FileFormat, known: set[str]) -> Opening:
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
    unlike = _unlike(split_all(rows, delimiter, layout.quote), names)
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
    names = split(commented, delimiter, quote) if commented else []
    values = split(line, delimiter, quote)
    if len(names) < 2 or len(names) != len(values):
        return False
    usual = {alias for aliases in ALIASES.values() for alias in aliases}

    def named(fields: list[str]) -> bool:
        return any(f.strip() in known or plain_name(f) in usual for f in fields)

    return named(names) and not named(values)


def _empty_fields(lines: list[str], delimiter: str, quote: str, width: int) -> int:
    """Return 1 if each row has an empty field more than the header, as `a,b,` has."""
    rows = [split(line, delimiter, quote) for line in lines[1:-1] or lines[1:] if line.strip()]
    more = all(len(row) == width + 1 and not row[-1].strip() for row in rows)
    return int(bool(rows) and more and delimiter != "whitespace")


def _lines(file: InputFile, head: bytes, encoding: str) -> list[str]:
    """Return the first lines of a file. Raises InputError if it is no text or has none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not encoding.startswith(
        ("utf-16", "utf-32")
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
        raise NoRowsError(f"{file} is empty (blank lines only); there is nothing to import.")
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


def split(line: str, delimiter: str, quote: str) -> list[str]:
    """Return the fields of a line."""
    return split_all([line], delimiter, quote)[0]


def split_all(lines: list[str], delimiter: str, quote: str) -> list[list[str]]:
    """Return the fields of each line; a quoted value may go on in the next lines."""
    if delimiter == "whitespace":
        return [line.split() for line in lines]
    if len(delimiter) > 1:
        return [line.split(delimiter) for line in lines]
    before = csv.field_size_limit(HEAD_BYTES)
    try:
        return list(
            csv.reader(
                lines,
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
    fields = [f.strip() for f in split(line, delimiter, layout.quote)]
    header = any(f in known for f in fields) if layout.header == "auto" else layout.header
    if not header:
        long = [names for names in layout.columns if len(names) == len(fields)]
        if long:
            return list(next((n for n in long if _fits(n, fields, layout)), long[0])), False
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


def _fits(names: Sequence[str], fields: list[str], layout: FileFormat) -> bool:
    """Return whether the fields of a row look like the columns of these names."""
    return all(
        wholly_match(pa.array([field]), layout.patterns[name]).all()
        for name, field in zip(names, fields, strict=True)
        if name in layout.patterns
    )
