"""Singling out, linkage and attribute inference: the three ways in which data fail to be anonymous
(WP29 Opinion 05/2014).

Attacks, risk and intervals as anonymeter defines them (Giomi et al. 2023,
doi:10.56553/popets-2023-0055), on one record a user: a profile of what the user did. The attacker
holds the synthetic log only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generators.evaluation.align import DAY_MS, HOUR_MS, AlignedLog
from generators.evaluation.attacks.common import Rate, wilson
from generators.evaluation.attacks.suite import Attack, against

GUESSES = 1_000  # predicates for singling out
PREDICATE = 3  # columns in a predicate
TARGETS = 2_000  # users attacked per group, for linkage and inference
CANDIDATES = 10_000  # synthetic users searched
MAX_LEVELS = 50  # an event column with more values is not a property of a person
SECRETS = 6  # attributes guessed
TOLERANCE = 0.05  # a guessed number counts within 5 %
MISSING = -1


@dataclass(frozen=True)
class Profiles:
    """One record a user. Column j of `values` is a number, or where `categorical[j]` a code (-1 =
    missing).
    """

    names: tuple[str, ...]
    values: np.ndarray  # (n_users, n_columns) float64, NaN = missing number
    categorical: np.ndarray  # (n_columns,) bool

    def __len__(self) -> int:
        return len(self.values)

    def sample(self, n: int, rng: np.random.Generator) -> Profiles:
        """`n` users without replacement, or all."""
        if n >= len(self):
            return self
        return Profiles(
            self.names,
            self.values[np.sort(rng.choice(len(self), n, replace=False))],
            self.categorical,
        )


def profiles(flat: AlignedLog) -> Profiles:
    """Sizes, money, times and favourites of each user, and the static columns of `users`."""
    user, n = flat.user, flat.n_users
    day = flat.time // DAY_MS
    new_day = np.concatenate([[True], (day[1:] != day[:-1]) | (user[1:] != user[:-1])])
    bought = flat.is_role("purchase")
    columns: dict[str, np.ndarray] = {
        "rows": flat.lengths,
        "sessions": np.bincount(user[flat.starts], minlength=n),
        "active_days": np.bincount(user[new_day], minlength=n),
        "purchases": np.bincount(user[bought], minlength=n),
        "first_day": flat.time[flat.offsets[:-1]] / DAY_MS,
        "span_days": (flat.time[flat.offsets[1:] - 1] - flat.time[flat.offsets[:-1]]) / DAY_MS,
        "log_gap": _mean(user, np.log1p(flat.gap), n),
    }
    for name, values in flat.numbers.items():
        columns[f"mean {name}"] = _mean(user, values, n)
    if "price" in flat.numbers:
        paid = bought & np.isfinite(flat.numbers["price"])
        columns["spend"] = np.bincount(user[paid], flat.numbers["price"][paid], minlength=n)
    if "item_id" in flat.codes:
        present = flat.codes["item_id"] >= 0
        pair = np.unique(
            user[present] * len(flat.levels["item_id"]) + flat.codes["item_id"][present]
        )
        columns["items"] = np.bincount(pair // len(flat.levels["item_id"]), minlength=n)
    numbers = columns | {f"users.{k}": v for k, v in flat.user_numbers.items()}
    favourites = {f"users.{k}": v for k, v in flat.user_codes.items()}
    for name, codes in flat.codes.items():
        if name != "event" and (
            name in ("item_id", "category") or len(flat.levels[name]) <= MAX_LEVELS
        ):
            favourites[f"top {name}"] = _mode(user, codes, n)
    favourites["top hour"] = _mode(user, flat.time // HOUR_MS % 24, n)
    favourites["top weekday"] = _mode(user, day % 7, n)
    values = np.stack(
        [np.asarray(v, dtype=np.float64) for v in (*numbers.values(), *favourites.values())], axis=1
    )
    return Profiles(
        (*numbers, *favourites), values, np.repeat([False, True], [len(numbers), len(favourites)])
    )


def singling_out(
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    *,
    rng: np.random.Generator,
) -> Attack:
    """Predicates that hold for exactly one synthetic user: do they hold for exactly one training
    user?

    Multivariate, PREDICATE random columns of a random synthetic user: a category as it is, a number
    at or beyond the user's value on its side of the median. The groups must be of one size; the
    larger is cut.
    """
    real, made = profiles(members), profiles(synthetic).sample(CANDIDATES, rng)
    held = profiles(control) if control is not None else None
    size = min(len(p) for p in (real, held) if p is not None)
    real, held = real.sample(size, rng), held.sample(size, rng) if held is not None else None
    predicates = _predicates(made, 4 * GUESSES, rng)
    guesses = _keep(predicates, _holds_for(predicates, made) == 1, GUESSES)
    naive = _predicates(made, GUESSES, rng, sensible=False)
    return against(
        "singling_out",
        "Singling out",
        f"a statement about {PREDICATE} columns, true of one synthetic user, is true of exactly "
        "one training user",
        _ones(_holds_for(guesses, real)),
        _ones(_holds_for(guesses, held)) if held is not None else None,
        _ones(_holds_for(naive, real)).value,
    )


@dataclass(frozen=True)
class _Predicates:
    column: np.ndarray  # (n, PREDICATE) int64
    value: np.ndarray  # (n, PREDICATE) float64
    side: np.ndarray  # (n, PREDICATE) int8: 1 at least, -1 at most, 0 equal


def _predicates(
    source: Profiles, n: int, rng: np.random.Generator, *, sensible: bool = True
) -> _Predicates:
    width = min(PREDICATE, len(source.names))
    column = np.argsort(rng.random((n, len(source.names))), axis=1)[:, :width]
    rows = (
        rng.integers(len(source), size=n)[:, None]
        if sensible
        else rng.integers(len(source), size=(n, width))
    )
    value = source.values[rows, column]
    with np.errstate(invalid="ignore"):
        above = value > np.array([_median(v) for v in source.values.T])[column]
    side = np.where(above, 1, -1) if sensible else rng.integers(-1, 2, size=(n, width))
    side = np.where(source.categorical[column] | np.isnan(value), 0, side)
    return _Predicates(column, value, side.astype(np.int8))


def _keep(predicates: _Predicates, mask: np.ndarray, n: int) -> _Predicates:
    """The first `n` different predicates where `mask` holds; the order of their columns does not
    make them different.
    """
    order = np.argsort(predicates.column, axis=1)
    value = np.nan_to_num(predicates.value, nan=-7e77)  # missing equals missing here
    parts = [
        np.take_along_axis(x, order, axis=1) for x in (predicates.column, value, predicates.side)
    ]
    first = np.unique(np.concatenate(parts, axis=1), axis=0, return_index=True)[1]
    at = np.sort(first[mask[first]])[:n]
    return _Predicates(predicates.column[at], predicates.value[at], predicates.side[at])


def _holds_for(predicates: _Predicates, people: Profiles) -> np.ndarray:
    """(n_predicates,) int64: how many of the people each predicate is true of."""
    out = np.zeros(len(predicates.column), dtype=np.int64)
    for start in range(0, len(out), 500):  # a block of 500 x n_people booleans
        block = slice(start, start + 500)
        value, side = predicates.value[block][:, :, None], predicates.side[block][:, :, None]
        holds = np.ones((value.shape[0], len(people)), dtype=bool)
        for i in range(value.shape[1]):
            # (block, n_people), (block, 1)
            x, v, s = people.values.T[predicates.column[block, i]], value[:, i], side[:, i]
            equal = (x == v) | (np.isnan(x) & np.isnan(v))
            holds &= equal | ((s > 0) & (x > v)) | ((s < 0) & (x < v))
        out[block] = holds.sum(axis=1)
    return out


def _ones(counts: np.ndarray) -> Rate:
    return wilson(int((counts == 1).sum()), len(counts))


def linkage(
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    *,
    rng: np.random.Generator,
) -> Attack:
    """Two halves of a user's profile, known from two places: is the same synthetic user the closest
    to both?
    """
    made = profiles(synthetic).sample(CANDIDATES, rng)
    halves = np.arange(len(made.names)) % 2 == 0

    def rate(flat: AlignedLog) -> Rate:
        people = profiles(flat).sample(TARGETS, rng)
        nearest = [_nearest(people, made, [half])[0] for half in (halves, ~halves)]
        return wilson(int((nearest[0] == nearest[1]).sum()), len(people))

    return against(
        "linkage",
        "Linkage",
        "the two halves of a training user's profile have the same closest synthetic user",
        rate(members),
        rate(control) if control is not None else None,
        1 / len(made),
    )


def inference(
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    *,
    rng: np.random.Generator,
) -> list[Attack]:
    """All but one column of a user's profile is known: does the closest synthetic user have the
    hidden value?

    One attack per secret (static columns and favourites first, then spend): a category must be met
    exactly, a number within 5 %.
    """
    made = profiles(synthetic).sample(CANDIDATES, rng)
    order = sorted(
        (
            j
            for j, name in enumerate(made.names)
            if made.categorical[j] or name.startswith("users.") or name == "spend"
        ),
        key=lambda j: (
            not made.names[j].startswith("users."),
            made.names[j] in ("top hour", "top weekday"),
            j,
        ),
    )
    secrets = [j for j in order if len(np.unique(made.values[:, j])) > 1][:SECRETS]
    known = [np.arange(len(made.names)) != j for j in secrets]
    groups = [
        profiles(flat).sample(TARGETS, rng) for flat in (members, control) if flat is not None
    ]
    nearest = [_nearest(people, made, known) for people in groups]
    out = []
    for i, j in enumerate(secrets):
        rates = [
            _right(made.values[found[i], j], people.values[:, j], bool(made.categorical[j]))
            for people, found in zip(groups, nearest, strict=True)
        ]
        guess = made.values[rng.integers(len(made), size=len(groups[0])), j]
        name = made.names[j].removeprefix("users.")
        out.append(
            against(
                f"inference {made.names[j]}",
                f"Attribute inference: {name}",
                f"the closest synthetic user to all else gives away '{name}'",
                rates[0],
                rates[1] if control is not None else None,
                _right(guess, groups[0].values[:, j], bool(made.categorical[j])).value,
            )
        )
    return out


def closest_profile(users: AlignedLog, log: AlignedLog) -> np.ndarray:
    """(n_users,) Gower's distance of each user's profile to the closest of those of `log` (evenly
    thinned to CANDIDATES).
    """
    people, made = (
        profiles(users),
        profiles(log.take(np.arange(0, log.n_users, -(-log.n_users // CANDIDATES)))),
    )
    low = np.empty(len(people), dtype=np.float32)
    _nearest(people, made, [np.ones(len(made.names), dtype=bool)], low)
    return low.astype(np.float64)


def _right(guess: np.ndarray, truth: np.ndarray, categorical: bool) -> Rate:
    met = guess == truth if categorical else np.abs(guess - truth) <= TOLERANCE * np.abs(guess)
    return wilson(int((met | (np.isnan(guess) & np.isnan(truth))).sum()), len(truth))


def _nearest(
    people: Profiles, made: Profiles, uses: list[np.ndarray], distance: np.ndarray | None = None
) -> list[np.ndarray]:
    """For each (n_columns,) bool mask in `uses`: (n_people,) index of the closest of `made` by
    Gower's distance over those columns.

    `distance` (n_people,) takes the distance over the first mask. Gower 1971 (doi:10.2307/2528823):
    a number differs by
    |x - y| / range, a category by 0 or 1, missing from present by 1.
    """
    out = [np.empty(len(people), dtype=np.int64) for _ in uses]
    # all that the attacker has, and the same for either group
    low, high = np.array([_span(v) for v in made.values.T]).T
    scale = np.where(high > low, high - low, 1.0)
    # categories are only compared for equality
    ours, theirs = (people.values - low) / scale, (made.values - low) / scale
    for start in range(0, len(people), 100):
        block = slice(start, min(start + 100, len(people)))
        totals = [np.zeros((block.stop - start, len(made)), dtype=np.float32) for _ in uses]
        for j in range(len(made.names)):
            x, y = ours[block, j, None], theirs[None, :, j]
            if made.categorical[j]:
                part = (x != y).astype(np.float32)
            else:
                part = np.nan_to_num(np.abs(x - y), nan=1.0).astype(np.float32)
                part[np.isnan(x) & np.isnan(y)] = 0.0
            for total, use in zip(totals, uses, strict=True):
                if use[j]:
                    total += part
        for found, total in zip(out, totals, strict=True):
            found[block] = total.argmin(axis=1)
        if distance is not None:
            distance[block] = totals[0].min(axis=1)
    return out


def _span(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def _median(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else 0.0


def _mean(user: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """(n,) mean of each user's finite values, NaN where there are none."""
    keep = np.isfinite(values)
    count = np.bincount(user[keep], minlength=n)
    return np.where(
        count > 0, np.bincount(user[keep], values[keep], minlength=n) / np.maximum(count, 1), np.nan
    )


def _mode(user: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    """(n,) each user's most frequent code that is present (the smallest of equals); -1 where there
    is none.
    """
    keep = codes >= 0
    width = int(codes.max(initial=0)) + 1
    pair, count = np.unique(user[keep] * width + codes[keep], return_counts=True)
    order = np.lexsort((-(pair % width), count, pair // width))
    out = np.full(n, MISSING)
    # the last written of a user is the most frequent
    out[pair[order] // width] = pair[order] % width
    return out
