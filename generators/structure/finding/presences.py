"""Find what decides which rows have a column: the value of another one, or that it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from generators.structure.finding import evidence
from generators.structure.finding.search import Search
from generators.structure.relations.ahead import Ahead
from generators.structure.relations.base import Presence, Relation
from generators.structure.relations.forms import FoldedText, Name
from generators.structure.relations.where import Where
from generators.structure.tables import Tables, codes_of, is_number, is_time, text_of

MOST_VALUES = 32  # of a column that decides
MOST_NUMBERS = 8  # of one of numbers
FEWEST_ROWS = 30  # with, and without, the column
LEFT = 0.05  # of the rows with the column, or of those without: what may not follow


class Presences(Search):
    """Looks for what decides which rows have a column."""

    def presences(self) -> None:
        """Find what decides which rows have a column that only some rows of an event have."""
        tables, operands = self.some, [n for n in self.operands() if n != "event"]
        found_here = [r for r in self.relations if r.column not in self.declared]
        drawn = {r.column: r for r in found_here if _is_drawn(r)}
        here = set(tables.events) - {r.column for r in found_here if isinstance(r, Ahead)}
        learnt = [r.column for r in found_here if isinstance(r, FoldedText | Name)]
        for name in [n for n in (*drawn, *self.free, *learnt) if n in here]:
            others = [n for n in self.before(name, operands) if n != name]
            found = find_deciding(tables, name, others, self.min_users)
            if found is None:
                continue
            if name in drawn:
                at = self.relations.index(drawn[name])
                self.relations[at] = msgspec.structs.replace(drawn[name], present=found)
            else:
                is_id = evidence.is_id(codes_of(tables.events[name]), tables.user)
                is_id = is_id and not is_number(tables.events[name])
                self.relations.append(Where(column=name, present=found, own=is_id))


def _is_drawn(relation: Relation) -> bool:
    """Is it learnt which rows have the column of a relation?"""
    present = getattr(relation, "present", None)
    return present is not None and present.drawn


def find_deciding(
    tables: Tables, column: str, operands: Sequence[str], min_users: int
) -> Presence | None:
    """Return which of `operands` decides the rows that have `column`, None where none does.

    The values of an operand are tried before that it is known. Those count that at least
    `min_users` users have.
    """
    present = tables.events[column].notna().to_numpy()
    events = len(tables.event_names)
    rows_of = np.bincount(tables.event_code, minlength=events)
    some = np.bincount(tables.event_code, present, events) > evidence.SURE * rows_of
    can = some[tables.event_code]
    rows = present[can]
    if min(rows.sum(), (~rows).sum()) < FEWEST_ROWS:
        return None
    names = None if can.all() else sorted(map(str, tables.event_names[some]))
    for by, values, made in _tried(tables, operands, present & can, can, min_users):
        wrong = min(rows.sum(), (~rows).sum()) * LEFT
        if (made[can] != rows).sum() <= min(wrong, evidence.SURE * len(rows)):
            return Presence(events=names, by=by, values=values)
    return None


def _tried(
    tables: Tables, operands: Sequence[str], present: np.ndarray, can: np.ndarray, min_users: int
) -> Iterator[tuple[str, list[str] | None, np.ndarray]]:
    """Yield operands, their values, and the rows (n,) that would have the column by them."""
    for name in operands:
        column = tables.events[name]
        most = MOST_NUMBERS if is_number(column) else MOST_VALUES
        if is_time(column) or not 1 < column.nunique() <= most:
            continue
        code = codes_of(column)
        rows = can & (code >= 0)
        n, having = (np.bincount(code[rows], w, most) for w in (None, present[rows].astype(float)))
        users = np.pad(evidence.users_of(code, tables.user), (0, most))[:most]
        yes = (having > n / 2) & (users >= min_users)
        if yes.any():
            texts = text_of(column)
            found = np.append(yes, False)[code]
            yield name, sorted(map(str, texts[found].unique())), found
    for name in operands:
        known = tables.events[name].notna().to_numpy()
        if not known[can].all():
            yield name, None, known
