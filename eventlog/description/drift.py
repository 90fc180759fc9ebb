"""How two logs differ: distances of their distributions, beside what chance alone would give.

The distance is the total variation, half the sum of the absolute differences of shares: 0 where
both logs are alike, 1 where nothing occurs in both. Users are the independent units, so a log of
few users differs from another by chance. The expected distance of two samples of one distribution
follows from the normal approximation of each share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eventlog.description.facts import DAYS, HOURS, PAUSE_NAMES, Facts, mean
from eventlog.schema import COLUMNS

NOTABLE, LARGE = 0.05, 0.15  # distances
BEYOND_CHANCE = 2.0  # times the distance that chance gives


@dataclass(frozen=True)
class Drift:
    """How one distribution differs."""

    what: str
    distance: float
    by_chance: float
    most: str  # where it differs most

    @property
    def verdict(self) -> str:
        """In a word: alike, differs, differs much."""
        if self.distance < NOTABLE or self.distance < BEYOND_CHANCE * self.by_chance:
            return "alike"
        return "differs much" if self.distance > LARGE else "differs"


def drifts(one: Facts, two: Facts) -> list[Drift]:
    """Return the distances from `two` to `one`, of what both have."""
    pairs: list[tuple[str, Mapping[Any, int], Mapping[Any, int]]] = [
        ("names of events", one.names, two.names),
        ("hours of the day", _named(HOURS, one.hours), _named(HOURS, two.hours)),
        ("days of the week", _named(DAYS, one.weekdays), _named(DAYS, two.weekdays)),
        ("pauses of a user", _named(PAUSE_NAMES, one.pauses), _named(PAUSE_NAMES, two.pauses)),
        ("events of a user", classes(one.per_user), classes(two.per_user)),
        ("events of a session", classes(one.per_session), classes(two.per_session)),
    ]
    if one.items and two.items:
        pairs.append(("items", one.items, two.items))
    for name, column in one.columns.items():
        other = two.columns.get(name)
        known = COLUMNS.get(name)
        compared = known is None or known.kind in ("categorical", "numeric")
        if other is None or name == "event" or not (compared or name == "coupon_id"):
            continue
        if column.counts and other.counts:
            pairs.append((name, column.counts, other.counts))
        elif column.sizes and other.sizes:
            pairs.append((name, column.sizes, other.sizes))
    users = one.timeline.users, two.timeline.users
    return [_drift(what, a, b, users) for what, a, b in pairs if sum(a.values()) * sum(b.values())]


def table(one: Facts, two: Facts) -> pd.DataFrame:
    """Return the distances and the plain differences as a table of text."""
    rows = [
        ("events", "", f"{one.events:,} against {two.events:,}", ""),
        ("users", "", f"{one.timeline.users:,} against {two.timeline.users:,}", ""),
        ("events per user", "", f"{mean(one.per_user):.2f} against {mean(two.per_user):.2f}", ""),
        ("missing columns", "", ", ".join(c for c in two.columns if c not in one.columns), ""),
        ("new columns", "", ", ".join(c for c in one.columns if c not in two.columns), ""),
    ]
    rows = [row for row in rows if row[2]]
    for name, column in one.columns.items():
        if name in two.columns:
            a, b = column.missing / one.events, two.columns[name].missing / two.events
            if abs(a - b) > NOTABLE:
                rows.append((f"{name} missing", "differs", f"{a:.1%} against {b:.1%}", ""))
    for drift in drifts(one, two):
        distance = f"{drift.distance:.3f} (by chance {drift.by_chance:.3f})"
        rows.append((drift.what, drift.verdict, distance, drift.most))
    return pd.DataFrame(rows, columns=["what", "verdict", "this log against the other", "most"])


def _drift(what: str, one: Mapping[Any, int], two: Mapping[Any, int], users: Any) -> Drift:
    keys = list(dict.fromkeys([*one, *two]))
    n = np.array([[f.get(k, 0) for k in keys] for f in (one, two)], dtype=np.float64)
    share = n / n.sum(axis=1, keepdims=True)
    pooled = n.sum(axis=0) / n.sum()
    size = sum(1 / max(min(u, total), 1) for u, total in zip(users, n.sum(axis=1), strict=True))
    # |difference| of two normal shares is sqrt(2 / pi) standard deviations on average
    chance = float(np.sqrt(2 / np.pi * pooled * (1 - pooled) * size).sum() / 2)
    moved = share[0] - share[1]
    k = int(np.abs(moved).argmax())
    most = f"{str(keys[k])[:30]}: {share[0, k]:.1%} against {share[1, k]:.1%}"
    sizes = all(isinstance(key, int) for key in keys)
    distance = float(np.abs(moved).sum() / 2)
    return Drift(what, distance, min(chance, 1.0), "" if sizes else most)


def _named(names: Sequence[str], counts: np.ndarray) -> dict[str, int]:
    return dict(zip(names, counts.tolist(), strict=True))


def classes(sizes: Counter[int]) -> dict[str, int]:
    """Return sizes in classes that double: 1, 2-3, 4-7, ..."""
    found: Counter[str] = Counter()
    for size, n in sorted(sizes.items()):
        low = 1 << (size.bit_length() - 1)
        found[str(low) if low == 1 else f"{low}–{2 * low - 1}"] += n
    return dict(found)
