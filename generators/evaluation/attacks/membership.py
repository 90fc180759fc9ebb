"""Membership inference: was this user in the training data?

Three attackers, each reported as AUC and as true positives at 1 % false positives (Carlini et al.
2022, arXiv:2112.03570):

- the similarity of the closest synthetic user (distance to the closest record);
- that similarity less the similarity to real users known not to be members, in the manner of DOMIAS
  (van Breugel et al. 2023, arXiv:2302.12580), which does not mistake an ordinary user for a member;
- a classifier of both and of further features, trained on users of whom the attacker knows whether
  they were in (Shokri et al. 2017, arXiv:1610.05820).
"""

from __future__ import annotations

import numpy as np

from generators.evaluation.align import AlignedLog
from generators.evaluation.attacks.common import (
    Attack,
    Rate,
    auc,
    rate_at_false_positives,
    wilson,
)
from generators.evaluation.attacks.profiles import distance_to_closest
from generators.evaluation.attacks.similarity import closest, surprise, windows
from generators.evaluation.detection import out_of_fold

# Synthetic users searched for the closest: the more an attacker has, the more they reveal.
MAX_SYNTHETIC = 20_000
FALSE_POSITIVES = 0.01
FEWEST_REFERENCES = 20  # held-out users without which only the first attacker is run
RUNS = (2, 3, 4)  # rows in a run, for the classifier


def membership(
    members: AlignedLog, synthetic: AlignedLog, control: AlignedLog, *, rng: np.random.Generator
) -> list[Attack]:
    """Run the three attackers; half of `control` are the users whom the attacker knows."""
    synthetic = synthetic.sample(MAX_SYNTHETIC, rng)
    near = [closest(group, synthetic) for group in (members, control)]
    out = _attacks("", "closest synthetic user", *near)
    if control.n_users < FEWEST_REFERENCES:
        return out
    order = rng.permutation(control.n_users)
    reference, rest = np.sort(order[::2]), np.sort(order[1::2])
    known = control.take(reference)
    groups = (members, control.take(rest))
    near = [near[0], near[1][rest]]
    far = [closest(group, known) for group in groups]
    out += _attacks(
        "_reference",
        "closest synthetic user against a reference",
        *(a - b for a, b in zip(near, far, strict=True)),
    )
    features = [
        np.column_stack([a, b, *_features(group, synthetic, known)])
        for group, a, b in zip(groups, near, far, strict=True)
    ]
    return out + _attacks(
        "_learnt",
        "learnt from users known to be in or out",
        *_classifier_scores(*features, rng=rng),
    )


def _features(users: AlignedLog, synthetic: AlignedLog, reference: AlignedLog) -> list[np.ndarray]:
    """Return what a user shares with the synthetic log, and with a real one, each (n_users,).

    The share of the user's runs of 2, 3 and 4 rows that occur there, how much more often than by
    chance its pairs of items do, and the distance to the closest profile.
    """
    out: list[np.ndarray] = []
    for log in (synthetic, reference):
        for length in RUNS:
            code, user = windows(users, length, coarse=True)
            seen = np.isin(code, windows(log, length, coarse=True)[0])
            runs = np.bincount(user, minlength=users.n_users)
            out.append(np.bincount(user[seen], minlength=users.n_users) / np.maximum(runs, 1))
        out += [surprise(users, log) / users.lengths, distance_to_closest(users, log)]
    return out


def _classifier_scores(
    inside: np.ndarray, outside: np.ndarray, *, rng: np.random.Generator, folds: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Return out-of-fold scores (n_inside,), (n_outside,) of a boosted classifier.

    `inside` (n_inside, k) and `outside` (n_outside, k) are features.
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


def _attacks(suffix: str, by: str, inside: np.ndarray, outside: np.ndarray) -> list[Attack]:
    """Return the AUC and the rate at 1 % false positives of scores (n_inside,), (n_outside,)."""
    area = auc(inside, outside)
    caught, threshold = rate_at_false_positives(inside, outside, FALSE_POSITIVES)
    false = wilson(int((outside > threshold).sum()), len(outside))
    ranked = Attack(
        f"membership{suffix}_auc",
        f"Membership, AUC ({by})",
        "a training user ranks above a held-out one",
        area,
        Rate(0.5, 0.5, 0.5, area.n),
        0.5,
        *(float(np.clip(2 * x - 1, 0, 1)) for x in (area.value, area.low, area.high)),
    )
    caught_attack = Attack.from_rates(
        f"membership{suffix}_tpr",
        f"Membership, hits at 1 % false alarms ({by})",
        "a training user is called a member at a threshold that at most 1 % of held-out users pass",
        caught,
        false,
        FALSE_POSITIVES,
    )
    return [ranked, caught_attack]
