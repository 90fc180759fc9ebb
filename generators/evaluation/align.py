"""Several logs as flat arrays under one set of codes, so that columns can be compared.

A model's encoder is fitted on one log; a comparison needs codes that belong to no side. Rows of
user u are `offsets[u]:offsets[u + 1]`, by time. Only columns that all logs have are kept.

Example::

    real, synthetic = align_logs(real_log, synthetic_log)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from eventlog import EventLog, InputError
from eventlog.schema import roles_of
from eventlog.sessions import SESSION_GAP_S

SKIP = frozenset({"event_id", "user_id", "timestamp", "session_id", "order_id", "coupon_id"})
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True)
class AlignedLog:
    """One log as flat arrays; codes mean the same in all logs of one call of `align_logs`."""

    offsets: np.ndarray  # (n_users + 1,) int64
    time: np.ndarray  # (n_rows,) int64 ms since 1970 UTC
    # (n_rows,) float64 seconds since the user's previous row; NaN at the first
    gap: np.ndarray
    starts: np.ndarray  # (n_rows,) bool: a session begins here
    # column -> (n_rows,) int32, -1 = missing; "event" always, "item_id" in most logs
    codes: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]  # column -> (n_rows,) float64, NaN = missing
    labels: dict[str, np.ndarray]  # label kind -> (n_rows,) bool
    # column -> (n_levels,) object: the value of each code (shared)
    levels: dict[str, np.ndarray]
    # (n_event_levels,) object: the role of each event code (shared)
    roles: np.ndarray
    # static column -> (n_users,) int32
    user_codes: dict[str, np.ndarray] = field(default_factory=dict)
    # static column -> (n_users,) float64
    user_numbers: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        """Number of users, each with at least one row."""
        return len(self.offsets) - 1

    @property
    def n_rows(self) -> int:
        """Number of rows of all users."""
        return len(self.time)

    @property
    def lengths(self) -> np.ndarray:
        """Number of rows of each user, (n_users,) int64."""
        return np.diff(self.offsets)

    @property
    def user(self) -> np.ndarray:
        """User of each row, (n_rows,) int64."""
        return np.repeat(np.arange(self.n_users), self.lengths)

    def is_role(self, role: str) -> np.ndarray:
        """Return which rows have an event of `role`, (n_rows,) bool."""
        mask: np.ndarray = (self.roles == role)[self.codes["event"]]
        return mask

    def take(self, users: np.ndarray) -> AlignedLog:
        """Return the users at positions `users` (n,), in that order."""
        lengths = self.lengths[users]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[users] - offsets[:-1], lengths)
        return replace(
            self,
            offsets=offsets,
            time=self.time[rows],
            gap=self.gap[rows],
            starts=self.starts[rows],
            codes={k: v[rows] for k, v in self.codes.items()},
            numbers={k: v[rows] for k, v in self.numbers.items()},
            labels={k: v[rows] for k, v in self.labels.items()},
            user_codes={k: v[users] for k, v in self.user_codes.items()},
            user_numbers={k: v[users] for k, v in self.user_numbers.items()},
        )

    def join(self, other: AlignedLog) -> AlignedLog:
        """Return the users of both logs, which come from one call of `align_logs`."""

        def both(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: np.concatenate([values, b[name]]) for name, values in a.items()}

        return replace(
            self,
            offsets=np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            time=np.concatenate([self.time, other.time]),
            gap=np.concatenate([self.gap, other.gap]),
            starts=np.concatenate([self.starts, other.starts]),
            codes=both(self.codes, other.codes),
            numbers=both(self.numbers, other.numbers),
            labels=both(self.labels, other.labels),
            user_codes=both(self.user_codes, other.user_codes),
            user_numbers=both(self.user_numbers, other.user_numbers),
        )

    def sample(self, n: int, rng: np.random.Generator) -> AlignedLog:
        """Return `n` users without replacement, or the log itself where it has no more."""
        return (
            self
            if n >= self.n_users
            else self.take(np.sort(rng.choice(self.n_users, n, replace=False)))
        )


def align_logs(*logs: EventLog) -> list[AlignedLog]:
    """Return flat arrays of `logs` with shared codes.

    Rows are sorted by user first, where they are not yet. Raises InputError where a log has no
    events, or where its rows lack a user, a time or an event id of their own.
    """
    for number, log in enumerate(logs, 1):
        if len(log) == 0:
            raise InputError(
                f"Log {number} of {len(logs)} has no events; a comparison needs at least one user "
                "in each."
            )
    logs = tuple(log.grouped() for log in logs)
    shared = [
        str(n)
        for n in logs[0].events
        if str(n) not in SKIP and all(n in log.events for log in logs)
    ]
    numeric = [n for n in shared if all(_is_numeric(log.events[n]) for log in logs)]
    categorical = [
        n for n in shared if n not in numeric and not any(_is_time(log.events[n]) for log in logs)
    ]
    levels: dict[str, np.ndarray] = {}
    columns: list[dict[str, np.ndarray]] = [{} for _ in logs]
    for name in categorical:
        levels[name], coded = _shared_codes([log.events[name] for log in logs])
        for target, codes in zip(columns, coded, strict=True):
            target[name] = codes
    static_codes, static_numbers = _static(logs, levels)
    names: Mapping[str, str] = {
        k: v for log in reversed(logs) for k, v in (log.manifest.get("roles") or {}).items()
    }
    role_of = roles_of([str(n) for n in levels["event"]], names)
    roles = np.array([role_of[str(n)] for n in levels["event"]], dtype=object)
    kinds = sorted(
        {
            str(k)
            for log in logs
            if log.labels is not None
            for k in log.labels["kind"].astype(str).unique()
        }
    )
    by_id = all(
        "session_id" in log.events and log.events["session_id"].notna().mean() > 0.5 for log in logs
    )
    return [
        _aligned(log, codes, numeric, levels, roles, kinds, by_id, user_codes, user_numbers)
        for log, codes, user_codes, user_numbers in zip(
            logs, columns, static_codes, static_numbers, strict=True
        )
    ]


def ngrams(log: AlignedLog, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the code (m,) int64 of each run of `n` rows of one user, and its user (m,) int64.

    A code is a number in base (number of event types), one digit a row.
    """
    width = len(log.levels["event"])
    event, user = log.codes["event"].astype(np.int64), log.user
    size = max(log.n_rows - n + 1, 0)
    code = np.zeros(size, dtype=np.int64)
    for i in range(n):
        code = code * width + event[i : i + size]
    whole = user[:size] == user[log.n_rows - size :]
    return code[whole], user[:size][whole]


def _aligned(
    log: EventLog,
    codes: dict[str, np.ndarray],
    numeric: list[str],
    levels: dict[str, np.ndarray],
    roles: np.ndarray,
    kinds: list[str],
    by_id: bool,
    user_codes: dict[str, np.ndarray],
    user_numbers: dict[str, np.ndarray],
) -> AlignedLog:
    events = log.events
    user = events["user_id"].astype("category").cat.codes.to_numpy()
    first = np.concatenate([[True], user[1:] != user[:-1]])
    starts = np.flatnonzero(first)
    time = _ms(events["timestamp"])
    gap = np.full(len(time), np.nan)
    gap[1:] = np.where(first[1:], np.nan, np.diff(time) / 1000.0)
    if by_id:
        session = events["session_id"].astype("category").cat.codes.to_numpy()
        breaks = np.concatenate([[True], session[1:] != session[:-1]])
    else:
        breaks = gap > SESSION_GAP_S
    return AlignedLog(
        offsets=np.append(starts, len(user)).astype(np.int64),
        time=time,
        gap=gap,
        starts=first | breaks,
        codes=codes,
        numbers={n: events[n].to_numpy(dtype=np.float64, na_value=np.nan) for n in numeric},
        labels={kind: _labelled(log, kind) for kind in kinds},
        levels=levels,
        roles=roles,
        user_codes=user_codes,
        user_numbers=user_numbers,
    )


def _shared_codes(columns: list[pd.Series]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the sorted values (n_levels,) of all columns, and each column's codes (n_rows,)."""
    cats = [
        c if isinstance(c.dtype, pd.CategoricalDtype) else c.astype(object).astype("category")
        for c in columns
    ]
    used = [c.cat.remove_unused_categories() for c in cats]
    texts = [c.cat.categories.astype(str).to_numpy(dtype=object) for c in used]
    values = np.array(sorted(set().union(*[t.tolist() for t in texts])), dtype=object)
    index = {value: i for i, value in enumerate(values)}
    # Code -1 takes the last entry.
    tables = [np.array([index[t] for t in text] + [-1], dtype=np.int32) for text in texts]
    return values, [table[c.cat.codes.to_numpy()] for table, c in zip(tables, used, strict=True)]


def _static(
    logs: tuple[EventLog, ...], levels: dict[str, np.ndarray]
) -> tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """Return the user attributes that all logs have, as codes and as numbers for each log.

    They are aligned with each log's users. Levels of the codes are added to `levels`.
    """
    codes: list[dict[str, np.ndarray]] = [{} for _ in logs]
    numbers: list[dict[str, np.ndarray]] = [{} for _ in logs]
    if any(log.users is None or "user_id" not in log.users for log in logs):
        return codes, numbers
    aligned = []
    for log in logs:
        assert log.users is not None  # for the type checker: tested above
        order = log.events["user_id"].astype(str).drop_duplicates()
        table = (
            log.users.assign(user_id=log.users["user_id"].astype(str))
            .drop_duplicates("user_id")
            .set_index("user_id")
        )
        aligned.append(table.reindex(order))
    for name in map(str, aligned[0].columns):
        if not all(name in table for table in aligned) or any(
            _is_time(table[name]) for table in aligned
        ):
            continue
        if all(_is_numeric(table[name]) for table in aligned):
            for target, table in zip(numbers, aligned, strict=True):
                target[name] = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            levels[f"users.{name}"], coded = _shared_codes([table[name] for table in aligned])
            for target, column in zip(codes, coded, strict=True):
                target[name] = column
    return codes, numbers


def _labelled(log: EventLog, kind: str) -> np.ndarray:
    """Return which rows the shop labelled as `kind`, (n_rows,) bool."""
    if log.labels is None:
        return np.zeros(len(log), dtype=bool)
    labels = log.labels[log.labels["kind"].astype(str) == kind]
    value = labels["value"]
    if not (_is_numeric(value) or value.dtype == bool):
        number = pd.to_numeric(value.astype(str), errors="coerce")
        value = number.where(
            number.notna(), value.astype(str).str.lower().isin(["true", "yes", kind]).astype(float)
        )
    found: np.ndarray = np.isin(
        log.events["event_id"].to_numpy(),
        labels["event_id"].to_numpy()[value.to_numpy(dtype=np.float64) > 0],
    )
    return found


def _is_numeric(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and values.dtype != bool


def _is_time(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def _ms(values: pd.Series) -> np.ndarray:
    return values.astype("datetime64[ms, UTC]").astype("int64").to_numpy()
