"""Sessions by inactivity: a pause longer than a gap ends a session (30 minutes by default, as web
analytics does).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

GAP_MINUTES = 30.0


def session_ids(events: pd.DataFrame, *, gap_minutes: float = GAP_MINUTES) -> pd.Series:
    """A session id "<user>:<number>" per row of sorted `events` (user_id a category, timestamp)."""
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
