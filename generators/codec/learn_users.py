"""Learn what is drawn once a user: arrival, length, columns of the users table, favourites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.codec.clock import Clock, on_step
from generators.codec.codec import Codec
from generators.codec.coders import Bins, Values
from generators.codec.features import days_before, habits, last_sessions
from generators.codec.parts import (
    ARRIVAL,
    FAVOURITES,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    LEVELS,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    PRICE_LEVEL,
    SESSIONS,
    USUAL,
    Users,
)
from generators.privacy.public import Public
from generators.privacy.queries import PrivateQueries

USERS_OF_BIN = 25  # of arrival, span and length, at the least
MOST_FAVOURITES = 256  # values of an attribute of items among which a user can have favourites
HABIT_LEVELS = 10  # intervals of a mean over a user's rows
HABIT_TAIL = 2  # halvings of the outermost ones: few users pay most of what is paid
MOST_PRICELESS = 20  # with so few items of known price there are no levels of price


def learn_activity(
    queries: PrivateQueries,
    clock: Clock,
    user: np.ndarray,
    time: np.ndarray,
    *,
    intervals: int,
    max_rows: int,
    plan_sessions: bool,
) -> dict[str, Values | Bins]:
    """Return the coders of arrival, observation span and length of users.

    With `plan_sessions` also that of the number of sessions.
    """
    fine = (
        intervals
        if queries.private
        else int(np.clip(queries.n_users // USERS_OF_BIN, 8, 2 * intervals))
    )
    return {
        ARRIVAL: _arrival(queries, clock, user, time, fine),
        OBSERVATION_SPAN: _observation_span(queries, clock, user, time, fine),
        # before the length, which is given it
        **({SESSIONS: _counted(max_rows)} if plan_sessions else {}),
        LENGTH: _length(queries, user, fine, max_rows),
    }


def _arrival(
    queries: PrivateQueries, clock: Clock, user: np.ndarray, time: np.ndarray, intervals: int
) -> Bins:
    """Return bins of the seconds between the start of the span and a user's first event.

    Intervals are even under a budget, quantiles otherwise.
    """
    if queries.private:
        edges = np.linspace(0, clock.seconds(), intervals + 1)
        return on_step(Bins(np.zeros(0), edges[:-1], edges[1:], False, 3), clock.step_ms)
    first = np.append(True, user[1:] != user[:-1])
    seconds = (time[first] - clock.start_ms) / 1000
    return Bins.fit(
        queries,
        ARRIVAL,
        user[first],
        seconds,
        intervals=intervals,
        log=False,
        decimals=3,
        point_share=1.1,
    )


def _observation_span(
    queries: PrivateQueries, clock: Clock, user: np.ndarray, time: np.ndarray, intervals: int
) -> Bins:
    """Return bins of the seconds between a user's first and last event.

    Under a budget the grid is fixed: powers of two, then even intervals, because many spans are
    long.
    """
    if queries.private:
        even = np.linspace(0, clock.seconds(), intervals + 1)[1:]
        edges = np.append(0.0, np.append(2.0 ** np.arange(4, np.log2(even[0])), even))
        return on_step(Bins(np.zeros(1), edges[:-1], edges[1:], True, 3), clock.step_ms)
    first = np.append(True, user[1:] != user[:-1])
    last = np.append(first[1:], True)
    seconds = (time[last] - time[first]) / 1000
    return Bins.fit(
        queries,
        OBSERVATION_SPAN,
        user[first],
        seconds,
        intervals=intervals,
        decimals=3,
        points_only=np.zeros(1),
    )


def _length(queries: PrivateQueries, user: np.ndarray, intervals: int, max_rows: int) -> Bins:
    """Return bins of the rows of a user; under a budget the grid is fixed."""
    if queries.private:
        return _counted(max_rows)
    rows = np.bincount(user).astype(np.float64)
    return Bins.fit(queries, LENGTH, np.arange(len(rows)), rows, intervals=intervals, decimals=0)


def _counted(most: int) -> Bins:
    """Return a fixed grid of numbers from 1 to `most`, two intervals a doubling.

    Intervals end between whole numbers, because a number drawn in one is rounded.
    """
    edges = np.unique(np.ceil(2.0 ** np.arange(0, np.log2(most) + 0.5, 0.5))) - 0.5
    return Bins(np.zeros(0), edges[:-1], edges[1:], True, 0)


def learn_last_sessions(
    queries: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    is_session_start: np.ndarray,
    intervals: int,
) -> dict[str, Values | Bins]:
    """Return the coders of rows and seconds of the last of several sessions."""
    rows, begin = last_sessions(user, time, is_session_start)
    ends = time[np.append(user[1:] != user[:-1], True)]
    owner, none = np.arange(len(rows)), np.zeros(1)
    span = np.where(rows > 0, (ends - begin) / 1000, 0.0)
    return {
        name: Bins.fit(
            queries,
            name,
            owner,
            values,
            intervals=intervals // 2,
            decimals=decimals,
            points_only=none,
        )
        for name, values, decimals in (
            (LAST_ROWS, rows.astype(np.float64), 0),
            (LAST_SPAN, span, 3),
        )
    }


def labelled_session_bins(queries: PrivateQueries, n_labelled_sessions: np.ndarray) -> Bins:
    """Return bins of the labelled sessions of a user, (n_users,); under a budget a fixed grid."""
    if queries.private:
        return Bins(np.arange(4.0), np.array([4.0]), np.array([8.0]), True, 0)
    return Bins.fit(
        queries,
        N_LABELLED_SESSIONS,
        np.arange(len(n_labelled_sessions)),
        n_labelled_sessions.astype(np.float64),
        intervals=4,
        decimals=0,
    )


def learn_users(
    codec: Codec,
    log: EventLog,
    queries: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    public: Public,
) -> Codec:
    """Return `codec` with the columns of the users table, and with first values.

    A first value is that of a column of events that hardly changes within a user.
    """
    if log.users is not None:
        codec = _learn_table(codec, log, queries, user, time, public)
    if queries.private:
        return codec
    first_values = {
        name: codec.values[name]
        for name in codec.value_fields
        if name not in codec.user_attributes
        and len(codec.values[name].values) > 1
        and _hardly_changes(codec.values[name].encode(log.events[name]), user)
    }
    return replace(
        codec, users=Users({**codec.user_attributes, **first_values}, codec.users.columns)
    )


def _learn_table(
    codec: Codec,
    log: EventLog,
    queries: PrivateQueries,
    user: np.ndarray,
    time: np.ndarray,
    public: Public,
) -> Codec:
    assert log.users is not None
    ids = log.events["user_id"].astype("category").cat.categories.astype(str)
    table = (
        log.users.assign(user_id=log.users["user_id"].astype(str))
        .drop_duplicates("user_id")
        .set_index("user_id")
        .reindex(ids)
    )
    arrived = pd.Series(time).groupby(user).min().to_numpy()
    attributes, columns = dict(codec.user_attributes), dict(codec.users.columns)
    not_learnt = list(codec.columns.not_learnt)
    for name in map(str, table.columns):
        coder, kind = _user_column(
            queries, f"users.{name}", table[name], arrived, public.values.get(name)
        )
        if kind == "values" and name in codec.value_fields:
            coder = codec.values[name]
        if coder.size > 1:
            attributes[name], columns[name] = coder, kind
        elif name != "user_id":
            not_learnt.append(f"users.{name}")
    return replace(
        codec,
        users=Users(attributes, columns),
        columns=replace(codec.columns, not_learnt=not_learnt),
    )


def _user_column(
    queries: PrivateQueries,
    what: str,
    column: pd.Series,
    arrived: np.ndarray,
    public: list[str] | None,
) -> tuple[Values | Bins, str]:
    """Return the coder of a column of the users table, and its kind."""
    row = np.arange(len(column))
    if pd.api.types.is_datetime64_any_dtype(column):
        days = days_before(column, arrived)
        coder: Values | Bins = Bins.fit(
            queries, what, row, days, intervals=16, log=False, decimals=0, per_user=1
        )
        # a date has no time of day; under a budget nobody is asked whether all have none
        known = column.dropna()
        return coder, "date" if queries.private or (known == known.dt.floor("D")).all() else "time"
    if pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        decimals = 0 if pd.api.types.is_integer_dtype(column) else None
        coder = Bins.fit(
            queries, what, row, numbers, intervals=16, decimals=decimals, per_user=1, finer=True
        )
        return coder, "number"
    return Values.fit(queries, what, row, column, per_user=1, public=public), "values"


def _hardly_changes(code: np.ndarray, user: np.ndarray) -> bool:
    """Do nine in ten rows of users (n,) repeat the user's last code (n,), where both have one?"""
    known = pd.Series(np.where(code > 0, code, np.nan)).groupby(user).ffill().to_numpy()
    again = (
        np.append(False, user[1:] == user[:-1])
        & (code > 0)
        & np.isfinite(np.append(np.nan, known[:-1]))
    )
    return bool(again.any() and (known[:-1] == code[1:])[again[1:]].mean() > 0.9)


def learn_habits(
    codec: Codec, log: EventLog, queries: PrivateQueries, user: np.ndarray, time: np.ndarray
) -> Codec:
    """Return `codec` with the level at which each user keeps numbers, prices, repeats and pace."""
    attributes = dict(codec.user_attributes)
    for name, mean in habits(codec, log.events, user, time).items():
        bins = Bins.fit(
            queries,
            USUAL + name,
            np.arange(len(mean)),
            mean.round(6),
            intervals=HABIT_LEVELS,
            log=False,
            decimals=6,
            point_share=1 / HABIT_LEVELS,
            tail=HABIT_TAIL,
        )
        if bins.size > 2:
            attributes[USUAL + name] = bins
    return replace(codec, users=replace(codec.users, attributes=attributes))


def learn_favourites(codec: Codec) -> Codec:
    """Return `codec` with what a user has most of, and second most, of each attribute of items.

    Such a taste lasts from session to session, and the rows before show it poorly.
    """
    own = {
        "category": codec.categories,
        **{n: Values(LEVELS) for n in (PRICE_LEVEL, *codec.items.levels)},
    }
    priced = [PRICE_LEVEL] if np.isfinite(codec.items.price).sum() > MOST_PRICELESS else []
    attributes = dict(codec.user_attributes)
    for name in ("category", *codec.items.attributes, *codec.items.levels, *priced):
        coder = own.get(name) or codec.values[name]
        if codec.items.size > 1 and 2 < coder.size <= MOST_FAVOURITES:
            for prefix in FAVOURITES:
                attributes.setdefault(prefix + name, coder)
    return replace(codec, users=replace(codec.users, attributes=attributes))
