"""Which sessions and rows have labels: what the plan of a user's sessions leaves open; compiled.

The arguments are those of `constraints`. A labelled session is one of which a row has a label, so
that the last of its rows that can has one if none before it has.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from generators.sampling.constraints import narrow
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.levels import level_of_rows
from generators.sequences.user_record import (
    is_final,
    label_is_due,
    labelled_sessions_left,
    rows_left,
    sessions_left,
)


@njit(cache=True)
def begin_session_labels(users, row, latest, plans_last, can):
    """Carry on session labels in `row`; return the users whose session begins.

    Writes to `can` which labels these can draw: none but 0 where no labelled session is to come,
    and all but 0 where one is and would begin later than those of the log: with fewer rows to come
    than the level `latest`, or after the last session, which is known of planned sessions and where
    `plans_last`.
    """
    rows, found = np.empty(len(users), dtype=np.int64), 0
    for i in range(len(users)):
        row[i, col.SESSION_LABEL] = max(users[i].row[layout.LAST_SESSION_LABEL] - 1, 0)
        if row[i, col.IS_SESSION_START] != 0 or users[i].rows == 0:
            left = labelled_sessions_left(users[i])
            last = plans_last and (is_final(users[i]) or rows_left(users[i]) == 0)
            if users[i].n_sessions > 0:
                last = sessions_left(users[i]) <= left
            last = last or level_of_rows(rows_left(users[i])) < latest
            can[found, 0] = left == 0 or not last
            for k in range(1, can.shape[1]):
                can[found, k] = left > 0
            rows[found] = i
            found += 1
    return rows[:found]


@njit(cache=True)
def keep_labels(users, row, carried, longest, can):
    """Remove from `can` the events that cannot carry a session's label where one has to.

    `carried` (session labels + 1, events) says which can.
    """
    for i in range(len(users)):
        if label_is_due(users[i], row[i], longest):
            narrow(can[i], carried[row[i, col.SESSION_LABEL]])


@njit(cache=True)
def narrow_labels(users, row, rows, needs, longest, can):
    """Allow labels only in sessions whose label is at least the one they need, (size,).

    What gave the session its label is all that is left where it is due.
    """
    for k in range(len(rows)):
        label = row[rows[k], col.SESSION_LABEL]
        narrow(can[k], needs <= label)
        if label_is_due(users[rows[k]], row[rows[k]], longest):
            narrow(can[k], needs == label)
