"""Flat arrays of a log: what models and tasks compute on instead of data frames.

`Sequences` holds one array per column for all users together and `offsets` to find a user's rows,
never a list per user. `Queries` are questions about users at instants, `Examples` are questions
with their answers.

Example::

    rows = slice(sequences.offsets[u], sequences.offsets[u + 1])
    sequences.columns["item"][rows]  # the items of user u, by time
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

# Codes of a categorical column: no value, a value that the encoder has not seen, and from
# FIRST on its vocabulary.
MISSING, UNKNOWN, FIRST = 0, 1, 2
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Sequences:
    """A log as flat arrays; the rows of user u are `offsets[u]:offsets[u + 1]`, ascending in
    time.
    """

    offsets: np.ndarray  # (n_users + 1,) int64
    users: np.ndarray  # (n_users,) object: user ids
    time: np.ndarray  # (n_rows,) int64, ms since 1970 UTC
    event_id: np.ndarray  # (n_rows,) int64
    role: np.ndarray  # (n_rows,) object: see schema.ROLES
    # categorical: (n_rows,) int32 codes; numeric: (n_rows,) float32; new_*: float32 0/1
    columns: dict[str, np.ndarray]
    # (n_rows,) numeric columns as they stood in the log, NaN = missing
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    # (n_rows,) int64: hash of an entity id, -1 = missing
    ids: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_rows(self) -> int:
        """Rows of all users together."""
        return len(self.time)

    def row_user(self) -> np.ndarray:
        """(n_rows,) int64: the user of each row."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def select(self, keep: np.ndarray) -> Sequences:
        """The rows where `keep` (n_rows,) bool holds; every user stays, perhaps with no rows."""
        counts = np.zeros(len(self) + 1, dtype=np.int64)
        counts[1:] = np.bincount(self.row_user()[keep], minlength=len(self))
        return replace(
            self,
            offsets=np.cumsum(counts),
            time=self.time[keep],
            event_id=self.event_id[keep],
            role=self.role[keep],
            columns={k: v[keep] for k, v in self.columns.items()},
            raw={k: v[keep] for k, v in self.raw.items()},
            ids={k: v[keep] for k, v in self.ids.items()},
        )

    def rows_before(self, user: np.ndarray, time: np.ndarray) -> np.ndarray:
        """(n,) int64 flat index of the first row of `user` (n,) that is at or after `time` (n,) ms:
        the end of what was known.
        """
        # One sorted key over all rows: user major, time minor.
        low = int(self.time.min(initial=0))
        width = int(max(self.time.max(initial=0), time.max(initial=0))) - low + 2
        key = self.row_user() * width + (self.time - low)
        return np.searchsorted(key, user * width + np.clip(time - low, 0, width - 1), side="left")


@dataclass(frozen=True)
class Queries:
    """Questions asked about users at instants; what may be used for question i is rows
    offsets[user[i]]:end[i], nothing else.
    """

    user: np.ndarray  # (n,) int64 row of Sequences.offsets
    end: np.ndarray  # (n,) int64 flat row: the first row that is not known
    time: np.ndarray  # (n,) int64 ms: when the question is asked

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, index: Any) -> Queries:
        return Queries(self.user[index], self.end[index], self.time[index])


@dataclass(frozen=True)
class Examples:
    """Questions with their answers: what a model is fitted on.

    For next-item `target` holds item codes; the answer to question i stands in row `queries.end[i]`
    of its user. For a binary task it holds 0.0 or 1.0. For uplift too, and `treatment` says which
    questions were treated.
    """

    sequences: Sequences
    queries: Queries
    target: np.ndarray  # (n,) int32 item code, or float32 0/1
    # (n,) float32: 1 = treated (got the coupon), 0 = control; uplift only
    treatment: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.queries)
