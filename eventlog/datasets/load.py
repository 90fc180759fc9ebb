"""Find and read the real logs that ship with the project.

A dataset is a log folder like any other, so that a command line takes its path too. Its
ATTRIBUTION.md says who made the data and under which licence.

Example::

    log = eventlog.load("online-retail")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eventlog._runtime import plugins
from eventlog._runtime.errors import UnknownNameError

if TYPE_CHECKING:
    from eventlog.log import EventLog

ATTRIBUTION = "ATTRIBUTION.md"


def names() -> list[str]:
    """Return the names of the datasets."""
    return sorted(p.parent.name for p in plugins.folder(__package__).glob("*/manifest.json"))


def folder_of(name: str) -> Path:
    """Return the log folder of a dataset. Raises UnknownNameError."""
    known = names()
    if name not in known:
        raise UnknownNameError("dataset", name, known)
    return plugins.folder(__package__) / name


def load(name: str) -> EventLog:
    """Return a dataset that ships with the project, such as "online-retail".

    Raises UnknownNameError where there is none of that name.
    """
    from eventlog.log import EventLog

    return EventLog.read(folder_of(name))
