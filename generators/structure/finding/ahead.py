"""Find what rows say of the row that comes next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from generators.structure.finding import evidence
from generators.structure.finding.rows import FEWEST_ROWS, HOLDS
from generators.structure.relations.ahead import (
    Ahead,
    AsNext,
    about_next,
    beginnings,
    next_in_session,
    place_of_next,
)
from generators.structure.tables import Tables, codes_of

MOST_USUAL = 0.9  # share of the most frequent value ahead, at most
FEWEST_TEXTS = 4
FOLLOWED = 0.5  # share of the rows with the text after which the session has a value
ALONE = 0.95  # share of the rows with the text that have no value of their own


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
    rows, ahead = about_next(some, column), place_of_next(some, column)
    found = []
    for name in map(str, some.event_names):
        mine = np.flatnonzero(rows & some.is_event([name]))
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
