"""Raw columns that learning and encoding both need: gaps, sessions, item codes, price ratios."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.sessions import SESSION_GAP_S
from generators.codec.clock import DAY_MS
from generators.codec.codec import Codec
from generators.codec.coders import Values, string_codes
from generators.codec.parts import SPREAD, Items

HALF_A_CENT = 0.0051  # prices are rounded to cents: what is nearer to the item's price is the price


def gaps_and_session_starts(
    events: pd.DataFrame, user: np.ndarray, time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds since the user's previous row, and whether a row starts a new session.

    The gap (n,) is NaN at a user's first row, which does not count as a start here. Sessions follow
    the session id where there is one (rows without one belong to the session before); otherwise
    half an hour of silence ends a session.
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
    user: np.ndarray, time: np.ndarray, is_session_start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of each user's last session, (n_users,), and when it begins, (n_users,) ms.

    The rows are 0 where it is the user's only session.
    """
    starts = np.flatnonzero(np.append(True, user[1:] != user[:-1])[: len(user)])
    stops = np.append(starts[1:], len(user))
    at = np.flatnonzero(is_session_start)
    place = np.searchsorted(at, stops) - 1  # of each user's last break, if it is theirs
    begin = np.where(place >= 0, at[place] if len(at) else 0, -1)
    several = begin >= starts
    return np.where(several, stops - begin, 0), time[np.where(several, begin, starts)]


def item_codes(items: Items, events: pd.DataFrame, category: np.ndarray) -> np.ndarray:
    """Return item codes, (n,) int64.

    An item that was not kept gets a code of its category's rare items, or 0 where there is none.
    """
    if "item_id" not in events:
        return np.zeros(len(events), dtype=np.int64)
    code, names = string_codes(events["item_id"])
    index = {n: i + 1 for i, n in enumerate(items.names)}
    table = np.array([index.get(n, -1) for n in names] + [0], dtype=np.int64)
    found = table[code]
    first = items.other[category]
    buckets = np.where(first > 0, items.start[category + 1] - first, 1)
    return np.where(found < 0, first + np.append(hashes(names), 0)[code] % buckets, found)


def hashes(names: np.ndarray) -> np.ndarray:
    """Return a number of each name, (n,) int64, the same on every machine."""
    return np.array([zlib.crc32(str(name).encode()) for name in names], dtype=np.int64)


def split_price(item_price: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split prices (n,) into log ratios to the item's price and prices that have none to relate to.

    Each result is (n,) float64; NaN where the other one holds the price.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        related = (item_price > 0) & (price > 0)
        ratio = np.where(related, np.log(price / item_price), np.nan)
        rounded = np.abs(price - item_price) < np.minimum(HALF_A_CENT, 0.01 * np.abs(price))
    ratio = np.where((np.abs(ratio) < 1e-6) | (related & rounded), 0.0, ratio)
    return ratio, np.where(related, np.nan, price)


def category_codes(categories: Values, events: pd.DataFrame) -> np.ndarray:
    """Return category codes, (n,) int64; 0 where the log has no categories."""
    return (
        categories.encode(events["category"])
        if "category" in events
        else np.zeros(len(events), dtype=np.int64)
    )


def days_before(column: pd.Series, arrived_ms: np.ndarray) -> np.ndarray:
    """Return the whole days from a user's time column to their first event, NaN = missing."""
    at = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
    ms = at.astype("datetime64[ms, UTC]").astype("int64").to_numpy().astype(np.float64)
    return np.where(column.isna(), np.nan, np.floor((arrived_ms - ms) / DAY_MS))


def favourites(user: np.ndarray, code: np.ndarray, rank: int) -> np.ndarray:
    """Return the code that each user has most (`rank` 1) or next most, (n_users,) int64, 0 = none.

    `user` (n,) is 0..n_users-1, `code` (n,) is >= 0, and 0 does not count. Of equally frequent
    codes the lowest comes first.
    """
    size, n_users = int(code.max(initial=0)) + 1, int(user.max(initial=-1)) + 1
    pair, count = np.unique(user[code > 0] * size + code[code > 0], return_counts=True)
    order = np.lexsort((pair, -count, pair // size))
    owner = pair[order] // size
    place = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    out = np.zeros(n_users, dtype=np.int64)
    out[owner[place == rank]] = pair[order][place == rank] % size
    return out


def habits(
    codec: Codec, events: pd.DataFrame, user: np.ndarray, time: np.ndarray
) -> dict[str, np.ndarray]:
    """Return means over each user's rows (n_users,), by name; NaN where no row has the value.

    Of each number, by magnitude, and of the price to the item's price; of whether a row's item is
    one that the user has had before; of gaps within a session, by magnitude; of a session's rows.
    Also how far numbers are spread about their mean, where a user has several: some order for about
    the same amount in every line. Of price and quantity, it is the spread of the amount.
    A user's rows (n,) are adjacent.
    """
    gap, starts = gaps_and_session_starts(events, user, time)
    owner = np.cumsum(np.append(False, user[1:] != user[:-1]))
    found = magnitudes(codec, events)
    item = item_codes(codec.items, events, category_codes(codec.categories, events))
    if codec.has_price:
        paid = events["price"].to_numpy(dtype=np.float64, na_value=np.nan)
        if "quantity" in found:
            found["amount"] = found["quantity"] + found["price"]
    n_users = int(owner.max(initial=-1)) + 1
    spreads = {
        SPREAD + name: spread(owner, values, n_users)
        for name, values in found.items()
        if name not in (("quantity", "price") if "amount" in found else ("price",))
    }
    if codec.has_price:
        ratio = split_price(codec.price_on(item, time), paid)[0]
        if codec.bins["price_ratio"].size > 1:
            found["price"] = ratio
    if "item_id" in events:
        pair = pd.DataFrame({"u": owner, "i": string_codes(events["item_id"])[0]})
        found["item again"] = np.where(item > 0, pair.duplicated().to_numpy(), np.nan)
    found["gap"] = np.where(starts, np.nan, np.log1p(gap))
    found["session"] = (starts | np.isnan(gap)).astype(np.float64)
    means_ = {name: _shrunken_means(owner, values, n_users) for name, values in found.items()}
    return means_ | spreads


def _shrunken_means(owner: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of each owner's known `values`, drawn to the mean of all where they are few.

    That is the posterior mean of a level of which rows are noisy readings, with the variances
    within and between owners by the method of moments.
    """
    mean = means(owner, values, n)
    known = np.isfinite(values)
    count = np.bincount(owner[known], minlength=n)
    if not known.any():
        return mean
    within = ((values - mean[owner])[known] ** 2).sum() / max(known.sum() - (count > 0).sum(), 1)
    between = max(float(np.nanvar(mean) - within * np.mean(1 / count[count > 0])), 1e-3 * within)
    usual = values[known].mean()
    out: np.ndarray = usual + (mean - usual) * count / (count + within / max(between, 1e-12))
    return out


def magnitudes(codec: Codec, events: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the numbers and the price of rows on a log scale, (n,) float64 with their sign."""
    values = {
        name: events[name].to_numpy(dtype=np.float64, na_value=np.nan)
        for name in codec.bins
        if name in events
    }
    return {name: np.sign(v) * np.log1p(np.abs(v)) for name, v in values.items()}


def means(owner: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of the known `values` of each owner below `n`, NaN where there is none."""
    known = np.isfinite(values)
    count = np.bincount(owner[known], minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.bincount(owner[known], values[known], minlength=n) / count


def spread(owner: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Return the standard deviation of each owner's known `values`, (n,); NaN of fewer than two."""
    known = np.isfinite(values)
    count = np.bincount(owner[known], minlength=n)
    left = values - means(owner, values, n)[owner]
    with np.errstate(invalid="ignore", divide="ignore"):
        square = np.bincount(owner[known], left[known] ** 2, minlength=n) / (count - 1)
    return np.sqrt(np.where(count > 1, square, np.nan))


def session_labels_of_rows(
    codec: Codec,
    log: EventLog,
    events: pd.DataFrame,
    user: np.ndarray,
    is_session_start: np.ndarray,
) -> np.ndarray:
    """Return the rarest label in each row's session, (n,) int64.

    The code is 1 + the place in `codec.session_labels`, 0 = none.
    """
    code = np.zeros(len(events), dtype=np.int64)
    for kind in codec.labels.kinds:
        code = np.maximum(
            code,
            codec.label_needs(kind)[label_codes(log, codec, kind, events["event_id"].to_numpy())],
        )
    first = np.append(True, user[1:] != user[:-1])[: len(user)]
    session = np.cumsum(first | is_session_start) - 1
    highest = np.zeros(int(session[-1]) + 1 if len(session) else 0, dtype=np.int64)
    np.maximum.at(highest, session, code)
    return highest[session]


def count_labelled_sessions(
    user: np.ndarray, session_label: np.ndarray, is_session_start: np.ndarray
) -> np.ndarray:
    """Count the labelled sessions of each user, (n_users,) int64; a user's rows are adjacent."""
    first = np.append(True, user[1:] != user[:-1])[: len(user)]
    return np.bincount(
        np.cumsum(first) - 1,
        weights=(first | is_session_start) & (session_label > 0),
        minlength=int(first.sum()),
    ).astype(np.int64)


def label_codes(log: EventLog, codec: Codec, kind: str, event_id: np.ndarray) -> np.ndarray:
    """Return the codes of a kind of label, (n,): 1 + position of the value, 0 = no label."""
    out = np.zeros(len(event_id), dtype=np.int64)
    if log.labels is None:
        return out
    rows = log.labels[log.labels["kind"].astype(str) == kind].drop_duplicates("event_id")
    index = {v: i + 1 for i, v in enumerate(codec.labels.kinds[kind])}
    code = pd.Series(
        [index.get(str(float(v)), 0) for v in rows["value"]],
        index=rows["event_id"].to_numpy(),
        dtype=np.float64,
    )
    return code.reindex(event_id).fillna(0).to_numpy().astype(np.int64)
