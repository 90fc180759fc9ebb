"""Places of artefacts: a folder on a disk that all workers see, or a URL of shared storage (s3://,
gs://, file://; by fsspec).

An artefact is a folder that appears whole and never changes, under the content key of the cell that
made it. From a URL it is fetched once into a cache of this machine, and every cell there maps the
same files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventlog._runtime.errors import InputError

# written last: storage of objects has no rename that makes a folder appear whole
COMPLETE = "_complete"


def join(root: str | Path, name: str) -> str:
    """A place inside a root; of a path the absolute one, for a worker may stand in another
    folder.
    """
    return f"{str(root).rstrip('/')}/{name}" if is_url(root) else str(Path(root).resolve() / name)


def is_url(place: str | Path) -> bool:
    """Is it a URL, and not a path?"""
    return "://" in str(place)


def present(place: str) -> bool:
    """Is there a whole artefact?"""
    if not is_url(place):
        return Path(place).is_dir()
    system, path = _system(place)
    return bool(system.exists(f"{path}/{COMPLETE}"))


def fetch(place: str) -> Path:
    """The artefact as a folder of this machine."""
    if not is_url(place):
        return Path(place)
    system, path = _system(place)
    return _whole(_cache(place), lambda temporary: _download(system, path, temporary))


def publish(place: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary folder, then make it appear at `place`; that of a run that was
    faster stays. Returns a local path.
    """
    if not is_url(place):
        return _whole(Path(place), write)
    folder = _whole(_cache(str(place)), write)
    upload(folder, str(place))
    return folder


def upload(folder: Path, place: str) -> None:
    """Copy a folder of this machine to a URL, unless it is there."""
    system, path = _system(place)
    if system.exists(f"{path}/{COMPLETE}"):
        return
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        target = f"{path}/{file.relative_to(folder).as_posix()}"
        system.makedirs(target.rpartition("/")[0], exist_ok=True)
        system.put_file(str(file), target)
    system.pipe_file(f"{path}/{COMPLETE}", b"")


def _whole(path: Path, write: Callable[[Path], None]) -> Path:
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
            if not path.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _download(system: Any, path: str, folder: Path) -> None:
    for name in system.find(path):
        inner = name.removeprefix(path.lstrip("/") if not name.startswith("/") else path).lstrip(
            "/"
        )
        if inner != COMPLETE:
            target = folder / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(name, str(target))


def _cache(place: str) -> Path:
    """Where a URL's artefact lies on this machine; SHOPTWIN_CACHE moves it to a larger disk."""
    root = (
        os.environ.get("SHOPTWIN_CACHE")
        or Path(tempfile.gettempdir()) / f"shoptwin-cache-{os.getuid()}"
    )
    return Path(root) / hashlib.sha256(place.encode()).hexdigest()[:20]


def _system(place: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise InputError(
            "A URL as shared storage needs fsspec; install it with pip install -e '.[dask]'."
        ) from None
    try:
        system, path = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise InputError(f"{place} cannot be opened: {error}.") from None
    return system, str(path).rstrip("/")
