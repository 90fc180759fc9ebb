"""Read of a log only what a cell needs: the users that models learn from, and those asked about.

A simulated log can have many more users than a model needs to learn from, and a test needs them to
tell models apart. So models and generators learn from a drawn sample of users (the same for every
model), and the test asks about all users of the same shop. A cell holds the rows of these users
alone.

Example::

    sampled = SampledLog(folder, learn_users=10_000)
    learnt = sampled.learnt()           # of all times: the caller cuts it at sampled.split.cut
    asked = sampled.asked(task)         # who is learnt from and who is asked about
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.task import ASKED_COLUMNS, Task
from eventlog import EventLog
from eventlog.split import TimeSplit, draw_users

SEED = 23  # of the draw of users to learn from; fixed, so that every model has the same


class SampledLog:
    """A log folder of whose users `learn_users` are learnt from; None: all of them."""

    def __init__(self, folder: Path, learn_users: int | None) -> None:
        self.folder = folder
        self.learn_users = learn_users

    @cached_property
    def outline(self) -> EventLog:
        """The log's rows with ids, times, events and items only."""
        return EventLog.read(self.folder, truth=False, columns=ASKED_COLUMNS)

    @cached_property
    def split(self) -> TimeSplit:
        """The cut of the whole log."""
        return Task.split(self.outline)

    @cached_property
    def learners(self) -> np.ndarray | None:
        """Ids of the users to learn from, ascending; None where these are all users."""
        if self.learn_users is None:
            return None
        rng = np.random.default_rng(SEED)
        return draw_users(self.outline, self.learn_users, before=self.split.cut, rng=rng)

    def learnt(self) -> EventLog:
        """Return the log of the users to learn from, of all times, without truth."""
        return EventLog.read(self.folder, truth=False, users=self.learners)

    def asked(self, task: Task) -> EventLog:
        """Return the log of the users to learn from and of those that the task's test asks about.

        The truth tables that the task reads come with it.
        """
        users = self.learners
        if users is not None:
            asked = task.asked_users(self.outline, self.split)
            users = None if asked is None else np.union1d(users, asked)
        return EventLog.read(self.folder, truth=task.truth_tables, users=users)
