"""Hold out the users that no generator is trained on: the control group of privacy measures.

A generator gets the others. Who is held out follows from the ids alone, so that every generator,
seed and machine has the same users, and a cell that needs them can compute them again.

Example::

    fitted, control = hold_out(train)
"""

from __future__ import annotations

import hashlib

from eventlog import EventLog

SHARE = 0.1  # of the users
MIN_USERS = 100  # for an interval of about ±0.08 of an AUC
MAX_SHARE = 0.25  # of the users, however few they are


def hold_out(log: EventLog) -> tuple[EventLog, EventLog | None]:
    """Return the log of the users to fit on, and that of the control group.

    The control group is SHARE of the users, but at least MIN_USERS and at most MAX_SHARE of them:
    those whose ids have the smallest hashes. None where there are too few users for one.
    """
    users = log.events["user_id"].astype(str).unique()
    n = min(max(round(SHARE * len(users)), MIN_USERS), int(MAX_SHARE * len(users)))
    if n < 1:
        return log, None
    by_hash = sorted(users, key=lambda user: hashlib.blake2b(user.encode(), digest_size=8).digest())
    return log.only_users(by_hash[n:]), log.only_users(by_hash[:n])
