"""Tables: the frames of a log while relations change them, with what several of them need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.schema import roles_of
from eventlog.sessions import SESSION_GAP_S

DIGITS = r"[1-9]\d{0,14}|0"  # text that is a number, and is written like one
DAY_MS = 86_400_000
STEPS_MS = (DAY_MS, 3_600_000, 60_000, 1_000, 1)


@dataclass(frozen=True)
class Past:
    """The reduced log of users who are continued, and the end of the whole log in ms.

    What is taken out of the one may lie after all of its rows.
    """

    log: EventLog
    end: int


@dataclass
class Tables:
    """Events (in the order of their users and times) and users of a log, which may be changed."""

    events: pd.DataFrame
    users: pd.DataFrame | None
    roles: dict[str, str]  # event -> role
    # offers of campaigns: `user_id`, `time` (ms), `campaign` (its number), `treated` (0 or 1)
    offers: pd.DataFrame | None = None
    past_end: int = 0  # ms: the end of a log that is continued; 0 = there is none

    @classmethod
    def of(cls, log: EventLog) -> Tables:
        """Return the tables of `log`; changing a column of them leaves the log as it is."""
        roles = roles_of(
            log.events["event"].astype("category").cat.categories.astype(str).tolist(),
            log.manifest.get("roles"),
        )
        users = None if log.users is None else log.users.copy(deep=False)
        return cls(log.events.copy(deep=False), users, roles)

    def replace_events(self, events: pd.DataFrame) -> None:
        """Take other rows of events; what was known of the rows is forgotten."""
        self.events = events
        for name in ("user", "time", "session", "order", "visit"):
            self.__dict__.pop(name, None)
        self._forget_names()

    def keep_rows(self, rows: np.ndarray) -> None:
        """Keep these rows of events, (n,) bool, and the names and users that they have."""
        events = self.events[rows].reset_index(drop=True)
        for name in ("event", "user_id"):
            if isinstance(events[name].dtype, pd.CategoricalDtype):
                events[name] = events[name].cat.remove_unused_categories()
        self.replace_events(events)

    def rename_events(self, rows: np.ndarray, name: str) -> None:
        """Give the event of rows (n,) bool another name."""
        names = pd.Categorical([*self.event_names, name])
        now = names[np.where(rows, len(names) - 1, self.event_code)]
        self.events["event"] = now.remove_unused_categories()
        self._forget_names()

    def _forget_names(self) -> None:
        for name in ("event", "event_code", "event_names"):
            self.__dict__.pop(name, None)

    def log(self, log: EventLog) -> EventLog:
        """Return `log` with these tables."""
        return replace(log, events=self.events, users=self.users)

    @cached_property
    def user(self) -> np.ndarray:
        """Code of each row's user, (n,) int64."""
        return codes_of(self.events["user_id"])

    @cached_property
    def time(self) -> np.ndarray:
        """Time of each row, (n,) int64 ms."""
        stamps = self.events["timestamp"].astype("datetime64[ms, UTC]")
        return stamps.astype("int64").to_numpy()

    @cached_property
    def session(self) -> np.ndarray:
        """Code of each row's session, (n,) int64, -1 = none."""
        if "session_id" in self.events:
            code = codes_of(self.events["session_id"])
            return np.where(code < 0, -1, self.user * (int(code.max(initial=0)) + 1) + code)
        breaks = np.append(True, np.diff(self.user) != 0)[: len(self.user)]
        breaks[1:] |= np.diff(self.time) > SESSION_GAP_S * 1000
        return np.cumsum(breaks)

    @cached_property
    def visit(self) -> np.ndarray:
        """Number of each row's session as a generator sees it, (n,) int64.

        Rows without an id are in the session before.
        """
        first = np.append(True, np.diff(self.user) != 0)[: len(self.user)]
        there = np.where(first | (self.session >= 0), np.arange(len(first)), 0)
        known = self.session[np.maximum.accumulate(there)]
        before = np.append(-1, known[:-1])[: len(first)]
        return np.cumsum(first | ((known != before) & (known >= 0) & (before >= 0)))

    @cached_property
    def order(self) -> np.ndarray:
        """Code of each row's order, (n,) int64, -1 = none."""
        if "order_id" not in self.events:
            return np.full(len(self.events), -1, dtype=np.int64)
        code = codes_of(self.events["order_id"])
        both = self.user * (int(code.max(initial=0)) + 1) + code
        return np.where(code < 0, -1, pd.factorize(both)[0])

    def of_id(self, column: str) -> np.ndarray:
        """Return the code of each row's id, (n,) int64, -1 = none; users have orders of their own.

        Other ids are those of a column, which users may share, as they do a household.
        """
        return self.order if column == "order_id" else codes_of(self.events[column])

    @cached_property
    def event(self) -> np.ndarray:
        """Name of each row's event, (n,) str."""
        return self.event_names[self.event_code]

    @cached_property
    def event_code(self) -> np.ndarray:
        """Place of each row's event in `event_names`, (n,) int64."""
        return codes_of(self.events["event"])

    @cached_property
    def event_names(self) -> np.ndarray:
        """Names of the events, (k,) str; some may have no row."""
        names = self.events["event"].astype("category").cat.categories
        return names.astype(str).to_numpy(dtype=object)

    def is_event(self, names: Iterable[str | None]) -> np.ndarray:
        """Return which rows have an event of these names, (n,) bool."""
        wanted = set(names)
        yes = np.array([n in wanted for n in self.event_names], dtype=bool)
        return yes[self.event_code]

    def has_role(self, *roles: str) -> np.ndarray:
        """Return which rows have an event of these roles, (n,) bool."""
        return self.is_event(n for n in self.event_names if self.roles.get(n) in roles)

    def group(self, scope: str) -> np.ndarray:
        """Return the code of each row's "user", "session" or "order", (n,) int64, -1 = none."""
        group: np.ndarray = getattr(self, scope)
        return group

    def numbers(self, column: str) -> np.ndarray:
        """Return a column as (n,) float64, NaN = missing; text of digits counts as numbers."""
        return numbers_of(self.events[column])


def step_ms(tables: Tables) -> int:
    """Return the ms of which all times are multiples: a day, an hour, a minute, a second, or 1."""
    return next(s for s in STEPS_MS if not (tables.time % s).any())


def codes_of(column: pd.Series) -> np.ndarray:
    """Return codes of the values of a column, (n,) int64, -1 = missing."""
    return column.astype("category").cat.codes.to_numpy().astype(np.int64)


def is_number(column: pd.Series) -> bool:
    """Does a column hold numbers?"""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def is_time(column: pd.Series) -> bool:
    """Does a column hold times?"""
    return pd.api.types.is_datetime64_any_dtype(column)


def is_digits(column: pd.Series) -> bool:
    """Is every value of a column of text a whole number?"""
    if is_number(column) or is_time(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = pd.Series(column.dropna().unique(), dtype=object).astype(str)
    return len(values) > 0 and bool(values.str.fullmatch(DIGITS).all())


def numbers_of(column: pd.Series) -> np.ndarray:
    """Return a column as (n,) float64, NaN = missing; text of digits counts as numbers."""
    if is_number(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    values = pd.to_numeric(column.astype(object), errors="coerce")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def text_of(column: pd.Series) -> pd.Series:
    """Return a column as text, None = missing; whole numbers have no decimals."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        texts = np.array([*map(str, column.cat.categories), None], dtype=object)
        return pd.Series(texts[column.cat.codes], index=column.index)
    if not is_number(column):
        return column.astype(object).where(column.notna(), None).map(_text, na_action="ignore")
    unique, code = np.unique(column.dropna().to_numpy(dtype=np.float64), return_inverse=True)
    names = np.array([f"{v:.15g}" for v in unique], dtype=object)
    out = np.full(len(column), None, dtype=object)
    if len(unique):
        out[column.notna().to_numpy()] = names[code]
    return pd.Series(out, index=column.index)


def _text(value: object) -> str:
    return str(value)


def decimals_of(values: np.ndarray) -> int:
    """Return the fewest decimals (0 to 6) with which all of (n,) finite numbers are written."""
    for decimals in range(6):
        if np.allclose(values, values.round(decimals), rtol=0, atol=1e-9 * 10.0**-decimals + 1e-12):
            return decimals
    return 6


def kinds_of(events: pd.DataFrame) -> dict[str, str]:
    """Return the type of each column of events."""
    kinds = {}
    for name in map(str, events.columns):
        column = events[name]
        if pd.api.types.is_bool_dtype(column):
            kinds[name] = "flag"
        elif pd.api.types.is_datetime64_any_dtype(column):
            kinds[name] = "time"
        elif pd.api.types.is_integer_dtype(column):
            kinds[name] = "integer"
        else:
            kinds[name] = "number" if is_number(column) else "text"
    return kinds


def first_rows(group: np.ndarray) -> np.ndarray:
    """Return whether each row is the first of its group, (n,) bool; group -1 has none."""
    return ~pd.Series(group).duplicated().to_numpy() & (group >= 0)


def filled(values: pd.Series, group: np.ndarray) -> pd.Series:
    """Return for each row the first value of its group that is not missing."""
    return values.groupby(group).transform("first")
