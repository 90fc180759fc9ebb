"""Keep the events of a large import in temporary files, divided by user.

The files of a partition hold all rows of its users, in the order of the import, so that each
partition can be sorted alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

PARTITIONS = 64


class Partitions:
    """The events of an import by a hash of the user; text is dictionary-coded."""

    def __init__(self, folder: Path) -> None:
        """Make them empty; `folder` is for the files."""
        self.folder = folder
        self._tables = 0  # that were added

    def __bool__(self) -> bool:
        return self._tables > 0

    def add(self, table: pa.Table) -> None:
        """Add rows; `user_id` is dictionary-coded, without missing values."""
        table = table.unify_dictionaries().combine_chunks()
        user = table["user_id"].chunk(0)
        names = user.dictionary.to_numpy(zero_copy_only=False)
        of_name = pd.util.hash_array(names, categorize=False) % PARTITIONS
        part = of_name.astype(np.uint8)[user.indices.to_numpy()]
        ends = np.cumsum(np.bincount(part, minlength=PARTITIONS))
        table = table.take(pa.array(np.argsort(part, kind="stable")))
        for number, (start, stop) in enumerate(itertools.pairwise([0, *ends.tolist()])):
            if stop > start:
                rows = _cut(table.slice(start, stop - start))
                file = self.folder / f"{number:03d}-{self._tables:05d}.arrow"
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                with pa.ipc.new_file(file, rows.schema, options=options) as out:
                    out.write_table(rows)
        self._tables += 1

    def __iter__(self) -> Iterator[list[pa.Table]]:
        """Yield the rows of each partition, in the order in which they were added."""
        for number in range(PARTITIONS):
            yield [_read(path) for path in sorted(self.folder.glob(f"{number:03d}-*.arrow"))]


def _cut(table: pa.Table) -> pa.Table:
    """Return rows without the greater part of the dictionary entries that none of them has."""
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            array = column.combine_chunks()
            if len(array.dictionary) > len(array):
                codes = array.indices.dictionary_encode()
                used = array.dictionary.take(codes.dictionary)
                column = pa.DictionaryArray.from_arrays(codes.indices, used)
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
