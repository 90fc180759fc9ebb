"""Atomic writing: a file or folder gets its name only when it is complete.

It is written under a temporary name next to the target and then renamed. A folder that somebody
put there is never replaced, and what a killed run left there is removed by the next one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventlog._runtime.errors import InputError
from eventlog._runtime.system import lock

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # the path is right, the disk is full
LARGEST_TEXT = 256 << 20  # bytes; manifests, mappings and models' settings are far smaller
LONGEST_NAME = 230  # bytes; file systems allow 255, and a temporary name is longer
CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # of file managers, nobody's work


@contextmanager
def new_folder(path: Path | str, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends without an exception.

    Raises InputError if `path` may not be replaced, see `check_replaceable`.
    """
    path = Path(os.path.realpath(path))  # a link stays, and what it points to is replaced
    check_replaceable(path, overwrite=overwrite)
    _make_parents(path)
    temporary = _beside(path, "tmp")
    with _refusing(path, path.parent):
        temporary.mkdir()
    with _marked(temporary):
        try:
            yield temporary
            if path.exists():
                retired = _beside(path, "old")
                path.rename(retired)
                temporary.rename(path)
                shutil.rmtree(retired)
            else:
                temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(
    path: Path | str, *, overwrite: bool = True, remedy: str = "give --overwrite to replace it, or "
) -> None:
    """Raise InputError unless a folder can be written at `path`; remove what a killed run left.

    It can if `path` does not exist or is empty, or if one of our writers made it and `overwrite`
    says so, and if the folder above is writable. A folder is ours if it holds nothing but the
    files that its `manifest.json` lists.

    Args:
        path: where the folder is to be.
        overwrite: an existing folder of ours may be replaced.
        remedy: what to do where it is one of ours and may not be, part of the message.
    """
    path = Path(path)
    above = next(p for p in path.absolute().parents if p.exists())
    if not above.is_dir():
        raise InputError(f"{path} cannot be written: {above} is a file.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: there is no permission to write in {above}.")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise InputError(f"{path.name[:40]}... is too long a name for --out; choose a shorter one.")
    _remove_leftovers(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise InputError(
            f"{path} is a file, but a folder must be written there; choose another --out."
        )
    strange = _not_ours(path)
    if strange:
        raise InputError(
            f"{path} exists and was not written by this program ({strange}); choose another --out "
            "or remove it."
        )
    if not overwrite:
        raise InputError(f"{path} exists and holds {_content(path)}; {remedy}choose another --out.")


def check_file_replaceable(path: Path | str, *, overwrite: bool) -> None:
    """Raise InputError unless a file can be written at `path`, or may be replaced there."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, but a file is to be written; choose another --out.")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise InputError(f"{path.name[:40]}... is too long a name for --out; choose a shorter one.")
    _remove_leftovers(path)
    if path.exists() and not overwrite:
        raise InputError(
            f"{path} exists ({path.stat().st_size:,} bytes); give --overwrite to replace it, or "
            "choose another --out."
        )


def _not_ours(folder: Path) -> str | None:
    """Return why a folder is not one that our writers made, None if it is."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return "it has no manifest.json"
    try:
        data = read_json(manifest)
    except (InputError, OSError):
        data = None
    listed = data.get("files") if isinstance(data, dict) else None
    if (
        not isinstance(listed, dict)
        or not isinstance(data.get("versions"), dict)
        or not all(isinstance(e, dict) and "sha256" in e for e in listed.values())
    ):
        return "its manifest.json is another's"
    for where, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in (*files, *links):
            inside = (Path(where) / name).relative_to(folder).as_posix()
            if inside not in listed and inside != "manifest.json" and name not in CLUTTER:
                return f"its manifest.json does not list {inside}"
    return None


def _content(folder: Path) -> str:
    """Return what a folder of ours holds, in words."""
    data = read_json(folder / "manifest.json")
    rows = [
        entry["rows"]
        for name, entry in data["files"].items()
        if name.startswith("events/") and isinstance(entry.get("rows"), int)
    ]
    maker = f" made by {data['made_by']}" if isinstance(data.get("made_by"), str) else ""
    return f"a log of {sum(rows):,} events{maker}" if rows else f"files{maker}"


# --- what a killed run leaves ---------------------------------------------------------------------


def _beside(path: Path, kind: str) -> Path:
    """Return a new hidden name beside `path`; `kind` is "tmp" (unfinished) or "old" (replaced)."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.{kind}"


@contextmanager
def _marked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, which ends with the process: what has none is a leftover."""
    handle = lock(folder)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _remove_leftovers(path: Path) -> None:
    """Remove the hidden folders and files that killed runs left beside `path`.

    A replaced folder whose successor never got the name is put back.
    """
    if not path.parent.is_dir():
        return
    names = rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.(tmp|old)"
    of_file = rf"\.{re.escape(path.stem)}\.[0-9a-f]{{8}}\.tmp{re.escape(path.suffix)}"
    for found in sorted(path.parent.iterdir()):
        if not re.fullmatch(f"{names}|{of_file}", found.name) or found.is_symlink():
            continue
        handle = lock(found)
        if handle is None:
            continue
        try:
            if found.suffix == ".old" and not path.exists():
                found.rename(path)
            elif found.is_dir():
                shutil.rmtree(found, ignore_errors=True)
            else:
                found.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _make_parents(path: Path) -> None:
    """Make the folder above `path`. Raises InputError if that is impossible."""
    with _refusing(path, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _refusing(path: Path, above: Path) -> Iterator[None]:
    """Raise InputError if a folder in which `path` is to be cannot be made or used."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(f"{path} cannot be written in {above} ({error.strerror}).") from None


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path (same suffix) whose file becomes `path` when the block ends."""
    path = Path(path)
    _make_parents(path)
    temporary = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}"
    with _refusing(path, path.parent):
        temporary.touch(exist_ok=False)
    with _marked(temporary):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any, *, sort_keys: bool = True) -> None:
    """Write `value` atomically as indented JSON; `sort_keys=False` keeps the order of keys."""
    with new_file(path) as temporary:
        temporary.write_text(
            json.dumps(
                value, indent=2, sort_keys=sort_keys, ensure_ascii=False, default=_plain_number
            )
            + "\n",
            encoding="utf-8",
            errors="backslashreplace",  # half of a character pair, which JSON escapes alike
            newline="\n",
        )


def _plain_number(value: Any) -> Any:
    """Return a number of numpy as one of Python, for `json`."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON serialisable")


def read_json(path: Path | str) -> Any:
    """Read JSON. Raises InputError with the place where it is broken."""
    try:
        return parse_json(_text(path))
    # Broken, not UTF-8, a number of 5,000 digits, or lists nested too deeply.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None


def parse_json(text: str | bytes) -> Any:
    """Return what JSON holds; a whole number beyond all floats is infinite, as 1e999 is."""
    return json.loads(text, parse_int=lambda digits: (int if len(digits) < 300 else float)(digits))


def read_toml(path: Path | str, kind: str = "file") -> dict[str, Any]:
    """Read TOML, also with the byte order mark that Notepad writes.

    `kind` is what the file is, such as "mapping". Raises InputError with the place where it is
    broken.
    """
    try:
        return tomllib.loads(_text(path, kind))
    except (ValueError, RecursionError) as error:
        raise InputError(f"The {kind} {path} is not valid TOML: {error}.") from None


def _text(path: Path | str, kind: str = "") -> str:
    """Return a small text file, without a byte order mark. Raises InputError if it is large."""
    what = f"The {kind} {path}" if kind else str(path)
    if Path(path).is_dir():
        raise InputError(f"{what} is a folder, but a file is expected.")
    refuse_endless(Path(path))
    try:
        with open(path, "rb") as file:  # not read whole at once: it may be /dev/zero
            data = file.read(LARGEST_TEXT + 1)
    except FileNotFoundError:
        raise InputError(f"{what} does not exist.") from None
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror or error}.") from None
    if len(data) > LARGEST_TEXT:
        raise InputError(f"{what} holds more than {LARGEST_TEXT >> 20} MiB; it is another file.")
    return data.decode("utf-8-sig")


def refuse_endless(path: Path) -> None:
    """Raise InputError for a pipe or a device, except those of the shell (/dev/stdin, /dev/fd)."""
    if path.exists() and not path.is_file() and not str(path).startswith("/dev/"):
        raise InputError(f"{path} is not a regular file, so it is not read.")


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes in hex. Raises InputError for a pipe or a device."""
    refuse_endless(Path(path))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
