"""An existing log folder as the source of an import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.ingest.mapping import EventSource, Mapping, Names, TimeFormat
from eventlog.ingest.reading.streams import Batch
from eventlog.log_folder import part_paths, read_as_written
from eventlog.manifest import read_manifest
from eventlog.schema import COLUMNS
from eventlog.tables import read_tables, read_truth


def folder_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a log folder, empty if it has none."""
    return read_manifest(path) if (path / "manifest.json").exists() else {}


def folder_batches(path: Path) -> Iterator[Batch]:
    """Yield the events of a log folder part by part. Raises InputError if there are none."""
    n = 0
    for part in part_paths(path):
        table = read_as_written(part)
        yield Batch(table, np.arange(n + 1, n + table.num_rows + 1), file=part.name)
        n += table.num_rows
    if n == 0:
        raise InputError(f"{path} has no events; there is nothing to import.")


def folder_mapping(path: Path, found: list[str]) -> Mapping:
    """Return the mapping in which every one of the columns `found` means what its name says."""
    columns: dict[str, Names] = {
        name: (name,) for name in COLUMNS if name in found and name not in ("timestamp", "event")
    }
    for name in ("user_id", "timestamp", "event"):
        if name not in found:
            raise InputError(
                f"{path}/events has no column {name!r}; its columns are {', '.join(found)}. Say "
                "with --mapping which it is."
            )
    manifest = folder_manifest(path)
    return Mapping(
        columns=columns,
        time=TimeFormat(column=("timestamp",)),
        event=EventSource(column=("event",)),
        ids=tuple(name for name in manifest.get("ids") or () if name in found),
        roles=dict(manifest.get("roles") or {}),
        currency=str(manifest.get("currency") or ""),
    )


def folder_tables(path: Path, ids: pd.Series) -> dict[str, Any]:
    """Return the other tables of the folder with the event ids of the new log.

    Rows about events that were set aside are dropped.

    Args:
        path: the folder.
        ids: new event ids, indexed by the old ones.
    """

    def renumbered(frame: pd.DataFrame) -> pd.DataFrame:
        if "event_id" not in frame or ids.empty:
            return frame
        frame = frame[frame["event_id"].isin(ids.index)]
        return frame.assign(event_id=ids.loc[frame["event_id"]].to_numpy()).sort_values(
            "event_id", kind="stable", ignore_index=True
        )

    log_tables = {name: renumbered(table) for name, table in read_tables(path).items()}
    truth = {name: renumbered(table) for name, table in read_truth(path).items()}
    return {**log_tables, "truth": truth}
