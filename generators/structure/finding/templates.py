"""Find text that is put together from other columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pandas as pd

from generators.structure.finding.evidence import ALIKE, determined, find_presence
from generators.structure.finding.rows import FEWEST_ROWS, HOLDS, agreement
from generators.structure.relations.template import Template, has_marks
from generators.structure.tables import Tables, codes_of

PROBE = 200  # rows of an event in which columns are looked for
MOST_PARTS = 4  # columns in one text
FEWEST_VALUES = 2  # of a column that a text contains
FEWER = 2  # times as many values as what is left of it has a text that contains columns
OF_ITEM = 0.99  # share of the rows whose item decides what is left
MARK = 0xE000  # the first character of Unicode's private use: no text has it


def find_template(
    tables: Tables,
    column: str,
    operands: Sequence[str],
    texts: Mapping[str, pd.Series],
    min_users: int,
) -> Template | None:
    """Return of what the text `column` is put together, None where of nothing.

    `texts` are the `operands`, and the column, as text (n,). It must be so of all rows, or nearly:
    of two addresses those that differ tell most. What stands beside the operands is that of rows of
    at least `min_users` users. Where it is not the same in all rows of an event it must have a
    small part of the values of the column, so that it can be learnt.
    """
    value = texts[column].reset_index(drop=True)
    patterns, rest = dict[str, list[str]](), dict[str, list[str]]()
    marked = value.str.contains("{", regex=False).any()
    for event in map(str, tables.event_names):
        rows = np.flatnonzero(tables.is_event([event]) & value.notna().to_numpy())
        if not len(rows):
            continue
        if len(rows) < FEWEST_ROWS or len(np.unique(tables.user[rows])) < min_users:
            rest[event] = []
            continue
        few = rows[np.linspace(0, len(rows) - 1, min(PROBE, len(rows))).astype(int)]
        used, left = _columns_in(value.iloc[few], {n: texts[n].iloc[few] for n in operands})
        usual, share = _usual(left)
        if share >= HOLDS:
            patterns[event] = _pieces(usual, used)
        else:
            rest[event] = used
    if not any(len(pieces) > 1 for pieces in patterns.values()) and not any(rest.values()):
        return None
    found = Template(column=column, patterns=patterns)
    made = found.value(tables)
    share = agreement(made, value)
    if share >= ALIKE:
        return Template(
            column=column,
            patterns=patterns,
            exceptions=1 - share,
            present=find_presence(tables, column, made.notna().to_numpy()),
        )
    found = Template(column=column, patterns=patterns, rest=rest)
    can = tables.is_event([*patterns, *rest])
    found = msgspec.structs.replace(found, present=find_presence(tables, column, can))
    return None if marked or not _is_simpler(tables, found, value, made) else found


def _is_simpler(tables: Tables, found: Template, value: pd.Series, made: pd.Series) -> bool:
    """Do patterns hold, and can what is left of other rows be learnt?

    `value` and `made` (n,) are the texts and what the patterns give.
    """
    of_pattern = tables.is_event(found.patterns) & value.notna().to_numpy()
    if (made[of_pattern] != value[of_pattern]).mean() > 1 - ALIKE:
        return False
    left = found.what_is_left(tables)
    for event, names in found.rest.items():
        rows = left[tables.is_event([event]) & left.notna().to_numpy()]
        if names and not rows.map(lambda text, of=names: has_marks(text, of)).mean() >= HOLDS:
            return False
    if left.nunique() * FEWER <= value.nunique():
        return True
    if "item_id" not in tables.events:
        return False
    item, code = codes_of(tables.events["item_id"]), codes_of(left)
    of_item = determined(item, code, tables.user)
    return of_item is not None and min(of_item.share, (item[code >= 0] >= 0).mean()) > OF_ITEM


def _pieces(usual: str, used: Sequence[str]) -> list[str]:
    """Return the literal text and the columns in turn of which a text with marks is made."""
    pieces, literal = list[str](), ""
    for character in usual:
        at = ord(character) - MARK
        if 0 <= at < len(used):
            pieces += [literal, used[at]]
            literal = ""
        else:
            literal += character
    return [*pieces, literal]


def _columns_in(
    value: pd.Series, operands: Mapping[str, pd.Series]
) -> tuple[list[str], np.ndarray]:
    """Return the columns that stand in `value` (m,), and the texts with a mark for each of them."""
    left, used = value.astype(str).to_numpy(dtype=object), list[str]()
    varied = [n for n, of in operands.items() if of.nunique() >= FEWEST_VALUES]
    texts = {n: operands[n].fillna("").to_numpy(dtype=object) for n in varied}
    # short columns, which are found anywhere, come last, if at all
    waiting = sorted(texts, key=lambda n: -float(np.mean([len(t) for t in texts[n]])))
    while len(used) < MOST_PARTS and _usual(left)[1] < HOLDS:
        best = next((n for n in waiting if _inside(texts[n], left) >= HOLDS), None)
        if best is None:
            break
        mark = chr(MARK + len(used))
        pairs = zip(texts[best], left, strict=True)
        left = np.array([v.replace(t, mark, 1) if t else v for t, v in pairs], dtype=object)
        waiting.remove(best)
        used.append(best)
    return used, left


def _inside(texts: np.ndarray, values: np.ndarray) -> float:
    """Return the share of the values (m,) that contain their text (m,)."""
    return float(np.mean([bool(t) and t in v for t, v in zip(texts, values, strict=True)]))


def _usual(texts: np.ndarray) -> tuple[str, float]:
    """Return the most frequent of texts (m,), and its share."""
    share = pd.Series(texts).value_counts(normalize=True)
    return str(share.index[0]), float(share.iloc[0])
