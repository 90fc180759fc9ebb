"""Find text with a long tail, the words of it that enough users share, and dates in text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from generators.structure.finding import evidence
from generators.structure.relations.forms import FoldedText
from generators.structure.tables import Tables, text_of

# How a date, or a time, may be written in text; a number may be one as well, as 20260314.
FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y%m%d", "%d %b %Y"),
    *("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
    *("%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
)
FIRST_YEAR, LAST_YEAR = 1900, 2100  # of what is taken for a date
FOLDED = 0.005  # share of the rows with rare values from which on they are folded


def find_folded(tables: Tables, name: str, min_users: int) -> FoldedText | None:
    """Return how rare values of a column are folded, None where it has few, or holds ids."""
    column = text_of(tables.events[name]).astype("category")
    code = column.cat.codes.to_numpy().astype(np.int64)
    values = column.cat.categories.astype(str).to_numpy(dtype=object)
    users = evidence.users_of(code, tables.user)
    rows = code >= 0
    rare = np.append(users < min_users, False)[code] & rows
    share = rare.sum() / max(rows.sum(), 1)
    if share < FOLDED:
        return None
    kept = {str(v) for v in values[users >= min_users]}
    kept |= _beginnings(values, code, rare, tables.user, min_users)
    if not kept:
        return None
    table = np.array([_kept(v, kept) for v in values] + [False])
    covered = table[code][rows].mean()
    if evidence.is_id(code, tables.user) and covered < 0.5:
        return None
    return FoldedText(column=name, kept=sorted(kept), folded=float(share))


def _beginnings(
    values: np.ndarray, code: np.ndarray, rare: np.ndarray, user: np.ndarray, min_users: int
) -> set[str]:
    """Return the beginnings of rare values that enough users have, the longest first."""
    kept = set()
    words = [v.split(" ") for v in values]
    left = rare.copy()
    for n in range(max(map(len, words), default=1) - 1, 0, -1):
        starts = [" ".join(w[:n]) if len(w) > n else "" for w in words]
        names, of = np.unique(np.array(starts, dtype=str), return_inverse=True)
        start = np.where(left, np.append(of, 0)[code], -1)
        start[(start >= 0) & (names == "")[start]] = -1
        enough = np.flatnonzero(evidence.users_of(start, user) >= min_users)
        kept |= {str(names[k]) for k in enough}
        left &= ~np.isin(start, enough)
    return kept


def _kept(value: str, kept: set[str]) -> bool:
    words = value.split(" ")
    return any(" ".join(words[:n]) in kept for n in range(len(words), 0, -1))


def find_format(column: pd.Series, time: np.ndarray | None = None) -> str | None:
    """Return how the dates are written that a column of text, or of numbers, has in all rows.

    None where it has anything else. Of two ways to read it (the third of April, or the fourth of
    March) it is the one by which dates are nearer to the `time` (n,) ms of their rows.
    """
    texts = text_of(column)
    values = texts.dropna().unique()
    if len(values) == 0:
        return None
    found = {n: read for n in FORMATS if (read := _read(values, n)) is not None}
    if len(found) < 2 or time is None:
        return next(iter(found), None)
    there = texts.notna().to_numpy()

    def far(written: str) -> float:
        ms = texts[there].map(found[written]).to_numpy(dtype=np.float64)
        return float(np.abs(ms - time[there]).mean())

    return min(found, key=far)


def _read(values: np.ndarray, written: str) -> pd.Series | None:
    """Return the ms of texts by text, None where one is not `written` so."""
    if len(values[0]) != len(pd.Timestamp("2026-03-14 15:09").strftime(written)):
        return None
    stamps = pd.to_datetime(pd.Series(values, index=values), format=written, errors="coerce")
    if stamps.isna().any() or (stamps.dt.strftime(written) != stamps.index).any():
        return None
    years = stamps.dt.year
    if years.min() < FIRST_YEAR or years.max() > LAST_YEAR:
        return None
    return stamps.astype("datetime64[ms]").astype("int64")
