"""One Parquet file."""

from __future__ import annotations

from pathlib import Path

from eventlog.log import EventLog, write_parquet

FOLDER = False


def write(log: EventLog, path: Path) -> None:
    """Write the events."""
    write_parquet(path, log.events)
