"""Known items as flat arrays, and decayed histories as a sparse matrix, for next-item models.

With decay 0.8 a user who saw the items a, b, c (c last) has the row {c: 1, b: 0.8, a: 0.64}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import scipy.sparse as sp

from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Range
from eventlog.arrays import FIRST, Examples, Queries, Sequences

# Settings that next-item models share.
LastRows = Annotated[int, Range(1, 10_000, "rows of history that count")]
Decay = Annotated[float, Range(0.0, 1.0, "factor by which each row back counts less")]
Backoff = Annotated[float, Range(0.0, None, "weight of popularity")]


@dataclass(frozen=True)
class KnownItems:
    """Items that training examples reveal: rows before a user's last question, and its answer."""

    item: np.ndarray  # (n,) int64 item codes, by user and then by time
    user: np.ndarray  # (n,) int64: position of the row's user among those that occur
    time: np.ndarray  # (n,) int64 ms

    @property
    def n_users(self) -> int:
        """Number of users that occur."""
        return int(self.user[-1]) + 1 if len(self.user) else 0

    def counts(self, n_items: int) -> np.ndarray:
        """Return how often each item occurs, (n_items,) float64; missing and unknown are 0."""
        counts = np.bincount(self.item, minlength=n_items).astype(np.float64)
        counts[:FIRST] = 0
        return counts

    def matrix(self, n_items: int) -> sp.csr_matrix:
        """Return 1 where the user has the item, (n_users, n_items) float32."""
        known = self.item >= FIRST
        ones = np.ones(int(known.sum()), dtype=np.float32)
        matrix = sp.csr_matrix(
            (ones, (self.user[known], self.item[known])), shape=(self.n_users, n_items)
        )
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


def item_codes(sequences: Sequences) -> np.ndarray:
    """Return the item codes, (n_rows,) int32. Raises InputError if the log has no items."""
    if "item" not in sequences.columns:
        raise InputError(
            "The log has no items (item_id is missing or empty), so a next-item model has nothing "
            "to learn."
        )
    return sequences.columns["item"]


def known_items(train: Examples) -> KnownItems:
    """Return the items up to the answer to each user's last question; nothing later is read."""
    sequences, queries = train.sequences, train.queries
    codes = item_codes(sequences)
    if len(queries) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return KnownItems(empty, empty, empty)
    by_user = np.lexsort((queries.end, queries.user))
    last = by_user[
        np.flatnonzero(np.append(queries.user[by_user][1:] != queries.user[by_user][:-1], True))
    ]
    start, end = sequences.offsets[queries.user[last]], queries.end[last]
    length = end - start + 1  # with the answer
    user = np.repeat(np.arange(len(last)), length)
    ends = np.cumsum(length)
    row = np.arange(int(ends[-1])) - np.repeat(ends - length, length) + np.repeat(start, length)
    # A placeholder: the answer comes from `target`, its row is not read.
    row[ends - 1] = np.maximum(row[ends - 1] - 1, 0)
    item, time = codes[row].astype(np.int64), sequences.time[row].copy()
    item[ends - 1], time[ends - 1] = train.target[last], queries.time[last]
    return KnownItems(item, user, time)


def last_items(sequences: Sequences, queries: Queries, *, last: int) -> np.ndarray:
    """Return the items of the last rows before each question, (n, last) int64, latest first.

    Shorter histories are filled up with 0.
    """
    row = queries.end[:, None] - 1 - np.arange(last)
    known = row >= sequences.offsets[queries.user][:, None]
    item = item_codes(sequences)
    return (
        np.where(known, item[np.where(known, row, 0)], 0)
        if len(item)
        else np.zeros(row.shape, dtype=np.int64)
    )


def decayed_history(
    sequences: Sequences, queries: Queries, n_items: int, *, last: int, decay: float
) -> sp.csr_matrix:
    """Return decayed histories, (n, n_items) float32: an item j rows back has weight decay**j.

    The weights of a repeated item add up.
    """
    item = last_items(sequences, queries, last=last)
    weight = np.broadcast_to(np.float32(decay) ** np.arange(last, dtype=np.float32), item.shape)
    query = np.broadcast_to(np.arange(len(item))[:, None], item.shape)
    known = item >= FIRST
    return sp.csr_matrix(
        (weight[known].astype(np.float32), (query[known], item[known])), shape=(len(item), n_items)
    )
