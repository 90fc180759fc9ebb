"""The manifest of a log folder: read it, check its shape, compare it with the files.

A manifest may come from anywhere, so nothing in it is trusted: paths that leave the folder, files
that are not regular ones (which never end), and entries of another shape are refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog._runtime.files import CLUTTER, read_json, sha256

SCHEMA_VERSION = 1
GIVEN, DERIVED = "given", "derived"  # provenance of a table or of the list of event names
OF_LISTS = ("ids", "event_names")
OF_TEXTS = ("roles", "provenance")  # entries that give a text for each name


def read_manifest(path: Path | str) -> dict[str, Any]:
    """Return the manifest of a log folder.

    Raises InputError if there is none, if it is malformed, or if its schema version is another.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; give a log folder (see 'python -m eventlog import --help')."
        )
    if not path.is_dir() or not (path / "manifest.json").exists():
        raise InputError(
            f"{path} is not a log folder (no manifest.json); make one with 'python -m eventlog "
            f"import {path} --out LOG'."
        )
    file = path / "manifest.json"
    manifest: dict[str, Any] = read_json(file)
    _refuse_other_than_object(manifest, str(file))
    if manifest.get("schema_version") != SCHEMA_VERSION:
        version = str(manifest.get("schema_version"))[:40]
        raise InputError(
            f"{file} has schema version {version}, but this program reads version "
            f"{SCHEMA_VERSION}; import the log again."
        )
    for name in OF_TEXTS:
        entries = manifest.get(name)
        if entries is not None:
            _refuse_other_than_object(entries, f"{name!r} in {file}")
            for key, value in entries.items():
                if not isinstance(value, str):
                    raise InputError(
                        f"{name!r} in {file} gives {key!r} {_shown(value)}; it must be a text."
                    )
    for name in OF_LISTS:
        entries = manifest.get(name)
        if entries is not None and not (
            isinstance(entries, list) and all(isinstance(entry, str) for entry in entries)
        ):
            raise InputError(
                f"{name!r} in {file} is {_shown(entries)}; it must be a list of texts."
            )
    currency = manifest.get("currency")
    if not isinstance(currency, str | None):
        raise InputError(f"'currency' in {file} is {_shown(currency)}; it must be a text.")
    _check_files(manifest.get("files"), file)
    return manifest


def verify_checksums(path: Path | str, manifest: Mapping[str, Any]) -> None:
    """Raise InputError at the first file that is missing or differs from the manifest."""
    for problem in differences(path, manifest):
        raise InputError(problem)


def differences(path: Path | str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each file whose content or number of rows the manifest contradicts."""
    for name, entry in manifest["files"].items():
        file = Path(path) / name
        if not file.exists():
            yield f"{file} is listed in the manifest but missing; the log folder is incomplete."
        elif sha256(file) != entry["sha256"]:
            yield (
                f"{file} was changed after it was written: its checksum differs from the "
                "manifest's."
            )
        elif name.endswith(".parquet") and (rows := _rows(file)) != entry.get("rows", rows):
            yield f"{file} has {rows:,} rows, but the manifest says {entry['rows']:,}."


def unlisted(path: Path | str, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files of a log folder that its manifest does not list, relative to the folder."""
    path, listed = Path(path), {*manifest["files"], "manifest.json"}
    for where, folders, files in os.walk(path):
        folders.sort()
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in sorted([*files, *links]):
            inside = (Path(where) / name).relative_to(path).as_posix()
            if inside not in listed and name not in CLUTTER:
                yield inside


def digest(path: Path | str) -> str:
    """Return a content key of a log folder, 16 hex digits, that depends on its data alone."""
    files = read_manifest(path)["files"]
    return hashlib.sha256(
        "".join(f"{n}:{files[n]['sha256']};" for n in sorted(files)).encode()
    ).hexdigest()[:16]


def _check_files(files: Any, where: Path) -> None:
    """Raise InputError unless `files` gives rows and a checksum for paths inside the folder."""
    _refuse_other_than_object(files, f"'files' in {where}")
    for name, entry in files.items():
        what = f"'files' in {where}: {name[:60]!r}"
        parts = PurePosixPath(name).parts
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or not parts:
            raise InputError(f"{what} is not a path inside the log folder.")
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            raise InputError(f"{what} has no sha256; import the log again.")
        rows = entry.get("rows", 0)
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 0:
            raise InputError(f"{what} has {_shown(rows)} rows; it must be a whole number.")


def _refuse_other_than_object(value: Any, what: str) -> None:
    if not isinstance(value, dict):
        raise InputError(f"{what} is {_shown(value)}; it must be an object with names and values.")


def _rows(file: Path) -> int | None:
    try:
        return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowException, OSError):
        return None  # whoever reads the file says what is wrong with it


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
