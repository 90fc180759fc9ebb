"""Codes of a log's columns, before rows are replayed: users, categorical columns, and the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.codec.clock import hour_of_week
from generators.codec.codec import Codec
from generators.codec.coders import Bins, Values, string_codes
from generators.codec.features import days_before, favourites, habits, label_codes, split_price
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    RHYTHM,
    SESSIONS,
    USUAL,
)
from generators.codec.rhythms import rhythm_codes
from generators.sequences import codes


def starts_of(user: np.ndarray) -> np.ndarray:
    """Return the first row of each user, (n_users,) int64; a user's rows (n,) are adjacent."""
    return (
        np.flatnonzero(np.append(True, user[1:] != user[:-1]))
        if len(user)
        else np.zeros(0, dtype=np.int64)
    )


def sessions_of(is_session_start: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the sessions of users with `counts` (n_users,) rows each, (n_users,) int64.

    Of the rows (n,) of all users it is known whether they begin another session than the row
    before; a user's first row does not count.
    """
    so_far = np.append(0, np.cumsum(is_session_start.astype(np.int64)))
    ends = np.cumsum(counts)
    sessions: np.ndarray = 1 + so_far[ends] - so_far[ends - counts]
    return sessions


def initial_values(codec: Codec, user_attributes: np.ndarray) -> np.ndarray:
    """Return the value that a user starts with in each categorical column, (n, n_values) int64.

    It is the user attribute of the same name, 0 where there is none.
    """
    names = list(codec.user_attributes)
    out = np.zeros((len(user_attributes), len(codec.value_fields)), dtype=np.int64)
    for k, name in enumerate(codec.value_fields):
        coder = codec.user_attributes.get(name)
        if coder is not None and coder.size == codec.values[name].size:
            out[:, k] = user_attributes[:, names.index(name)]
    return out


def user_attribute_codes(
    codec: Codec,
    log: EventLog,
    events: pd.DataFrame,
    user: np.ndarray,
    time: np.ndarray,
    n_labelled_sessions: np.ndarray,
    about: dict[str, np.ndarray],
    last: tuple[np.ndarray, np.ndarray],
    is_session_start: np.ndarray,
) -> np.ndarray:
    """Return the codes of user attributes, (n_users, n_attributes) int64.

    `about` has the codes (n,) of attributes of each row's item, `last` is what
    `features.last_sessions` gives.
    """
    starts = starts_of(user)
    ends, counts = np.append(starts[1:], len(user)) - 1, np.diff(np.append(starts, len(user)))
    activity = {
        ARRIVAL: (time[starts] - codec.clock.start_ms) / 1000,
        OBSERVATION_SPAN: ((last[1] if codec.users.plans_sessions else time[ends]) - time[starts])
        / 1000,
        LAST_ROWS: last[0].astype(np.float64),
        LAST_SPAN: np.where(last[0] > 0, (time[ends] - last[1]) / 1000, 0.0),
        N_LABELLED_SESSIONS: n_labelled_sessions.astype(np.float64),
        LENGTH: counts.astype(np.float64),
    }
    if codec.users.plans_sessions:
        activity[SESSIONS] = sessions_of(is_session_start, counts).astype(np.float64)
    owner = np.repeat(np.arange(len(starts)), counts)
    if RHYTHM in codec.user_attributes:
        begins = np.append(True, user[1:] != user[:-1]) | is_session_start
        activity[RHYTHM] = rhythm_codes(
            codec.clock.rhythms, owner[begins], hour_of_week(time[begins])
        )
    for name, mean in habits(codec, events, user, time).items() if not codec.private else ():
        activity[USUAL + name] = mean.round(6)
    table = _users_table(codec, log, events["user_id"].iloc[starts].astype(str).to_numpy())
    columns = []
    for name, coder in codec.user_attributes.items():
        favourite = codec.favourite_of(name)
        if name in activity:
            found = activity[name]
            columns.append(coder.encode(found) if isinstance(coder, Bins) else found)
        elif favourite is not None:
            columns.append(favourites(owner, about[favourite[0]], favourite[1]))
        elif name in codec.users.columns and table is not None:
            columns.append(
                _user_column(coder, table[name], codec.users.columns[name], time[starts])
            )
        elif isinstance(coder, Bins):
            columns.append(np.zeros(len(starts), dtype=np.int64))
        else:
            code = coder.encode(events[name])
            # the first that is not missing
            first = pd.Series(np.where(code > 0, code, np.nan)).groupby(user).first()
            columns.append(first.fillna(0).to_numpy().astype(np.int64))
    return np.stack(columns, 1)


def _users_table(codec: Codec, log: EventLog, ids: np.ndarray) -> pd.DataFrame | None:
    if not codec.users.columns or log.users is None:
        return None
    return (
        log.users.assign(user_id=log.users["user_id"].astype(str))
        .drop_duplicates("user_id")
        .set_index("user_id")
        .reindex(ids)
    )


def _user_column(
    coder: Values | Bins, column: pd.Series, kind: str, arrived: np.ndarray
) -> np.ndarray:
    if not isinstance(coder, Bins):
        return coder.encode(column)
    return coder.encode(
        days_before(column, arrived)
        if kind in ("date", "time")
        else column.to_numpy(dtype=np.float64, na_value=np.nan)
    )


def value_codes(
    codec: Codec, events: pd.DataFrame, user: np.ndarray, user_attributes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the targets of categorical columns and their values, (n, n_values) int64 each.

    A target is 0 (missing), SAME, or the value's code + SAME; a value is its code, 0 = missing.
    """
    targets, values = [], []
    initial = initial_values(codec, user_attributes)
    row_user = np.cumsum(np.append(False, user[1:] != user[:-1])) if len(user) else user
    for k, name in enumerate(codec.value_fields):
        code = (
            codec.values[name].encode(events[name])
            if name in events
            else np.zeros(len(user), dtype=np.int64)
        )
        known = pd.Series(np.where(code > 0, code, np.nan)).groupby(user).ffill()
        before = known.groupby(user).shift().fillna(0).to_numpy().astype(np.int64)
        before = np.where(before > 0, before, initial[row_user, k]) if len(user) else before
        targets.append(
            np.where(code == 0, 0, np.where(code == before, codes.SAME, code + codes.SAME))
        )
        values.append(code)
    shape = (len(user), len(targets))
    return (
        (np.stack(targets, 1), np.stack(values, 1))
        if targets
        else (np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))
    )


def shared_values(column: pd.Series, user: pd.Series) -> set[str]:
    """Return the values of an id column that more than one user has."""
    pairs = pd.DataFrame({"v": column.astype(str), "u": user.astype(str)})[
        column.notna().to_numpy()
    ].drop_duplicates()
    counts = pairs["v"].value_counts()
    return set(counts.index[counts > 1])


def rest_codes(
    codec: Codec,
    log: EventLog,
    events: pd.DataFrame,
    user: np.ndarray,
    time: np.ndarray,
    item: np.ndarray,
    shared: dict[str, set[str]],
) -> np.ndarray:
    """Return the codes of ids, numbers, price and labels, (n, n_rest) int64."""
    columns = []
    for name in codec.rest_fields:
        if name in codec.ids:
            columns.append(
                _relation(events[name], user, shared[name])
                if name in events
                else np.zeros(len(user), dtype=np.int64)
            )
        elif name == "price":
            paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
            columns.append(_price_codes(codec, codec.price_on(item, time), paid))
        elif name.startswith("label:"):
            columns.append(
                label_codes(log, codec, name.removeprefix("label:"), events["event_id"].to_numpy())
            )
        else:
            columns.append(
                codec.bins[name].encode(events[name].to_numpy(dtype=np.float64, na_value=np.nan))
            )
    return np.stack(columns, 1) if columns else np.zeros((len(user), 0), dtype=np.int64)


def _price_codes(codec: Codec, base: np.ndarray, paid: np.ndarray) -> np.ndarray:
    """Return the codes of prices (n,), by the items' own: of ratios, then of prices as they are.

    What few rows pay and has no code, as nothing, is the item's own price, and not missing.
    """
    ratio, plain = split_price(base, paid)
    related, as_is = codec.bins["price_ratio"].encode(ratio), codec.bins["price"].encode(plain)
    code = np.where(as_is > 0, as_is + codec.bins["price_ratio"].size - 1, related)
    own = codec.bins["price_ratio"].encode(np.zeros(1))[0]
    return np.where((code == 0) & np.isfinite(paid) & (base > 0), own, code)


def _relation(column: pd.Series, user: np.ndarray, shared: set[str]) -> np.ndarray:
    """Return the codes of an id column, (n,): how an id relates to earlier ones, never the id."""
    code, names = string_codes(column)
    present = code >= 0
    known = pd.Series(np.where(present, code, np.nan)).groupby(user).ffill()
    before = known.groupby(user).shift().fillna(-1).to_numpy()
    seen = pd.DataFrame({"u": user, "c": code}).duplicated().to_numpy()
    of_many = (
        np.append([n in shared for n in names], False)[code]
        if len(names)
        else np.zeros(len(code), dtype=bool)
    )
    out = np.where(seen, codes.EARLIER_ID, np.where(of_many, codes.SHARED_ID, codes.NEW_ID))
    assert codes.N_ID_RELATIONS == codes.SHARED_ID + 1
    return np.where(~present, 0, np.where(code == before, codes.SAME_ID, out)).astype(np.int64)


def order_numbers(column: pd.Series, user: np.ndarray) -> np.ndarray:
    """Number each id within its user by first appearance, (n,) int64; -1 = missing."""
    code, _ = string_codes(column)
    present = code >= 0
    frame = pd.DataFrame({"u": user[present], "c": code[present]})
    new = ~frame.duplicated()
    number = new.groupby(frame["u"]).cumsum() - 1
    first = frame.assign(k=number)[new].set_index(["u", "c"])["k"]
    out = np.full(len(code), -1, dtype=np.int64)
    out[present] = first.reindex(pd.MultiIndex.from_frame(frame)).to_numpy()
    return out
