"""Sort the rows of an import by user and time, in Arrow: no text is made an object of Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.order import in_order, places


@dataclass
class SortedRows:
    """Rows by user, ascending by id, and of a user by time; equal times keep their order."""

    columns: dict[str, pa.Array]  # all columns, (n_rows,) each
    names: pa.StringArray  # (n_users,) the ids of the users, ascending
    user: np.ndarray  # (n_rows,) int32: place in `names`
    time: np.ndarray  # (n_rows,) int64 ms since 1970 UTC

    @cached_property
    def first(self) -> np.ndarray:
        """The first row of each user, (n_users_with_rows,) int64."""
        return np.flatnonzero(np.append(True, self.user[1:] != self.user[:-1]))

    def parts(self, rows: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of about `rows` rows that never divide the rows of a user."""
        first = self.first
        start = 0
        while start < len(self.user):
            place = int(np.searchsorted(first, start + rows))
            stop = int(first[place]) if place < len(first) else len(self.user)
            yield start, stop
            start = stop


def grouped_by_user(columns: dict[str, pa.Array]) -> SortedRows:
    """Return the rows of columns sorted; `user_id` is dictionary-coded, without missing values."""
    ids = columns["user_id"]
    ascending = pc.sort_indices(ids.dictionary)  # by bytes, which is by characters
    rank = np.empty(len(ascending), dtype=np.int32)
    rank[ascending.to_numpy()] = np.arange(len(ascending), dtype=np.int32)
    user = rank[ids.indices.to_numpy()]
    time = columns["timestamp"].cast(pa.int64()).to_numpy()
    if not in_order(user, time):
        order = places(user, time)
        user, time = user[order], time[order]
        taken = pa.array(order)
        columns = {
            name: column if name in ("user_id", "timestamp") else column.take(taken)
            for name, column in columns.items()
        }
    names = ids.dictionary.take(ascending)
    sorted_both = {
        "user_id": pa.DictionaryArray.from_arrays(pa.array(user), names),
        "timestamp": pa.array(time).cast(columns["timestamp"].type),
    }
    return SortedRows(columns | sorted_both, names, user, time)
