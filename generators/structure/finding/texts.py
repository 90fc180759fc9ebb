"""Find text with a long tail, and the words of it that enough users share."""

from __future__ import annotations

import numpy as np

from generators.structure.finding import evidence
from generators.structure.relations.forms import FoldedText
from generators.structure.tables import Tables, text_of

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
