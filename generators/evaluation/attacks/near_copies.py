"""Copies in disguise: users who come out again with renamed items, shifted times or other prices.

A copy remains a copy with its items renamed, its times shifted, its prices changed or some of its
rows removed. So the closest synthetic user is searched in several views of a user, each of which
ignores something else. Held-out users, who cannot have been copied, set the threshold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog
from generators.evaluation.attacks.common import Attack, rate_at_false_positives, wilson
from generators.evaluation.attacks.similarity import Tokens, chain_hash, closest, gap_size
from generators.hashing import mix

FEWEST_ROWS = 3  # users with fewer rows are alike by chance
FALSE_ALARMS = 0.05  # share of held-out users who may be as close to a synthetic user
# A token that more synthetic users have than both (a share, a number) does not identify anyone.
COMMON, RARE = 0.02, 20
STEPS = 3  # rows with an item, within which two items are a pair
UNITS = (DAY_MS, HOUR_MS, 60_000)  # ms; what a log may round its times to, otherwise seconds
VIEWS = ("items", "gaps", "rhythm", "calendar", "amounts")
MISSING_KEY = -7e77  # replaces NaN where missing values count as equal


def near_copies(members: AlignedLog, synthetic: AlignedLog, control: AlignedLog) -> Attack:
    """Find training users with a synthetic user closer than nearly every held-out user has.

    Closeness is `closest` in each of VIEWS. Returned is the attack of the view with the highest
    lower bound. Its interval, and those of its rates, hold for all views together (Bonferroni), and
    `high` is the highest of any view. Users with fewer than FEWEST_ROWS rows are left out.
    """
    inside, outside = (_with_enough_rows(group) for group in (members, control))
    both = inside.join(outside)
    found: list[Attack] = []
    for name, view in _views(both).items():
        near = closest(both, synthetic, view, common=COMMON, rare=RARE)
        found.append(_by_view(name, near[: inside.n_users], near[inside.n_users :]))
    return replace(worst(found), high=max(a.high for a in found))


def whole_histories(members: AlignedLog, synthetic: AlignedLog, control: AlignedLog) -> Attack:
    """Find users whose whole history occurs in `synthetic`: events, items and gaps, row by row."""
    groups = [_with_enough_rows(group) for group in (members, control)]
    unit = _time_unit(members.join(control))
    source = _history_hashes(synthetic, unit)
    rates = [
        wilson(int(np.isin(_history_hashes(group, unit), source).sum()), group.n_users)
        for group in groups
    ]
    return Attack.from_rates(
        "whole_histories",
        "Whole histories",
        "a training user's whole history is that of a synthetic user",
        rates[0],
        rates[1],
    )


def worst(attacks: list[Attack]) -> Attack:
    """Return the attack with the highest lower bound, of equals the one with the highest risk."""
    return max(attacks, key=lambda a: (a.low, a.risk))


def _by_view(view: str, inside: np.ndarray, outside: np.ndarray) -> Attack:
    """Return the attack of one view from similarities (n_inside,), (n_outside,)."""
    threshold = rate_at_false_positives(inside, outside, FALSE_ALARMS)[1] if len(outside) else 1.0
    rate, false = (
        wilson(int((near > threshold).sum()), len(near), tests=len(VIEWS))
        for near in (inside, outside)
    )
    return Attack.from_rates(
        "near_copies",
        f"Near copies, by {view}",
        f"a training user has a synthetic user closer by {view} than {1 - FALSE_ALARMS:.0%} of "
        "held-out users have",
        rate,
        false,
        FALSE_ALARMS,
    )


def _views(real: AlignedLog) -> dict[str, Tokens]:
    """Return the tokens of each view that the columns of `real` allow."""
    unit = _time_unit(real)
    views: dict[str, Tokens] = {}
    if "item_id" in real.codes:
        views["items"] = _items
    views["gaps"] = lambda log: _runs(log, _rounded(log.gap * 1000, unit), (2, 3), 20)
    views["rhythm"] = lambda log: _runs(log, gap_size(log), (3, 5, 8), 30)
    views["calendar"] = lambda log: _calendar(log, unit)
    if real.numbers:
        views["amounts"] = _amounts
    return views


def _items(log: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """Return two items within STEPS of each other, in either order; times and prices are ignored.

    Tokens are pairs rather than items: an item that one user alone touched is a rare value, not a
    copied user.
    """
    rows = np.flatnonzero(log.codes["item_id"] >= 0)
    item, user = log.codes["item_id"][rows].astype(np.int64), log.user[rows]
    width = len(log.levels["item_id"])
    owners, pairs = [], []
    for step in range(1, STEPS + 1):
        one, two = item[:-step], item[step:]
        kept = (user[:-step] == user[step:]) & (one != two)
        owners.append(user[:-step][kept])
        pairs.append((np.minimum(one, two) * width + np.maximum(one, two))[kept])
    return np.concatenate(owners), mix(np.concatenate(pairs), 1)


def _calendar(log: AlignedLog, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return events by hour and by day, and steps from one hour or day to the next.

    Items are ignored. `unit` (ms) is what the log's times are rounded to.
    """
    event, user = log.codes["event"].astype(np.int64), log.user
    owners, tokens = [], []
    for salt, size in ((40, HOUR_MS), (42, DAY_MS)):
        at = _rounded(log.time, size) if unit >= size else log.time // size
        step = (user[1:] == user[:-1]) & (at[1:] != at[:-1])
        owners += [user, user[:-1][step]]
        tokens += [
            mix((event << 40) + at, salt),
            mix((at[:-1][step] << 30) + at[1:][step], salt + 1),
        ]
    return np.concatenate(owners), np.concatenate(tokens)


def _amounts(log: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """Return runs of two and three rows by event and numbers; times and items are ignored."""
    row = log.codes["event"].astype(np.uint64)
    for salt, values in enumerate(log.numbers.values(), 50):
        numbers = np.nan_to_num(values, nan=MISSING_KEY)
        bits = np.ascontiguousarray(numbers, dtype=np.float64).view(np.uint64)
        row = mix(row ^ mix(bits, salt), salt)
    owners, tokens = [log.user[:0]], [np.zeros(0, dtype=np.uint64)]
    for k in (2, 3):
        if log.n_rows >= k:
            whole = _within_user(log, k)
            owners.append(log.user[: log.n_rows - k + 1][whole])
            tokens.append(mix(chain_hash(row, k)[whole], 60 + k))
    return np.concatenate(owners), np.concatenate(tokens)


def _runs(
    log: AlignedLog, gap: np.ndarray, lengths: tuple[int, ...], salt: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return runs of rows: their events and the gaps (n_rows,) within them, not the one before."""
    owners, tokens = [log.user[:0]], [np.zeros(0, dtype=np.uint64)]
    for k in lengths:
        if log.n_rows >= k:
            whole = _within_user(log, k)
            events = chain_hash(log.codes["event"].astype(np.int64), k)
            gaps = chain_hash(gap[1:], k - 1)
            owners.append(log.user[: log.n_rows - k + 1][whole])
            tokens.append(mix(events ^ mix(gaps, 11), salt + k)[whole])
    return np.concatenate(owners), np.concatenate(tokens)


def _history_hashes(log: AlignedLog, unit: int) -> np.ndarray:
    """Return a hash (n_users,) uint64 of each user's rows in order: events, items and gaps."""
    row = mix(log.codes["event"].astype(np.int64), 90)
    position = np.arange(log.n_rows) - log.offsets[log.user]
    parts = [_rounded(log.gap * 1000, unit), position]
    if "item_id" in log.codes:
        parts.append(log.codes["item_id"].astype(np.int64))
    for salt, part in enumerate(parts, 91):
        row = mix(row ^ mix(part, salt), salt)
    out: np.ndarray = np.add.reduceat(row, log.offsets[:-1])
    return out


def _within_user(log: AlignedLog, length: int) -> np.ndarray:
    """Return whether the `length` rows from here on are of one user, (n_rows - length + 1,)."""
    user = log.user
    same: np.ndarray = user[: log.n_rows - length + 1] == user[length - 1 :]
    return same


def _rounded(ms: np.ndarray, unit: int) -> np.ndarray:
    """Return whole units, to the nearest, (n,) int64; -1 where missing."""
    return np.where(np.isnan(ms), -1, np.round(np.nan_to_num(ms) / unit)).astype(np.int64)


def _time_unit(log: AlignedLog) -> int:
    """Return the ms that the log's times are rounded to: a day, an hour, a minute or a second."""
    return next((u for u in UNITS if np.mean(log.time % u == 0) > 0.95), 1_000)


def _with_enough_rows(log: AlignedLog) -> AlignedLog:
    return log.take(np.flatnonzero(log.lengths >= FEWEST_ROWS))
