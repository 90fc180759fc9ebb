"""Users whom no generator of the benchmark is trained on: the control group of its privacy
measures.

A generator gets the rest. Which users are held out follows from their ids alone, so that every
generator, seed and machine has the same ones, and a cell that needs them works them out again.

    fitted, control = hold_out(train)
"""

from __future__ import annotations

import hashlib

from eventlog import EventLog

SHARE = 0.1  # of the users
LEAST = 100  # users, for an interval of about +-.08 of an AUC
MOST = 0.25  # of the users, however few they are


def hold_out(log: EventLog) -> tuple[EventLog, EventLog | None]:
    """The users to be fitted on, and the control group: None where there are too few users for one.

    SHARE of the users, but at least LEAST, and at most MOST of them: those whose ids have the
    smallest hashes.
    """
    users = log.events["user_id"].astype(str).unique()
    n = min(max(round(SHARE * len(users)), LEAST), int(MOST * len(users)))
    if n < 1:
        return log, None
    by_hash = sorted(users, key=lambda user: hashlib.blake2b(user.encode(), digest_size=8).digest())
    return log.only_users(by_hash[n:]), log.only_users(by_hash[:n])
