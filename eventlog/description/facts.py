"""Gather what a log holds, part by part, so that memory holds one part and small counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.arrays import DAY_MS
from eventlog.checking.oddities import Timeline
from eventlog.columns import misfits
from eventlog.description.distinct import Distinct
from eventlog.log import EventLog
from eventlog.log_folder import part_paths, read_frame
from eventlog.manifest import read_manifest
from eventlog.order import check_columns
from eventlog.schema import roles_of
from eventlog.tables import read_tables

HOUR_MS = 3_600_000
# Bounds between classes of pauses of a user, ms, and what the classes are called.
PAUSES = (1_000, 10_000, 60_000, 600_000, 1_800_000, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS,
          30 * DAY_MS)  # fmt: skip
PAUSE_NAMES = ("under 1 s", "1–10 s", "10–60 s", "1–10 min", "10–30 min", "30–60 min", "1–6 h",
               "6–24 h", "1–7 days", "7–30 days", "over 30 days")  # fmt: skip
HOURS = tuple(f"{hour:02d}" for hour in range(24))
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LOG_BINS = 20  # of numbers, in a factor of ten
COMMON = 8  # most frequent values that are kept of a column of text


@dataclass
class ColumnFacts:
    """What the values of one column are."""

    text: bool
    kind: str
    missing: int = 0
    present: Counter[str] = field(default_factory=Counter)  # event -> rows that have a value
    distinct: Distinct = field(default_factory=Distinct)
    low: Any = None
    high: Any = None
    counts: Counter[str] = field(default_factory=Counter)  # of text with few distinct values
    sizes: Counter[int] = field(default_factory=Counter)  # of numbers, by their size

    def add(self, values: pd.Series, event: pd.Series) -> None:
        """Add the values of a part, whose rows have these events."""
        self.missing += int(values.isna().sum())
        found = event[values.notna().to_numpy()].value_counts()
        self.present.update({str(name): int(n) for name, n in found.items() if n})
        self.distinct.add(values)
        present = values.dropna()
        if not len(present):
            return
        if self.text:
            if int(self.distinct) <= 1000:
                counts = present.astype("category").cat.codes.value_counts()
                names = present.astype("category").cat.categories.astype(str)
                self.counts.update({names[int(c)]: int(n) for c, n in counts.items()})
            else:
                self.counts.clear()
            return
        low, high = present.min(), present.max()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if pd.api.types.is_numeric_dtype(values.dtype):
            number = present.to_numpy(dtype=np.float64)
            number = number[np.isfinite(number)]
            with np.errstate(divide="ignore"):
                size = np.floor(np.log10(np.abs(number)) * LOG_BINS)
            size = np.sign(number) * np.where(number == 0, 0, size + 1000 * LOG_BINS)
            sizes, n = np.unique(size.astype(np.int64), return_counts=True)
            self.sizes.update(dict(zip(sizes.tolist(), n.tolist(), strict=True)))


@dataclass
class Facts:
    """What all parts of a log hold."""

    manifest: dict[str, Any]
    labels: pd.DataFrame | None = None
    name: str = "log"
    events: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    timeline: Timeline = field(default_factory=Timeline)
    names: Counter[str] = field(default_factory=Counter)  # event -> rows
    users_of: Counter[str] = field(default_factory=Counter)  # event -> users
    buyers: int = 0
    per_user: Counter[int] = field(default_factory=Counter)  # events of a user -> users
    per_session: Counter[int] = field(default_factory=Counter)  # events of a session -> sessions
    buying_sessions: int = 0
    pauses: np.ndarray = field(default_factory=lambda: np.zeros(len(PAUSE_NAMES), dtype=np.int64))
    hours: np.ndarray = field(default_factory=lambda: np.zeros(24, dtype=np.int64))
    weekdays: np.ndarray = field(default_factory=lambda: np.zeros(7, dtype=np.int64))
    days: Counter[int] = field(default_factory=Counter)  # day since 1970 -> events
    items: Counter[str] = field(default_factory=Counter)  # item -> events
    at_midnight: int = 0
    columns: dict[str, ColumnFacts] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, str]:
        """The role of each event name."""
        return roles_of(self.names, self.manifest.get("roles"))

    def missing_share(self, name: str) -> float:
        """Return the share of values that a column lacks, of the events that ever have one."""
        present = self.columns[name].present
        rows = sum(self.names[event] for event in present)
        return 1.0 - present.total() / rows if rows else 1.0

    def of_role(self, role: str) -> int:
        """Return the number of events with a role."""
        roles = self.roles
        return sum(n for name, n in self.names.items() if roles[name] == role)

    def add(self, events: pd.DataFrame) -> None:
        """Add a part; parts hold disjoint users, a user's rows stand together by time."""
        check_columns(events)
        for wrong, what in misfits(events):
            raise InputError(f"{wrong} {what}; import the log again.")
        if not len(events):
            return
        self.events += len(events)
        self.timeline.add(events)
        user = events["user_id"].astype("category").cat.codes.to_numpy()
        names = events["event"].astype("category").cat
        role = roles_of(names.categories.astype(str), self.manifest.get("roles"))
        buys = np.array([role[str(n)] == "purchase" for n in names.categories] + [False])
        bought = buys[names.codes.to_numpy()]
        self._add_times(events["timestamp"], user)
        pairs = pd.DataFrame({"event": names.codes.to_numpy(), "user": user})
        for code, group in pairs.groupby("event")["user"]:
            if int(code) >= 0:
                name = str(names.categories[int(code)])
                self.names[name] += len(group)
                self.users_of[name] += int(group.nunique())
        self.buyers += len(np.unique(user[bought]))
        self.per_user.update(_sizes(user))
        if "session_id" in events:
            session = events["session_id"].astype("category").cat.codes.to_numpy()
            self.per_session.update(_sizes(session))
            self.buying_sessions += len(np.unique(session[bought & (session >= 0)]))
        if "item_id" in events:
            item = events["item_id"].astype("category").cat
            n = np.bincount(item.codes[item.codes >= 0], minlength=len(item.categories))
            touched = np.flatnonzero(n)
            ids = item.categories[touched].astype(str)
            self.items.update(dict(zip(ids, n[touched].tolist(), strict=True)))
        for name, values in events.items():
            text = isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object
            if str(name) not in self.columns:
                self.columns[str(name)] = ColumnFacts(text, "text" if text else str(values.dtype))
            self.columns[str(name)].add(values, events["event"])

    def _add_times(self, time: pd.Series, user: np.ndarray) -> None:
        first, last = time.min(), time.max()
        if pd.isna(first):
            return
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)
        known = time.notna().to_numpy()
        ms = time.astype("datetime64[ms, UTC]").astype("int64").to_numpy()[known]
        self.hours += np.bincount(ms // HOUR_MS % 24, minlength=24)
        self.weekdays += np.bincount((ms // DAY_MS + 3) % 7, minlength=7)  # 1970 began on Thursday
        self.at_midnight += int((ms % DAY_MS == 0).sum())
        days, n = np.unique(ms // DAY_MS, return_counts=True)
        self.days.update(dict(zip(days.tolist(), n.tolist(), strict=True)))
        same = np.diff(user[known]) == 0
        place = np.searchsorted(PAUSES, np.diff(ms)[same], side="right")
        self.pauses += np.bincount(place, minlength=len(PAUSE_NAMES))


def gather(log: EventLog | Path | str) -> Facts:
    """Return the facts of a log in memory or in a folder, which is read part by part.

    Raises InputError if the folder is not a log or no event has a time.
    """
    if isinstance(log, EventLog):
        facts = Facts(dict(log.manifest), log.labels)
        facts.add(log.events)
    else:
        path = Path(log)
        facts = Facts(read_manifest(path), read_tables(path).get("labels"), path.name)
        for part in part_paths(path):
            facts.add(read_frame(part))
    if facts.first is None:
        raise InputError("The log has no events with a time; there is nothing to describe.")
    return facts


def _sizes(codes: np.ndarray) -> dict[int, int]:
    """Return how many ids occur how often; codes below 0 are none."""
    counts = np.bincount(codes[codes >= 0])
    sizes, n = np.unique(counts[counts > 0], return_counts=True)
    return dict(zip(sizes.tolist(), n.tolist(), strict=True))


def median(sizes: Counter[int]) -> float:
    """Return the median of what is counted: size -> how often."""
    if not sizes:
        return float("nan")
    values = np.array(sorted(sizes))
    ends = np.cumsum([sizes[v] for v in values.tolist()])
    places = [(int(ends[-1]) - 1) // 2, int(ends[-1]) // 2]
    return float(np.mean(values[np.searchsorted(ends, places, side="right")]))


def mean(sizes: Counter[int]) -> float:
    """Return the mean of what is counted: size -> how often."""
    return sum(v * n for v, n in sizes.items()) / max(sum(sizes.values()), 1)
