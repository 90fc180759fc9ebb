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
import pandas as pd

from eventlog._runtime.display import Displayed

# Codes of a categorical column: no value, a value that the encoder has not seen, and from
# FIRST on its vocabulary.
MISSING, UNKNOWN, FIRST = 0, 1, 2
DAY_MS = 86_400_000


@dataclass(frozen=True, repr=False)
class Sequences(Displayed):
    """A log as flat arrays; user u has the rows `offsets[u]:offsets[u + 1]`, ascending in time."""

    offsets: np.ndarray  # (n_users + 1,) int64
    users: np.ndarray  # (n_users,) object: user ids
    time: np.ndarray  # (n_rows,) int64, ms since 1970 UTC
    event_id: np.ndarray  # (n_rows,) int64
    role: np.ndarray | pd.Categorical  # (n_rows,) text: see schema.ROLES; categorical if in files
    # (n_rows,) each; categorical: int32 codes; numeric: float32, scaled; new_*: float32 0 or 1.
    columns: dict[str, np.ndarray]
    # (n_rows,) float64 each: numeric columns with the values of the log, NaN if missing.
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    # (n_rows,) int64 each: hashes of entity ids, -1 if missing.
    ids: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def _facts(self) -> dict[str, object]:
        return {"users": len(self), "rows": self.n_rows, "columns": ", ".join(self.columns)}

    @property
    def n_rows(self) -> int:
        """Number of rows of all users together."""
        return len(self.time)

    def row_user(self) -> np.ndarray:
        """Return the user of each row, (n_rows,) int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def select(self, keep: np.ndarray) -> Sequences:
        """Return the rows at which `keep` (n_rows,) bool holds; users may be left without rows."""
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
        """Return where the rows before an instant end, (n,) int64 flat row.

        Args:
            user: (n,) positions in `users`.
            time: (n,) int64 ms since 1970 UTC; rows at this time are not included.
        """
        # One sorted key over all rows, by user and then by time.
        low = int(self.time.min(initial=0))
        width = int(max(self.time.max(initial=0), time.max(initial=0))) - low + 2
        key = self.row_user() * width + (self.time - low)
        return np.searchsorted(key, user * width + np.clip(time - low, 0, width - 1), side="left")


@dataclass(frozen=True, repr=False)
class Queries(Displayed):
    """Questions about users at instants; question i may use rows offsets[user[i]]:end[i] only."""

    user: np.ndarray  # (n,) int64 position in Sequences.users
    end: np.ndarray  # (n,) int64 flat row: the first row that is not known
    time: np.ndarray  # (n,) int64 ms since 1970 UTC: when the question is asked

    def __len__(self) -> int:
        return len(self.user)

    def _facts(self) -> dict[str, object]:
        return {"questions": len(self), "users": len(np.unique(self.user))}

    def __getitem__(self, index: Any) -> Queries:
        return Queries(self.user[index], self.end[index], self.time[index])


@dataclass(frozen=True, repr=False)
class Examples(Displayed):
    """Questions with their answers, to fit a model on.

    For next items `target` holds item codes, and the answer to question i is the item of row
    `queries.end[i]`. For binary tasks and for uplift it holds 0.0 or 1.0, and for uplift
    `treatment` says which questions were treated.
    """

    sequences: Sequences
    queries: Queries
    target: np.ndarray  # (n,) int32 item codes, or float32 0 or 1
    treatment: np.ndarray | None = None  # (n,) float32: 1 treated (got the coupon), 0 control
    # (n,) int64 ms since 1970 UTC: when the answer became known, later than the question. None:
    # all answers are known to whoever holds them.
    known_at: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.queries)

    def _facts(self) -> dict[str, object]:
        facts: dict[str, object] = {"questions": len(self), "users": len(self.sequences)}
        if self.target.dtype.kind == "f":
            facts["share_of_ones"] = f"{self.target.mean():.1%}" if len(self) else "none"
        return facts
