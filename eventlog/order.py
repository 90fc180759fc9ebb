"""The order of a log's rows: check it, and sort the rows where they are out of order.

All code over users reads a user's rows as one run of equal ids (`user[1:] != user[:-1]`). If the
rows of a user are scattered, one user counts as several, and promises made per user, differential
privacy above all, are broken. `EventLog.grouped` and `EventLog.ordered` prevent this.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.schema import REQUIRED, TIME

Log = TypeVar("Log", bound=Any)  # an EventLog, whose module imports this one
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 and 9999
NO_VALUES = (list, tuple, dict, set, np.ndarray, bytes)  # of a column
SHOWN = 3  # examples in an error message about many rows


def ordered(log: Log) -> Log:
    """Return the log sorted by user and time; see EventLog.ordered."""
    check_rows(log)
    events = log.events
    if len(events) == 0 or (_in_order(events) and _clean_index(events) and "event_id" in events):
        return log
    events = _with_sorted_users(events)
    codes, time = events["user_id"].cat.codes.to_numpy(), _ms(events)
    if not in_order(codes, time):
        events = events.iloc[places(codes, time)]
    events = _numbered(events.reset_index(drop=True))
    return replace(log, events=events, truth=_following(log.truth, events))


def grouped(log: Log) -> Log:
    """Return the log with each user's rows in one run; see EventLog.grouped."""
    check_rows(log)
    events = log.events
    if not stand_together(events):
        return ordered(log)
    if len(events) == 0 or (_clean_index(events) and "event_id" in events):
        return log
    return replace(log, events=_numbered(events.reset_index(drop=True)))


def sort_events(events: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by user_id and timestamp; the sort is stable, equal timestamps keep their order."""
    user = events["user_id"].astype("category").cat
    names = user.categories.astype(str).to_numpy(dtype=object)
    rank = np.empty(len(names) + 1, dtype=np.int64)
    rank[np.argsort(names, kind="stable")] = np.arange(len(names))
    rank[-1] = -1  # no user
    order = places(rank[user.codes.to_numpy()], _ms(events))
    return events.iloc[order].reset_index(drop=True)


def stand_together(events: pd.DataFrame) -> bool:
    """Return whether each user's rows are one run, ascending in time, with users in any order.

    Raises InputError if the events lack user_id or a timestamp with a time zone.
    """
    check_columns(events)
    codes = _codes(events["user_id"])
    if len(codes) == 0:
        return True
    if codes.min() < 0:
        return False
    same = codes[1:] == codes[:-1]
    runs, users = int((~same).sum()) + 1, np.count_nonzero(np.bincount(codes))
    return bool(runs == users and (np.diff(_ms(events))[same] >= 0).all())


def check_rows(log: Any) -> None:
    """Raise InputError if a row lacks a user, a time or an event id of its own."""
    events = log.events
    check_columns(events)
    _refuse_missing(events, "user_id", "leave them out, or say whose they are")
    _refuse_missing(events, "timestamp", "leave them out, or say when they were")
    if "event_id" in events:
        _check_ids(events)
    elif log.labels is not None or log.truth:
        table = "labels" if log.labels is not None else "truth"
        raise InputError(
            f"The events have no event_id, but the log has {table} that refer to it; "
            f"add the ids, or leave the {table} out."
        )


def refuse_odd_columns(events: pd.DataFrame) -> None:
    """Raise InputError if a column has no name of its own, or holds lists, objects or bytes."""
    names = list(events.columns)
    strange = next((name for name in names if not isinstance(name, str)), None)
    if strange is not None:
        raise InputError(f"The events have a column called {strange!r}; its name must be a text.")
    if not events.columns.is_unique:
        twice = events.columns[events.columns.duplicated()][0]
        raise InputError(f"The events have two columns called {twice!r}; rename one.")
    _refuse_no_values(events)


def check_columns(events: pd.DataFrame) -> None:
    """Raise InputError if columns are missing or ambiguous, or timestamps are no instants."""
    refuse_odd_columns(events)
    missing = [name for name in REQUIRED if name not in events and name != "event_id"]
    if missing:
        has = ", ".join(map(str, events.columns))
        raise InputError(f"The events have no column {missing[0]!r}; their columns are {has}.")
    kind = events["timestamp"].dtype
    if not isinstance(kind, pd.DatetimeTZDtype):
        raise InputError(
            f"The timestamps are of type {kind}, not times with a zone; convert them "
            "with pd.to_datetime(..., utc=True)."
        )
    time = _ms(events)
    time = time[time != np.iinfo(np.int64).min]  # which means no time
    if len(time) and not (time.min() >= FIRST_MS and time.max() <= LAST_MS):
        wrong = int(((time < FIRST_MS) | (time > LAST_MS)).sum())
        raise InputError(
            f"{wrong:,} of {len(events):,} rows have a timestamp outside the years 1 to 9999; "
            "leave them out, or import the log again with --allow-rejects."
        )


def _refuse_no_values(events: pd.DataFrame) -> None:
    """Raise InputError if a column holds lists, objects or bytes instead of plain values."""
    for name, values in events.items():
        if values.dtype != object:
            continue
        row = next((k for k, v in enumerate(values) if isinstance(v, NO_VALUES)), None)
        if row is not None:
            kind = type(values.iloc[row]).__name__
            raise InputError(
                f"The column {name!r} of the events holds {kind} in row {row:,}, but a log has "
                "plain values; make rows of lists with DataFrame.explode, decode bytes, or leave "
                "the column out."
            )


def repeated_ids(ids: np.ndarray) -> tuple[int, list[int]]:
    """Return how many rows repeat the id of an earlier row, and the first of these ids."""
    if (np.diff(ids) > 0).all():
        return 0, []
    again = pd.Series(ids).duplicated().to_numpy()
    return int(again.sum()), pd.unique(ids[again])[:SHOWN].tolist()


def _check_ids(events: pd.DataFrame) -> None:
    """Raise InputError if event ids are missing, not integers or not unique."""
    _refuse_missing(events, "event_id", "give every event an id of its own")
    kind = events["event_id"].dtype
    if not pd.api.types.is_integer_dtype(kind):
        raise InputError(f"The event ids are of type {kind}; they must be whole numbers (int64).")
    n, ids = repeated_ids(events["event_id"].to_numpy(dtype=np.int64))
    if n:
        first = ", ".join(map(str, ids))
        raise InputError(
            f"{n:,} of {len(events):,} rows have the event_id of an earlier row, such as "
            f"{first}; give every event an id of its own, because labels refer to it."
        )


def _refuse_missing(events: pd.DataFrame, name: str, why: str) -> None:
    missing = events[name].isna().to_numpy()
    if missing.any():
        n, row = int(missing.sum()), int(np.argmax(missing))
        raise InputError(
            f"{n:,} of {len(events):,} rows have no {name}, the first is row {row:,}; {why}."
        )


# --- how rows stand ------------------------------------------------------------------------------


def _in_order(events: pd.DataFrame) -> bool:
    """Return whether rows ascend by user and time and the categories are the users, ascending."""
    user = events["user_id"]
    if not isinstance(user.dtype, pd.CategoricalDtype):
        return False
    names, codes = user.cat.categories, user.cat.codes.to_numpy()
    step = np.diff(codes)
    whole = (
        codes[0] == 0 and codes[-1] == len(names) - 1 and bool(((step == 0) | (step == 1)).all())
    )
    texts = names.inferred_type == "string" and names.is_monotonic_increasing
    return bool(whole and texts and (np.diff(_ms(events))[step == 0] >= 0).all())


def in_order(codes: np.ndarray, time: np.ndarray) -> bool:
    """Return whether rows ascend by code and, within a code, by time."""
    if (codes[1:] < codes[:-1]).any():
        return False
    return bool(((codes[1:] > codes[:-1]) | (time[1:] >= time[:-1])).all())


def places(codes: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the rows sorted by code and time, (n,); equal ones keep their order."""
    if len(codes) == 0:
        return np.zeros(0, dtype=np.int64)
    low, high = int(time.min()), int(time.max())
    width = high - low + 1
    if (int(codes.max()) + 1) * width < 2**62:  # one sort by one number instead of two sorts
        return _stable_order(codes.astype(np.int64) * width + (time - low))
    return np.lexsort((time, codes))


def _stable_order(key: np.ndarray) -> np.ndarray:
    """Return np.argsort(key, kind="stable") of (n,) int64, in a third of the time.

    numpy sorts with vector instructions only where equal ones need not keep their order, so they
    are put in order afterwards.
    """
    order = np.argsort(key)
    key = key[order]
    same = key[1:] == key[:-1]
    if same.any():
        tied = np.append(same, False) | np.append(False, same)
        run = np.cumsum(~np.append(False, same)[tied]) * len(order)
        order[tied] = np.sort(run + order[tied]) - run
    return order


def _clean_index(events: pd.DataFrame) -> bool:
    index = events.index
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def _codes(values: pd.Series) -> np.ndarray:
    """Return a number for each distinct value, (n,) int, -1 where it is missing."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy()
    return pd.factorize(values)[0]


def _ms(events: pd.DataFrame) -> np.ndarray:
    """Return the timestamps as ms since 1970 UTC, (n,) int64."""
    return events["timestamp"].astype(TIME).astype("int64").to_numpy()


# --- the new frame -------------------------------------------------------------------------------


def _with_sorted_users(events: pd.DataFrame) -> pd.DataFrame:
    """Return the same rows with user ids as categories: text, ascending, without unused ones."""
    user = events["user_id"]
    if not isinstance(user.dtype, pd.CategoricalDtype):
        user = user.astype("string").astype(object).astype("category")
    codes = user.cat.codes.to_numpy()
    used = np.flatnonzero(np.bincount(codes))
    texts = user.cat.categories.astype(str).to_numpy(dtype=object)[used]
    names, place = np.unique(texts, return_inverse=True)
    table = np.zeros(len(user.cat.categories), dtype=np.int64)
    table[used] = place
    return events.assign(user_id=pd.Categorical.from_codes(table[codes], categories=names))


def _numbered(events: pd.DataFrame) -> pd.DataFrame:
    """Return the events, with the ids 0..n-1 if they have none."""
    if "event_id" not in events:
        events = events.copy(deep=False)
        events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return events


def _following(truth: dict[str, pd.DataFrame], events: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the truth tables, with truth/events in the order of the sorted events."""
    table = truth.get("events")
    if table is None or "event_id" not in table or len(table) != len(events):
        return truth
    if not table["event_id"].is_unique:
        return truth
    place = pd.Index(table["event_id"]).get_indexer(events["event_id"])
    if (place < 0).any():
        return truth
    return {**truth, "events": table.iloc[place].reset_index(drop=True)}
