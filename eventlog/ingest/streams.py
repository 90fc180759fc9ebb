"""What all readers of files share: batches of rows, and byte streams that notice damage."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from eventlog._runtime.errors import InputError

BLOCK = 16 << 20  # bytes of text in a batch
COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}
RAGGED = "wrong number of fields"  # the reason for which such a row is set aside


@dataclass
class Batch:
    """Some rows of a file."""

    table: pa.Table
    rows: np.ndarray  # (n_rows,) int64: row number in the file
    ragged: list[tuple[int, str]] = field(default_factory=list)  # rows left out: (number, text)


def open_stream(path: Path, packed: str) -> IO[bytes]:
    """Open a file for reading bytes; `packed` is its compression, "" for none."""
    if packed == "zstd":
        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")  # type: ignore[no-any-return]
    openers: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "": open}
    opened: IO[bytes] = openers[packed](path, "rb")
    return opened


class WatchedStream(io.RawIOBase):
    """The stream that Arrow reads; counts quotes and line ends, which reveal broken quoting."""

    def __init__(self, stream: IO[bytes], path: Path, quote: bytes) -> None:
        self.stream, self.path, self.quote = stream, path, quote
        self.quotes = self.lines = 0
        self.last = b""

    def readable(self) -> bool:
        """Return True, as a stream for reading must."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read and count. Raises InputError where the compressed data is damaged."""
        try:
            data = self.stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            packed = COMPRESSIONS.get(self.path.suffix.lower(), "text")
            raise InputError(
                f"{self.path} is a damaged {packed} file ({error}); download or export it again."
            ) from None
        if self.quote:
            self.quotes += data.count(self.quote)
        self.lines += data.count(b"\n")
        self.last = data[-1:] or self.last
        return data

    def close(self) -> None:
        """Close the stream underneath too."""
        self.stream.close()
        super().close()


def no_rows(path: Path, header: bool) -> InputError:
    """Return the error for a file without rows; `header`: it has a header line."""
    return InputError(
        f"{path} has {'a header and ' if header else ''}no rows; there is nothing to import."
    )
