"""Find the files of an import: paths, folders, patterns, archives, addresses, standard input.

Several files of one layout are one log. They are read in the order in which they are named, those
of a folder, pattern or archive by name, with numbers by value (part-9 before part-10).
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from eventlog._runtime.errors import InputError
from eventlog._runtime.extras import require
from eventlog._runtime.files import refuse_endless
from eventlog.ingest.reading.streams import COMPRESSIONS, DAMAGE, InputFile, local_file

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet")
MAGIC = {
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".xz": b"\xfd7zXZ\0",
}
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # what Hive and Spark call a folder of missing values


def find_files(inputs: Sequence[str | Path], scratch: Path) -> list[InputFile]:
    """Return the files that `inputs` name.

    Args:
        inputs: paths of files, folders or .zip archives, patterns (`2024-*.csv`), addresses
            (`s3://bucket/events/`), or "-" for standard input.
        scratch: a folder for what comes from standard input.

    Raises:
        InputError: nothing is found, a file is named twice, or an archive is damaged.
    """
    files: list[InputFile] = []
    for given in inputs:
        text = str(given)
        if text == "-":
            files.append(_standard_input(scratch))
        elif "://" in text:
            files += _remote(text, scratch)
        else:
            files += _local(Path(given), scratch)
    seen: dict[str, InputFile] = {}
    for file in files:
        first = seen.setdefault(os.path.realpath(file.path) if file.path else file.name, file)
        if first is not file:
            also = f" (as {first})" if first.name != file.name else ""
            raise InputError(f"{file} is given twice{also}; its rows would count twice.")
    return files


def digest_of(file: InputFile) -> str:
    """Return the SHA-256 of a file's bytes in hex, which a reader may have computed."""
    if not file.sha256:
        found = hashlib.sha256()
        with file.open_raw() as stream:
            for data in iter(lambda: stream.read(1 << 20), b""):
                found.update(data)
        file.sha256 = found.hexdigest()
    return file.sha256


def by_name(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names with the numbers in them by value."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), "") if i % 2 else (1, 0, p) for i, p in enumerate(parts)]


def _local(path: Path, scratch: Path) -> list[InputFile]:
    if path.is_dir():
        return _several(
            (
                local_file(p, partitions=_partitions(p.relative_to(path).parent.parts))
                for p in path.rglob("*")
                if p.is_file() and is_data(p.relative_to(path).parts)
            ),
            f"{path} is a folder without events/part-*.parquet and without a file to read",
            scratch,
        )
    if not path.exists() and glob.has_magic(str(path)):
        base = _before_pattern(path)
        found = [Path(p) for p in glob.glob(str(path), recursive=True)]
        return _several(
            (local_file(p, partitions=_partitions(p.parts[base:-1])) for p in found if p.is_file()),
            f"{path} matches no file",
            scratch,
        )
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    refuse_endless(path)
    return _archive(path, scratch) if path.suffix.lower() == ".zip" else [local_file(path)]


def _several(files: Iterable[InputFile], nothing: str, scratch: Path) -> list[InputFile]:
    """Return the files of a folder or pattern by name. Raises InputError if there are none."""
    found = sorted(files, key=lambda file: by_name(file.name))
    if not found:
        raise InputError(f"{nothing}; known endings: {', '.join(SUFFIXES)}.")
    return [
        member
        for file in found
        for member in (
            _archive(file.path, scratch) if file.path and file.suffixes[-1:] == [".zip"] else [file]
        )
    ]


def is_data(parts: Sequence[str]) -> bool:
    """Return whether a file of a folder is one to read: no hidden one, no _SUCCESS, no README."""
    suffixes = [s.lower() for s in Path(parts[-1]).suffixes]
    kind = suffixes[-2:-1] if suffixes and suffixes[-1] in COMPRESSIONS else suffixes[-1:]
    hidden = any(part.startswith((".", "_")) for part in parts)
    about = re.fullmatch(r"(?i)(?:readme|licen[cs]e)\b.*\.txt", parts[-1])
    return not (hidden or about) and bool(kind) and kind[0] in (*SUFFIXES, ".zip")


def _before_pattern(path: Path) -> int:
    """Return the number of parts of a path before the first with a wildcard."""
    return next(i for i, part in enumerate(path.parts) if glob.has_magic(part))


def _partitions(folders: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """Return what the names of folders say of their files: day=2024-01-01."""
    pairs = [folder.split("=", 1) for folder in folders if re.fullmatch(r"[^=]+=[^=]*", folder)]
    return tuple((unquote(k), None if v == NO_VALUE else unquote(v)) for k, v in pairs)


def _archive(path: Path, scratch: Path) -> list[InputFile]:
    """Return the data files in a .zip archive, or the archive itself if it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
    except (zipfile.BadZipFile, OSError):
        raise InputError(f"{path} is a damaged zip archive; download or export it again.") from None
    if any(m.flag_bits & 1 for m in members):
        raise InputError(f"{path} is an encrypted zip archive; unpack it first.")
    files = [m for m in members if is_data(Path(m.filename).parts)]
    inner = next((m.filename for m in files if m.filename.lower().endswith(".zip")), None)
    if inner is not None:
        raise InputError(f"{path} holds another archive, {inner}; unpack it first.")

    def reader(member: zipfile.ZipInfo) -> Any:
        return lambda: _member(path, member, scratch)

    return _several(
        (InputFile(f"{path}:{m.filename}", reader(m), m.file_size) for m in files),
        f"{path} holds no file to read",
        scratch,
    )


def _member(path: Path, member: zipfile.ZipInfo, scratch: Path) -> IO[bytes]:
    """Open a file of an archive; Parquet, which is read from its end, in `scratch`."""
    try:
        archive = zipfile.ZipFile(path)
        stream = archive.open(member)
        if not member.filename.lower().endswith(".parquet"):
            return stream
        kept = scratch / f"member-{member.header_offset}.parquet"
        with stream, open(kept, "wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        return open(kept, "rb")
    except (*DAMAGE, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"{path}:{member.filename} cannot be unpacked ({error}); unpack it, or make the "
            "archive again."
        ) from None


def _remote(address: str, scratch: Path) -> list[InputFile]:
    """Return the file, or the files of the folder or pattern, at an address such as s3://..."""
    fsspec = require("fsspec", extra="remote", purpose=f"Reading {address}")
    try:
        system, path = fsspec.core.url_to_fs(address)
        paths, base = [path], len(Path(path).parts)
        if glob.has_magic(path):
            paths, base = system.glob(path), _before_pattern(Path(path))
        elif system.isdir(path):
            paths = [p for p in system.find(path) if is_data(Path(p).parts[base:])]
        files = [_remote_file(system, address, str(p), base) for p in paths]
    except (ImportError, ValueError) as error:  # no such kind of address, or its library is missing
        raise InputError(f"{address} cannot be read: {error}.") from None
    except OSError as error:
        raise InputError(f"{address} cannot be read: {error or 'it does not exist'}.") from None
    return _several(files, f"{address} holds no file to read", scratch)


def _remote_file(system: Any, address: str, path: str, base: int) -> InputFile:
    scheme = address.split("://")[0]
    name = f"{scheme}://{path if scheme == 'file' else path.lstrip('/')}"
    folders = Path(path).parts[base:-1]
    return InputFile(
        name,
        lambda: system.open(path, "rb"),
        int(system.size(path) or 0),
        partitions=_partitions(folders),
    )


def _standard_input(scratch: Path) -> InputFile:
    """Keep standard input in a file, named by what it holds."""
    kept = scratch / "standard-input"
    with open(kept, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)

    def named(suffix: str) -> InputFile:
        name, size = f"standard-input{suffix}", kept.stat().st_size
        return InputFile(name, lambda: open(kept, "rb"), size, kept)

    head = _head(named(""))
    if head.startswith(b"PAR1"):
        return named(".parquet")
    packed = next((p for p, magic in MAGIC.items() if head.startswith(magic)), "")
    head = _head(named(packed)) if packed else head
    is_json = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[{"))
    return named((".jsonl" if is_json else ".csv") + packed)


def _head(file: InputFile) -> bytes:
    with file.open() as stream:
        return stream.read(1 << 16)
