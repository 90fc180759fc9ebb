"""Keep all rows of an import, in memory or in temporary files, until its columns are known.

A key of JSON lines, a spelling of an event or a decimal comma may first come after millions of
rows. So the rows are read once, and what they mean is decided when all are seen: the same rows in
another order, in other files or in another format give the same log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.nested import flatten
from eventlog.ingest.columns.normalise import conform, merged, normalised
from eventlog.ingest.columns.values import TEXT
from eventlog.ingest.mapping import FileFormat
from eventlog.ingest.reading.streams import Batch

REMEMBERED = 50_000  # texts of a column
IN_MEMORY = 384 << 20  # bytes; more are kept in files


@dataclass
class _Filed:
    """A batch that is in files: its rows as `path`, their numbers beside it."""

    batch: Batch  # without rows
    path: Path
    n: int

    def numbers(self) -> np.ndarray:
        """Return the row numbers, (n_rows,) int64."""
        found: np.ndarray = np.load(self.path.with_suffix(".npy"))
        return found

    def remove(self) -> None:
        """Remove the files."""
        self.path.unlink()
        self.path.with_suffix(".npy").unlink()


class Spool:
    """The flat rows of an import with the columns of all of them."""

    def __init__(self, folder: Path, layout: FileFormat, wanted: set[str]) -> None:
        """Make an empty one; `folder` is for temporary files, `wanted` what a mapping uses."""
        self.folder, self.layout, self.wanted = folder, layout, wanted
        self.kinds: dict[str, pa.DataType] = {}  # column -> the type for all batches
        self.left_out: set[str] = set()  # lists that are not read
        self.columns_of: dict[str, set[str]] = {}  # file -> its columns
        self._batches: list[Batch | _Filed] = []
        self._bytes = 0

    def add(self, batch: Batch) -> None:
        """Add the next rows. Raises InputError if two columns have one name."""
        names = batch.table.column_names
        twice = (
            next((name for name in names if names.count(name) > 1), None)
            if (len(set(names)) < len(names))
            else None
        )
        if twice is not None:
            raise InputError(f"{batch.file} has two columns called {twice!r}; rename one.")
        table = pa.table([_whole_column(c) for c in batch.table.columns], names=names)
        flat, rows, left_out = flatten(
            table, batch.rows, self.wanted, self.layout.explode, self.layout.separator
        )
        self.left_out |= left_out
        for field in flat.schema:
            known = self.kinds.get(field.name, pa.null())
            self.kinds[field.name] = merged(known, field.type)
        self.columns_of.setdefault(batch.file, set()).update(flat.column_names)
        self._keep(replace(batch, table=flat, rows=rows))

    def _keep(self, batch: Batch) -> None:
        self._bytes += batch.table.nbytes
        if self._bytes <= IN_MEMORY:
            self._batches.append(batch)
            return
        path = self.folder / f"batch-{len(self._batches):06d}.arrow"
        with pa.ipc.new_file(path, batch.table.schema) as file:  # plain, so that it can be mapped
            file.write_table(batch.table)
        np.save(path.with_suffix(".npy"), batch.rows)
        # A slice of no rows would keep all of them in memory.
        rest = replace(batch, table=batch.table.schema.empty_table(), rows=np.zeros(0, np.int64))
        self._batches.append(_Filed(rest, path, len(batch.rows)))

    def __iter__(self) -> Iterator[Batch]:
        """Yield all rows, in order, each batch with all columns."""
        for i in range(len(self._batches)):
            yield self._batch(i)

    def consume(self) -> Iterator[Batch]:
        """Yield all rows once, and forget them on the way."""
        for i in range(len(self._batches)):
            yield self._batch(i)
            kept, self._batches[i] = (
                self._batches[i],
                Batch(pa.table({}), np.zeros(0, dtype=np.int64)),
            )
            if isinstance(kept, _Filed):
                kept.remove()

    def _batch(self, number: int) -> Batch:
        kept = self._batches[number]
        batch, rows = (kept, kept.rows) if isinstance(kept, Batch) else (kept.batch, kept.numbers())
        table = self._table(number)
        columns = {name: self._column(table, name, len(rows)) for name in self.kinds}
        return replace(batch, table=pa.table(columns), rows=rows)

    def _table(self, number: int, name: str | None = None) -> pa.Table:
        """Return the columns of a batch, or only the one called `name`, if it has it."""
        kept = self._batches[number]
        if isinstance(kept, Batch):
            return kept.table
        if name is None:
            # read, not mapped: a mapped file could not be removed everywhere
            with pa.OSFile(str(kept.path)) as source:
                return pa.ipc.open_file(source).read_all()
        with pa.memory_map(str(kept.path)) as source:
            names = kept.batch.table.column_names
            if name not in names:
                return pa.table({})
            only = pa.ipc.IpcReadOptions(included_fields=[names.index(name)])
            return pa.ipc.open_file(source, options=only).read_all()

    def _column(self, table: pa.Table, name: str, n: int) -> pa.ChunkedArray:
        has = table.schema.get_field_index(name) >= 0  # a look-up, unlike `in column_names`
        column = table[name] if has else pa.chunked_array([pa.nulls(n)])
        return conform(column, self.kinds[name])

    def columns(self, name: str) -> Iterator[pa.ChunkedArray]:
        """Yield a column batch by batch."""
        for i, kept in enumerate(self._batches):
            n = len(kept.rows) if isinstance(kept, Batch) else kept.n
            yield self._column(self._table(i, name), name, n)

    def texts(self, name: str) -> Iterator[pa.Array]:
        """Yield the distinct texts of a column, batch by batch; nothing if it is not text."""
        if self.kinds.get(name) == TEXT:
            for column in self.columns(name):
                for chunk in column.chunks:
                    yield chunk.dictionary.drop_null()

    def new_texts(self, name: str) -> Iterator[pa.Array]:
        """Yield `texts` without those of earlier batches, unless they are more than REMEMBERED."""
        seen = pa.array([], pa.string())
        for texts in self.texts(name):
            if len(seen) + len(texts) <= REMEMBERED:
                texts = texts.filter(pc.invert(pc.is_in(texts, value_set=seen)))
                seen = pa.concat_arrays([seen, texts])
            yield texts

    def baskets(self) -> list[str]:
        """Return the columns of text that are lists of objects in JSON, by their first values."""
        found = []
        for name in sorted(n for n, kind in self.kinds.items() if kind == TEXT):
            first = next(self.texts(name), pa.array([], pa.string()))[:20].to_pylist()
            if first and all(re.match(r"\s*\[\s*\{", text) for text in first):
                found.append(name)
        return found

    def distinct(self, name: str) -> list[str]:
        """Return the distinct texts of a column, sorted, without blanks around them."""
        found: set[str] = set()
        for values in self.texts(name):
            found.update(v.strip() for v in values.to_pylist())
        return sorted(found)


def _whole_column(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    return normalised(array)
