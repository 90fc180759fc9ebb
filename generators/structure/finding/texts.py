"""Find text with a long tail, dates in text, and what rows say of the row that comes next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from generators.structure.finding import evidence
from generators.structure.finding.rows import FEWEST_ROWS, HOLDS
from generators.structure.relations.ahead import (
    Ahead,
    AsNext,
    next_in_session,
    place_of_next,
)
from generators.structure.relations.forms import FoldedText, beginning, beginnings
from generators.structure.tables import Tables, codes_of, text_of

# How a date, or a time, may be written in text; a number may be one as well, as 20260314.
FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y%m%d", "%d %b %Y"),
    *("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
    *("%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
)
FIRST_YEAR, LAST_YEAR = 1900, 2100  # of what is taken for a date
FOLDED = 0.005  # share of the rows with rare values from which on they are folded
MOST_USUAL = 0.9  # share of the most frequent value ahead, at most
FEWEST_TEXTS = 4
FOLLOWED = 0.5  # share of the rows with the text after which the session has a value
ALONE = 0.95  # share of the rows with the text that have no value of their own


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
    table = np.array([beginning(v, kept) is not None for v in values] + [False])
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


def find_ahead(
    some: Tables, whole: Tables, column: str, columns: Sequence[str], kept: set[str]
) -> Ahead | None:
    """Return of which of `columns` a text says the next value, None where of none.

    It is looked for in the tables of `some` users; `kept` are the texts, and beginnings of texts,
    that enough users of the `whole` log have. Of several columns it is that with most values.
    """
    text = beginnings(some.events[column], kept)
    there = text.notna().to_numpy()
    if there.sum() < FEWEST_ROWS or text.nunique() < FEWEST_TEXTS:
        return None
    alone = [n for n in columns if some.events[n][there].isna().mean() >= ALONE]
    for of in sorted(alone, key=lambda n: -some.events[n].nunique()):
        ahead = next_in_session(some, of)
        found = evidence.determined(codes_of(text), codes_of(ahead), some.user)
        if (
            found is None
            or found.share < HOLDS
            or ahead[there].notna().mean() < FOLLOWED
            or found.keys < FEWEST_TEXTS
            or found.covered < evidence.COVERED
            or found.without > MOST_USUAL
        ):
            continue
        texts = _texts_before(beginnings(whole.events[column], kept), next_in_session(whole, of))
        if ahead[there].dropna().isin(texts).mean() >= HOLDS:
            return Ahead(column=column, of=of, texts=texts, exceptions=1 - found.share)
    return None


def find_as_next(some: Tables, column: str) -> AsNext | None:
    """Return of which events' rows without an item `column` is that of the session's next item.

    None where it is so of no event, or hardly varies.
    """
    value = codes_of(some.events[column])
    ahead = place_of_next(some, column)
    found = []
    for name in map(str, some.event_names):
        mine = np.flatnonzero((ahead >= 0) & some.is_event([name]))
        if len(mine) < FEWEST_ROWS or np.bincount(value[mine]).max() > MOST_USUAL * len(mine):
            continue
        if (value[mine] == value[ahead[mine]]).mean() >= HOLDS:
            found.append(name)
    return AsNext(column=column, events=found) if found else None


def _texts_before(text: pd.Series, ahead: pd.Series) -> dict[str, list[str]]:
    """Return the texts (n,) by the value ahead (n,) that they mostly have, most frequent first."""
    pairs = pd.DataFrame({"text": text, "ahead": ahead}).dropna().value_counts().reset_index()
    pairs = pairs.sort_values(["count", "text"], ascending=[False, True], kind="stable")
    usual = pairs.drop_duplicates("text")
    rows = pairs.groupby("text")["count"].sum()
    usual = usual.assign(rows=rows[usual["text"]].to_numpy())
    usual = usual.sort_values(["ahead", "rows", "text"], ascending=[True, False, True])
    return {str(a): list(map(str, g)) for a, g in usual.groupby("ahead", sort=True)["text"]}
