"""What all readers of files share: files, batches of rows, and streams that notice damage."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import pyarrow as pa

from eventlog._runtime.errors import InputError

BLOCK = 16 << 20  # bytes of text in a batch
SCANNED = 1 << 18  # bytes that are looked at while the processor has them at hand
LONGEST_LINE = 64 << 20  # bytes
COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd", ".xz": "xz"}
# What reading compressed data raises where it is damaged.
DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
RAGGED = "wrong number of fields"  # the reason for which such a row is set aside


@dataclass
class Batch:
    """Some rows of a file."""

    table: pa.Table
    rows: np.ndarray  # (n_rows,) int64: row number in the file
    ragged: list[tuple[int, str]] = field(default_factory=list)  # rows left out: (number, text)
    file: str = ""  # the file that the rows are of


@dataclass
class InputFile:
    """A file to read, wherever it is: on this machine, in an archive, behind an address."""

    name: str  # what sentences call it
    open_raw: Callable[[], IO[bytes]]
    size: int
    path: Path | None = None  # if it is on this machine
    partitions: tuple[tuple[str, str | None], ...] = ()  # of its folders: day=2024-01-01
    sha256: str = ""  # of its bytes, as soon as it is known

    def __str__(self) -> str:
        return self.name

    @property
    def suffixes(self) -> list[str]:
        """The endings of its name in lower case: [".csv", ".gz"]."""
        return [s.lower() for s in PurePosixPath(self.name.replace("\\", "/")).suffixes]

    @property
    def compression(self) -> str:
        """Its compression by its name, "" for none."""
        return COMPRESSIONS.get((self.suffixes or [""])[-1], "")

    def open(self) -> IO[bytes]:
        """Open it for reading bytes, decompressed."""
        packed = self.compression
        if packed == "zstd":
            stream = pa.PythonFile(self.open_raw(), mode="r")
            return io.BufferedReader(pa.CompressedInputStream(stream, "zstd"))
        if not packed:
            return self.open_raw()
        openers: dict[str, Callable[..., Any]] = {
            "gzip": gzip.open,
            "bzip2": bz2.open,
            "xz": lzma.open,
        }
        opener = openers[packed]
        opened: IO[bytes] = opener(self.path or self.open_raw(), "rb")
        return opened


def local_file(path: Path, **settings: Any) -> InputFile:
    """Return a file on this machine."""
    size = path.stat().st_size if path.is_file() else 0
    return InputFile(str(path), lambda: open(path, "rb"), size, path, **settings)


@dataclass
class Marks:
    """What reveals in a text that its quoting is broken, or that a spreadsheet wrote it."""

    quote: bytes
    quotes: int = 0
    ends: int = 0  # of lines; not counted where there are no quotes
    last: bytes = b""  # byte
    protected: bool = False  # a text may be what spreadsheets protect, which begins with ' or =

    def see(self, data: bytes) -> None:
        """Look at the next bytes."""
        if self.quote and self.quote in data:
            self.quotes += _count(data, self.quote)
        self.protected = self.protected or b"'" in data or b"=" in data
        self.last = data[-1:] or self.last

    @property
    def lines(self) -> int:
        """The number of lines."""
        return self.ends + (self.last != b"\n")


def scan(file: InputFile, start: int, quote: bytes) -> Marks:
    """Return the marks of a file on this machine from the byte `start` on, and note its SHA-256."""
    marks, digest = Marks(quote), hashlib.sha256()
    with file.open_raw() as stream:
        digest.update(stream.read(start))
        for data in iter(lambda: stream.read(SCANNED), b""):
            digest.update(data)
            marks.see(data)
        if marks.quotes:
            stream.seek(start)
            marks.ends = sum(
                _count(data, b"\n") for data in iter(lambda: stream.read(SCANNED), b"")
            )
    file.sha256 = digest.hexdigest()
    return marks


class WatchedStream(io.RawIOBase):
    """A stream that Arrow reads, and the marks of what was read so far."""

    def __init__(self, stream: IO[bytes], file: InputFile, quote: bytes) -> None:
        self.stream, self.file, self.marks = stream, file, Marks(quote)

    def readable(self) -> bool:
        """Return True, as a stream for reading must."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read and look. Raises InputError where the compressed data is damaged."""
        try:
            data = self.stream.read(size)
        except DAMAGE as error:
            packed = self.file.compression or "text"
            raise InputError(
                f"{self.file} is a damaged {packed} file ({error}); download or export it again."
            ) from None
        self.marks.see(data)
        if self.marks.quote:
            self.marks.ends += _count(data, b"\n")
        return data

    def close(self) -> None:
        """Close the stream underneath too."""
        self.stream.close()
        super().close()


def _count(data: bytes, mark: bytes) -> int:
    """Return how often one byte occurs; unlike bytes.count it is fast where it occurs often."""
    if len(mark) > 1:
        return data.count(mark)
    found, values = 0, np.frombuffer(data, dtype=np.uint8)
    for start in range(0, len(values), 1 << 20):  # what fits into the processor's cache
        found += int(np.count_nonzero(values[start : start + (1 << 20)] == mark[0]))
    return found


def refuse_long_line(n: int, file: InputFile) -> None:
    """Raise InputError if a line has more than LONGEST_LINE bytes: it is no table of rows."""
    if n > LONGEST_LINE:
        raise InputError(
            f"{file} has a line of more than {LONGEST_LINE >> 20} MiB; it is not a text with a row "
            "on each line."
        )


class NoRowsError(InputError):
    """A file has no rows: an error, unless it is one of several."""


def no_rows(file: InputFile, header: bool) -> NoRowsError:
    """Return the error for a file without rows; `header`: it has a header line."""
    return NoRowsError(
        f"{file} has {'a header and ' if header else ''}no rows; there is nothing to import."
    )
