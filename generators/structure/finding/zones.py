"""Find the time zone in which all times are midnights."""

from __future__ import annotations

from zoneinfo import available_timezones

import numpy as np
import pandas as pd

DAY_MS = 86_400_000
GRID_MS = 15 * 60_000  # the differences of zones from UTC are multiples of it
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
