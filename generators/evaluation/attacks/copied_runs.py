"""Copied runs: rows one after another that left the generator as they went in."""

from __future__ import annotations

import numpy as np

from generators.evaluation.align import AlignedLog
from generators.evaluation.attacks.common import Attack, Rate, wilson
from generators.evaluation.attacks.similarity import windows

LENGTHS = (4, 8)  # rows of a run
MAX_USERS = 5_000  # synthetic users whose runs are looked up
# A run of so many other training users is what people do, and gives nobody away.
CROWD = 5


def copied_runs(
    real: AlignedLog,
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    *,
    rng: np.random.Generator,
) -> list[Attack]:
    """Count users who share a run of rows with the other log.

    Exposed: a training user has a run that occurs in the synthetic log. Copied: a synthetic user
    has a run of some training user. The control is held-out users, by the same count: they have
    such runs by chance. Near: one row of the run may differ. A run counts only with at least half
    as many different items as rows, and where fewer than CROWD other users of `real`, the training
    data, have it.
    """
    cases = [(length, False) for length in LENGTHS] + [(max(LENGTHS), True)]
    out = [
        exposed_runs(real, members, synthetic, control, length, near=near) for length, near in cases
    ]
    length = min(LENGTHS)
    source = np.unique(windows(real, length)[0])
    source = source[_users_with(source, real, length, False) < CROWD]
    drawn = synthetic.sample(MAX_USERS, rng)
    out.append(
        Attack.from_rates(
            f"copied_exact_{length}",
            f"Synthetic users with copied runs of {length} rows",
            f"a synthetic user has {length} rows in a row of a training user, and fewer than "
            f"{CROWD} users have them; the control is held-out users, by the same count",
            _share_with_run(drawn, source, length, False),
            _share_with_run(control, source, length, False) if control is not None else None,
        )
    )
    return out


def exposed_runs(
    real: AlignedLog,
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    length: int,
    *,
    near: bool,
) -> Attack:
    """Count training users who have a run of `length` rows that occurs in the synthetic log.

    `members` are the users of `real` who are looked up. `near` lets one row of the run differ.
    """
    source = np.unique(windows(synthetic, length, near=near)[0])
    users = _users_with(source, real, length, near)
    kind = "near" if near else "exact"
    return Attack.from_rates(
        f"exposed_{kind}_{length}",
        f"Users exposed, {kind} runs of {length} rows",
        f"a training user has {length} rows in a row that occur in the synthetic log"
        + (", except for one," if near else "")
        + f" and that fewer than {CROWD} others have",
        # A member is one of the users who have its runs, a held-out user is not.
        _share_with_run(members, source[users <= CROWD], length, near),
        _share_with_run(control, source[users < CROWD], length, near)
        if control is not None
        else None,
    )


def _share_with_run(group: AlignedLog, source: np.ndarray, length: int, near: bool) -> Rate:
    """Return the share of users with a run in `source` (sorted), of those with any run at all."""
    code, user = windows(group, length, near=near)
    hit = _place(code, source) >= 0
    return wilson(len(np.unique(user[hit])), len(np.unique(user)))


def _users_with(source: np.ndarray, log: AlignedLog, length: int, near: bool) -> np.ndarray:
    """Return how many users of `log` have each run of `source` (sorted), (len(source),) int64."""
    code, user = windows(log, length, near=near)
    place = _place(code, source)
    met = place >= 0
    pairs = np.unique(place[met] * log.n_users + user[met])
    return np.bincount(pairs // log.n_users, minlength=len(source))


def _place(code: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return where each of the codes (m,) is in `source` (sorted), -1 where it is not, (m,)."""
    if len(source) == 0:
        return np.full(len(code), -1)
    at = np.minimum(np.searchsorted(source, code), len(source) - 1)
    return np.where(source[at] == code, at, -1)
