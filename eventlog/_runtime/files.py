"""Atomic writing: a file or folder gets its name only when it is complete.

It is written under a temporary name next to the target and then renamed.
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

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # the path is right, the disk is full


@contextmanager
def new_folder(path: Path | str, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends without an exception.

    Raises InputError if `path` exists and is not a folder that one of our writers made (those hold
    a `manifest.json`), so that a mistyped `--out` never deletes somebody's files.
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
    """Raise InputError unless a folder can be written at `path`.

    That is so if `path` does not exist, is empty, or was made by one of our writers, and the
    folder above is writable.
    """
    path = Path(path)
    above = next(p for p in path.absolute().parents if p.exists())
    if not above.is_dir():
        raise InputError(f"{path} cannot be written: {above} is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: there is no permission to write in {above}.")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise InputError(
            f"{path} is a file, but a folder must be written there; choose another --out."
        )
    if not (overwrite and (path / "manifest.json").exists()):
        raise InputError(
            f"{path} exists and was not written by this program; choose another --out or remove it."
        )


def _make_parents(path: Path) -> None:
    """Make the folder above `path`. Raises InputError if that is impossible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(
            f"{path} cannot be written: {path.parent} cannot be created ({error.strerror})."
        ) from None


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path (same suffix) whose file becomes `path` when the block ends."""
    path = Path(path)
    _make_parents(path)
    temporary = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any, *, sort_keys: bool = True) -> None:
    """Write `value` atomically as indented JSON; `sort_keys=False` keeps the order of keys."""
    with new_file(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False) + "\n",
            encoding="utf-8",
            newline="\n",
        )


def read_json(path: Path | str) -> Any:
    """Read JSON. Raises InputError with the place where it is broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    # Broken, not UTF-8, a number of 5,000 digits, or lists nested too deeply.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
