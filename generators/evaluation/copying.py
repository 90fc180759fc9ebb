"""Audits a generator for copying: does it hand out the users that it was trained on?

Example::

    audit = examine(*align_logs(fitted, synthetic, control), seed=0)
    audit.copies, audit.membership     # the attacks that found most
    audit.caught                       # the finding that shows copying, in words; otherwise None
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generators.evaluation.align import AlignedLog
from generators.evaluation.attacks.common import Attack
from generators.evaluation.attacks.copied_runs import exposed_runs
from generators.evaluation.attacks.membership import membership
from generators.evaluation.attacks.near_copies import near_copies, whole_histories, worst

USERS = 1_000  # of each group: more take time and decide nothing
WHOLE_LIMIT = 0.01  # whole histories do not occur twice by chance
# As 2 AUC - 1, so an AUC of 0.75: a model that has memorised its users, and not just a small leak.
MEMBERSHIP_LIMIT = 0.5
RUN = 8  # rows; shorter runs occur in most users of a small log by chance


@dataclass(frozen=True)
class CopyAudit:
    """What was found: of copying and of membership the attack with the highest lower bound."""

    copies: Attack
    membership: Attack
    caught: str | None  # the finding that shows copying, in words; None where there is none


def examine(
    fitted: AlignedLog, synthetic: AlignedLog, control: AlignedLog, *, seed: int
) -> CopyAudit:
    """Search `synthetic` for copies of `fitted` users.

    All three logs come from one call of `align_logs`; `control` holds real users who were not in
    the training data. A generator is caught where a lower bound exceeds its limit: that of a
    copying attack the attack's own, that of whole histories WHOLE_LIMIT, and that of a membership
    AUC (as 2 AUC - 1) MEMBERSHIP_LIMIT.
    """
    rng = np.random.default_rng(seed)
    members, control = fitted.sample(USERS, rng), control.sample(USERS, rng)
    whole = whole_histories(members, synthetic, control)
    runs = exposed_runs(fitted, members, synthetic, control, RUN, near=True)
    known = [a for a in membership(members, synthetic, control, rng=rng) if a.name.endswith("auc")]
    copied = worst([near_copies(members, synthetic, control), whole, runs])
    member = worst(known)
    for attack, limit in ((copied, copied.limit), (whole, WHOLE_LIMIT), (member, MEMBERSHIP_LIMIT)):
        if attack.low > limit:
            return CopyAudit(copied, member, _in_words(attack))
    return CopyAudit(copied, member, None)


def _in_words(attack: Attack) -> str:
    if attack.name.startswith("membership"):
        return (
            f"{attack.title} {attack.rate.value:.2f} [{attack.rate.low:.2f}, "
            f"{attack.rate.high:.2f}]"
        )
    return f"{attack.title}: risk {attack.risk:.2f} [{attack.low:.2f}, {attack.high:.2f}]"
