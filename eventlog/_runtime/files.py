"""Files that are either whole or absent: write under a temporary name beside the target, then
rename.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventlog._runtime.errors import InputError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # not the name's fault


@contextmanager
def new_folder(path: Path | str, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends, and vanishes if the block raises.

    Raises InputError where `path` exists and is not a folder that one of our writers made
    (those hold a `manifest.json`), so that a mistyped `--out` never deletes somebody's files.
    """
    path = Path(path)
    check_replaceable(path, overwrite=overwrite)
    _make_parents(path)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            retired = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.old"
            path.rename(retired)
            temporary.rename(path)
            shutil.rmtree(retired)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path | str, *, overwrite: bool = True) -> None:
    """Raise InputError unless `path` is free, empty, or a folder made by one of our writers, and
    something can be written there.
    """
    path = Path(path)
    above = next(p for p in path.absolute().parents if p.exists())
    if not above.is_dir():
        raise InputError(f"{path} cannot be written: {above} is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no right to write in {above}.")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise InputError(
            f"{path} is a file, but a folder is to be written there; choose another --out."
        )
    if not (overwrite and (path / "manifest.json").exists()):
        raise InputError(
            f"{path} exists and was not written by this program; choose another --out or remove it."
        )


def _make_parents(path: Path) -> None:
    """Make the folder that `path` is to stand in. Raises InputError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(
            f"{path} cannot be written: {path.parent} cannot be made ({error.strerror})."
        ) from None


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """A temporary file name (same suffix) that becomes `path` when the block ends."""
    path = Path(path)
    _make_parents(path)
    temporary = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any, *, sort_keys: bool = True) -> None:
    """Write `value` as indented JSON, whole or not at all; `sort_keys=False` where the order of
    keys means something.
    """
    with new_file(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


def read_json(path: Path | str) -> Any:
    """Read JSON; raise InputError with the place where it is broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    # broken, not UTF-8, a number of 5,000 digits, lists in lists without end
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
