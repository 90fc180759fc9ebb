"""Sessions by inactivity: a pause of more than 30 minutes ends a session, as in web analytics.

This module is where the project defines the end of a session; the other packages import the
constants from here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

SESSION_GAP_MINUTES = 30.0  # a longer pause ends a session
SESSION_GAP_S = 60 * SESSION_GAP_MINUTES
SESSION_GAP_MS = 60_000 * int(SESSION_GAP_MINUTES)


def session_ids(events: pd.DataFrame, *, gap_minutes: float = SESSION_GAP_MINUTES) -> pd.Series:
    """Return a session id "<user>:<number>" for each row.

    Args:
        events: rows sorted by user and time; user_id is a category.
        gap_minutes: a pause longer than this ends a session.
    """
    user = events["user_id"].cat.codes.to_numpy()
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    new_user = np.append(True, user[1:] != user[:-1])[: len(user)]
    new = new_user | np.append(True, np.diff(time) > gap_minutes * 60_000)[: len(user)]
    session = np.cumsum(new) - 1  # (n_rows,) number over all users
    first = np.flatnonzero(new)  # (n_sessions,) its first row
    number = np.arange(len(first)) - np.maximum.accumulate(
        np.where(new_user[first], np.arange(len(first)), 0)
    )
    names = events["user_id"].cat.categories.astype(str).to_numpy(dtype=object)[user[first]]
    labels = pd.Index(names + ":" + (number + 1).astype(str).astype(object))
    return pd.Series(pd.Categorical.from_codes(session, categories=labels), index=events.index)
