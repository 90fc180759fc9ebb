"""Find rows of the test window that were learnt from, and people who have two ids.

A copy has another time or another user, otherwise it would not be on the other side. What is the
same in it is looked for in three ways: all columns with the session's and the order's id; all
columns with the time of day; and stretches of RUN rows with their rough gaps. How often rows of
the window before the cut occurred before that window says what is usual in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.arrays import DAY_MS
from eventlog.log import to_ms
from eventlog.split import TimeSplit

RUN = 5  # rows of a stretch
MIN_ROWS = 100  # after the cut, for copies to be looked for
STRETCHES = 0.01  # share of copied stretches beyond what is usual that is suspected
ROWS = 0.002  # the same of single rows
MIN_COPIES = 10  # rows
SIMILAR = 0.5  # share of a user's rows that another user has as well
MIN_SHARED = 5  # rows that two users share
DISTINCTIVE = 8  # rows that are the same at most, for two of them to say anything
MINUTE_MS = 60_000
MAX_IDS = 200_000  # ids that are compared
NOT_CONTENT = frozenset({"event_id", "user_id", "timestamp"})
VISIT_IDS = ("session_id", "order_id")
STRETCH_COLUMNS = ("event", "item_id", "price", "quantity")
MIX = np.uint64(1_000_003)


@dataclass(frozen=True)
class _Keys:
    """Hashes of what is looked for again, each with its place in time."""

    key: np.ndarray  # (n,) uint64
    user: np.ndarray  # (n,) int64
    first: np.ndarray  # (n,) int64 ms of its first row
    last: np.ndarray  # (n,) int64 ms of its last row

    def __getitem__(self, index: np.ndarray) -> _Keys:
        return _Keys(self.key[index], self.user[index], self.first[index], self.last[index])


def copies(source: EventLog, log: EventLog, split: TimeSplit) -> Iterator[str]:
    """Yield a sentence for each sign of copied rows, and for people under two ids."""
    if len(log) == 0 or len(source) == 0:
        return
    ours, theirs = _Rows(log), None if source is log else _Rows(source)
    stretches = _stretches(ours)
    for make, least, what in (
        (_stretches, STRETCHES, f"stretches of {RUN} rows"),
        (_with_visit, ROWS, "rows, their session and order ids included,"),
        (_with_time_of_day, ROWS, "rows, the time of day included,"),
    ):
        keys = stretches if make is _stretches else make(ours)
        text = _across(keys, None if theirs is None else make(theirs), split, least, what)
        if text:
            yield text
            break  # the same rows would be told of again
    for keys, what in (
        (stretches, f"stretches of {RUN} rows"),
        (_with_time_of_day(ours, MINUTE_MS), "rows, the minute of the day included,"),
    ):
        text = _pairs(keys, ours.names, what)
        if text:
            yield text
            break
    yield from _like_ids(ours.names)


class _Rows:
    """A log's rows as hashes of their columns, made once."""

    def __init__(self, log: EventLog) -> None:
        events = log.events
        self.time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        user = events["user_id"].astype("category")
        self.user = user.cat.codes.to_numpy().astype(np.int64)
        self.names = user.cat.categories.astype(str).to_numpy()[np.unique(self.user)]
        self.user = np.unique(self.user, return_inverse=True)[1]
        self.hashes = {n: _hashes(events[n]) for n in map(str, events) if n not in NOT_CONTENT}

    def content(self, columns: list[str]) -> np.ndarray:
        """Return (n,) uint64: one hash of the given columns."""
        row = np.zeros(len(self.time), dtype=np.uint64)
        for name in columns:
            row = row * MIX + self.hashes[name]
        return row


def _with_visit(rows: _Rows) -> _Keys:
    """Return the rows that have a session or an order, with all their columns."""
    ids = [name for name in VISIT_IDS if name in rows.hashes]
    missing = np.array([_MISSING], dtype=np.uint64)
    there = np.zeros(len(rows.time), dtype=bool)
    for name in ids:
        there |= rows.hashes[name] != missing
    keys = _Keys(rows.content(list(rows.hashes)), rows.user, rows.time, rows.time)
    return keys[np.flatnonzero(there)]


def _with_time_of_day(rows: _Rows, unit_ms: int = 1) -> _Keys:
    """Return all rows with their columns and time of day, without ids of visits."""
    content = rows.content([n for n in rows.hashes if n not in VISIT_IDS])
    day = (rows.time % DAY_MS // unit_ms).astype(np.uint64)
    return _Keys(content * MIX + _scrambled(day), rows.user, rows.time, rows.time)


def _stretches(rows: _Rows) -> _Keys:
    """Return the runs of RUN rows of one user that span some time.

    Two are the same where events, items, prices and rough gaps are; gaps count to a factor of
    two, because a copy may be jittered.
    """
    n, time, user = max(len(rows.time) - RUN + 1, 0), rows.time, rows.user
    row = rows.content([name for name in STRETCH_COLUMNS if name in rows.hashes])
    gap = np.append(0, np.diff(time)) / 1000.0
    rough = np.log2(1 + np.maximum(gap, 0)).astype(np.uint64)
    found = row[:n].copy()
    for k in range(1, RUN):
        found = (found * MIX + rough[k : n + k]) * MIX + row[k : n + k]
    first, last = time[:n], time[RUN - 1 :][:n]
    same = user[:n] == user[RUN - 1 :][:n]
    keep = np.flatnonzero(same & (last > first) & (last - first < 7 * DAY_MS))
    return _Keys(found[keep], user[:n][keep], first[keep], last[keep])


def _across(
    keys: _Keys, source: _Keys | None, split: TimeSplit, least: float, what: str
) -> str | None:
    """Return a sentence where more of `keys` after the cut occur before it than is usual."""
    cut, window = to_ms(split.cut), to_ms(split.end) - to_ms(split.cut)
    late = keys.first >= cut
    learnt = keys if source is None else source
    known = learnt.key[learnt.last < cut]
    if late.sum() < MIN_ROWS or len(known) == 0:
        return None
    share = _share_within(keys.key[late], known)
    before = (keys.last < cut) & (keys.first >= cut - window)
    usual = _share_within(keys.key[before], keys.key[keys.last < cut - window])
    excess = share - 3 * usual
    if excess <= least or excess * late.sum() < MIN_COPIES:
        return None
    return (
        f"{share:.1%} of the {what} after the cut occur before it as well ({usual:.1%} is usual in "
        "this log): are rows copied across the cut?"
    )


def _pairs(keys: _Keys, names: np.ndarray, what: str) -> str | None:
    """Return a sentence where pairs of users share most of their rows."""
    order = np.lexsort((keys.user, keys.key))
    key, user = keys.key[order], keys.user[order]
    begins = np.append(True, key[1:] != key[:-1])
    size = np.diff(np.append(np.flatnonzero(begins), len(key)))
    few = np.repeat(size <= DISTINCTIVE, size)
    near = (key[1:] == key[:-1]) & (user[1:] != user[:-1]) & few[1:]
    n = len(names)
    pair, shared = np.unique(user[:-1][near] * n + user[1:][near], return_counts=True)
    rows = np.bincount(keys.user, minlength=n)
    smaller = np.minimum(rows[pair // n], rows[pair % n])
    alike = (shared >= MIN_SHARED) & (shared >= SIMILAR * smaller)
    if not alike.any():
        return None
    most = pair[alike][np.argmax(shared[alike])]
    return (
        f"{int(alike.sum())} pair(s) of users have most of their {what.rstrip(',')} in common, "
        f"such as {names[most // n]} and {names[most % n]} ({shared[alike].max()} of them): is one "
        "person there under two ids?"
    )


def _like_ids(names: np.ndarray) -> Iterator[str]:
    """Yield a sentence where users have ids that differ in case, spaces or leading zeros only."""
    ids = pd.Series(names[:MAX_IDS].astype(str))
    plain = ids.str.casefold().str.replace(r"[\s_\-]+", "-", regex=True).str.strip("-")
    plain = plain.str.replace(r"\.0$", "", regex=True).str.replace(r"^0+(?=\d+$)", "", regex=True)
    twice = plain.duplicated(keep=False).to_numpy()
    if twice.any():
        example = ids[plain == plain[np.flatnonzero(twice)[0]]].tolist()[:2]
        yield (
            f"{int(twice.sum())} user ids differ from another in case, spaces, dashes or leading "
            f"zeros only, such as {example[0]!r} and {example[1]!r}: is one person there under "
            "two ids?"
        )


def _share_within(some: np.ndarray, known: np.ndarray) -> float:
    """Return the share of `some` that is in `known`; the sort is faster than np.isin."""
    if len(some) == 0 or len(known) == 0:
        return 0.0
    known = np.sort(known)
    return float((known[np.minimum(np.searchsorted(known, some), len(known) - 1)] == some).mean())


_MISSING = 7  # hash of no value


def _hashes(values: pd.Series) -> np.ndarray:
    """Return (n,) uint64 hashes, the same for the same value in every log and in either case."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.util.hash_array(values.to_numpy(dtype=np.float32, na_value=np.nan))
    texts = values.astype("category")
    plain = texts.cat.categories.astype(str).str.strip().str.casefold()
    hashes = pd.util.hash_array(plain.to_numpy(dtype=object), categorize=False)
    return np.append(hashes, np.uint64(_MISSING))[texts.cat.codes.to_numpy()]


def _scrambled(value: np.ndarray) -> np.ndarray:
    return pd.util.hash_array(value)
