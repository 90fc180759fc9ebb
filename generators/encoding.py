"""A log as training steps: for each row of each user what a model may look at before it, and what it must predict.

A user with n rows has n + 1 steps; the last one asks for the end of the sequence. Targets are -1 where nothing is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from eventlog import EventLog

from .codec import ARRIVAL, LAST_ROWS, LAST_STAY, LENGTH, MARKS, RELATIONS, SAME, STAY, Codec
from .coders import Bins, string_codes
from .readers import category_codes, days_before, favourites, gaps_and_breaks, item_codes, last_sessions, split_price
from .tracker import (
    BOUGHT,
    CLOCK_SIZES,
    EARLIER_ID,
    FRESH,
    ITEMS_ORDER,
    NEW_ID,
    NEW_ORDER,
    NO_ORDER,
    RANKS,
    SAME_ID,
    SAME_ORDER,
    SHARED_ID,
    Row,
    Tracker,
)


@dataclass(frozen=True)
class Steps:
    """Training steps; those of user u are rows offsets[u]:offsets[u + 1]."""

    offsets: np.ndarray     # (n_users + 1,) int64
    features: torch.Tensor  # (n_steps, F) int64: see Codec.feature_sizes
    clock: torch.Tensor     # (n_steps, 3) int64: hour, day of the week, remaining span of the row itself
    target: torch.Tensor    # (n_steps, n_fields) int64, -1 = not asked; resolved item and category of the row in `items`
    items: torch.Tensor     # (n_steps,) int64: the row's item, copied or fresh
    known: torch.Tensor     # (n_steps, RANKS) int32: where an item is fresh, those of the pool that it is not; 0 elsewhere
    static: torch.Tensor    # (n_users, n_static) int64
    names: tuple[str, ...]  # of the fields

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> np.ndarray:
        """(n_users,) int64 steps of each user."""
        return np.diff(self.offsets)


def encode(log: EventLog, codec: Codec, *, max_rows: int | None = None, private: bool = False) -> Steps:
    """`log` under `codec`; of each user the first `max_rows` rows (the codec's own limit where None).

    With `private` nothing of a user's steps depends on another user: an id is then never told to be shared.
    """
    limit = min(max_rows or codec.max_rows, codec.max_rows)
    events = log.events
    user = events["user_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    rank = np.arange(len(user)) - np.repeat(_starts(user), np.diff(np.append(_starts(user), len(user)))) if len(user) else user
    keep = (codec.events.encode(events["event"]) > 0) & (rank < 4 * limit)
    events, user = events[keep], user[keep]
    shared: dict[str, set[str]] = {n: set() if private else _shared(log.events[n], log.events["user_id"]) for n in codec.ids}
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
    rest = _rest(codec, log, events, user, item, shared)
    order = _local(events["order_id"], user) if "order_id" in events else np.full(len(events), -1)
    columns = {"gap": codec.clock.encode(gap, breaks), "event": codec.events.encode(events["event"]), "category": category,
               "item": item, "order_number": order, "time": time, "breaks": breaks.astype(np.int64), "intent": intent}
    flat = {k: torch.from_numpy(np.ascontiguousarray(v, dtype=np.int64)) for k, v in columns.items()}
    return _unfold(codec, flat, torch.from_numpy(values), torch.from_numpy(resolved), torch.from_numpy(rest), starts, counts, limit, static,
                   marks, last)


def _unfold(
    codec: Codec, flat: dict[str, torch.Tensor], values: torch.Tensor, resolved: torch.Tensor, rest: torch.Tensor,
    starts: np.ndarray, counts: np.ndarray, limit: int, static: np.ndarray, marks: np.ndarray,
    last_session: tuple[np.ndarray, np.ndarray],
) -> Steps:
    """Replay all users at once, one row of each at a time, and write down what a model could see before each row."""
    names = tuple(codec.fields())
    used = np.minimum(counts, limit)
    complete = counts <= limit
    steps = used + 1
    offsets = np.append(0, np.cumsum(steps))
    by_length = np.argsort(-used, kind="stable")  # so that the users who still have rows are a prefix
    n_features = len(codec.feature_sizes())
    features = torch.zeros((int(offsets[-1]), n_features), dtype=torch.int64)
    target = torch.full((int(offsets[-1]), len(names)), -1)
    clock = torch.zeros((int(offsets[-1]), len(CLOCK_SIZES)), dtype=torch.int64)
    items = torch.zeros(int(offsets[-1]), dtype=torch.int64)
    known = torch.zeros((int(offsets[-1]), RANKS), dtype=torch.int32)
    first = torch.from_numpy(static[by_length])
    last_row = torch.from_numpy((starts + counts - 1)[by_length])
    tracker = Tracker(len(used), **codec.tracker_tables(), values=initial_values(codec, first), length=torch.from_numpy(counts[by_length]),
                      until=flat["time"][last_row], marks=torch.from_numpy(marks[by_length]),
                      last_rows=torch.from_numpy(last_session[0][by_length]), last_start=torch.from_numpy(last_session[1][by_length]))
    start, write = torch.from_numpy(starts[by_length]), torch.from_numpy(offsets[:-1][by_length])
    lengths = used[by_length]
    last = torch.zeros((len(used), 3), dtype=torch.int64)
    for t in range(int(lengths[0]) + 1 if len(lengths) else 0):
        active = int(np.searchsorted(-lengths, -t, side="right"))  # users with a step t: lengths >= t
        tracker.keep(slice(0, active))
        last = last[:active]
        at = write[:active] + t
        features[at] = torch.cat([tracker.features(), last], 1)
        ended = int(np.searchsorted(-lengths, -(t + 1), side="right"))  # those after `ended` have no row t
        finished = torch.from_numpy(complete[by_length][ended:active])
        target[at[ended:active], 0] = torch.where(finished, 0, -1)
        if ended == 0:
            break
        tracker.keep(slice(0, ended))
        row, at = start[:ended] + t, at[:ended]
        event, item = flat["event"][row], flat["item"][row]
        pick = tracker.rank_of(event, item)
        code, number = _order_code(tracker, flat["order_number"][row], item, event)
        time = flat["time"][row]
        last = codec.clock.levels(time)
        clock[at] = last
        last = last + 1
        items[at] = item
        copied, fresh = pick > FRESH, torch.nonzero(pick == FRESH)[:, 0]
        known[at[fresh]] = tracker.known(event[fresh], fresh).int()
        begins = (flat["breaks"][row] > 0) | (t == 0)
        intent = [torch.where(begins, flat["intent"][row], -1)] if codec.intents else []
        drawn = [flat["gap"][row], *intent, event, pick, torch.where(copied, -1, flat["category"][row]),
                 torch.where(pick == FRESH, item, -1), code]
        target[at] = torch.stack([*drawn, *values[row].unbind(1), *rest[row].unbind(1)], 1)
        tracker.push(Row(gap=flat["gap"][row].clamp(min=0), event=event, pick=pick, category=flat["category"][row], item=item, order=code,
                         order_number=number, values=resolved[row], rest=rest[row], time=time,
                         breaks=flat["breaks"][row] > 0, intent=flat["intent"][row]))
    return Steps(offsets, features, clock, target, items, known, torch.from_numpy(static), names)


def _order_code(tracker: Tracker, number: torch.Tensor, item: torch.Tensor, event: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Order codes and numbers (-1 = none). An earlier order that is neither the last nor the item's counts as the last."""
    buys = (tracker.sets[event] & BOUGHT) > 0
    of_item = tracker.order_of_item(item)
    code = torch.where(number < 0, NO_ORDER, torch.where(number >= tracker.orders, NEW_ORDER,
                       torch.where((of_item == number) & ~buys, ITEMS_ORDER, SAME_ORDER)))
    return code, number


def initial_values(codec: Codec, static: torch.Tensor) -> torch.Tensor:
    """(n, n_values): the value that a user starts with in each categorical column, from the static field of the same name."""
    names = list(codec.statics)
    unknown = torch.zeros(len(static), dtype=torch.int64)
    columns = [static[:, names.index(n)] if n in codec.statics and codec.statics[n].size == codec.values[n].size else unknown
               for n in codec.value_fields]
    return torch.stack(columns, 1) if columns else torch.zeros((len(static), 0), dtype=torch.int64)


def _starts(user: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.append(True, user[1:] != user[:-1])) if len(user) else np.zeros(0, dtype=np.int64)


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


def _static(codec: Codec, log: EventLog, events: pd.DataFrame, user: np.ndarray, time: np.ndarray, starts: np.ndarray,
            marks: np.ndarray, about: dict[str, np.ndarray], last: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(n_users, n_static) int64 codes; `about`: (n,) codes of attributes of each row's item; `last`: see readers.last_sessions."""
    columns = []
    table = None
    if codec.user_columns and log.users is not None:
        ids = events["user_id"].iloc[starts].astype(str).to_numpy()
        table = log.users.assign(user_id=log.users["user_id"].astype(str)).drop_duplicates("user_id").set_index("user_id").reindex(ids)
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
                numbers = days_before(column, time[starts]) if kind == "time" else column.to_numpy(dtype=np.float64, na_value=np.nan)
                columns.append(coder.encode(numbers))
            else:
                columns.append(coder.encode(column))
        elif isinstance(coder, Bins):
            columns.append(np.zeros(len(starts), dtype=np.int64))
        else:
            code = coder.encode(events[name])
            first = pd.Series(np.where(code > 0, code, np.nan)).groupby(user).first()  # the first that is not missing
            columns.append(first.fillna(0).to_numpy().astype(np.int64))
    return np.stack(columns, 1)


def _values(codec: Codec, events: pd.DataFrame, user: np.ndarray, static: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets (n, n_values): 0 missing, SAME, or value + 1; and the values themselves (n, n_values), 0 = missing."""
    targets, values = [], []
    initial = initial_values(codec, torch.from_numpy(static)).numpy()
    row_user = np.cumsum(np.append(False, user[1:] != user[:-1])) if len(user) else user
    for k, name in enumerate(codec.value_fields):
        code = codec.values[name].encode(events[name]) if name in events else np.zeros(len(user), dtype=np.int64)
        known = pd.Series(np.where(code > 0, code, np.nan)).groupby(user).ffill()
        before = known.groupby(user).shift().fillna(0).to_numpy().astype(np.int64)
        before = np.where(before > 0, before, initial[row_user, k]) if len(user) else before
        targets.append(np.where(code == 0, 0, np.where(code == before, SAME, code + SAME)))
        values.append(code)
    shape = (len(user), len(targets))
    return (np.stack(targets, 1), np.stack(values, 1)) if targets else (np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))


def _shared(column: pd.Series, user: pd.Series) -> set[str]:
    """Values of an id column that more than one user has."""
    pairs = pd.DataFrame({"v": column.astype(str), "u": user.astype(str)})[column.notna().to_numpy()].drop_duplicates()
    counts = pairs["v"].value_counts()
    return set(counts.index[counts > 1])


def _rest(codec: Codec, log: EventLog, events: pd.DataFrame, user: np.ndarray, item: np.ndarray, shared: dict[str, set[str]]) -> np.ndarray:
    """(n, n_rest) codes of ids, numbers, price and labels."""
    columns = []
    for name in codec.rest_fields:
        if name in codec.ids:
            columns.append(_relation(events[name], user, shared[name]) if name in events else np.zeros(len(user), dtype=np.int64))
        elif name == "price":
            ratio, plain = split_price(codec.items.price[item], events["price"].to_numpy(dtype=np.float64, na_value=np.nan))
            code = codec.bins["price_ratio"].encode(ratio)
            as_is = codec.bins["price"].encode(plain)
            columns.append(np.where(as_is > 0, as_is + codec.bins["price_ratio"].size - 1, code))
        elif name.startswith("label:"):
            columns.append(_label(log, codec, name.removeprefix("label:"), events["event_id"].to_numpy()))
        else:
            columns.append(codec.bins[name].encode(events[name].to_numpy(dtype=np.float64, na_value=np.nan)))
    return np.stack(columns, 1) if columns else np.zeros((len(user), 0), dtype=np.int64)


def _relation(column: pd.Series, user: np.ndarray, shared: set[str]) -> np.ndarray:
    """(n,) codes of an id column: see codec.RELATIONS. Only relations between rows, never the ids."""
    code, names = string_codes(column)
    present = code >= 0
    known = pd.Series(np.where(present, code, np.nan)).groupby(user).ffill()
    before = known.groupby(user).shift().fillna(-1).to_numpy()
    seen = pd.DataFrame({"u": user, "c": code}).duplicated().to_numpy()
    of_many = np.append([n in shared for n in names], False)[code] if len(names) else np.zeros(len(code), dtype=bool)
    out = np.where(seen, EARLIER_ID, np.where(of_many, SHARED_ID, NEW_ID))
    assert RELATIONS == SHARED_ID + 1
    return np.where(~present, 0, np.where(code == before, SAME_ID, out)).astype(np.int64)


def session_intents(codec: Codec, log: EventLog, events: pd.DataFrame, user: np.ndarray, breaks: np.ndarray) -> np.ndarray:
    """(n,) int64: of all labels in a row's session the rarest, as 1 + its place in `codec.intents`; 0 = none."""
    code = np.zeros(len(events), dtype=np.int64)
    for kind in codec.labels:
        code = np.maximum(code, codec.label_needs(kind).numpy()[_label(log, codec, kind, events["event_id"].to_numpy())])
    first = np.append(True, user[1:] != user[:-1])[:len(user)]
    session = np.cumsum(first | breaks) - 1
    highest = np.zeros(int(session[-1]) + 1 if len(session) else 0, dtype=np.int64)
    np.maximum.at(highest, session, code)
    return highest[session]


def marks_of(user: np.ndarray, intent: np.ndarray, breaks: np.ndarray) -> np.ndarray:
    """(n_users,) int64: sessions with an intent of each user; the rows of a user stand together."""
    first = np.append(True, user[1:] != user[:-1])[:len(user)]
    return np.bincount(np.cumsum(first) - 1, weights=(first | breaks) & (intent > 0), minlength=int(first.sum())).astype(np.int64)


def _label(log: EventLog, codec: Codec, kind: str, event_id: np.ndarray) -> np.ndarray:
    """(n,) codes: 0 no label, else 1 + position of the value."""
    out = np.zeros(len(event_id), dtype=np.int64)
    if log.labels is None:
        return out
    rows = log.labels[log.labels["kind"].astype(str) == kind].drop_duplicates("event_id")
    index = {v: i + 1 for i, v in enumerate(codec.labels[kind])}
    code = pd.Series([index.get(str(float(v)), 0) for v in rows["value"]], index=rows["event_id"].to_numpy(), dtype=np.float64)
    return code.reindex(event_id).fillna(0).to_numpy().astype(np.int64)
