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

import platform
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_folder, sha256, write_json
from eventlog.manifest import SCHEMA_VERSION
from eventlog.plain_types import as_text, holds_text, is_text, plain, plain_column
from eventlog.schema import COLUMNS, TABLE_COLUMNS, Column

if TYPE_CHECKING:
    import pandas as pd  # it takes as long as a small simulation, which does without

ROW_GROUP = 1 << 20  # rows that are written at once
FEW_TEXTS, DICTIONARY_BYTES = 1 << 16, 1 << 20  # that a dictionary of Parquet has room for
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

    def __init__(self, path: Path | str, *, overwrite: bool = True) -> None:
        self.path = Path(path)
        self._context = new_folder(self.path, overwrite=overwrite)
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
    """Read a Parquet file of a log folder in plain types, text dictionary-coded.

    `columns`: those to read, as far as the file has them; None for all. Raises InputError as
    `read_as_written`, or if values are not plain.
    """
    return plain(read_as_written(path, columns), columns_of(path), str(path))


def read_as_written(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file of a log folder, text dictionary-coded, with types of any kind.

    `columns`: as of `read_arrow`. Raises InputError if the file is damaged, not a regular file, or
    has two columns of one name.
    """
    refuse_other_files(path)
    try:
        schema = pq.read_schema(path)
        refuse_twice(schema.names, path)
        strings = [f.name for f in schema if is_text(f.type)]
        kept = None if columns is None else [name for name in schema.names if name in columns]
        return pq.ParquetFile(path, read_dictionary=strings).read(columns=kept)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable Parquet file: {str(error).strip().rstrip('.')}."
        ) from None


def refuse_other_files(path: Path) -> None:
    """Raise InputError unless a path is a regular file: a pipe would be waited for without end."""
    if not path.is_file():
        raise InputError(f"{path} is not a regular file, so it is not read.")


def columns_of(path: Path) -> dict[str, Column]:
    """Return what the schema says of the columns of a file of a log folder."""
    table = path.stem if path.stem in TABLES else path.parent.name
    return TABLE_COLUMNS.get(table, COLUMNS)


def refuse_twice(names: list[str], path: Path) -> None:
    """Raise InputError if a name occurs twice among the columns of a file."""
    twice = next((name for name, n in Counter(names).items() if n > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns called {twice!r}; rename one.")


def read_frame(path: Path) -> pd.DataFrame:
    """Read a Parquet file as a data frame; raises as `read_arrow` does."""
    return to_frame(read_arrow(path), path)


def to_frame(table: pa.Table, path: Path) -> pd.DataFrame:
    """Return a table of a file as a data frame. Raises InputError if a value has no place there."""
    try:
        return to_pandas(table)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise InputError(f"{path} has a value that cannot be read: {error}.") from None


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


def write_parquet(
    path: Path, table: pd.DataFrame | pa.Table, *, encoded: Collection[str] = ()
) -> None:
    """Write a Parquet file: text dictionary-coded, times in ms UTC, no pandas metadata.

    Args:
        path: the file.
        table: what is written.
        encoded: dictionary-coded columns of an Arrow table whose codes are written as they are,
            which is faster; of the others each value is looked up again. All values of their
            dictionaries are in the file then, in this order, also those that no row has.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(table, pa.Table):
        table = to_arrow(table)
    groups = [  # one by one: plain strings take far more memory than codes
        table.slice(start, ROW_GROUP) for start in range(0, max(table.num_rows, 1), ROW_GROUP)
    ]
    # user_id is written as text, of whose values there are statistics.
    few = {n for n in table.column_names if n != "user_id" and _has_few_texts(table[n])}
    few -= set(encoded)
    keep = few.union(encoded)
    schema = to_arrow(table.slice(0, 0), keep=keep).schema  # `empty_table` needs pandas
    # Ascending numbers are stored as differences: smaller, and no dictionary is built in vain.
    rising = [
        n
        for n in ("event_id", "timestamp")
        if n in schema.names
        and (pa.types.is_integer(k := schema.field(n).type) or pa.types.is_timestamp(k))
    ]
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        store_schema=False,
        use_dictionary=[n for n in schema.names if n not in rising],
        column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED") or None,
        # of what a reader may skip row groups by
        write_statistics=[n for n in (*rising, "user_id") if n in schema.names],
    ) as writer:
        for group in groups:
            columns = {n: _by_first_row(group[n]) if n in few else group[n] for n in schema.names}
            writer.write_table(to_arrow(pa.table(columns), keep=keep))


def _has_few_texts(column: pa.ChunkedArray) -> bool:
    """Return whether a column is coded text whose values fit into a dictionary of Parquet."""
    coded = pa.types.is_dictionary(column.type) and is_text(column.type.value_type)
    if not coded or not column.num_chunks:
        return False
    sizes = [(len(c.dictionary), c.dictionary.nbytes) for c in column.chunks]
    return all(n <= FEW_TEXTS and size < DICTIONARY_BYTES for n, size in sizes)


def _by_first_row(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return codes for the values that occur, in the order of the rows.

    Of plain texts Parquet's writer makes such codes itself, by looking up each row's text.
    """
    array = pa.concat_arrays(column.unify_dictionaries().chunks)
    codes = array.indices.dictionary_encode()
    texts = array.dictionary.take(codes.dictionary).cast(pa.string())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(codes.indices, texts)])


def to_arrow(table: pd.DataFrame | pa.Table, *, keep: Collection[str] = ()) -> pa.Table:
    """Return an Arrow table of plain types, with strings instead of categories.

    `keep`: names of columns that may be dictionary-coded. Raises InputError if a column holds
    something that no log has.
    """
    if not isinstance(table, pa.Table):
        try:
            table = pa.Table.from_pandas(table, preserve_index=False)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            reason = " ".join(str(error.args[-1] if error.args else error).split())
            raise InputError(f"A table has values that cannot be written ({reason}).") from None
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        coded = pa.types.is_dictionary(column.type)
        if not (coded and name in keep):
            try:
                column = as_text(column) if holds_text(column.type) else plain_column(column)
            except InputError as error:
                raise InputError(f"The column {name!r} {error}.") from None
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
