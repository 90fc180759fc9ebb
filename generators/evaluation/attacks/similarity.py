"""How alike users are: hashes of runs of rows, and the most similar candidate of each user.

Attackers compare users by what they did, not by their ids. A user becomes a bag of hashed tokens
(an item, one item after another, a run of events); two users are as alike as their bags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from generators.evaluation.align import AlignedLog
from generators.hashing import mix

# log -> (m,) int64 user and (m,) uint64 token
Tokens = Callable[[AlignedLog], tuple[np.ndarray, np.ndarray]]

ROW_SALT = 7  # of the hash of a single row
BLOCK = 256  # users compared at a time: bounds the memory of the product
GAP_SIZES = 32
LONGEST = 1 << 40  # s, above any gap

_BASE = 0xD6E8FEB86659FD93  # odd, so that multiplication by it is invertible modulo 2^64
_BLIND = np.uint64(0x9E3779B97F4A7C15)


def closest(
    users: AlignedLog,
    candidates: AlignedLog,
    tokens_of: Tokens | None = None,
    *,
    common: float = 0.1,
    rare: int = 100,
) -> np.ndarray:
    """Return the cosine similarity (n_users,) of each user to the most similar candidate, in 0..1.

    A user is a bag of tokens weighted by their rarity among the candidates (tf-idf). `tokens_of`
    makes the tokens, by default `item_and_event_tokens`. A token that more than `rare` candidates
    have, and more than a share `common` of them, weighs nothing: frequent behaviour takes most of
    the time and distinguishes least.
    """
    tokens_of = tokens_of or item_and_event_tokens
    owner, token = tokens_of(candidates)
    vocabulary, column = np.unique(token, return_inverse=True)
    pairs, count = np.unique(owner * len(vocabulary) + column, return_counts=True)
    idf = _inverse_frequency(
        np.bincount(pairs % len(vocabulary), minlength=len(vocabulary)),
        candidates.n_users,
        common,
        rare,
    )
    n = candidates.n_users
    theirs = _unit_rows(pairs, count, idf, n, np.zeros(n)).T.tocsr()

    owner, token = tokens_of(users)
    at = np.minimum(np.searchsorted(vocabulary, token), max(len(vocabulary) - 1, 0))
    known = vocabulary[at] == token if len(vocabulary) else np.zeros(len(token), dtype=bool)
    outside = _squared_weight(owner[~known], token[~known], users.n_users, float(np.log(1 + n)))
    pairs, count = np.unique(owner[known] * len(vocabulary) + at[known], return_counts=True)
    ours = _unit_rows(pairs, count, idf, users.n_users, outside)
    # A sparse product, block by block. NearestNeighbors(metric="cosine") makes each block dense and
    # takes 5.1 times as long on 2,000 x 8,000 users. It also normalises the rows again, which loses
    # the weight outside the vocabulary.
    best = [
        (ours[i : i + BLOCK] @ theirs).max(axis=1).toarray()[:, 0]
        for i in range(0, users.n_users, BLOCK)
    ]
    # Rounded so that equal users tie, whatever the order of the additions.
    return np.round(np.concatenate(best), 9)


def _inverse_frequency(df: np.ndarray, n: int, common: float, rare: int) -> np.ndarray:
    """Return the weight (n_tokens,) of tokens that `df` of `n` candidates have; 0 if frequent."""
    idf = np.log((1 + n) / (1 + df))
    idf[df > max(common * n, rare)] = 0.0
    return idf


def _unit_rows(
    pairs: np.ndarray, count: np.ndarray, idf: np.ndarray, n_users: int, outside: np.ndarray
) -> Any:
    """Return the tf-idf weights as a sparse matrix (n_users, n_tokens) with rows of unit length.

    `pairs` (m,) holds user * n_tokens + token and `count` (m,) how often; `outside` (n_users,) is
    the squared weight of each user's tokens that are not in the vocabulary.
    """
    from scipy.sparse import csr_matrix

    user, column = pairs // len(idf), pairs % len(idf)
    weight = (1 + np.log(count)) * idf[column]
    norm = np.sqrt(np.bincount(user, weight**2, minlength=n_users) + outside)
    keep = weight > 0
    return csr_matrix(
        (weight[keep] / norm[user[keep]], (user[keep], column[keep])), shape=(n_users, len(idf))
    )


def _squared_weight(
    owner: np.ndarray, token: np.ndarray, n_users: int, weight: float
) -> np.ndarray:
    """Return the squared length (n_users,) of each user's tokens, all of the same `weight`."""
    values, code = np.unique(token, return_inverse=True)
    pairs, count = np.unique(owner * len(values) + code, return_counts=True)
    squares = (weight * (1 + np.log(count))) ** 2
    return np.bincount(pairs // max(len(values), 1), squares, minlength=n_users)


def item_and_event_tokens(log: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """Return (m,) users and (m,) tokens: items by event, pairs of items, and runs of three events.

    A pair is two items one after the other. A run includes the sizes of the gaps within it.
    """
    user, event = log.user, log.codes["event"].astype(np.int64)
    timed = event * GAP_SIZES + gap_size(log)
    run = slice(0, max(log.n_rows - 2, 0))
    whole = user[run] == user[2:] if log.n_rows > 2 else np.zeros(0, dtype=bool)
    parts = [(user[run][whole], mix(chain_hash(timed, 3)[whole], 3))]
    if "item_id" in log.codes:
        item = log.codes["item_id"].astype(np.int64)
        rows = np.flatnonzero(item >= 0)
        width = len(log.levels["item_id"])
        parts.append((user[rows], mix(event[rows] * width + item[rows], 1)))
        before, after = rows[:-1], rows[1:]
        step = (user[before] == user[after]) & (item[before] != item[after])
        parts.append((user[before][step], mix(item[before][step] * width + item[after][step], 2)))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def surprise(users: AlignedLog, log: AlignedLog) -> np.ndarray:
    """Return how much more often than by chance each user's pairs of items occur in `log`.

    (n_users,) sums of log(count in `log` / count expected from the popularity of both items) over
    the user's pairs, two items one after the other, where that is above 0. Logs without items are
    compared by pairs of events.
    """
    name = "item_id" if "item_id" in users.codes else "event"
    width = len(users.levels[name])
    known, count = np.unique(_pairs(log, name, width)[0], return_counts=True)
    code, user = _pairs(users, name, width)
    if len(known) == 0 or len(code) == 0:
        return np.zeros(users.n_users)
    first, second = (
        np.bincount(part, count, minlength=width) for part in (known // width, known % width)
    )
    at = np.minimum(np.searchsorted(known, code), len(known) - 1)
    found = np.where(known[at] == code, count[at], 0)
    expected = first[code // width] * second[code % width] / count.sum()
    return np.bincount(
        user, np.maximum(np.log((found + 0.5) / (expected + 0.5)), 0.0), minlength=users.n_users
    )


def _pairs(log: AlignedLog, name: str, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and users (m,) of the pairs of different values, one after the other."""
    rows = np.flatnonzero(log.codes[name] >= 0)
    value, user = log.codes[name][rows].astype(np.int64), log.user[rows]
    step = (user[1:] == user[:-1]) & (value[1:] != value[:-1])
    return value[:-1][step] * width + value[1:][step], user[:-1][step]


def windows(
    log: AlignedLog, length: int, *, near: bool = False, coarse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash (m,) uint64 of each run of `length` rows of one user, and its user (m,).

    A row is its event and item, or in a log without items its event and the gap before it in whole
    seconds. A run counts only where it has at least half as many different items (or rows, without
    items) as rows. With `near` each run has `length` hashes, each ignoring one of its rows: two
    runs share one of them where at most one row differs. With `coarse` any run counts, and gaps are
    compared by their size.
    """
    size = max(log.n_rows - length + 1, 0)  # runs, including those that cross users
    user = log.user
    if size == 0:
        return np.zeros(0, dtype=np.uint64), user[:0]
    row, variety = _row_codes(log, coarse)
    keep = user[:size] == user[length - 1 :]
    if not coarse:
        keep &= _distinct(variety, length) >= -(-length // 2)
    code = chain_hash(row, length)
    if not near:
        return code[keep], user[:size][keep]
    hashed, blind = mix(row, ROW_SALT), []
    with np.errstate(over="ignore"):
        for i in range(length):
            rest = code - hashed[i : i + size] * _power(length - 1 - i)
            blind.append((rest + np.uint64(i + 1) * _BLIND)[keep])
    return np.concatenate(blind), np.tile(user[:size][keep], length)


def _row_codes(log: AlignedLog, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the code of each row (n_rows,), and the part of it that must vary within a run."""
    event = log.codes["event"].astype(np.int64)
    if "item_id" not in log.codes:
        gap = gap_size(log) if coarse else np.nan_to_num(log.gap).astype(np.int64)
        row = event * LONGEST + gap
        return row, row
    item = log.codes["item_id"].astype(np.int64)
    return event * (len(log.levels["item_id"]) + 1) + item + 1, item


def _distinct(values: np.ndarray, length: int) -> np.ndarray:
    """Return the number (n - length + 1,) of different values >= 0 in each run of `length`."""
    runs = np.sort(np.lib.stride_tricks.sliding_window_view(values, length), axis=1)
    return 1 + (runs[:, 1:] != runs[:, :-1]).sum(axis=1) - (runs[:, 0] < 0)


def chain_hash(rows: np.ndarray, length: int) -> np.ndarray:
    """Return the polynomial hash of each run of `length` rows, (len(rows) - length + 1,) uint64."""
    size = max(len(rows) - length + 1, 0)
    hashed = mix(rows, ROW_SALT)
    out = np.zeros(size, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for i in range(length):
            out += hashed[i : i + size] * _power(length - 1 - i)
    return out


def _power(n: int) -> np.uint64:
    return np.uint64(pow(_BASE, n, 2**64))


def gap_size(log: AlignedLog) -> np.ndarray:
    """Return the gap before each row in powers of two of a second, (n_rows,) int64 in 0..31.

    0 at a user's first row.
    """
    return np.minimum(np.log2(1 + np.nan_to_num(log.gap)), GAP_SIZES - 1).astype(np.int64)
