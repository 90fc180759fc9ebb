"""What is odd in a log though its form is right: repeats, a wrong clock, a user who is too many.

`check` warns of it, `clean` removes the repeats and the events of wrong clocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from eventlog.arrays import DAY_MS

FAR_DAYS = 365.0  # a gap of the whole log that no shop has
FEW_SHARE = 0.01  # of the events: beyond such a gap they are errors, whoever they are of
LARGE_SHARE = 0.2  # of the events: one user has that many only by mistake ...
LARGE_FACTOR = 4  # ... if it is also this many times a user's share
ORDER_LINE = ("user_id", "order_id", "item_id", "price", "quantity")


def duplicated(events: pd.DataFrame) -> np.ndarray:
    """Return the rows that repeat an earlier one in every column, (n_rows,) bool.

    event_id and session_id are not compared, because the import may have computed them.
    """
    columns = [c for c in events.columns if c not in ("event_id", "session_id")]
    found = np.zeros(len(events), dtype=bool)
    rows = _beside_one_alike(events)
    found[rows] = _codes(events.iloc[rows], columns).duplicated().to_numpy()
    return found


def _beside_one_alike(events: pd.DataFrame) -> np.ndarray:
    """Return the rows that may equal another, ascending: those of one user at one instant.

    These stand beside each other where each user's rows are one run by time; otherwise all rows
    are returned.
    """
    user = events["user_id"].astype("category").cat.codes.to_numpy()
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    same = user[1:] == user[:-1]
    runs, users = int((~same).sum()) + 1, np.count_nonzero(np.bincount(user + 1))
    if runs > users or (np.diff(time)[same] < 0).any():
        return np.arange(len(events))
    alike = same & (time[1:] == time[:-1])
    return np.flatnonzero(np.append(False, alike) | np.append(alike, False))


def repeated_orders(events: pd.DataFrame, role: np.ndarray) -> np.ndarray:
    """Return purchases that repeat a line of the same order at a later time, (n_rows,) bool.

    Web analytics send an order again when its page is loaded again. Lines of one order that are
    alike at the same time are left alone: somebody may have put the item in twice.

    Args:
        events: rows of a user in one run, by time.
        role: (n_rows,) the role of each row.
    """
    found = np.zeros(len(events), dtype=bool)
    if "order_id" not in events:
        return found
    rows = np.flatnonzero((role == "purchase") & events["order_id"].notna().to_numpy())
    if len(rows) == 0:
        return found
    bought = events.iloc[rows]
    lines = _codes(bought, [c for c in ORDER_LINE if c in bought])
    time = bought["timestamp"].astype("int64").to_numpy()
    first = lines.assign(t=time).groupby(list(lines.columns), dropna=False)["t"].transform("min")
    found[rows] = time > first.to_numpy()
    return found


def _codes(events: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return categories by their codes and times by their numbers, which compare faster."""

    def comparable(values: pd.Series) -> np.ndarray:
        if isinstance(values.dtype, pd.CategoricalDtype):
            return values.cat.codes.to_numpy()
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            return values.astype("int64").to_numpy()
        return values.to_numpy()

    return pd.DataFrame({c: comparable(events[c]) for c in columns})


def far_from_the_rest(
    times: np.ndarray, counts: np.ndarray, one_user: np.ndarray, gap: float, share: float
) -> tuple[int, int]:
    """Return the first and the last time of the log proper.

    Times before or after it lie beyond a gap of more than `gap`, and hold at most `share` of
    the events, or events of a single user (one device with a wrong clock) and not half of all.

    Args:
        times: (n,) int64 times that have events, ascending, in any unit.
        counts: (n,) their events.
        one_user: (n,) int64 a number of the user whose events they all are, -1 if of several.
        gap: a longer one divides, in the same unit.
        share: of all events, 0..1.
    """
    low, high = 0, len(times) - 1
    total = int(counts.sum())

    def few(part: slice) -> bool:
        n, who = int(counts[part].sum()), np.unique(one_user[part])
        return n <= share * total or (len(who) == 1 and who[0] >= 0 and 2 * n < total)

    gaps = np.flatnonzero(np.diff(times) > gap)  # between times[g] and times[g + 1]
    for g in gaps:
        if few(slice(0, g + 1)):
            low = int(g) + 1
    for g in gaps[::-1]:
        if g >= low and few(slice(g + 1, None)):
            high = int(g)
    return int(times[low]), int(times[high])


@dataclass
class Timeline:
    """Events a day and the users of each, gathered part by part."""

    parts: list[pd.DataFrame] = field(default_factory=list)
    users: int = 0
    events: int = 0
    largest: tuple[int, str] = (0, "")  # (events, user) of the user with most events
    _numbers: int = 0  # given to users so far

    def add(self, events: pd.DataFrame) -> None:
        """Add a part; parts hold disjoint users."""
        user = events["user_id"].astype("category").cat
        codes = user.codes.to_numpy()
        counts = np.bincount(codes[codes >= 0], minlength=1)
        if counts.max() > self.largest[0]:
            self.largest = int(counts.max()), str(user.categories[int(counts.argmax())])
        time = events["timestamp"]
        kept = time.notna().to_numpy()
        day = time.astype("datetime64[ms, UTC]").astype("int64").to_numpy()[kept] // DAY_MS
        whose = np.where(codes < 0, np.int64(-1), codes.astype(np.int64) + self._numbers)[kept]
        days = pd.DataFrame({"day": day, "user": whose}).groupby("day")["user"]
        self.parts.append(days.agg(["size", "min", "max"]).reset_index())
        self._numbers += len(counts)
        self.users += int((counts > 0).sum())
        self.events += len(events)

    def warnings(self) -> list[tuple[str, str]]:
        """Return what is odd: (column, a sentence part) each."""
        found = []
        n, user = self.largest
        if n > LARGE_SHARE * self.events and n * self.users > LARGE_FACTOR * self.events:
            text = f"{user!r} has {n:,} of {self.events:,} events; it may stand for no user"
            found.append(("user_id", text))
        if not self.parts or not sum(map(len, self.parts)):
            return found
        days, counts, _ = self._days()
        low, high = self.proper()
        beyond = (days < low) | (days > high)
        if beyond.any():
            first, last = (
                pd.Timestamp(int(d) * DAY_MS, unit="ms").date()
                for d in (days[beyond].min(), days[beyond].max())
            )
            text = (
                f"{int(counts[beyond].sum()):,} rows, from {first} to {last}, are more than "
                f"{FAR_DAYS:g} days away from the rest of the log; a clock may be wrong"
            )
            found.append(("timestamp", text))
        return found

    def proper(self, gap: float = FAR_DAYS, share: float = FEW_SHARE) -> tuple[int, int]:
        """Return the first and the last day of the log proper; see `far_from_the_rest`."""
        return far_from_the_rest(*self._days(), gap, share)

    def _days(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the days with events, their events, and whose all of them are, -1 for several."""
        table = (
            pd.concat(self.parts).groupby("day").agg({"size": "sum", "min": "min", "max": "max"})
        )
        same = np.where(table["min"] == table["max"], table["min"], -1)
        return table.index.to_numpy(), table["size"].to_numpy(), same
