"""Attacks on a synthetic log, each with a 95 % interval and the same attack on users who were not
in the training data.

An attack that also works on a control group has learnt something about people, not about the people
it was given. Only the excess over the control group is a leak; it is the risk that a limit is set
on. An attack that finds nothing proves nothing: only epsilon is a proof.

    for attack in run(real, synthetic, holdout, seed=1):
        print(attack.name, attack.risk, attack.low, attack.high, attack.verdict)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from eventlog import EventLog, InputError
from generators.evaluation.align import AlignedLog, together
from generators.evaluation.attacks.common import Rate, auc, residual, wilson
from generators.evaluation.boosted import out_of_fold
from generators.hashing import mix

# per group: an interval of +-1.4 points; beyond it costs time and settles nothing
MAX_USERS = 5_000
# users searched for the closest: the more an attacker has, the more stands in them
MAX_SYNTHETIC = 4 * MAX_USERS
# of the room that the control leaves; conventional, a team may hold itself to less
LIMIT = 0.10
LENGTHS = (4, 8)  # rows of a copied run
FALSE_POSITIVES = 0.01

Verdict = Literal["pass", "fail", "unsettled"]
# (m,) int64 user and (m,) uint64 token
Tokens = Callable[[AlignedLog], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Attack:
    """What an attack reached. `risk` is (rate - control) / (1 - control), cut to 0..1, with its 95
    % interval.
    """

    name: str
    title: str
    what: str  # what counts as a success, in one sentence
    rate: Rate  # on users who were in the training data
    control: Rate | None  # the same attack on users who were not; None without a holdout
    naive: float | None  # what guessing at random reaches, where that means something
    risk: float
    low: float
    high: float
    limit: float = LIMIT

    @property
    def verdict(self) -> Verdict:
        """pass: the whole interval is within the limit; fail: the whole interval is beyond; else,
        or without a control, unsettled.
        """
        if self.control is None:
            return "unsettled"
        return (
            "pass" if self.high <= self.limit else "fail" if self.low > self.limit else "unsettled"
        )


def against(
    name: str, title: str, what: str, rate: Rate, control: Rate | None, naive: float | None = None
) -> Attack:
    """An attack whose risk is its excess over the control group; without one, its bare rate."""
    risk, low, high = (
        residual(rate, control) if control is not None else (rate.value, rate.low, rate.high)
    )
    return Attack(name, title, what, rate, control, naive, risk, low, high)


def run(
    real: EventLog, synthetic: EventLog, holdout: EventLog | None = None, *, seed: int
) -> list[Attack]:
    """All attacks. Without `holdout` (real users that the generator never saw) membership inference
    is left out and the others have no control group. Raises InputError where `holdout` shares users
    with `real`.
    """
    if holdout is not None:
        check_disjoint(real, holdout)
    flats = together(real, synthetic, *([holdout] if holdout is not None else []))
    return run_flat(flats[0], flats[1], flats[2] if holdout is not None else None, seed=seed)


def check_disjoint(real: EventLog, holdout: EventLog) -> None:
    """Raise InputError where the logs share a user: a control group must not have been in the
    training data.
    """
    both = set(real.events["user_id"].astype(str).unique()) & set(
        holdout.events["user_id"].astype(str).unique()
    )
    if both:
        shown = ", ".join(sorted(both)[:3])
        raise InputError(
            f"{len(both)} user(s) are in the real log and in the holdout ({shown}); a holdout must "
            "hold other users."
        )


def run_flat(
    real: AlignedLog, synthetic: AlignedLog, holdout: AlignedLog | None, *, seed: int
) -> list[Attack]:
    """`run` on logs that are already flat."""
    from generators.evaluation.attacks.anonymity import inference, linkage, singling_out
    from generators.evaluation.copying import near_copies, whole_histories

    rng = np.random.default_rng(seed)
    n = (
        min(real.n_users, MAX_USERS)
        if holdout is None
        else min(real.n_users, holdout.n_users, MAX_USERS)
    )
    members = real.sample(n, rng)
    control = holdout.sample(n, rng) if holdout is not None else None
    found = membership(members, synthetic, control, rng=rng) if control is not None else []
    found += copies(real, members, synthetic, control, rng=rng)
    if control is not None:
        found += [
            near_copies(members, synthetic, control),
            whole_histories(members, synthetic, control),
        ]
    found += [
        singling_out(members, synthetic, control, rng=rng),
        linkage(members, synthetic, control, rng=rng),
    ]
    return found + inference(members, synthetic, control, rng=rng)


# --- membership -----------------------------------------------------------------------------------


def membership(
    members: AlignedLog, synthetic: AlignedLog, control: AlignedLog, *, rng: np.random.Generator
) -> list[Attack]:
    """Was this user in the training data? By the similarity of the closest synthetic user: plain,
    against a reference, and learnt.

    Plain: distance to the closest record. Against a reference: similarity to synthetic less
    similarity to real users who are known not to be members (half of `control`), in the manner of
    DOMIAS (van Breugel et al. 2023, arXiv:2302.12580); it does not take an ordinary user for a
    member. Learnt: a classifier of both, of runs that stand in either log, and of the closest
    profile, from users of whom the attacker knows whether they were in (Shokri et al. 2017,
    arXiv:1610.05820), tested on others. Reported as AUC, and as true positives at 1 % false
    positives (Carlini et al. 2022, arXiv:2112.03570).
    """
    synthetic = synthetic.sample(MAX_SYNTHETIC, rng)
    near = [closest(group, synthetic) for group in (members, control)]
    out = _membership_attacks("", "closest synthetic user", *near)
    if control.n_users >= 20:
        order = rng.permutation(control.n_users)
        reference, rest = np.sort(order[::2]), np.sort(order[1::2])
        known = control.take(reference)
        groups = (members, control.take(rest))
        near = [near[0], near[1][rest]]
        far = [closest(group, known) for group in groups]
        out += _membership_attacks(
            "_reference",
            "closest synthetic user against a reference",
            *(a - b for a, b in zip(near, far, strict=True)),
        )
        signs = [
            np.column_stack([a, b, *_signs(group, synthetic, known)])
            for group, a, b in zip(groups, near, far, strict=True)
        ]
        out += _membership_attacks(
            "_learnt", "learnt from users known to be in or out", *_learnt(*signs, rng=rng)
        )
    return out


def _signs(users: AlignedLog, synthetic: AlignedLog, reference: AlignedLog) -> list[np.ndarray]:
    """What a user has in common with the synthetic log, and with a real one: each (n_users,)
    float64.

    Share of the user's runs of 2, 3 and 4 rows that stand there, how much oftener than by chance
    its pairs of items do, and the distance of the closest profile.
    """
    from generators.evaluation.attacks.anonymity import closest_profile

    out: list[np.ndarray] = []
    for log in (synthetic, reference):
        for length in (2, 3, 4):
            code, user = windows(users, length, varied=False)
            seen = np.isin(code, windows(log, length, varied=False)[0])
            out.append(
                np.bincount(user[seen], minlength=users.n_users)
                / np.maximum(np.bincount(user, minlength=users.n_users), 1)
            )
        out += [surprise(users, log) / users.lengths, closest_profile(users, log)]
    return out


def _learnt(
    inside: np.ndarray, outside: np.ndarray, *, rng: np.random.Generator, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n_inside,) and (n_outside,) from signs (n, k): a boosted classifier's, each user by
    one that did not see them.
    """
    x, y = np.concatenate([inside, outside]), np.repeat([1, 0], [len(inside), len(outside)])
    fold = np.concatenate([rng.permutation(len(side)) % folds for side in (inside, outside)])
    score, _ = out_of_fold(
        x,
        y,
        fold,
        num_leaves=7,
        learning_rate=0.05,
        min_data_in_leaf=max(5, len(x) // 50),
        seed=1,
        is_unbalance=True,
    )
    return score[y == 1], score[y == 0]


def _membership_attacks(
    suffix: str, by: str, inside: np.ndarray, outside: np.ndarray
) -> list[Attack]:
    area = auc(inside, outside)
    guess = Rate(0.5, 0.5, 0.5, area.n)
    caught, threshold = at_false_positives(inside, outside, FALSE_POSITIVES)
    false = wilson(int((outside > threshold).sum()), len(outside))
    ranked = Attack(
        f"membership{suffix}_auc",
        f"Membership, AUC ({by})",
        "a training user ranks above a held-out one",
        area,
        guess,
        0.5,
        *(float(np.clip(2 * x - 1, 0, 1)) for x in (area.value, area.low, area.high)),
    )
    return [
        ranked,
        against(
            f"membership{suffix}_tpr",
            f"Membership, hits at 1 % false alarms ({by})",
            "a training user is called a member at a threshold that at most 1 % of held-out users "
            "pass",
            caught,
            false,
            FALSE_POSITIVES,
        ),
    ]


def at_false_positives(inside: np.ndarray, outside: np.ndarray, share: float) -> tuple[Rate, float]:
    """The rate of `inside` scores above the threshold that at most `share` of `outside` scores
    pass, and that threshold.
    """
    threshold = float(np.sort(outside)[::-1][int(share * len(outside))])
    return wilson(int((inside > threshold).sum()), len(inside)), threshold


def closest(
    users: AlignedLog,
    candidates: AlignedLog,
    tokens_of: Tokens | None = None,
    *,
    common: float = 0.1,
    rare: int = 100,
) -> np.ndarray:
    """(n_users,) float64 in 0..1: cosine similarity of each user to the most similar candidate.

    A user is a bag of tokens weighted by rarity among the candidates (tf-idf): those of
    `tokens_of`, by default event with item, item after item, and runs of three events with the size
    of the gaps between them. A token of more than `rare` candidates that are more than a share of
    `common` of
    them weighs nothing: what everybody does costs most of the time and says least.
    """
    from scipy.sparse import csr_matrix

    tokens_of = tokens_of or tokens
    owner, token = tokens_of(candidates)
    vocabulary, at = np.unique(token, return_inverse=True)
    pairs, count = np.unique(owner * len(vocabulary) + at, return_counts=True)
    df = np.bincount(pairs % len(vocabulary), minlength=len(vocabulary))
    n = candidates.n_users
    idf = np.log((1 + n) / (1 + df))
    idf[df > max(common * n, rare)] = 0.0
    unseen = float(np.log(1 + n))

    def matrix(pairs: np.ndarray, count: np.ndarray, n_users: int, extra: np.ndarray) -> csr_matrix:
        """Rows of tf-idf weights at unit length; `extra` is each user's squared weight outside the
        vocabulary.
        """
        user, column = pairs // len(vocabulary), pairs % len(vocabulary)
        weight = (1 + np.log(count)) * idf[column]
        norm = np.sqrt(np.bincount(user, weight**2, minlength=n_users) + extra)
        keep = weight > 0
        return csr_matrix(
            (weight[keep] / norm[user[keep]], (user[keep], column[keep])),
            shape=(n_users, len(vocabulary)),
        )

    theirs = matrix(pairs, count, n, np.zeros(n)).T.tocsr()
    owner, token = tokens_of(users)
    at = np.minimum(np.searchsorted(vocabulary, token), max(len(vocabulary) - 1, 0))
    seen = vocabulary[at] == token if len(vocabulary) else np.zeros(len(token), dtype=bool)
    strange, code = np.unique(token[~seen], return_inverse=True)
    strangers, lost = np.unique(owner[~seen] * len(strange) + code, return_counts=True)
    extra = np.bincount(
        strangers // max(len(strange), 1),
        (unseen * (1 + np.log(lost))) ** 2,
        minlength=users.n_users,
    )
    pairs, count = np.unique(owner[seen] * len(vocabulary) + at[seen], return_counts=True)
    ours = matrix(pairs, count, users.n_users, extra)
    best = [
        (ours[i : i + 256] @ theirs).max(axis=1).toarray()[:, 0]
        for i in range(0, users.n_users, 256)
    ]
    # equal users must tie, whatever the order of additions
    return np.round(np.concatenate(best), 9)


def surprise(users: AlignedLog, log: AlignedLog) -> np.ndarray:
    """(n_users,) sum over a user's pairs of items, one after the other, of log(times seen in `log`
    / times expected by the items' popularity), where that is above 0. Pairs are of events where the
    logs have no items.
    """
    name = "item_id" if "item_id" in users.codes else "event"
    width = len(users.levels[name])

    def pairs(flat: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
        rows = np.flatnonzero(flat.codes[name] >= 0)
        value, user = flat.codes[name][rows].astype(np.int64), flat.user[rows]
        step = (user[1:] == user[:-1]) & (value[1:] != value[:-1])
        return value[:-1][step] * width + value[1:][step], user[:-1][step]

    known, count = np.unique(pairs(log)[0], return_counts=True)
    code, user = pairs(users)
    if len(known) == 0 or len(code) == 0:
        return np.zeros(users.n_users)
    before, after = (
        np.bincount(part, count, minlength=width) for part in (known // width, known % width)
    )
    at = np.minimum(np.searchsorted(known, code), len(known) - 1)
    found = np.where(known[at] == code, count[at], 0)
    expected = before[code // width] * after[code % width] / count.sum()
    return np.bincount(
        user, np.maximum(np.log((found + 0.5) / (expected + 0.5)), 0.0), minlength=users.n_users
    )


def tokens(flat: AlignedLog) -> tuple[np.ndarray, np.ndarray]:
    """(m,) int64 user and (m,) uint64 token, as `closest` describes."""
    user, event = flat.user, flat.codes["event"].astype(np.int64)
    timed = event * 32 + gap_size(flat)
    run = slice(0, max(flat.n_rows - 2, 0))
    whole = user[run] == user[2:] if flat.n_rows > 2 else np.zeros(0, dtype=bool)
    parts = [(user[run][whole], mix(chain_hash(timed, 3)[whole], 3))]
    if "item_id" in flat.codes:
        item = flat.codes["item_id"].astype(np.int64)
        rows = np.flatnonzero(item >= 0)
        width = len(flat.levels["item_id"])
        parts.append((user[rows], mix(event[rows] * width + item[rows], 1)))
        before, after = rows[:-1], rows[1:]
        step = (user[before] == user[after]) & (item[before] != item[after])
        parts.append((user[before][step], mix(item[before][step] * width + item[after][step], 2)))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


# --- copies ---------------------------------------------------------------------------------------


def copies(
    real: AlignedLog,
    members: AlignedLog,
    synthetic: AlignedLog,
    control: AlignedLog | None,
    *,
    rng: np.random.Generator,
) -> list[Attack]:
    """Runs of rows that came out as they went in.

    Exposed: a training user has a run that stands in the synthetic log, beside held-out users with
    such a run by chance.
    Copied: a synthetic user has a run of some training user, beside held-out users whose runs some
    training user has.
    Near: one row of the run may differ. Only runs with at least half as many different items as
    rows count.
    """
    out = []
    cases = [(k, False) for k in LENGTHS] + [(max(LENGTHS), True)]
    for length, near in cases:
        source = np.unique(windows(synthetic, length, near=near)[0])
        kind = f"{'near' if near else 'exact'}_{length}"
        rates = [
            _having(group, source, length, near)
            for group in (members, control)
            if group is not None
        ]
        out.append(
            against(
                f"exposed_{kind}",
                f"Users exposed, {'near' if near else 'exact'} runs of {length} rows",
                f"a training user has {length} rows in a row that stand in the synthetic log"
                + (", but for one" if near else ""),
                rates[0],
                rates[1] if control is not None else None,
            )
        )
    length = min(LENGTHS)
    source = np.unique(windows(real, length)[0])
    drawn = synthetic.sample(MAX_USERS, rng)
    out.append(
        against(
            f"copied_exact_{length}",
            f"Synthetic users with copied runs of {length} rows",
            f"a synthetic user has {length} rows in a row of a training user; the control is "
            "held-out users, by the same count",
            _having(drawn, source, length, False),
            _having(control, source, length, False) if control is not None else None,
        )
    )
    return out


def _having(group: AlignedLog, source: np.ndarray, length: int, near: bool) -> Rate:
    """Share of the users, among those with a run that counts, who have a run in `source`
    (sorted).
    """
    code, user = windows(group, length, near=near)
    if len(source) == 0 or len(code) == 0:
        return wilson(0, len(np.unique(user)))
    hit = source[np.minimum(np.searchsorted(source, code), len(source) - 1)] == code
    return wilson(len(np.unique(user[hit])), len(np.unique(user)))


def windows(
    flat: AlignedLog, length: int, *, near: bool = False, varied: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """(m,) uint64 hash of each run of `length` rows, and (m,) int64 its user.

    A row is its event and item, or where the log has no items its event and the size of the gap
    before it. `near` gives
    `length` hashes a run, each blind to one of its rows: two runs share one where at most one row
    differs. With `varied` a run counts where it has at least half as many different items as rows.
    """
    event = flat.codes["event"].astype(np.int64)
    size = max(flat.n_rows - length + 1, 0)
    user = flat.user
    if "item_id" in flat.codes:
        item = flat.codes["item_id"].astype(np.int64)
        row, variety = event * (len(flat.levels["item_id"]) + 1) + item + 1, item
    else:
        row = variety = event * 32 + gap_size(flat)
    if size == 0:
        return np.zeros(0, dtype=np.uint64), user[:0]
    keep = user[:size] == user[length - 1 :]
    if varied:
        # (size, length)
        runs = np.sort(np.lib.stride_tricks.sliding_window_view(variety, length), axis=1)
        # no item is no variety
        distinct = 1 + (runs[:, 1:] != runs[:, :-1]).sum(axis=1) - (runs[:, 0] < 0)
        keep &= distinct >= -(-length // 2)
    code = chain_hash(row, length)
    if not near:
        return code[keep], user[:size][keep]
    blind = []
    with np.errstate(over="ignore"):
        hashed = mix(row, 7)
        for i in range(length):
            power = _power(length - 1 - i)
            blind.append(
                (
                    code
                    - hashed[i : i + size] * power
                    + np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15)
                )[keep]
            )
    return np.concatenate(blind), np.tile(user[:size][keep], length)


_BASE = 0xD6E8FEB86659FD93  # odd, so that multiplying by it loses nothing modulo 2^64


def _power(n: int) -> np.uint64:
    return np.uint64(pow(_BASE, n, 2**64))


def chain_hash(rows: np.ndarray, length: int) -> np.ndarray:
    """(len(rows) - length + 1,) uint64 polynomial hash of each run of `length` rows."""
    size = max(len(rows) - length + 1, 0)
    hashed = mix(rows, 7)
    out = np.zeros(size, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for i in range(length):
            out += hashed[i : i + size] * _power(length - 1 - i)
    return out


def gap_size(flat: AlignedLog) -> np.ndarray:
    """(n_rows,) int64 in 0..31: the gap before the row in powers of two of a second; 0 at a user's
    first row.
    """
    return np.minimum(np.log2(1 + np.nan_to_num(flat.gap)), 31).astype(np.int64)


def as_json(attack: Attack) -> dict[str, Any]:
    """Plain data of an attack, for report.json."""
    from dataclasses import asdict

    return {**asdict(attack), "verdict": attack.verdict}
