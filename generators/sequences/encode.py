"""A log as training steps: for each row of each user what a model may look at before it, and what
it must predict.

A user with n rows has n + 1 steps; the last one asks for the end of the sequence. Targets are -1
where nothing is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numba import njit

from eventlog import EventLog
from generators.codec.codec import (
    ARRIVAL,
    LAST_ROWS,
    LAST_STAY,
    LENGTH,
    MARKS,
    RELATIONS,
    STAY,
    Codec,
)
from generators.codec.coders import Bins, string_codes
from generators.codec.features import (
    category_codes,
    days_before,
    favourites,
    gaps_and_breaks,
    item_codes,
    label_codes,
    last_sessions,
    marks_of,
    session_intents,
    split_price,
)
from generators.codec.timing_params import clock_levels
from generators.sequences.user_state import (
    BOUGHT,
    BREAKS,
    CATEGORY,
    CLOCK_SIZES,
    DAY,
    EARLIER_ID,
    EVENT,
    FRESH,
    GAP,
    HOUR,
    INTENT,
    INTENT_COLUMN,
    ITEM,
    ITEMS_ORDER,
    NEW_ID,
    NEW_ORDER,
    NO_ORDER,
    NUMBER,
    ORDER,
    PICK,
    RANKS,
    SAME,
    SAME_ID,
    SAME_ORDER,
    SHARED_ID,
    SPAN,
    TIME,
    VALUES,
    UserState,
    known_items,
    look,
    order_of,
    pick_of,
    push_row,
)


@dataclass(frozen=True)
class EncodedSequences:
    """Training steps; those of user u are rows offsets[u]:offsets[u + 1]."""

    offsets: np.ndarray  # (n_users + 1,) int64
    features: torch.Tensor  # (n_steps, F) int64: see Codec.feature_sizes
    # (n_steps, 3) int64: hour, day of the week, remaining span of the row itself
    clock: torch.Tensor
    # (n_steps, n_fields) int64, -1 = not asked; resolved item and category of the row in `items`
    target: torch.Tensor
    items: torch.Tensor  # (n_steps,) int64: the row's item, copied or fresh
    # (n_steps, RANKS) int32: items that the row's event takes as copies, most recent first; 0 =
    # none
    known: torch.Tensor
    static: torch.Tensor  # (n_users, n_static) int64
    names: tuple[str, ...]  # of the fields
    ids: np.ndarray  # (n_users,) str: the users' ids, which never leave the training
    # (n_users,) int64: their places among all users of the log, some of whom may have no step
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> np.ndarray:
        """(n_users,) int64 steps of each user."""
        return np.diff(self.offsets)


def encode(
    log: EventLog, codec: Codec, *, max_rows: int | None = None, private: bool = False
) -> EncodedSequences:
    """`log` under `codec`; of each user the first `max_rows` rows (the codec's own limit where
    None).

    With `private` nothing of a user's steps depends on another user: an id is then never told to be
    shared.
    """
    limit = min(max_rows or codec.max_rows, codec.max_rows)
    events = log.events
    user = events["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    rank = (
        np.arange(len(user))
        - np.repeat(_starts(user), np.diff(np.append(_starts(user), len(user))))
        if len(user)
        else user
    )
    keep = (codec.events.encode(events["event"]) > 0) & (rank < 4 * limit)
    events, user = events[keep], user[keep]
    shared: dict[str, set[str]] = {
        n: set() if private else _shared(log.events[n], log.events["user_id"]) for n in codec.ids
    }
    starts = _starts(user)
    counts = np.diff(np.append(starts, len(user)))
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    gap, breaks = gaps_and_breaks(events, user, time)
    category = category_codes(codec.categories, events)
    item = item_codes(codec.items, events, category)
    category = np.where(item > 0, codec.items.category[item], category)
    intent = session_intents(codec, log, events, user, breaks)
    marks = marks_of(user, intent, breaks)
    wanted = [f[0] for f in map(codec.favourite_of, codec.statics) if f]
    about = {n: category if n == "category" else codec.item_table(n)[item] for n in wanted}
    last = last_sessions(user, time, breaks)
    static = _static(codec, log, events, user, time, starts, marks, about, last)
    values, resolved = _values(codec, events, user, static)
    rest = _rest(codec, log, events, user, time, item, shared)
    order = _local(events["order_id"], user) if "order_id" in events else np.full(len(events), -1)
    row = np.column_stack(
        [
            np.maximum(codec.clock.encode(gap, breaks), 0),
            codec.events.encode(events["event"]),
            np.zeros((len(user), 1), dtype=np.int64),
            category,
            np.zeros(len(user), dtype=np.int64),
            intent,
            item,
            order,
            time,
            breaks,
            np.zeros((len(user), 3), dtype=np.int64),
            resolved,
            rest,
        ]
    )
    ids = events["user_id"].iloc[starts].astype(str).to_numpy()
    return _unfold(
        codec, row, values, starts, counts, limit, static, marks, last, ids, user[starts]
    )


def _unfold(
    codec: Codec,
    row: np.ndarray,
    values: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    limit: int,
    static: np.ndarray,
    marks: np.ndarray,
    last_session: tuple[np.ndarray, np.ndarray],
    ids: np.ndarray,
    codes: np.ndarray,
) -> EncodedSequences:
    """Replay each user, and write down what a model could see before each row: see tracker for the
    columns of `row` (n, columns).
    """
    used = np.minimum(counts, limit)
    offsets = np.append(0, np.cumsum(used + 1))
    n = int(offsets[-1])
    features = np.zeros((n, len(codec.feature_sizes())), dtype=np.int64)
    target = np.full((n, len(codec.fields())), -1)
    clock, items, known = (
        np.zeros((n, len(CLOCK_SIZES)), dtype=np.int64),
        np.zeros(n, dtype=np.int64),
        np.zeros((n, RANKS), dtype=np.int32),
    )
    until = row[starts + counts - 1, TIME] if len(starts) else starts
    tracker = UserState(
        codec.effects(),
        values=initial_values(codec, static),
        length=counts,
        until=until,
        time=until,
        marks=marks,
        last_rows=last_session[0] if codec.plans_last else np.zeros_like(counts),
        last_start=last_session[1],
    )
    _replay(
        tracker.users,
        tracker.more,
        tracker.effects,
        codec.timing_params(),
        row,
        values,
        starts,
        used,
        counts <= limit,
        bool(codec.intents),
        offsets,
        features,
        target,
        clock,
        items,
        known,
    )
    return EncodedSequences(
        offsets,
        torch.from_numpy(features),
        torch.from_numpy(clock),
        torch.from_numpy(target),
        torch.from_numpy(items),
        torch.from_numpy(known),
        torch.from_numpy(static),
        tuple(codec.fields()),
        ids,
        codes,
    )


@njit(cache=True)
def _replay(
    users,
    more,
    effects,
    timing_params,
    rows,
    values,
    starts,
    used,
    complete,
    intents,
    offsets,
    features,
    target,
    clock,
    items,
    known,
):
    seen = np.empty(RANKS, dtype=np.int64)
    for i in range(len(users)):
        u = users[i]
        for t in range(used[i] + 1):
            at = offsets[i] + t
            look(u, more[i], effects, features[at])
            if t == used[i]:
                target[at, 0] = 0 if complete[i] else -1
                break
            row = rows[starts[i] + t]
            item, event = row[ITEM], row[EVENT]
            need = effects.needs[event]
            pick = pick_of(u, item, need)
            row[PICK], row[ORDER] = (
                pick,
                _order_code(u, row[NUMBER], item, effects.sets[event] & BOUGHT > 0),
            )
            row[HOUR], row[DAY], row[SPAN] = clock_levels(row[TIME], timing_params)
            clock[at] = row[HOUR : SPAN + 1]
            items[at] = item
            for k in range(known_items(u, need, seen)):
                known[at, k] = seen[k]
            to = target[at]
            to[0] = row[GAP] if t > 0 else -1
            if intents:
                to[1] = row[INTENT] if row[BREAKS] != 0 or t == 0 else -1
                to = to[1:]
            to[1], to[2], to[5] = event, pick, row[ORDER]
            to[3] = row[CATEGORY] if pick <= FRESH else -1
            to[4] = item if pick == FRESH else -1
            to[6 : 6 + effects.values] = values[starts[i] + t]
            to[6 + effects.values :] = row[VALUES + effects.values :]
            push_row(u, more[i], effects, row)


@njit(cache=True)
def _order_code(u, number, item, buys):
    """Order code of an order number (-1 = none). An earlier order that is neither the last nor the
    item's counts as the last.
    """
    if number < 0:
        return NO_ORDER
    if number >= u.orders:
        return NEW_ORDER
    return ITEMS_ORDER if order_of(u, item) == number and not buys else SAME_ORDER


def initial_values(codec: Codec, static: np.ndarray) -> np.ndarray:
    """(n, n_values): the value that a user starts with in each categorical column, from the static
    field of the same name.
    """
    names = list(codec.statics)
    out = np.zeros((len(static), len(codec.value_fields)), dtype=np.int64)
    for k, name in enumerate(codec.value_fields):
        if name in codec.statics and codec.statics[name].size == codec.values[name].size:
            out[:, k] = static[:, names.index(name)]
    return out


def _starts(user: np.ndarray) -> np.ndarray:
    return (
        np.flatnonzero(np.append(True, user[1:] != user[:-1]))
        if len(user)
        else np.zeros(0, dtype=np.int64)
    )


def _local(column: pd.Series, user: np.ndarray) -> np.ndarray:
    """(n,) number of each id within its user, by first appearance; -1 = missing."""
    code, _ = string_codes(column)
    present = code >= 0
    frame = pd.DataFrame({"u": user[present], "c": code[present]})
    new = ~frame.duplicated()
    number = new.groupby(frame["u"]).cumsum() - 1
    first = frame.assign(k=number)[new].set_index(["u", "c"])["k"]
    out = np.full(len(code), -1, dtype=np.int64)
    out[present] = first.reindex(pd.MultiIndex.from_frame(frame)).to_numpy()
    return out


def _static(
    codec: Codec,
    log: EventLog,
    events: pd.DataFrame,
    user: np.ndarray,
    time: np.ndarray,
    starts: np.ndarray,
    marks: np.ndarray,
    about: dict[str, np.ndarray],
    last: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """(n_users, n_static) int64 codes; `about`: (n,) codes of attributes of each row's item;
    `last`: see readers.last_sessions.
    """
    columns = []
    table = None
    if codec.user_columns and log.users is not None:
        ids = events["user_id"].iloc[starts].astype(str).to_numpy()
        table = (
            log.users.assign(user_id=log.users["user_id"].astype(str))
            .drop_duplicates("user_id")
            .set_index("user_id")
            .reindex(ids)
        )
    for name, coder in codec.statics.items():
        kind = codec.user_columns.get(name)
        if name == ARRIVAL:
            assert isinstance(coder, Bins)
            columns.append(coder.encode((time[starts] - codec.clock.start_ms) / 1000))
        elif name == STAY:
            ends = np.append(starts[1:], len(user)) - 1
            columns.append(coder.encode((time[ends] - time[starts]) / 1000))  # type: ignore[arg-type]
        elif name == LAST_ROWS:
            columns.append(coder.encode(last[0].astype(np.float64)))  # type: ignore[arg-type]
        elif name == LAST_STAY:
            ends = np.append(starts[1:], len(user)) - 1
            columns.append(coder.encode(np.where(last[0] > 0, (time[ends] - last[1]) / 1000, 0.0)))  # type: ignore[arg-type]
        elif name == MARKS:
            columns.append(coder.encode(marks.astype(np.float64)))  # type: ignore[arg-type]
        elif name == LENGTH:
            columns.append(coder.encode(np.diff(np.append(starts, len(user))).astype(np.float64)))  # type: ignore[arg-type]
        elif (favourite := codec.favourite_of(name)) is not None:
            owner = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(user))))
            columns.append(favourites(owner, about[favourite[0]], favourite[1]))
        elif kind is not None and table is not None:
            column = table[name]
            if isinstance(coder, Bins):
                numbers = (
                    days_before(column, time[starts])
                    if kind == "time"
                    else column.to_numpy(dtype=np.float64, na_value=np.nan)
                )
                columns.append(coder.encode(numbers))
            else:
                columns.append(coder.encode(column))
        elif isinstance(coder, Bins):
            columns.append(np.zeros(len(starts), dtype=np.int64))
        else:
            code = coder.encode(events[name])
            # the first that is not missing
            first = pd.Series(np.where(code > 0, code, np.nan)).groupby(user).first()
            columns.append(first.fillna(0).to_numpy().astype(np.int64))
    return np.stack(columns, 1)


def _values(
    codec: Codec, events: pd.DataFrame, user: np.ndarray, static: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Targets (n, n_values): 0 missing, SAME, or value + 1; and the values themselves (n,
    n_values), 0 = missing.
    """
    targets, values = [], []
    initial = initial_values(codec, static)
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
        targets.append(np.where(code == 0, 0, np.where(code == before, SAME, code + SAME)))
        values.append(code)
    shape = (len(user), len(targets))
    return (
        (np.stack(targets, 1), np.stack(values, 1))
        if targets
        else (np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))
    )


def _shared(column: pd.Series, user: pd.Series) -> set[str]:
    """Values of an id column that more than one user has."""
    pairs = pd.DataFrame({"v": column.astype(str), "u": user.astype(str)})[
        column.notna().to_numpy()
    ].drop_duplicates()
    counts = pairs["v"].value_counts()
    return set(counts.index[counts > 1])


def _rest(
    codec: Codec,
    log: EventLog,
    events: pd.DataFrame,
    user: np.ndarray,
    time: np.ndarray,
    item: np.ndarray,
    shared: dict[str, set[str]],
) -> np.ndarray:
    """(n, n_rest) codes of ids, numbers, price and labels."""
    columns = []
    for name in codec.rest_fields:
        if name in codec.ids:
            columns.append(
                _relation(events[name], user, shared[name])
                if name in events
                else np.zeros(len(user), dtype=np.int64)
            )
        elif name == "price":
            ratio, plain = split_price(
                codec.price_on(item, time),
                events["price"].to_numpy(dtype=np.float64, na_value=np.nan),
            )
            code = codec.bins["price_ratio"].encode(ratio)
            as_is = codec.bins["price"].encode(plain)
            columns.append(np.where(as_is > 0, as_is + codec.bins["price_ratio"].size - 1, code))
        elif name.startswith("label:"):
            columns.append(
                label_codes(log, codec, name.removeprefix("label:"), events["event_id"].to_numpy())
            )
        else:
            columns.append(
                codec.bins[name].encode(events[name].to_numpy(dtype=np.float64, na_value=np.nan))
            )
    return np.stack(columns, 1) if columns else np.zeros((len(user), 0), dtype=np.int64)


def _relation(column: pd.Series, user: np.ndarray, shared: set[str]) -> np.ndarray:
    """(n,) codes of an id column: see codec.RELATIONS. Only relations between rows, never the
    ids.
    """
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
    out = np.where(seen, EARLIER_ID, np.where(of_many, SHARED_ID, NEW_ID))
    assert RELATIONS == SHARED_ID + 1
    return np.where(~present, 0, np.where(code == before, SAME_ID, out)).astype(np.int64)


def told_intent(drawn: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """`drawn` (...,) where it is not -1, else the intent of the row before, of which `features`
    (..., F) tell.
    """
    return torch.where(drawn >= 0, drawn, (features[..., INTENT_COLUMN] - 1).clamp(min=0))
