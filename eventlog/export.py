"""Export a log for other tools; `eventlog.formats` has a file for each format.

Example::

    export(log, "events.csv", format="csv")
    export(log, "mylog-on-the-hub", format="huggingface")
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import (
    check_file_replaceable,
    check_replaceable,
    new_file,
    new_folder,
    sha256,
    write_json,
)
from eventlog.log import EventLog, require_log, versions

PACKAGE = "eventlog.formats"


def export(log: EventLog, path: Path | str, *, format: str, **settings: Any) -> Path:
    """Write `log` to `path` atomically, and return the path.

    Args:
        log: the log. Formats of one file hold the events, folders hold users and items too.
        path: a file, for some formats a folder; text is compressed if the name ends in .gz.
        format: the name of a format, see `formats`.
        settings: of csv: `formulas=True` leaves texts as they are that a spreadsheet would run.

    Raises:
        InputError: `path` is a folder where a file is written or the other way round, the log
            lacks what the format needs, or a library is missing.
        UnknownNameError: there is no such format.
    """
    path = Path(path)
    require_log(log, "export")
    log = log.grouped()
    if len(log) == 0:
        raise InputError("The log has no events; there is nothing to export.")
    module = _module(format)
    check(path, format, overwrite=True)
    if module.FOLDER:
        with new_folder(path) as folder:
            module.write(log, folder, path.name, **settings)
            _manifest(folder, format)
        return path
    with new_file(path) as temporary:
        module.write(log, temporary, **settings)
    return path


def formats() -> list[str]:
    """Return the names of the formats."""
    return plugins.names(PACKAGE)


def check(path: Path, format: str, *, overwrite: bool) -> None:
    """Raise InputError unless an export in `format` can be written at `path`."""
    if _module(format).FOLDER:
        check_replaceable(path, overwrite=overwrite)
    else:
        check_file_replaceable(path, overwrite=overwrite)


def _module(format: str) -> ModuleType:
    if format not in formats():
        raise UnknownNameError("export format", format, formats())
    return plugins.load_module(PACKAGE, format, kind="export format", files=False)


def _manifest(folder: Path, format: str) -> None:
    """Write what makes a folder recognisable as ours."""
    files = {
        p.relative_to(folder).as_posix(): {"sha256": sha256(p)}
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    write_json(
        folder / "manifest.json",
        {"made_by": "export", "format": format, "versions": versions(), "files": files},
    )
