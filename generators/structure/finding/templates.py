"""Find text that is put together from other columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from generators.structure.finding.evidence import ALIKE, find_presence
from generators.structure.finding.rows import FEWEST_ROWS, HOLDS, agreement
from generators.structure.relations.template import Template
from generators.structure.tables import Tables

PROBE = 200  # rows of an event in which columns are looked for
MOST_PARTS = 4  # columns in one text
FEWEST_VALUES = 2  # of a column that a text contains
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
    at least `min_users` users.
    """
    value, patterns = texts[column].reset_index(drop=True), dict[str, list[str]]()
    for event in map(str, tables.event_names):
        rows = np.flatnonzero(tables.is_event([event]) & value.notna().to_numpy())
        if len(rows) < FEWEST_ROWS or len(np.unique(tables.user[rows])) < min_users:
            continue
        few = rows[np.linspace(0, len(rows) - 1, min(PROBE, len(rows))).astype(int)]
        pieces = _pieces(value.iloc[few], {n: texts[n].iloc[few] for n in operands})
        if pieces is not None:
            patterns[event] = pieces
    if not any(len(pieces) > 1 for pieces in patterns.values()):
        return None
    found = Template(column=column, patterns=patterns)
    made = found.value(tables)
    share = agreement(made, value)
    if share < ALIKE:
        return None
    return Template(
        column=column,
        patterns=patterns,
        exceptions=1 - share,
        present=find_presence(tables, column, made.notna().to_numpy()),
    )


def _pieces(value: pd.Series, operands: Mapping[str, pd.Series]) -> list[str] | None:
    """Return the literal text and the columns in turn of which `value` (m,) is made."""
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
    usual, share = _usual(left)
    if share < HOLDS:
        return None
    pieces, literal = list[str](), ""
    for character in usual:
        at = ord(character) - MARK
        if 0 <= at < len(used):
            pieces += [literal, used[at]]
            literal = ""
        else:
            literal += character
    return [*pieces, literal]


def _inside(texts: np.ndarray, values: np.ndarray) -> float:
    """Return the share of the values (m,) that contain their text (m,)."""
    return float(np.mean([bool(t) and t in v for t, v in zip(texts, values, strict=True)]))


def _usual(texts: np.ndarray) -> tuple[str, float]:
    """Return the most frequent of texts (m,), and its share."""
    share = pd.Series(texts).value_counts(normalize=True)
    return str(share.index[0]), float(share.iloc[0])
