"""Where artefacts are kept: folders on a disk that all workers see, or a URL of shared storage.

An artefact is a folder that appears whole and never changes, under the content key of the cell
that made it. Its location is a path, or a URL that fsspec opens (s3://, gs://, file://). From a URL
it is fetched once into a cache of this machine, and every cell there maps the same files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventlog._runtime.errors import InputError
from eventlog._runtime.extras import require
from eventlog._runtime.system import own_folder

# Written last: object storage has no rename that makes a folder appear whole.
COMPLETE = "_complete"


def join(root: str | Path, name: str) -> str:
    """Return the location of `name` inside `root`.

    That of a path is absolute, because a worker may run in another folder.
    """
    if is_url(root):
        return f"{str(root).rstrip('/')}/{name}"
    return os.path.join(os.path.realpath(root), name)


def is_url(location: str | Path) -> bool:
    """Return whether a location is a URL rather than a path."""
    return "://" in str(location)


def exists(location: str) -> bool:
    """Return whether a whole artefact lies at `location`."""
    if not is_url(location):
        return Path(location).is_dir()
    system, path = _file_system(location)
    return bool(system.exists(f"{path}/{COMPLETE}"))


def fetch(location: str) -> Path:
    """Return the artefact as a folder of this machine, downloaded on first use."""
    if not is_url(location):
        return Path(location)
    system, path = _file_system(location)
    return _make_whole(_cache_folder(location), lambda folder: _download(system, path, folder))


def publish(location: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary folder, then make it appear at `location`.

    Where another run was faster, its artefact stays. Returns the folder on this machine.
    """
    if not is_url(location):
        return _make_whole(Path(location), write)
    folder = _make_whole(_cache_folder(str(location)), write)
    upload(folder, str(location))
    return folder


def upload(folder: Path, location: str) -> None:
    """Copy a folder of this machine to a URL, unless an artefact is already there."""
    system, path = _file_system(location)
    if system.exists(f"{path}/{COMPLETE}"):
        return
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        target = f"{path}/{file.relative_to(folder).as_posix()}"
        system.makedirs(target.rpartition("/")[0], exist_ok=True)
        system.put_file(str(file), target)
    system.pipe_file(f"{path}/{COMPLETE}", b"")


def _make_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Fill a temporary folder beside `path` and rename it; a failed `write` leaves nothing."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
    temporary.mkdir()
    try:
        write(temporary)
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.exists():  # otherwise another run was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _download(system: Any, path: str, folder: Path) -> None:
    for name in system.find(path):
        # Some file systems give names with a leading slash, some without.
        inner = name.lstrip("/").removeprefix(path.lstrip("/")).lstrip("/")
        if inner != COMPLETE:
            target = folder / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(name, str(target))


def _cache_folder(url: str) -> Path:
    """Return where a URL's artefact lies on this machine; SHOPTWIN_CACHE moves the cache."""
    root = os.environ.get("SHOPTWIN_CACHE") or own_folder("cache")
    return Path(root) / hashlib.sha256(url.encode()).hexdigest()[:20]


def _file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it. Raises InputError."""
    fsspec = require("fsspec.core", extra="dask", purpose="A URL as shared storage")
    try:
        system, path = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be opened: {error}.") from None
    return system, str(path).rstrip("/")
