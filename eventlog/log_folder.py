"""The folder that a log is kept in: read and write its Parquet files and its manifest.

    mylog/
      manifest.json         how it was made, rows and sha256 of each file, roles of foreign event
                            names, privacy statement, provenance of its tables
      events/part-*.parquet disjoint users; inside a part sorted by user_id, timestamp, input order
      users.parquet  items.parquet  labels.parquet        optional
      truth/*.parquet       simulated logs only; for oracles and audits, never for a model

A log too large for memory is written part by part with `LogWriter`. Most callers need only
`EventLog.read` and `EventLog.write`.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_folder, read_json, sha256, write_json

SCHEMA_VERSION = 1
TABLES = ("users", "items", "labels")
WRITTEN_BY_FINISH = ("files", "schema_version", "versions")  # manifest keys that describe the files


class LogWriter:
    """Write a log folder part by part; it gets its name only after `finish`.

    Other processes may write parts too, into `writer.events_folder` as `part-00000.parquet` etc.

    Example::

        with LogWriter("mylog") as writer:
            for part in parts:
                writer.write_part(part)
            writer.finish(items=items, manifest={"made_by": "my script"})
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._context = new_folder(self.path)
        self._parts = 0
        self._finished = False

    def __enter__(self) -> Self:
        self.folder = self._context.__enter__()
        self.events_folder = self.folder / "events"
        self.events_folder.mkdir()
        return self

    def write_part(self, events: pd.DataFrame | pa.Table) -> None:
        """Write one part: all rows of its users, by user_id, timestamp and input order."""
        write_parquet(self.events_folder / f"part-{self._parts:05d}.parquet", events)
        self._parts += 1

    def finish(
        self,
        *,
        users: pd.DataFrame | None = None,
        items: pd.DataFrame | None = None,
        labels: pd.DataFrame | None = None,
        truth: Mapping[str, pd.DataFrame | pa.Table] | None = None,
        extra: Mapping[str, pd.DataFrame | pa.Table] | None = None,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the other tables and the manifest.

        Args:
            users, items, labels: the optional tables of a log.
            truth: truth tables by name, written under truth/.
            extra: further tables by name, such as rejects.
            manifest: entries of the manifest. Schema version, package versions, and rows and
                sha256 of every file are added.
        """
        for name, table in (
            ("users", users),
            ("items", items),
            ("labels", labels),
            *(extra or {}).items(),
        ):
            if table is not None:
                write_parquet(self.folder / f"{name}.parquet", table)
        for name, truth_table in (truth or {}).items():
            write_parquet(self.folder / "truth" / f"{name}.parquet", truth_table)
        made = {k: v for k, v in (manifest or {}).items() if k not in WRITTEN_BY_FINISH}
        write_json(
            self.folder / "manifest.json",
            {
                **made,
                "schema_version": SCHEMA_VERSION,
                "versions": versions(),
                "files": {
                    p.relative_to(self.folder).as_posix(): {
                        "rows": pq.read_metadata(p).num_rows,
                        "sha256": sha256(p),
                    }
                    for p in sorted(self.folder.rglob("*.parquet"))
                },
            },
        )
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        if kind is None and not self._finished:
            kind, error = RuntimeError, RuntimeError("LogWriter.finish was not called")
            self._context.__exit__(kind, error, None)
            raise error
        self._context.__exit__(kind, error, trace)


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
    manifest: dict[str, Any] = read_json(path / "manifest.json")
    parts: list[tuple[str, Any]] = [("", manifest)]
    if isinstance(manifest, dict):
        parts += [(f"{name!r} in ", manifest.get(name)) for name in ("roles", "provenance")]
    for name, part in parts:
        if part is not None and not isinstance(part, dict):
            raise InputError(
                f"{name}{path}/manifest.json is {str(part)[:40]!r}; it must be an object with "
                "names and values."
            )
    if manifest.get("schema_version") != SCHEMA_VERSION:
        version = manifest.get("schema_version")
        raise InputError(
            f"{path}/manifest.json has schema version {version!r}, but this program reads version "
            f"{SCHEMA_VERSION}; import the log again."
        )
    return manifest


def verify_checksums(path: Path | str, manifest: Mapping[str, Any]) -> None:
    """Raise InputError at the first file that differs from its checksum in the manifest."""
    for name, entry in manifest.get("files", {}).items():
        file = Path(path) / name
        if not file.exists():
            raise InputError(
                f"{file} is listed in the manifest but missing; the log folder is incomplete."
            )
        if sha256(file) != entry["sha256"]:
            raise InputError(
                f"{file} was changed after it was written: its checksum differs from the "
                "manifest's."
            )


def digest(path: Path | str) -> str:
    """Return a content key of a log folder, 16 hex digits, that depends on its data alone."""
    files = read_manifest(path)["files"]
    return hashlib.sha256(
        "".join(f"{n}:{files[n]['sha256']};" for n in sorted(files)).encode()
    ).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Return the versions that a result depends on: Python's and those of installed packages."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "pandas", "pyarrow", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def part_paths(path: Path) -> list[Path]:
    """Return the files with the events of a log folder, in order."""
    parts = sorted((path / "events").glob("part-*.parquet"))
    if not parts:
        raise InputError(f"{path}/events holds no part-*.parquet; the log folder is incomplete.")
    return parts


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, text dictionary-coded. Raises InputError if it is damaged.

    `columns`: those to read, as far as the file has them; None for all.
    """
    try:
        schema = pq.read_schema(path)
        strings = [
            f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        ]
        kept = None if columns is None else [name for name in schema.names if name in columns]
        return pq.read_table(path, read_dictionary=strings, columns=kept)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is not a readable Parquet file: {str(error).rstrip('.')}."
        ) from None


def read_frame(path: Path) -> pd.DataFrame:
    """Read a Parquet file as a data frame; raises as `read_arrow` does."""
    return to_pandas(read_arrow(path))


def rows_of(events: pa.Table, users: Collection[str] | None) -> pa.Table:
    """Return the rows of `users`; all rows for None."""
    if users is None:
        return events
    ids = events.column("user_id").combine_chunks()
    if not pa.types.is_dictionary(ids.type):
        ids = ids.cast(pa.string()).dictionary_encode()
    named = np.array([str(user) in users for user in ids.dictionary.to_pylist()] + [False])
    code = ids.indices.fill_null(len(named) - 1).to_numpy(zero_copy_only=False)
    return events.filter(pa.array(named[code]))


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a data frame, with one vocabulary for each dictionary-coded column."""
    return table.unify_dictionaries().to_pandas()


def write_parquet(path: Path, table: pd.DataFrame | pa.Table) -> None:
    """Write a Parquet file: text dictionary-coded, times in ms UTC, no pandas metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = to_arrow(table)
    # Ascending numbers are stored as differences: smaller, and no dictionary is built in vain.
    rising = [
        n
        for n in ("event_id", "timestamp")
        if n in table.column_names
        and pa.types.is_primitive(table.schema.field(n).type)
        and not pa.types.is_floating(table.schema.field(n).type)
    ]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=1,
        store_schema=False,
        use_dictionary=[n for n in table.column_names if n not in rising],
        column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED") or None,
    )


def to_arrow(table: pd.DataFrame | pa.Table) -> pa.Table:
    """Return an Arrow table with plain strings instead of categories, and times in ms UTC."""
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
            column = column.cast(pa.string())
        elif pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("ms", tz="UTC"))
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def part_bounds(events: pd.DataFrame, rows_per_part: int) -> Iterator[tuple[int, int]]:
    """Yield row ranges of about `rows_per_part` rows that never divide the rows of a user.

    A new range also begins where user_id decreases: the shards of a simulated log, concatenated in
    memory, are sorted by user one by one, not as a whole.
    """
    codes = events["user_id"].astype("category").cat.codes.to_numpy()
    first = (
        np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        if len(codes)
        else np.zeros(0, dtype=np.int64)
    )
    ids = events["user_id"].iloc[first].astype(str).to_numpy(dtype=object)
    falls = {int(row) for row in first[1:][ids[1:] < ids[:-1]]}
    start = 0
    for stop in [*first[1:].tolist(), len(codes)]:
        if stop in falls or stop == len(codes) or stop - start >= rows_per_part:
            yield start, stop
            start = stop
