"""A log as training steps: what a model may see before each row, and what it must predict.

A user with n rows has n + 1 steps; the last one asks for the end of the sequence. Targets are -1
where nothing is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numba import njit

from eventlog import EventLog
from eventlog._runtime.compiled import inner
from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.features import (
    category_codes,
    count_labelled_sessions,
    gaps_and_session_starts,
    item_codes,
    last_sessions,
    session_labels_of_rows,
)
from generators.codec.timing_params import clock_levels
from generators.sequences import codes
from generators.sequences import row_columns as col
from generators.sequences.encode_columns import (
    initial_values,
    order_numbers,
    rest_codes,
    sessions_of,
    shared_values,
    starts_of,
    user_attribute_codes,
    value_codes,
)
from generators.sequences.offers import KnownOffers, replay_offers
from generators.sequences.price_moves import price_moves
from generators.sequences.user_record import (
    begin_session,
    carried_flags,
    copy_action_of,
    known_items,
    order_of,
    push_row,
    response_at,
    rows_before_session,
)
from generators.sequences.user_state import UserState, write_features


@dataclass(frozen=True)
class EncodedSequences:
    """Training steps; those of user u are offsets[u]:offsets[u + 1]."""

    offsets: np.ndarray  # (n_users + 1,) int64
    features: torch.Tensor  # (n_steps, F) int64: see feature_layout
    clock: torch.Tensor  # (n_steps, L) int64, of the row itself: see `Codec.row_levels`
    moves: torch.Tensor  # (n_steps,) int64: whether its item's price is reduced, see `price_moves`
    # (n_steps, n_fields) int64 codes of the fields `names`, -1 = not asked
    target: torch.Tensor
    items: torch.Tensor  # (n_steps,) int64: the row's item, copied or fresh
    # (n_steps, N_COPY_RANKS) int32: items that the row's event can only copy, most recent first;
    # 0 = none
    known: torch.Tensor
    # (n_steps,) int64: flags that any recent item carries when the row's event is drawn
    flags: torch.Tensor
    user_attributes: torch.Tensor  # (n_users, n_attributes) int64 codes
    names: tuple[str, ...]  # of the fields
    ids: np.ndarray  # (n_users,) str: the users' ids, which never leave the training
    # (n_users,) int64: place among all users of the log, some of whom may have no step
    codes: np.ndarray
    offers: KnownOffers  # of campaigns

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> np.ndarray:
        """Return the number of steps of each user, (n_users,) int64."""
        return np.diff(self.offsets)


class _Rows(NamedTuple):
    """Rows of all users, as they are replayed."""

    row: np.ndarray  # (n, columns) int64: see row_columns
    values: np.ndarray  # (n, n_values) int64: targets of the categorical columns
    starts: np.ndarray  # (n_users,) int64: first row of each user
    counts: np.ndarray  # (n_users,) int64: rows of each user


class _FieldColumns(NamedTuple):
    """Where each field is in the targets; -1 = the log has no such field."""

    gap: int
    session_label: int
    event: int
    copy_action: int
    category: int
    item: int
    order: int
    values: int  # the first categorical column
    rest: int  # the first of the other fields

    @classmethod
    def of(cls, codec: Codec) -> _FieldColumns:
        names = list(codec.fields())
        known = ("gap", SESSION_LABEL, "event", COPY_ACTION, "category", "item", "order")
        at = [names.index(n) if n in names else -1 for n in known]
        first = max(at) + 1
        return cls._make([*at, first, first + len(codec.value_fields)])


def encode(
    log: EventLog,
    codec: Codec,
    *,
    max_rows: int | None = None,
    private: bool = False,
    offers: pd.DataFrame | None = None,
) -> EncodedSequences:
    """Encode `log` under `codec`; `offers` are those of its campaigns, see `Structure.offers_in`.

    Of each user the first `max_rows` rows are taken (the codec's own limit where None). With
    `private` nothing in a user's steps depends on another user: no id counts as shared.
    """
    limit = min(max_rows or codec.max_rows, codec.max_rows)
    events, user = _known_rows(log, codec, limit)
    starts = starts_of(user)
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    gap, is_session_start = gaps_and_session_starts(events, user, time)
    category = category_codes(codec.categories, events)
    item = item_codes(codec.items, events, category)
    category = np.where(item > 0, codec.items.category[item], category)
    session_label = session_labels_of_rows(codec, log, events, user, is_session_start)
    n_labelled_sessions = count_labelled_sessions(user, session_label, is_session_start)
    wanted = [f[0] for f in map(codec.favourite_of, codec.user_attributes) if f]
    about = {n: category if n == "category" else codec.item_table(n)[item] for n in wanted}
    last = last_sessions(user, time, is_session_start)
    attributes = user_attribute_codes(
        codec, log, events, user, time, n_labelled_sessions, about, last, is_session_start
    )
    values, resolved = value_codes(codec, events, user, attributes)
    shared: dict[str, set[str]] = {
        n: set() if private else shared_values(log.events[n], log.events["user_id"])
        for n in codec.ids
    }
    row = np.zeros(
        (len(user), col.VALUES + len(codec.value_fields) + len(codec.rest_fields)), dtype=np.int64
    )
    row[:, col.GAP] = np.maximum(codec.clock.encode(gap, is_session_start), 0)
    row[:, col.EVENT] = codec.events.encode(events["event"])
    row[:, col.CATEGORY] = category
    row[:, col.SESSION_LABEL] = session_label
    row[:, col.ITEM] = item
    row[:, col.ORDER_NUMBER] = (
        order_numbers(events["order_id"], user) if "order_id" in events else -1
    )
    row[:, col.TIME] = time
    row[:, col.IS_SESSION_START] = is_session_start
    row[:, col.VALUES : col.VALUES + len(codec.value_fields)] = resolved
    row[:, col.VALUES + len(codec.value_fields) :] = rest_codes(
        codec, log, events, user, time, item, shared
    )
    counts = np.diff(np.append(starts, len(user)))
    ids = events["user_id"].iloc[starts].astype(str).to_numpy()
    return _unfold(
        codec,
        _Rows(row, values, starts, counts),
        limit,
        attributes,
        n_labelled_sessions,
        last,
        _known_offers(codec, offers, row, np.repeat(np.arange(len(starts)), counts), ids),
        ids=ids,
        user=user[starts],
    )


def _known_offers(
    codec: Codec, offers: pd.DataFrame | None, row: np.ndarray, user: np.ndarray, ids: np.ndarray
) -> KnownOffers:
    """Find the place of `offers` among the rows (n, columns) of `user` (n,), whose ids are given.

    Without a calendar, or without offers, there are none.
    """
    calendar = codec.structure.calendar
    if calendar is None or offers is None:
        offers = pd.DataFrame({n: [] for n in ("user", "time", "campaign", "treated")})
    else:
        place = pd.Index(ids).get_indexer(offers["user_id"])
        offers = offers.assign(user=place)[place >= 0]
    sets = codec.effects().sets
    return KnownOffers.of(
        offers,
        user=user,
        time=row[:, col.TIME],
        opened=_session_starts(user, row),
        is_purchase=sets[row[:, col.EVENT]] & codes.BOUGHT > 0,
        window=0 if calendar is None else calendar.window,
        n_users=len(ids),
    )


def _session_starts(user: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return when the session of each of (n, columns) rows of `user` (n,) began, ms."""
    begins = row[:, col.IS_SESSION_START] != 0
    begins[1:] |= user[1:] != user[:-1]
    begins[:1] = True
    first = np.maximum.accumulate(np.where(begins, np.arange(len(row)), 0))
    starts: np.ndarray = row[first, col.TIME]
    return starts


def _known_rows(log: EventLog, codec: Codec, limit: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the events that `codec` knows, of each user's first rows, and their users (n,)."""
    events = log.events
    user = events["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    starts = starts_of(user)
    rank = np.arange(len(user)) - np.repeat(starts, np.diff(np.append(starts, len(user))))
    keep = (codec.events.encode(events["event"]) > 0) & (rank < 4 * limit)
    return events[keep], user[keep]


def _unfold(
    codec: Codec,
    rows: _Rows,
    limit: int,
    user_attributes: np.ndarray,
    n_labelled_sessions: np.ndarray,
    last: tuple[np.ndarray, np.ndarray],
    offers: KnownOffers,
    *,
    ids: np.ndarray,
    user: np.ndarray,
) -> EncodedSequences:
    """Replay each user, and write down what a model can see before each row."""
    used = np.minimum(rows.counts, limit)
    offsets = np.append(0, np.cumsum(used + 1))
    n = int(offsets[-1])
    features = np.zeros((n, codec.blocks().width), dtype=np.int64)
    target = np.full((n, len(codec.fields())), -1)
    clock = np.zeros((n, len(codec.row_levels())), dtype=np.int64)
    items = np.zeros(n, dtype=np.int64)
    known = np.zeros((n, codes.N_COPY_RANKS), dtype=np.int32)
    flags = np.zeros(n, dtype=np.int64)
    ends = rows.row[rows.starts + rows.counts - 1, col.TIME] if len(rows.starts) else rows.starts
    until = last[1] if codec.users.plans_sessions else ends
    state = UserState(
        codec.effects(),
        values=initial_values(codec, user_attributes),
        length=rows.counts,
        until=until,
        time=until,
        n_sessions=(
            sessions_of(rows.row[:, col.IS_SESSION_START], rows.counts)
            if codec.users.plans_sessions
            else np.zeros_like(rows.counts)
        ),
        n_labelled_sessions=n_labelled_sessions,
        last_rows=last[0] if codec.plans_last else np.zeros_like(rows.counts),
        last_start=last[1],
        rhythm=codec.rhythms_of(torch.from_numpy(user_attributes)),
    )
    _replay(
        state.users,
        state.more,
        state.effects,
        codec.timing_params(),
        rows,
        used,
        offers,
        _FieldColumns.of(codec),
        offsets,
        features,
        target,
        clock,
        items,
        known,
        flags,
    )
    moves = price_moves(codec, rows.row, rows.starts, used, features, clock, items)
    return EncodedSequences(
        offsets,
        torch.from_numpy(features),
        torch.from_numpy(clock),
        torch.from_numpy(moves),
        torch.from_numpy(target),
        torch.from_numpy(items),
        torch.from_numpy(known),
        torch.from_numpy(flags),
        torch.from_numpy(user_attributes),
        tuple(codec.fields()),
        ids,
        user,
        offers,
    )


@njit(cache=True)
def _replay(
    users,
    more,
    effects,
    timing_params,
    rows,
    used,
    offers,
    fields,
    offsets,
    features,
    target,
    clock,
    items,
    known,
    flags,
):
    seen = np.empty(codes.N_COPY_RANKS, dtype=np.int64)
    for i in range(len(users)):
        u, next_offer = users[i], offers.starts[i]
        for t in range(used[i] + 1):
            at = offsets[i] + t
            write_features(u, more[i], effects, features[at])
            if t == used[i]:
                target[at, fields.gap] = 0 if used[i] == rows.counts[i] else -1
                if used[i] == rows.counts[i]:
                    replay_offers(u, i, next_offer, offers, True)
                break
            row = rows.row[rows.starts[i] + t]
            next_offer = replay_offers(u, i, next_offer, offers, False)
            if row[col.IS_SESSION_START] != 0:
                begin_session(u, effects)
            flags[at] = carried_flags(u)
            need = effects.needs[row[col.EVENT]]
            known_items(u, need, seen)
            past = rows.row[rows.starts[i] : rows.starts[i] + t, col.ITEM]
            start = rows_before_session(u, row)
            row[col.COPY_ACTION] = copy_action_of(row[col.ITEM], need, seen, past, start)
            _complete_row(u, row, effects, timing_params)
            for k in range(col.N_CLOCK):
                clock[at, k] = row[col.HOUR + k]
            if clock.shape[1] > col.N_CLOCK:
                clock[at, col.N_CLOCK] = response_at(u, row[col.TIME])
            items[at] = row[col.ITEM]
            for k in range(codes.N_COPY_RANKS):
                known[at, k] = seen[k]
            values = rows.values[rows.starts[i] + t]
            _write_targets(row, values, t == 0, fields, effects, target[at])
            push_row(u, more[i], effects, row)


@inner
def _complete_row(u, row, effects, timing_params):
    """Write to `row` what follows from the user's state: order and clock."""
    item, buys = row[col.ITEM], effects.sets[row[col.EVENT]] & codes.BOUGHT > 0
    row[col.ORDER] = _order_code(u, row[col.ORDER_NUMBER], item, buys)
    row[col.HOUR], row[col.WEEKDAY], row[col.SPAN_LEFT] = clock_levels(row[col.TIME], timing_params)


@inner
def _write_targets(row, values, first, fields, effects, out):
    """Write to `out` (n_fields,) what is asked of a row; -1 where nothing is.

    Rows of sessions without labels have none.
    """
    copy_action = row[col.COPY_ACTION]
    out[fields.gap] = -1 if first else row[col.GAP]
    if fields.session_label >= 0:
        starts = row[col.IS_SESSION_START] != 0 or first
        out[fields.session_label] = row[col.SESSION_LABEL] if starts else -1
    out[fields.event] = row[col.EVENT]
    out[fields.copy_action] = copy_action
    out[fields.category] = row[col.CATEGORY] if copy_action <= codes.FRESH else -1
    out[fields.item] = row[col.ITEM] if copy_action == codes.FRESH else -1
    out[fields.order] = row[col.ORDER]
    for k in range(len(values)):
        out[fields.values + k] = values[k]
    for k in range(len(out) - fields.rest):
        out[fields.rest + k] = row[col.VALUES + len(values) + k]
    for k in range(len(effects.labels)):
        if row[col.SESSION_LABEL] < effects.label_needs[k]:
            out[fields.rest + effects.labels[k]] = -1


@inner
def _order_code(u, number, item, buys):
    """Return the code of an order number (-1 = none).

    An earlier order that is neither the last nor the item's counts as the last.
    """
    if number < 0:
        return codes.NO_ORDER
    if number >= u.orders:
        return codes.NEW_ORDER
    return codes.ITEMS_ORDER if order_of(u, item) == number and not buys else codes.SAME_ORDER
