"""Singling out, linkage and attribute inference: the three ways in which data fail to be anonymous.

The three are those of WP29 Opinion 05/2014; attacks, risk and intervals are defined as in
anonymeter (Giomi et al. 2023, doi:10.56553/popets-2023-0055). They work on one record a user (see
`profiles`). The attacker holds nothing but the synthetic log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generators.evaluation.align import AlignedLog
from generators.evaluation.attacks.common import Attack, Rate, wilson
from generators.evaluation.attacks.profiles import CANDIDATES, Profiles, nearest, profiles

GUESSES = 1_000  # predicates for singling out
TRIES, MOST_TRIES = 4 * GUESSES, 16 * GUESSES  # predicates drawn at a time, and in all
PREDICATE_COLUMNS = 3
TARGETS = 2_000  # users attacked in each group, for linkage and inference
SECRETS = 6  # attributes guessed
TOLERANCE = 0.05  # relative: how close a guessed number must be
MISSING_KEY = -7e77  # replaces NaN where missing values count as equal


def singling_out(
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    *,
    rng: np.random.Generator,
) -> Attack:
    """Find predicates that hold for exactly one synthetic user, and try them on training users.

    A predicate is about PREDICATE_COLUMNS random columns of a random synthetic user: a category
    equal to the user's, a number at or beyond it on its side of the median. It succeeds where it
    holds for exactly one training user. Members and control must have the same size for that, so
    the larger group is cut.
    """
    real, made = profiles(members), profiles(synthetic).sample(CANDIDATES, rng)
    held = profiles(control) if control is not None else None
    size = min(len(p) for p in (real, held) if p is not None)
    real, held = real.sample(size, rng), held.sample(size, rng) if held is not None else None
    guesses = _true_of_one(made, rng)
    naive = _predicates(made, GUESSES, rng, sensible=False)
    return Attack.from_rates(
        "singling_out",
        "Singling out",
        f"a statement about {PREDICATE_COLUMNS} columns, true of one synthetic user, is true of "
        "exactly one training user",
        _share_of_ones(_matches(guesses, real)),
        _share_of_ones(_matches(guesses, held)) if held is not None else None,
        _share_of_ones(_matches(naive, real)).value,
    )


@dataclass(frozen=True)
class _Predicates:
    column: np.ndarray  # (n, PREDICATE_COLUMNS) int64
    value: np.ndarray  # (n, PREDICATE_COLUMNS) float64
    side: np.ndarray  # (n, PREDICATE_COLUMNS) int8: 1 at least, -1 at most, 0 equal

    def take(self, at: np.ndarray) -> _Predicates:
        """Return the predicates at positions `at`."""
        return _Predicates(self.column[at], self.value[at], self.side[at])


def _predicates(
    source: Profiles, n: int, rng: np.random.Generator, *, sensible: bool = True
) -> _Predicates:
    """Return `n` random predicates; where not `sensible`, users and sides are mixed at random."""
    width = min(PREDICATE_COLUMNS, len(source.names))
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


def _true_of_one(made: Profiles, rng: np.random.Generator) -> _Predicates:
    """Return up to GUESSES different predicates, each true of exactly one of the users.

    Where users have few columns most statements are true of many of them; more are drawn then.
    """
    found: list[_Predicates] = []
    for _ in range(0, MOST_TRIES, TRIES):
        drawn = _predicates(made, TRIES, rng)
        found.append(drawn.take(np.flatnonzero(_matches(drawn, made) == 1)))
        guesses = _different(found)
        if len(guesses.column) >= GUESSES:
            break
    return guesses.take(np.arange(min(len(guesses.column), GUESSES)))


def _different(found: list[_Predicates]) -> _Predicates:
    """Return all predicates, each once, whatever the order of its columns, as they were found."""
    every = _Predicates(
        *(np.concatenate([getattr(p, part) for p in found]) for part in ("column", "value", "side"))
    )
    order = np.argsort(every.column, axis=1)
    value = np.nan_to_num(every.value, nan=MISSING_KEY)
    parts = [np.take_along_axis(x, order, axis=1) for x in (every.column, value, every.side)]
    return every.take(
        np.sort(np.unique(np.concatenate(parts, axis=1), axis=0, return_index=True)[1])
    )


def _matches(predicates: _Predicates, people: Profiles) -> np.ndarray:
    """Return how many of the people each predicate is true of, (n_predicates,) int64."""
    out = np.zeros(len(predicates.column), dtype=np.int64)
    for start in range(0, len(out), 500):  # a block of 500 x n_people booleans
        block = slice(start, start + 500)
        value, side = predicates.value[block][:, :, None], predicates.side[block][:, :, None]
        holds = np.ones((value.shape[0], len(people)), dtype=bool)
        for i in range(value.shape[1]):
            # (block, n_people), (block, 1), (block, 1)
            x, v, s = people.values.T[predicates.column[block, i]], value[:, i], side[:, i]
            equal = (x == v) | (np.isnan(x) & np.isnan(v))
            holds &= equal | ((s > 0) & (x > v)) | ((s < 0) & (x < v))
        out[block] = holds.sum(axis=1)
    return out


def _share_of_ones(counts: np.ndarray) -> Rate:
    return wilson(int((counts == 1).sum()), len(counts))


def linkage(
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    *,
    rng: np.random.Generator,
) -> Attack:
    """Link two halves of a user's columns through the synthetic log.

    It succeeds where the same synthetic user is the closest to both halves.
    """
    made = profiles(synthetic).sample(CANDIDATES, rng)
    half = np.arange(len(made.names)) % 2 == 0

    def rate(log: AlignedLog) -> Rate:
        people = profiles(log).sample(TARGETS, rng)
        one, two = (nearest(people, made, [mask])[0] for mask in (half, ~half))
        return wilson(int((one == two).sum()), len(people))

    return Attack.from_rates(
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
    """Guess one column of a user from all others, by the closest synthetic user.

    There is one attack for each secret: user attributes and favourites first, then spend. A
    category must be met exactly, a number within 5 %.
    """
    made = profiles(synthetic).sample(CANDIDATES, rng)
    secrets = _secrets(made)
    known = [np.arange(len(made.names)) != j for j in secrets]
    groups = [profiles(log).sample(TARGETS, rng) for log in (members, control) if log is not None]
    closest = [nearest(people, made, known) for people in groups]
    out = []
    for i, j in enumerate(secrets):
        categorical = bool(made.categorical[j])
        rates = [
            _share_right(made.values[found[i], j], people.values[:, j], categorical)
            for people, found in zip(groups, closest, strict=True)
        ]
        guess = made.values[rng.integers(len(made), size=len(groups[0])), j]
        name = made.names[j].removeprefix("users.")
        out.append(
            Attack.from_rates(
                f"inference {made.names[j]}",
                f"Attribute inference: {name}",
                f"the closest synthetic user by all other columns gives away '{name}'",
                rates[0],
                rates[1] if control is not None else None,
                _share_right(guess, groups[0].values[:, j], categorical).value,
            )
        )
    return out


def _secrets(made: Profiles) -> list[int]:
    """Return the columns to guess: those that vary, attributes first, the hour and weekday last."""
    candidates = [
        j
        for j, name in enumerate(made.names)
        if made.categorical[j] or name.startswith("users.") or name == "spend"
    ]

    def priority(j: int) -> tuple[bool, bool, int]:
        name = made.names[j]
        return not name.startswith("users."), name in ("top hour", "top weekday"), j

    order = sorted(candidates, key=priority)
    return [j for j in order if len(np.unique(made.values[:, j])) > 1][:SECRETS]


def _share_right(guess: np.ndarray, truth: np.ndarray, categorical: bool) -> Rate:
    met = guess == truth if categorical else np.abs(guess - truth) <= TOLERANCE * np.abs(guess)
    return wilson(int((met | (np.isnan(guess) & np.isnan(truth))).sum()), len(truth))


def _median(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else 0.0
