"""Cut a test into blocks of questions, so that what a model is handed ends at each question.

Every question gets a user row of its own: a copy of the asked user's history up to
`queries.end`. Nothing later is in the arrays, so there is nothing to peek at.

Questions are dealt into *windows* in the order of time, and the questions of a window into
*blocks*, in which no user occurs twice: the history of a user's later question holds the answer to
the earlier one. Example, with questions a1, a2 of one user and b1 of another, all in one window::

    blocks: [a1, b1], [a2]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from eventlog.arrays import Examples, Queries, Sequences

QUESTIONS = 4_096  # of a window, at most
ROWS = 200_000  # of history in a block, unless a single question has more
WINDOW_MS = 6 * 3_600_000  # the longest window where answers come in during the test ...
WINDOWS = 100  # ... unless the test would need more windows than this


@dataclass(frozen=True)
class Window:
    """Questions that are asked with the same knowledge of earlier answers."""

    begin: int  # ms since 1970 UTC: time of its first question
    blocks: tuple[np.ndarray, ...]  # (n,) int64 each: positions of questions, ascending in time


def windows(test: Examples, *, questions: int = QUESTIONS, arriving: bool) -> Iterator[Window]:
    """Yield windows of at most `questions` questions of `test`, ascending in time.

    With `arriving` answers a window is at most WINDOW_MS long, or a WINDOWS-th of the test where
    that is longer.
    """
    queries = test.queries
    order = np.lexsort((queries.end, queries.time))
    time = queries.time[order]
    length = test.queries.end - test.sequences.offsets[queries.user]
    part = np.zeros(len(order), dtype=np.int64)
    if arriving and len(order):
        whole = int(time[-1] - time[0]) + 1
        part = (time - time[0]) // max(WINDOW_MS, -(-whole // WINDOWS))
    for group in _split_where(order, np.diff(part) != 0):
        for some in np.split(group, range(questions, len(group), questions)):
            yield Window(int(queries.time[some[0]]), tuple(_blocks(some, queries.user, length)))


def _blocks(asked: np.ndarray, user: np.ndarray, length: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the questions of a window in rounds, the first of each user, the second, ..."""
    by_user = np.argsort(user[asked], kind="stable")
    grouped = user[asked][by_user]
    turn = np.empty(len(asked), dtype=np.int64)
    turn[by_user] = np.arange(len(asked)) - np.searchsorted(grouped, grouped)
    ordered = asked[np.argsort(turn, kind="stable")]
    for round_ in np.split(ordered, np.cumsum(np.bincount(turn))[:-1]):
        piece = np.cumsum(length[round_]) // ROWS
        yield from _split_where(round_, np.diff(piece) != 0)


def _split_where(values: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    """Split `values` (n,) after each place at which `ends` (n - 1,) holds."""
    return np.split(values, np.flatnonzero(ends) + 1) if len(values) else []


def histories(sequences: Sequences, user: np.ndarray, stop: np.ndarray) -> Sequences:
    """Return copies of the users' rows up to the flat rows `stop`; a user may occur twice.

    `user` and `stop` are (n,) int64; the result has n users.
    """
    start = sequences.offsets[user]
    length = stop - start
    offsets = np.concatenate([[0], np.cumsum(length)])
    row = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], length)
    return _take(replace(sequences, offsets=offsets, users=sequences.users[user]), row)


def renumbered(sequences: Sequences) -> Sequences:
    """Return `sequences` with row numbers as event ids.

    Ids ascend in the order of a log's rows, which are grouped by user: with those of the log, the
    next user's first id would say how many rows a user has after the question.
    """
    return replace(sequences, event_id=np.arange(sequences.n_rows))


def _take(sequences: Sequences, row: np.ndarray) -> Sequences:
    return replace(
        sequences,
        time=sequences.time[row],
        event_id=sequences.event_id[row],
        role=sequences.role[row],
        columns={k: v[row] for k, v in sequences.columns.items()},
        raw={k: v[row] for k, v in sequences.raw.items()},
        ids={k: v[row] for k, v in sequences.ids.items()},
    )


def cut(sequences: Sequences, asked: Queries, *, others: bool = False) -> tuple[Sequences, Queries]:
    """Return sequences that end at each question, and the questions about them.

    Question i is about user row i. With `others` the rows of all users who are not asked about
    follow, up to the time of the first question. Event ids are renumbered, see `renumbered`.
    """
    user, stop = asked.user, asked.end
    if others and len(asked):
        rest = np.setdiff1d(np.arange(len(sequences)), user)
        begin = np.full(len(rest), asked.time.min(), dtype=np.int64)
        known = sequences.rows_before(rest, begin)
        there = known > sequences.offsets[rest]
        user, stop = (np.concatenate(p) for p in ((user, rest[there]), (stop, known[there])))
    known_rows = renumbered(histories(sequences, user, stop))
    n = len(asked)
    return known_rows, Queries(np.arange(n), known_rows.offsets[1 : n + 1].copy(), asked.time)


def cut_examples(examples: Examples, chosen: np.ndarray | slice) -> Examples:
    """Return the chosen questions with their answers, the sequences cut at each question."""
    sequences, queries = cut(examples.sequences, examples.queries[chosen])
    return replace(pick(examples, chosen), sequences=sequences, queries=queries)


def pick(examples: Examples, chosen: np.ndarray | slice) -> Examples:
    """Return the chosen questions about the same sequences."""

    def part(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[chosen]

    return Examples(
        examples.sequences,
        examples.queries[chosen],
        examples.target[chosen],
        part(examples.treatment),
        part(examples.known_at),
    )


def of_users(examples: Examples, users: np.ndarray) -> Examples:
    """Return the questions about some `users` (k,), ascending, and sequences of them alone."""
    old, queries = examples.sequences, examples.queries
    sequences = histories(old, users, old.offsets[users + 1])
    kept = pick(examples, np.isin(queries.user, users))
    place = np.searchsorted(users, kept.queries.user)
    end = kept.queries.end - old.offsets[kept.queries.user] + sequences.offsets[place]
    return replace(kept, sequences=sequences, queries=Queries(place, end, kept.queries.time))


def shuffled(sequences: Sequences, queries: Queries, *, rng: np.random.Generator) -> Sequences:
    """Return the histories of `cut` with their rows in random order.

    Times and event ids stay where they are; everything else changes places within the history.
    Rows at the time of the question (the order that is asked about) stay, too.
    """
    n = len(queries)
    asked_at = np.full(len(sequences), np.iinfo(np.int64).min)
    asked_at[:n] = queries.time
    user = sequences.row_user()
    stays = sequences.time >= asked_at[user]
    place = np.arange(sequences.n_rows)
    key = np.where(stays, place, rng.random(sequences.n_rows))
    row = np.lexsort((key, stays, user))
    return replace(_take(sequences, row), time=sequences.time, event_id=sequences.event_id)
