"""A sampled log as it may travel: with ids of its own, and no more of its manifest than needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.base import Generator
from generators.handover.checkpoints import MADE_BY

# Keys of a synthetic log's manifest that may travel. Whatever else is there stays inside.
TRAVELS = ("made_by", "generator", "seed", "privacy", "users", "currency", "roles", "columns")


def for_travel(log: EventLog, generator: Generator, model: str) -> EventLog:
    """Return a sampled log that may travel: its users are synthetic-000001, synthetic-000002, ...

    So no synthetic user has the id of a real one, and the ids do not depend on the real log. Of the
    manifest only the keys in TRAVELS remain.
    """
    users = np.array(user_ids(log), dtype=object)
    width = max(len(str(len(users))), 6)
    names = dict(
        zip(users, (f"synthetic-{i + 1:0{width}d}" for i in range(len(users))), strict=True)
    )

    renamed: pd.Series = log.events["user_id"].astype(str).map(names).astype("category")
    people = log.users
    if people is not None:
        people = people[people["user_id"].astype(str).isin(names)]
        people = people.assign(user_id=people["user_id"].astype(str).map(names)).reset_index(
            drop=True
        )
    manifest = {key: log.manifest[key] for key in TRAVELS if key in log.manifest}
    manifest |= {"made_by": MADE_BY, "generator": Path(model).stem, "privacy": generator.privacy}
    return EventLog(
        events=log.events.assign(user_id=renamed),
        users=people,
        items=log.items,
        labels=log.labels,
        manifest=manifest,
    )


def user_ids(log: EventLog) -> list[str]:
    """Return the ids of the users who have events, in order."""
    return sorted(log.events["user_id"].astype(str).unique())
