"""Runs all attacks on a synthetic log, each with the same attack on a control group.

An attack that finds nothing proves nothing: only epsilon is a proof.

Example::

    for attack in run(real, synthetic, holdout, seed=1):
        print(attack.name, attack.risk, attack.low, attack.high, attack.verdict)
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from eventlog import EventLog, InputError
from generators.evaluation.align import AlignedLog, align_logs
from generators.evaluation.attacks.anonymity import inference, linkage, singling_out
from generators.evaluation.attacks.common import Attack
from generators.evaluation.attacks.copied_runs import copied_runs
from generators.evaluation.attacks.membership import membership
from generators.evaluation.attacks.near_copies import near_copies, whole_histories

# Per group: gives an interval of +-1.4 points. More users take time and decide nothing.
MAX_USERS = 5_000


def run(
    real: EventLog, synthetic: EventLog, holdout: EventLog | None = None, *, seed: int
) -> list[Attack]:
    """Run all attacks.

    `holdout` holds real users that the generator never saw. Without it membership inference and
    near copies are left out, and the other attacks have no control group. Raises InputError where
    `holdout` shares users with `real`.
    """
    if holdout is not None:
        check_disjoint(real, holdout)
    logs = align_logs(real, synthetic, *([] if holdout is None else [holdout]))
    return run_aligned(*logs, seed=seed)


def check_disjoint(real: EventLog, holdout: EventLog) -> None:
    """Raise InputError where the logs share a user, who was then in the training data."""
    users, held = (set(log.events["user_id"].astype(str).unique()) for log in (real, holdout))
    both = users & held
    if both:
        shown = ", ".join(sorted(both)[:3])
        raise InputError(
            f"{len(both)} user(s) are in the real log and in the holdout ({shown}); a holdout must "
            "hold other users."
        )


def run_aligned(
    real: AlignedLog, synthetic: AlignedLog, holdout: AlignedLog | None = None, *, seed: int
) -> list[Attack]:
    """Run all attacks on logs that one call of `align_logs` returned."""
    rng = np.random.default_rng(seed)
    sizes = [real.n_users, MAX_USERS] + ([] if holdout is None else [holdout.n_users])
    members = real.sample(min(sizes), rng)
    control = holdout.sample(min(sizes), rng) if holdout is not None else None
    found = membership(members, synthetic, control, rng=rng) if control is not None else []
    found += copied_runs(real, members, synthetic, control, rng=rng)
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


def as_json(attack: Attack) -> dict[str, Any]:
    """Return an attack as plain data, for report.json."""
    return {**asdict(attack), "verdict": attack.verdict}
