"""Choose what the distribution of a field, or of a user's attribute, is conditioned on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from generators.codec.codec import SESSION_LABEL, Codec
from generators.markov.conditions import Condition, ContextFeatures
from generators.markov.contexts import (
    Level,
    context,
    depends_on_items,
    is_open,
    levels_of,
    n_kept,
    usual_levels,
)
from generators.markov.tables import PARTS

SPREADS = "usual spread of "
LEAST_GAIN = 20.0  # nats that a condition must tell about all rows together
MOST_CHOSEN = 6  # levels of a field's context
MOST_LEVELS = MOST_CHOSEN + 3  # with the items there are, the session's label and an open offer
MOST_COUNTED_ROWS = 40_000  # by which they are chosen
STRENGTHS = 4.0 ** np.arange(6)  # times the least one, among which each level has its own
MOST_PARENTS = 4  # attributes that an attribute is given


@dataclass(frozen=True)
class Choice:
    """Levels of a field's context, coarse first, each with how strongly it is backed off."""

    levels: list[int]  # as contexts.context takes them
    strengths: list[float]  # pseudo-counts of the context without the level


def choose(
    codec: Codec,
    name: str,
    code: np.ndarray,
    size: int,
    seen: ContextFeatures,
    known: Sequence[Condition],
    *,
    strength: float,
) -> Choice:
    """Choose the context of a field among its usual levels and the `known` conditions.

    After the usual first one, that level is taken next which tells most about the field beside
    those before, while it tells more than chance would. Which items there are, the session's label,
    and what a user does about an open offer are always among them.
    `code` (n,) are the codes of the field, below `size`, -1 = not asked; no `strength` is below
    the given one.
    """
    before_event = name in (*PARTS, SESSION_LABEL, "event")
    asked = _undecided(code, np.zeros_like(code) if before_event else seen.event)
    asked = asked[:: max(len(asked) // MOST_COUNTED_ROWS, 1)]
    seen, of = seen.only(asked), code[asked]
    usual = len(usual_levels(codec, name))
    open_ = list(range(1, usual))
    open_ += [usual + k for k, c in enumerate(known) if is_open(codec, name, c)]
    strengths = strength * STRENGTHS
    rows = _Rows(of, size, strengths)
    given = context(codec, name, [0, *open_], known)
    level = dict(zip([0, *open_], levels_of(given, seen), strict=True))
    kept = list(range(1 + depends_on_items(codec, name)))
    levels = list[int]()
    for k in kept[:-1]:
        rows = rows.given(level[k])[0]
        levels.append(k)
    best = kept[-1]
    while True:
        rows = rows.given(level[best])[0]
        levels.append(best)
        if len(levels) == MOST_CHOSEN:
            break
        # all again: what a level tells may show only beside another
        gains = {k: rows.gains(level[k]).max() for k in open_ if k not in levels}
        if max(gains.values(), default=0.0) <= LEAST_GAIN:
            break
        best = max(gains, key=lambda k: gains[k])
    # what is expected is given up last, and before it how far a user's numbers are spread about it
    last = sorted(k for k in levels if k >= usual and known[k - usual].own)
    last += [k for k in levels if k >= usual and known[k - usual].name.startswith(SPREADS)]
    levels = [*kept, *last, *(k for k in levels if k not in {*kept, *last})]
    first = list(range(n_kept(codec, name)))
    if codec.session_labels and name != SESSION_LABEL:
        first.append(usual - 1)
    # labels and offers are rare: finer contexts have few of their rows
    levels = [*first, *(k for k in levels if k not in first)]
    rows, chosen = _Rows(of, size, strengths), []
    for k in levels:
        rows, s = rows.given(level[k])
        chosen.append(s)
    return Choice(levels, chosen)


class _Rows:
    """Rows of a field in the contexts chosen so far, and how well these tell their codes."""

    def __init__(self, code: np.ndarray, size: int, strengths: np.ndarray) -> None:
        self.code, self.size, self.strengths = code, size, strengths
        self.at = np.zeros(len(code), dtype=np.int64)
        self.alone = (np.bincount(code, minlength=size)[code] + 1) / (len(code) + size)
        self.contexts = _by_context(self.at)

    def gains(self, level: Level) -> np.ndarray:
        """Return how many nats a level tells with each of the strengths."""
        return self._told(level, self.strengths, np.empty(0))

    def given(self, level: Level) -> tuple[_Rows, float]:
        """Return the rows in contexts with a further level, and the best strength of it."""
        s = float(self.strengths[self.gains(level).argmax()])
        finer = _Rows(self.code, self.size, self.strengths)
        self._told(level, np.array([s]), finer.alone)
        finer.at = np.unique(self.at * level[1] + level[0], return_inverse=True)[1]
        finer.contexts = _by_context(finer.at)
        return finer, s

    def _told(self, level: Level, strengths: np.ndarray, both: np.ndarray) -> np.ndarray:
        codes, cells = np.ascontiguousarray(level[0]), np.zeros((level[1], self.size))
        told: np.ndarray = _told(
            *self.contexts, codes, self.code, cells, self.alone, strengths, both
        )
        return told


def _undecided(code: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return the rows (m,) that are asked, code >= 0, and whose event leaves a choice."""
    asked = np.flatnonzero(code >= 0)
    if len(asked) == 0:
        return asked
    of, at = code[asked], event[asked]
    low = np.full(int(event.max()) + 1, np.iinfo(np.int64).max)
    high = np.full(len(low), -1)
    np.minimum.at(low, at, of)
    np.maximum.at(high, at, of)
    return asked[(low < high)[at]]


def choose_parents(
    code: np.ndarray,
    size: int,
    earlier: Sequence[Level],
    first: Sequence[int],
    *,
    strength: float,
) -> Choice:
    """Choose the `earlier` attributes of users that tell most about the next one, `code` (n,).

    Those of the places `first` come first.
    """
    # users are few: a strong prior would draw small groups to what is usual in the large ones
    rows = _Rows(code, size, strength * STRENGTHS[:2])
    levels, strengths = list[int](), list[float]()
    waiting = list(first)
    while len(levels) < MOST_PARENTS:
        if waiting:
            best = waiting.pop(0)
        else:
            gains = {
                k: rows.gains(level).max() for k, level in enumerate(earlier) if k not in levels
            }
            if max(gains.values(), default=0.0) <= LEAST_GAIN:
                break
            best = max(gains, key=lambda k: gains[k])
        rows, s = rows.given(earlier[best])
        levels.append(best)
        strengths.append(s)
    return Choice(levels, strengths)


def _by_context(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows in the order of their contexts (n,), and where each context begins."""
    order = np.argsort(at, kind="stable")
    changes = np.flatnonzero(np.diff(at[order])) + 1
    return order, np.concatenate([[0], changes, [len(at)]]).astype(np.int64)


@njit(cache=True)
def _told(order, begin, level, code, cells, alone, strengths, both):
    """Return by how much `level` (n,) raises the log likelihood of `code` (n,) in contexts.

    Each row is predicted by the others of its context and level, backed off with each of the
    `strengths` (k,) to `alone` (n,), what they say without it: a level that tells nothing gains
    nothing. `both` becomes what they say with it by the last strength, where it has (n,) places.
    `cells` (levels, codes) are 0.

    A code that n of m rows have is predicted with (n - 1 + s alone) / (m - 1 + s): the logarithm of
    the upper part is taken once for these rows, that of the lower part once for the m.
    """
    gain, total = np.zeros(len(strengths)), np.zeros(len(cells))
    single = 0  # codes that one row has, less levels that one row has
    first = np.empty(len(code), dtype=np.int64)  # a row of each cell of the context
    for c in range(len(begin) - 1):
        rows, found = order[begin[c] : begin[c + 1]], 0
        for i in rows:
            if cells[level[i], code[i]] == 0.0:
                first[found] = i
                found += 1
            cells[level[i], code[i]] += 1.0
            total[level[i]] += 1.0
        for i in first[:found]:
            count = cells[level[i], code[i]]
            if count == 1.0:
                single += 1
                continue
            same = (count - 1.0) / alone[i]
            for k in range(len(strengths)):
                gain[k] += count * math.log(same + strengths[k])
        if len(both) > 0:
            s = strengths[-1]
            for i in rows:
                same, others = cells[level[i], code[i]] - 1.0, total[level[i]] - 1.0
                both[i] = (same + s * alone[i]) / (others + s)
        for i in first[:found]:
            cells[level[i], code[i]] = 0.0
            m, total[level[i]] = total[level[i]], 0.0
            if m == 1.0:
                single -= 1
            elif m > 1.0:
                for k in range(len(strengths)):
                    gain[k] -= m * math.log(m - 1.0 + strengths[k])
    return gain + single * np.log(strengths)
