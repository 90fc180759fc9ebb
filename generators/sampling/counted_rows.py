"""Rows of a log or of a sample, as `calibration` counts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.coders import Bins
from generators.codec.parts import N_LABELLED_SESSIONS
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.sequences.feature_layout import Counter
from generators.sequences.levels import rows_level
from generators.sequences.price_moves import last_move_of
from generators.sequences.sampled import Sampled
from generators.sequences.session_labels import current_session_label, label_pending
from generators.sequences.spending import spent_before


class CountedRows(NamedTuple):
    """Rows of a log or of a sample, in codes, (n,) each."""

    before: np.ndarray  # code + 1 of the event before, 0 = none
    event: np.ndarray
    values: dict[str, np.ndarray]  # resolved, 0 = missing, -1 = the row is not asked
    attributes: np.ndarray  # (n, S) of the rows' users
    item: np.ndarray  # its code, 0 = none
    last_item: np.ndarray  # code of the last item before the row, 0 = none
    last_move: np.ndarray  # whether its price is reduced, see `Codec.price_moves`
    move: np.ndarray  # likewise, of the row's item
    fresh_item: np.ndarray  # code of the item, 0 = none, or one that the user has had before
    ids: dict[str, np.ndarray]  # how an id relates to earlier ones, -1 = the row is not asked
    labels: dict[str, np.ndarray]  # of rows, -1 = the row is not asked
    codes: dict[str, np.ndarray]  # of the fields that follow habits, -1 = the row is not asked
    begins: np.ndarray  # bool: a session
    spent: np.ndarray  # level of what was spent in the session of the row before
    label: np.ndarray  # of the session
    label_before: np.ndarray  # of the session of the row before
    pending: np.ndarray  # bool: is the label of the session still to be carried?
    flags: np.ndarray  # that any of the user's recent items carries
    final: np.ndarray  # bool: is the row of its user's last session?
    label_to_come: np.ndarray  # bool: is the user to have another labelled session?
    rows_left: np.ndarray  # level of the rows to come before the last session
    only_labels: np.ndarray  # bool: count the row in tables of labelled sessions only
    event_shares: np.ndarray | None = None  # of a sample, see `Sampled`


def rows_of_log(codec: Codec, steps: EncodedSequences) -> CountedRows:
    """Return the rows of the log."""
    column = {name: steps.target[:, k].numpy() for k, name in enumerate(steps.names)}
    rows, features = column["event"] >= 0, steps.features.numpy()
    event, needs_item = column["event"][rows], codec.effects().needs > 0
    values = {}
    for name in codec.value_fields:
        code = column[name][rows]
        known = np.where(
            code == codes.SAME, features[rows, codec.value_column(name)], code - codes.SAME
        )
        values[name] = np.where(code > 0, known, code)
    owner = np.repeat(np.arange(len(steps)), steps.lengths())[rows]
    before, attributes = features[rows, layout.LAST_EVENT], steps.user_attributes.numpy()
    begins = (column["gap"][rows] >= codec.clock.within.size) | (before == 0)
    label = np.zeros_like(before)
    if SESSION_LABEL in column:
        drawn = steps.target[:, steps.names.index(SESSION_LABEL)]
        label = current_session_label(drawn, steps.features).numpy()[rows]
    return CountedRows(
        before,
        event,
        values,
        attributes[owner],
        steps.items.numpy()[rows],
        features[rows, layout.LAST_ITEMS],
        last_move_of(codec, steps.clock.numpy())[rows],
        steps.moves.numpy()[rows],
        np.maximum(column["item"][rows], 0),
        {name: column[name][rows] for name in codec.ids},
        {name: column[name][rows] for name in codec.labels.fields},
        _of_habits(codec, needs_item, {n: c[rows] for n, c in column.items()}, event),
        begins,
        features[rows, codec.counter_column(Counter.SPENT)],
        label,
        np.maximum(features[rows, layout.LAST_SESSION_LABEL] - 1, 0),
        label_pending(begins, label, features[rows, codec.counter_column(Counter.LABEL_PENDING)]),
        steps.flags.numpy()[rows],
        _in_last_session(owner, begins),
        *_to_come(codec, owner, begins, label, attributes),
        np.zeros(len(owner), dtype=np.bool_),
    )


def rows_of_sample(codec: Codec, sampled: Sampled, users: int) -> CountedRows:
    """Return the rows of a sample; after its first `users` only labelled sessions are counted."""
    row, user, attributes = sampled.row, sampled.user.numpy(), sampled.user_attributes.numpy()
    event, label = row.event.numpy(), row.session_label.numpy()
    first = np.append(True, user[1:] != user[:-1])
    begins = row.is_session_start.numpy() | first
    rest = dict(zip(codec.rest_fields, row.rest.numpy().T, strict=True))
    effects, time = codec.effects(), row.time.numpy()
    last_item = _last_item(row.item.numpy(), first)
    return CountedRows(
        np.where(first, 0, np.append(0, event[:-1] + 1)),
        event,
        dict(zip(codec.value_fields, row.values.numpy().T, strict=True)),
        attributes[user],
        row.item.numpy(),
        last_item,
        codec.price_moves(last_item, time),
        codec.price_moves(row.item.numpy(), time),
        np.where(row.copy_action.numpy() == codes.FRESH, row.item.numpy(), 0),
        {name: rest[name] for name in codec.ids},
        {name: rest[name] for name in codec.labels.fields},
        _of_habits(codec, effects.needs > 0, {**rest, COPY_ACTION: row.copy_action.numpy()}, event),
        begins,
        spent_before(
            np.hstack([row.values.numpy(), row.rest.numpy()]),
            row.item.numpy(),
            begins,
            effects.sets[event] & codes.BOUGHT > 0,
            effects.spending,
        ),
        label,
        np.where(first, 0, np.append(0, label[:-1])),
        _pending([rest[name] for name in codec.labels.fields], begins, label),
        row.flags.numpy(),
        _in_last_session(user, begins),
        *_to_come(codec, user, begins, label, attributes),
        user >= users,
        sampled.event_shares,
    )


def _of_habits(
    codec: Codec, needs_item: np.ndarray, column: Mapping[str, np.ndarray], event: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the codes of the fields that follow habits, (n,) each, of the fields `column`.

    A row has nothing to choose from where its `event` leaves one code, or refers to an item that
    the user has had; `needs_item` (events,) says which do.
    """
    found = {}
    for name in (COPY_ACTION, *codec.numbers):
        asked = codec.rules.allowed[name].sum(1) > 1
        if name == COPY_ACTION:
            asked &= ~needs_item
        found[name] = np.where(asked[event], column[name], -1)
    return found


def _last_item(item: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the last code > 0 of `item` (n,) before each row of its user, (n,), 0 = none.

    `first` (n,) bool says where users begin.
    """
    row = np.arange(len(item))
    has = np.maximum.accumulate(np.where(item > 0, row, -1))
    before = np.append(-1, has[:-1])
    begin = np.maximum.accumulate(np.where(first, row, 0))
    return np.where(before >= begin, item[before], 0)


def _pending(labels: list[np.ndarray], begins: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return whether no row before in the session has carried its `label` (n,), (n,) bool.

    `labels` (n,) are those of the rows, of each kind.
    """
    has = np.any(labels, axis=0) if labels else np.zeros(len(label), dtype=np.bool_)
    before = np.cumsum(has) - has
    session = np.cumsum(begins) - 1
    found: np.ndarray = (label > 0) & (before == before[begins][session])
    return found


def _in_last_session(user: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Return whether rows (n,) of `user` (n,) are of the user's last session, (n,) bool."""
    session = np.cumsum(begins)
    final: np.ndarray = session == session[np.searchsorted(user, user, side="right") - 1]
    return final


def _to_come(
    codec: Codec, user: np.ndarray, begins: np.ndarray, label: np.ndarray, attributes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return of rows (n,) of `user` (n,) whether a labelled session is to come, (n,) bool, and the
    level of the rows to come before the user's last session, (n,) int64.
    """
    first, end = (np.searchsorted(user, user, side=side) for side in ("left", "right"))
    place, to_come = np.arange(len(user)), np.zeros(len(user), dtype=np.bool_)
    if codec.session_labels:
        bins = codec.user_attributes[N_LABELLED_SESSIONS]
        assert isinstance(bins, Bins)
        code = attributes[user, list(codec.user_attributes).index(N_LABELLED_SESSIONS)]
        labelled = begins & (label > 0)
        before: np.ndarray = np.cumsum(labelled) - labelled
        to_come = before - before[first] < np.nan_to_num(bins.ends()[0])[code]
    if codec.plans_last:
        last = np.zeros(len(attributes), dtype=np.int64)
        np.maximum.at(last, user, np.where(begins, place, 0))
        end = np.where(last[user] > first, last[user], end)
    return to_come, rows_level(torch.from_numpy(np.maximum(end - place, 0))).numpy()
