"""Raw columns that both learning and encoding need: gaps, session breaks, item codes, price
ratios.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.sessions import SESSION_GAP_S
from generators.codec.clock import DAY_MS
from generators.codec.codec import Codec, Items
from generators.codec.coders import Values, string_codes

HALF_A_CENT = 0.0051  # prices are rounded to cents: what is nearer to the item's price is the price


def gaps_and_breaks(
    events: pd.DataFrame, user: np.ndarray, time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) s since the user's row before (NaN at the first), and (n,) bool: does the row begin
    another session?

    By session id where there is one (rows without one belong to the session before), by half an
    hour of silence else.
    """
    n = len(time)
    gap = np.full(n, np.nan)
    same = np.zeros(n, dtype=bool)
    same[1:] = user[1:] == user[:-1]
    gap[1:][same[1:]] = (time[1:] - time[:-1])[same[1:]] / 1000.0
    if "session_id" not in events:
        return gap, np.nan_to_num(gap) > SESSION_GAP_S
    code = events["session_id"].astype("category").cat.codes.to_numpy().astype(np.float64)
    last = pd.Series(np.where(code < 0, np.nan, code)).groupby(user).ffill().to_numpy()
    before = np.append(np.nan, last[:-1])
    return gap, same & (code >= 0) & np.isfinite(before) & (last != before)


def last_sessions(
    user: np.ndarray, time: np.ndarray, breaks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n_users,) rows of each user's last session, 0 where it is their only one, and (n_users,) ms
    when it begins.
    """
    starts = np.flatnonzero(np.append(True, user[1:] != user[:-1])[: len(user)])
    stops = np.append(starts[1:], len(user))
    at = np.flatnonzero(breaks)
    place = np.searchsorted(at, stops) - 1  # of each user's last break, if it is theirs
    begin = np.where(place >= 0, at[place] if len(at) else 0, -1)
    several = begin >= starts
    return np.where(several, stops - begin, 0), time[np.where(several, begin, starts)]


def item_codes(items: Items, events: pd.DataFrame, category: np.ndarray) -> np.ndarray:
    """(n,) int64 item codes; an item that was not kept becomes its category's stand-in (or no item,
    where there is none).
    """
    if "item_id" not in events:
        return np.zeros(len(events), dtype=np.int64)
    code, names = string_codes(events["item_id"])
    index = {n: i + 1 for i, n in enumerate(items.names)}
    table = np.array([index.get(n, -1) for n in names] + [0], dtype=np.int64)
    found = table[code]
    return np.where(found < 0, items.other[category], found)


def split_price(item_price: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) log ratio of a price to its item's price, and (n,) prices that have none to relate to;
    NaN = not this one.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        related = (item_price > 0) & (price > 0)
        ratio = np.where(related, np.log(price / item_price), np.nan)
        rounded = np.abs(price - item_price) < np.minimum(HALF_A_CENT, 0.01 * np.abs(price))
    ratio = np.where((np.abs(ratio) < 1e-6) | (related & rounded), 0.0, ratio)
    return ratio, np.where(related, np.nan, price)


def category_codes(categories: Values, events: pd.DataFrame) -> np.ndarray:
    """(n,) int64 category codes; 0 where the log has no categories."""
    return (
        categories.encode(events["category"])
        if "category" in events
        else np.zeros(len(events), dtype=np.int64)
    )


def days_before(column: pd.Series, arrived_ms: np.ndarray) -> np.ndarray:
    """(n,) whole days from a user's time column to their first event; NaN where it is missing."""
    at = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
    ms = at.astype("datetime64[ms, UTC]").astype("int64").to_numpy().astype(np.float64)
    return np.where(column.isna(), np.nan, np.floor((arrived_ms - ms) / DAY_MS))


def favourites(user: np.ndarray, code: np.ndarray, rank: int) -> np.ndarray:
    """(n_users,) int64: the code that each user has the most, for `rank` 1, or the next ones; 0
    where there is none.

    `user` (n,) 0..n_users-1 in order, `code` (n,) >= 0, of which 0 does not count. Of equals the
    lowest code goes first.
    """
    size, n_users = int(code.max(initial=0)) + 1, int(user.max(initial=-1)) + 1
    pair, count = np.unique(user[code > 0] * size + code[code > 0], return_counts=True)
    order = np.lexsort((pair, -count, pair // size))
    owner = pair[order] // size
    place = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    out = np.zeros(n_users, dtype=np.int64)
    out[owner[place == rank]] = pair[order][place == rank] % size
    return out


def session_intents(
    codec: Codec, log: EventLog, events: pd.DataFrame, user: np.ndarray, breaks: np.ndarray
) -> np.ndarray:
    """(n,) int64: of all labels in a row's session the rarest, as 1 + its place in `codec.intents`;
    0 = none.
    """
    code = np.zeros(len(events), dtype=np.int64)
    for kind in codec.labels:
        code = np.maximum(
            code,
            codec.label_needs(kind).numpy()[
                label_codes(log, codec, kind, events["event_id"].to_numpy())
            ],
        )
    first = np.append(True, user[1:] != user[:-1])[: len(user)]
    session = np.cumsum(first | breaks) - 1
    highest = np.zeros(int(session[-1]) + 1 if len(session) else 0, dtype=np.int64)
    np.maximum.at(highest, session, code)
    return highest[session]


def marks_of(user: np.ndarray, intent: np.ndarray, breaks: np.ndarray) -> np.ndarray:
    """(n_users,) int64: sessions with an intent of each user; the rows of a user stand together."""
    first = np.append(True, user[1:] != user[:-1])[: len(user)]
    return np.bincount(
        np.cumsum(first) - 1, weights=(first | breaks) & (intent > 0), minlength=int(first.sum())
    ).astype(np.int64)


def label_codes(log: EventLog, codec: Codec, kind: str, event_id: np.ndarray) -> np.ndarray:
    """(n,) codes: 0 no label, else 1 + position of the value."""
    out = np.zeros(len(event_id), dtype=np.int64)
    if log.labels is None:
        return out
    rows = log.labels[log.labels["kind"].astype(str) == kind].drop_duplicates("event_id")
    index = {v: i + 1 for i, v in enumerate(codec.labels[kind])}
    code = pd.Series(
        [index.get(str(float(v)), 0) for v in rows["value"]],
        index=rows["event_id"].to_numpy(),
        dtype=np.float64,
    )
    return code.reindex(event_id).fillna(0).to_numpy().astype(np.int64)
