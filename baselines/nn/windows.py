"""Windows over flat rows, and padded batches of them, by index arithmetic without a DataLoader.

A question is answered at one position of one window, its read. There are two kinds of windows:

chunks
    Consecutive pieces of each user's rows. A piece answers all questions that end in it; for
    training a causal backbone.
tails
    The last rows before each question, one window per question; for scoring, and for training a
    backbone that looks both ways.

A batch holds windows of similar length, padded on the right, with about `batch_rows` rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eventlog.arrays import Queries

MIXED_ROWS = 8  # windows whose lengths differ by less may share a batch in training


@dataclass(frozen=True)
class Windows:
    """Pieces of the flat arrays; window w has the reads `read_offsets[w]:read_offsets[w + 1]`."""

    start: np.ndarray  # (w,) int64 first row
    length: np.ndarray  # (w,) int64 rows, 0 where a question has nothing before it
    read_offsets: np.ndarray  # (w + 1,) int64
    read_position: np.ndarray  # (r,) int64 position in the window at which the question is answered
    read_query: np.ndarray  # (r,) int64 index of the question

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Batch:
    """Some windows, padded to the longest."""

    rows: np.ndarray  # (b, t) int64 flat row, -1 = padding
    length: np.ndarray  # (b,) int64, at least 1: an empty window keeps one padded position
    window: np.ndarray  # (r,) int64 row of `rows` in which the question is read
    position: np.ndarray  # (r,) int64 column of `rows` at which it is read
    query: np.ndarray  # (r,) int64 index of the question
    # (b, t) rows whose times count where `rows` are blanked out for an explanation
    timed: np.ndarray | None = None


def chunks(
    offsets: np.ndarray, queries: Queries, length: int, rng: np.random.Generator | None = None
) -> Windows:
    """Return consecutive windows of `length` rows up to each user's last question.

    A question is read at row `end - 1`. Windows without a read are left out. `rng` shifts the
    boundaries of users with more than `length` rows, so that epochs cut differently.
    """
    n = len(queries)
    first = offsets[queries.user]
    last_end = np.zeros(len(offsets) - 1, dtype=np.int64)
    np.maximum.at(last_end, queries.user, queries.end)
    phase = np.zeros(len(offsets) - 1, dtype=np.int64)
    if rng is not None:
        phase = np.where(
            last_end - offsets[:-1] > length, rng.integers(0, max(length, 1), size=len(phase)), 0
        )
    row = queries.end - 1
    piece = np.where(row >= first, (row - first + phase[queries.user]) // length, -1)
    # A window for each (user, piece); a question without rows has a window of its own.
    key = np.where(piece >= 0, first + queries.user + piece, -1 - np.arange(n))
    _, head, window = np.unique(key, return_index=True, return_inverse=True)
    begin = first + piece * length - phase[queries.user]
    start = np.maximum(begin, first)
    stop = np.minimum(begin + length, last_end[queries.user])
    size = np.where(piece >= 0, stop - start, 0)
    order = np.lexsort((row, window))
    return Windows(
        start=start[head],
        length=size[head],
        read_offsets=np.append(0, np.cumsum(np.bincount(window, minlength=len(head)))),
        read_position=np.maximum(row - start, 0)[order],
        read_query=order,
    )


def tails(offsets: np.ndarray, queries: Queries, length: int) -> Windows:
    """Return the last `length` rows before each question, read at the last of them."""
    start = np.maximum(queries.end - length, offsets[queries.user])
    size = queries.end - start
    n = len(queries)
    return Windows(start, size, np.arange(n + 1), np.maximum(size - 1, 0), np.arange(n))


def batches(
    windows: Windows, batch_rows: int, rng: np.random.Generator | None = None
) -> Iterator[Batch]:
    """Yield padded batches of about `batch_rows` rows, with windows of similar length.

    With `rng` (in training) windows of one length are mixed and batches come in random order;
    without it the order is fixed.
    """
    size = np.maximum(windows.length, 1)
    noise = rng.random(len(size)) * MIXED_ROWS if rng is not None else np.zeros(len(size))
    order = np.argsort(size + noise, kind="stable")
    # Windows ascend in length, so the padded size of a batch is close to the sum of its lengths.
    batch = (np.cumsum(size[order]) - 1) // max(batch_rows, 1)
    cuts = np.flatnonzero(np.diff(batch)) + 1
    pieces = np.split(order, cuts) if len(order) else []
    turn = rng.permutation(len(pieces)) if rng is not None else np.arange(len(pieces))
    for i in turn:
        yield _batch(windows, pieces[i])


def n_batches(windows: Windows, batch_rows: int) -> int:
    """Return about how many batches `batches` yields; with noise it may be off by one."""
    return int(-(-np.maximum(windows.length, 1).sum() // max(batch_rows, 1)))


def _batch(windows: Windows, chosen: np.ndarray) -> Batch:
    length = np.maximum(windows.length[chosen], 1)
    column = np.arange(length.max())
    # (b, t)
    rows = np.where(column < windows.length[chosen, None], windows.start[chosen, None] + column, -1)
    count = windows.read_offsets[chosen + 1] - windows.read_offsets[chosen]
    reads = np.repeat(
        windows.read_offsets[chosen] - np.append(0, np.cumsum(count)[:-1]), count
    ) + np.arange(count.sum())
    return Batch(
        rows,
        length,
        np.repeat(np.arange(len(chosen)), count),
        windows.read_position[reads],
        windows.read_query[reads],
    )
