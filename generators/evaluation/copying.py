"""Does a generator hand out copies of the users that it was trained on, under whatever disguise?

A copy stays a copy with its items renamed, its times shifted, its prices changed or some of its
rows gone. So the closest synthetic user is looked for in several views of a user, each blind to
something else, and the same is done for held-out users, who cannot have been copied.

    audit = examine(*together(fitted, synthetic, control), seed=0)
    audit.copies, audit.membership     # the attacks that found most
    audit.caught                       # why this is a copier; None where nothing shows that
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog
from generators.evaluation.attacks.common import wilson
from generators.evaluation.attacks.suite import (
    Attack,
    Tokens,
    against,
    at_false_positives,
    chain_hash,
    closest,
    copies,
    gap_size,
    membership,
)
from generators.hashing import mix

USERS = 1_000  # of each group: more cost time and settle nothing
LEAST_ROWS = 3  # users with fewer rows are alike by chance
FALSE_ALARMS = 0.05  # share of held-out users who may be as close to a synthetic user
COMMON, RARE = 0.02, 20  # a token of more synthetic users than both tells no user from another
STEPS = 3  # rows with an item, within which two items are a pair
WHOLE_LIMIT = 0.01  # whole histories do not come again by chance
# as 2 AUC - 1, an AUC of .75: a model that knows its users by heart, and no mere leak
MEMBERSHIP_LIMIT = 0.5
RUNS = "exposed_near_8"  # runs of 4 rows stand in most users of a small log by chance
UNITS = (DAY_MS, HOUR_MS, 60_000)  # ms; what a log may round its times to, else seconds


@dataclass(frozen=True)
class Audit:
    """What was found. `copies` and `membership`: of each kind the attack with the highest lower
    bound.
    """

    copies: Attack
    membership: Attack
    caught: str | None  # the finding that shows copying, in words; None where none does


def examine(fitted: AlignedLog, synthetic: AlignedLog, control: AlignedLog, *, seed: int) -> Audit:
    """Look for copies of `fitted` users in `synthetic`; all three come from one call of `together`.

    `control` holds real users who were not in the training data. A generator is caught where the
    lower bound of a copying risk is beyond its limit, that of whole histories beyond WHOLE_LIMIT,
    or that of a membership AUC, as 2 AUC - 1, beyond MEMBERSHIP_LIMIT.
    """
    rng = np.random.default_rng(seed)
    members, control = fitted.sample(USERS, rng), control.sample(USERS, rng)
    whole = whole_histories(members, synthetic, control)
    runs = [a for a in copies(fitted, members, synthetic, control, rng=rng) if a.name == RUNS]
    known = [a for a in membership(members, synthetic, control, rng=rng) if a.name.endswith("auc")]
    copied = _worst([near_copies(members, synthetic, control), whole, *runs])
    member = _worst(known)
    for attack, limit in ((copied, copied.limit), (whole, WHOLE_LIMIT), (member, MEMBERSHIP_LIMIT)):
        if attack.low > limit:
            return Audit(copied, member, _in_words(attack))
    return Audit(copied, member, None)


def near_copies(members: AlignedLog, synthetic: AlignedLog, control: AlignedLog) -> Attack:
    """Training users who have a synthetic user closer than nearly every held-out user has.

    Closest by `closest` in each of VIEWS. The attack is that of the view with the highest lower
    bound; its interval and that of its rates hold for all views together (Bonferroni), and `high`
    is the highest of any view. Users with fewer than LEAST_ROWS rows are left out.
    """
    inside, outside = (_long(group) for group in (members, control))
    found: list[Attack] = []
    for name, view in _views(inside.join(outside)).items():
        near = closest(inside.join(outside), synthetic, view, common=COMMON, rare=RARE)
        found.append(_closer(name, near[: inside.n_users], near[inside.n_users :]))
    return replace(_worst(found), high=max(a.high for a in found))


def _closer(view: str, inside: np.ndarray, outside: np.ndarray) -> Attack:
    threshold = at_false_positives(inside, outside, FALSE_ALARMS)[1] if len(outside) else 1.0
    rate, false = (
        wilson(int((near > threshold).sum()), len(near), tests=len(VIEWS))
        for near in (inside, outside)
    )
    return against(
        "near_copies",
        f"Near copies, by {view}",
        f"a training user has a synthetic user closer by {view} than {1 - FALSE_ALARMS:.0%} of "
        "held-out"
        " users have",
        rate,
        false,
        FALSE_ALARMS,
    )


def whole_histories(members: AlignedLog, synthetic: AlignedLog, control: AlignedLog) -> Attack:
    """Users whose whole history occurs in `synthetic`: events, items and gaps, row by row."""
    groups = [_long(group) for group in (members, control)]
    unit = _unit(members.join(control))
    source = _histories(synthetic, unit)
    rates = [
        wilson(int(np.isin(_histories(group, unit), source).sum()), group.n_users)
        for group in groups
    ]
    return against(
        "whole_histories",
        "Whole histories",
        "a training user's whole history is that of a synthetic user",
        rates[0],
        rates[1],
    )


def _views(real: AlignedLog) -> dict[str, Tokens]:
    """Name -> tokens of a view, of those that the columns of `real` allow."""
    unit = _unit(real)
    views: dict[str, Tokens] = {}
    if "item_id" in real.codes:
        views["items"] = _items
    views["gaps"] = lambda flat: _runs(flat, _rounded(flat.gap * 1000, unit), (2, 3), 20)
    views["rhythm"] = lambda flat: _runs(flat, gap_size(flat), (3, 5, 8), 30)
    views["calendar"] = lambda flat: _calendar(flat, unit)
    if real.numbers:
        views["amounts"] = _amounts
    return views


VIEWS = ("items", "gaps", "rhythm", "calendar", "amounts")


def _items(flat: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """Two items within STEPS of each other, in either order: whatever the times and prices are.

    Pairs, and not items: an item that one user alone touched is a rare value, not a copied user.
    """
    rows = np.flatnonzero(flat.codes["item_id"] >= 0)
    item, user = flat.codes["item_id"][rows].astype(np.int64), flat.user[rows]
    width = len(flat.levels["item_id"])
    owners, pairs = [], []
    for step in range(1, STEPS + 1):
        one, two = item[:-step], item[step:]
        kept = (user[:-step] == user[step:]) & (one != two)
        owners.append(user[:-step][kept])
        pairs.append((np.minimum(one, two) * width + np.maximum(one, two))[kept])
    return np.concatenate(owners), mix(np.concatenate(pairs), 1)


def _calendar(flat: AlignedLog, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Event with the hour and with the day, and one hour or day after another: whatever the items
    are.
    """
    event, user = flat.codes["event"].astype(np.int64), flat.user
    owners, tokens = [], []
    for salt, size in ((40, HOUR_MS), (42, DAY_MS)):
        at = _rounded(flat.time, size) if unit >= size else flat.time // size
        step = (user[1:] == user[:-1]) & (at[1:] != at[:-1])
        owners += [user, user[:-1][step]]
        tokens += [
            mix((event << 40) + at, salt),
            mix((at[:-1][step] << 30) + at[1:][step], salt + 1),
        ]
    return np.concatenate(owners), np.concatenate(tokens)


def _amounts(flat: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """Runs of two and three rows, by event and numbers: whatever the times and items are."""
    row = flat.codes["event"].astype(np.uint64)
    for salt, values in enumerate(flat.numbers.values(), 50):
        bits = np.ascontiguousarray(np.nan_to_num(values, nan=-7e77), dtype=np.float64).view(
            np.uint64
        )
        row = mix(row ^ mix(bits, salt), salt)
    owners, tokens = [flat.user[:0]], [np.zeros(0, dtype=np.uint64)]
    for k in (2, 3):
        if flat.n_rows >= k:
            whole = _within(flat, k)
            owners.append(flat.user[: flat.n_rows - k + 1][whole])
            tokens.append(mix(chain_hash(row, k)[whole], 60 + k))
    return np.concatenate(owners), np.concatenate(tokens)


def _runs(
    flat: AlignedLog, gap: np.ndarray, lengths: tuple[int, ...], salt: int
) -> tuple[np.ndarray, np.ndarray]:
    """Runs of rows: their events and the gaps between them, given as `gap` (n_rows,), and not the
    one before.
    """
    owners, tokens = [flat.user[:0]], [np.zeros(0, dtype=np.uint64)]
    for k in lengths:
        if flat.n_rows >= k:
            whole = _within(flat, k)
            events, gaps = (
                chain_hash(flat.codes["event"].astype(np.int64), k),
                chain_hash(gap[1:], k - 1),
            )
            owners.append(flat.user[: flat.n_rows - k + 1][whole])
            tokens.append(mix(events ^ mix(gaps, 11), salt + k)[whole])
    return np.concatenate(owners), np.concatenate(tokens)


def _histories(flat: AlignedLog, unit: int) -> np.ndarray:
    """(n_users,) uint64 hash of each user's rows, in their order: events, items and gaps."""
    row = mix(flat.codes["event"].astype(np.int64), 90)
    place = np.arange(flat.n_rows) - flat.offsets[flat.user]
    parts = [_rounded(flat.gap * 1000, unit), place]
    if "item_id" in flat.codes:
        parts.append(flat.codes["item_id"].astype(np.int64))
    for salt, part in enumerate(parts, 91):
        row = mix(row ^ mix(part, salt), salt)
    out: np.ndarray = np.add.reduceat(row, flat.offsets[:-1])
    return out


def _within(flat: AlignedLog, length: int) -> np.ndarray:
    """(n_rows - length + 1,) bool: the run that begins here is of one user."""
    user = flat.user
    same: np.ndarray = user[: flat.n_rows - length + 1] == user[length - 1 :]
    return same


def _rounded(ms: np.ndarray, unit: int) -> np.ndarray:
    """(n,) int64: whole units, to the nearest; -1 where there is nothing."""
    return np.where(np.isnan(ms), -1, np.round(np.nan_to_num(ms) / unit)).astype(np.int64)


def _unit(flat: AlignedLog) -> int:
    """ms that the log's times are rounded to: a day, an hour, a minute, else a second."""
    return next((u for u in UNITS if np.mean(flat.time % u == 0) > 0.95), 1_000)


def _long(flat: AlignedLog) -> AlignedLog:
    """The users with rows enough."""
    return flat.take(np.flatnonzero(flat.lengths >= LEAST_ROWS))


def _worst(attacks: list[Attack]) -> Attack:
    return max(attacks, key=lambda a: (a.low, a.risk))


def _in_words(attack: Attack) -> str:
    if attack.name.startswith("membership"):
        return (
            f"{attack.title} {attack.rate.value:.2f} [{attack.rate.low:.2f}, "
            f"{attack.rate.high:.2f}]"
        )
    return f"{attack.title}: risk {attack.risk:.2f} [{attack.low:.2f}, {attack.high:.2f}]"
