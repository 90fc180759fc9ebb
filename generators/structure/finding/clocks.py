"""Find the time zone in which all times are midnights, and the hours that events keep to."""

from __future__ import annotations

from zoneinfo import available_timezones

import numpy as np
import pandas as pd

from generators.structure.finding.evidence import quantiles
from generators.structure.relations.times import TimeOfDay, alone
from generators.structure.tables import DAY_MS, Tables

MINUTE_MS = 60_000
WIDE_MS = 65 * MINUTE_MS  # the hours of an event: summer and winter differ by an hour
AT_ITS_TIME = 0.95  # share of the event's rows in them, at least
OF_OTHERS = 0.3  # share of other rows in them, at most
ALONE = 0.9  # share of the event's rows that are alone in their session, at least
FEWEST_ROWS, FEWEST_USERS = 50, 10
GRID_MS = 15 * MINUTE_MS  # the differences of zones from UTC are multiples of it
FEW_ROWS = 1_000  # which are looked at before all are
MOST_OFFSETS = 4  # of one zone: summer and winter, and a change of either
# Zones that are tried first: their names are better known than those of others with the same clock.
WELL_KNOWN = (
    *("Europe/Berlin", "Europe/London", "Europe/Paris", "America/New_York", "America/Chicago"),
    *("America/Denver", "America/Los_Angeles", "America/Sao_Paulo", "Asia/Tokyo", "Asia/Kolkata"),
    *("Asia/Shanghai", "Australia/Sydney", "Europe/Athens", "Europe/Moscow", "Africa/Cairo"),
)


def find_zone(time: np.ndarray) -> str | None:
    """Return the zone in which all of (n,) ms are midnights, None where there is none.

    It is None as well where they are midnights of UTC.
    """
    if len(np.unique(time[:FEW_ROWS] % DAY_MS)) > MOST_OFFSETS:
        return None
    rest = np.unique(time % DAY_MS)
    if len(rest) > MOST_OFFSETS or (rest % GRID_MS).any() or not rest.any():
        return None
    days = np.unique(time)
    stamps = pd.to_datetime(days, unit="ms", utc=True)
    others = sorted(z for z in available_timezones() if "/" in z and not z.startswith("Etc/"))
    if len(rest) == 1:
        hours = (DAY_MS - int(rest[0])) / 3_600_000
        hours = hours - 24 if hours > 14 else hours
        return f"{'-' if hours < 0 else '+'}{int(abs(hours)):02d}:{int(abs(hours) * 60 % 60):02d}"
    for zone in (*WELL_KNOWN, *others):
        local = stamps.tz_convert(zone).tz_localize(None).as_unit("ms").asi8
        if not (local % DAY_MS).any():
            return zone
    return None


def find_times_of_day(tables: Tables, min_users: int) -> list[TimeOfDay]:
    """Return the events whose rows come at a time of the day that is their own."""
    found = []
    for event in map(str, tables.event_names):
        mine = tables.is_event([event])
        rows = np.flatnonzero(alone(tables, event))
        enough = len(rows) >= max(FEWEST_ROWS, ALONE * mine.sum())
        users = len(np.unique(tables.user[rows]))
        if not enough or users < max(FEWEST_USERS, min_users) or (~mine).sum() < FEWEST_ROWS:
            continue
        start = _densest(tables.time[rows] % DAY_MS)
        since = (tables.time - start) % DAY_MS
        there = since[rows] < WIDE_MS
        if there.mean() >= AT_ITS_TIME and (since[~mine] < WIDE_MS).mean() <= OF_OTHERS:
            of = rows[there]
            found.append(
                TimeOfDay(
                    column="timestamp",
                    event=event,
                    start=start,
                    times=quantiles(since[of], tables.user[of], min_users),
                    exceptions=float(1 - there.mean()),
                )
            )
    return found


def _densest(times: np.ndarray) -> int:
    """Return where the hours of most of (n,) times of the day, in ms, begin, to the minute."""
    ordered = np.sort(times)
    round_ = np.concatenate([ordered, ordered + DAY_MS])
    begins = ordered // MINUTE_MS * MINUTE_MS
    ends = np.searchsorted(round_, begins + WIDE_MS)
    return int(begins[np.argmax(ends - np.searchsorted(ordered, begins))])
