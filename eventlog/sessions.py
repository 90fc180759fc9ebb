"""Sessions by inactivity: a pause of more than 30 minutes ends a session, as in web analytics.

This module is where the project defines the end of a session; the other packages import the
constants from here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

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
    names = pa.array(events["user_id"].cat.categories.astype(str), pa.string())
    found = session_column(names, user, time, gap_minutes=gap_minutes)
    labels = pd.Index(found.dictionary.to_numpy(zero_copy_only=False), dtype=object)
    codes = found.indices.to_numpy()
    return pd.Series(pd.Categorical.from_codes(codes, categories=labels), index=events.index)


def session_column(
    names: pa.StringArray, user: np.ndarray, time: np.ndarray, *, gap_minutes: float
) -> pa.DictionaryArray:
    """Return session ids as `session_ids` does, (n_rows,) text.

    Args:
        names: (n_users,) the ids of the users.
        user: (n_rows,) the place of each row's user in `names`; rows are sorted by user and time.
        time: (n_rows,) int64 ms.
        gap_minutes: a pause longer than this ends a session.
    """
    new_user = np.append(True, user[1:] != user[:-1])[: len(user)]
    new = new_user.copy()
    new[1:] |= time[1:] - time[:-1] > gap_minutes * 60_000
    session = np.cumsum(new, dtype=np.int32) - np.int32(1)  # (n_rows,) number over all users
    first = np.flatnonzero(new)  # (n_sessions,) its first row
    start = np.flatnonzero(new_user[first])  # (n_users,) its first session
    per_user = np.diff(start, append=len(first))
    number = np.arange(len(first)) - np.repeat(start, per_user)
    ordinals = pa.array(np.arange(1, per_user.max(initial=0) + 1)).cast(pa.string())
    labels = pc.binary_join_element_wise(
        names.take(pa.array(user[first])), ordinals.take(pa.array(number)), ":"
    )
    return pa.DictionaryArray.from_arrays(pa.array(session), labels)
