"""The columns of a log, one at a time: of a log in memory, or of a folder too large for it.

What looks at whole columns, such as the encoder that learns their values and scales, then needs
memory for one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.log import EventLog
from eventlog.log_folder import to_frame
from eventlog.manifest import read_manifest
from eventlog.out_of_core.parts import part_tables, whole_schema


class LogColumns(Protocol):
    """The columns of a log, each user's rows in one run by time."""

    manifest: dict[str, Any]
    names: list[str]

    def __len__(self) -> int: ...

    def values(self, name: str) -> pd.Series:
        """Return a column, (n_rows,)."""

    def gaps(self) -> np.ndarray:
        """Return the seconds since each user's previous event, (n_rows,) float64, NaN at first."""


class FrameColumns:
    """The columns of a log in memory."""

    def __init__(self, log: EventLog) -> None:
        log = log.grouped()
        self.events, self.manifest = log.events, log.manifest
        self.names = [str(name) for name in log.events.columns]

    def __len__(self) -> int:
        return len(self.events)

    def values(self, name: str) -> pd.Series:
        """Return a column, (n_rows,)."""
        return self.events[name]

    def gaps(self) -> np.ndarray:
        """Return the seconds since each user's previous event, (n_rows,) float64, NaN at first."""
        return gaps(self.events)


class FolderColumns:
    """The columns of a log folder, which is read again for each of them.

    Args:
        path: the folder.
        before: only rows before this instant count; None: all.
    """

    def __init__(self, path: Path | str, before: pd.Timestamp | None = None) -> None:
        self.path, self.before = Path(path), before
        self.manifest = read_manifest(self.path)
        self.schema = whole_schema(self.path)
        self.names = self.schema.names
        self.n = sum(self._known(table).num_rows for table in self._tables(["timestamp"]))

    def __len__(self) -> int:
        return self.n

    def values(self, name: str) -> pd.Series:
        """Return a column, (n_rows,)."""
        needed = [name] if self.before is None else [name, "timestamp"]
        parts = (self._known(table).select([name]) for table in self._tables(needed))
        kind = self.schema.field(name).type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            numbers = (part[name].to_numpy() for part in parts)
            return pd.Series(self._joined(numbers, kind.to_pandas_dtype()), name=name)
        return to_frame(pa.concat_tables(parts), self.path)[name]

    def gaps(self) -> np.ndarray:
        """Return the seconds since each user's previous event, (n_rows,) float64, NaN at first."""
        needed = ["user_id", "timestamp", "event"]
        logs = EventLog.parts(self.path, columns=needed)
        events = (
            log.events if self.before is None else log.before(self.before).events for log in logs
        )
        return self._joined(map(gaps, events), np.float64)

    def _joined(self, parts: Iterable[np.ndarray], kind: Any) -> np.ndarray:
        """Return the arrays of all parts as one, (n_rows,), of which none is held meanwhile."""
        found, filled = np.empty(len(self), kind), 0
        for part in parts:
            found[filled : filled + len(part)] = part
            filled += len(part)
        return found

    def _tables(self, names: list[str]) -> Iterator[pa.Table]:
        return (table for _, table in part_tables(self.path, names, self.schema))

    def _known(self, table: pa.Table) -> pa.Table:
        if self.before is None:
            return table
        cut = pa.scalar(self.before.to_pydatetime(), pa.timestamp("us", "UTC"))
        return table.filter(pc.less(table["timestamp"], cut))


def gaps(events: pd.DataFrame) -> np.ndarray:
    """Return the seconds since the user's previous event, (n,) float64, NaN at the first."""
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    user = events["user_id"].astype("category").cat.codes.to_numpy()
    gap = np.full(len(time), np.nan)
    if len(time) > 1:
        same = user[1:] == user[:-1]
        gap[1:][same] = (time[1:] - time[:-1])[same] / 1000.0
    return gap
