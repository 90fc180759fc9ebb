"""A task in one file: which of the users seen in the week before t come back within `days`?

Usage::

    python -m benchmark run --tasks docs/examples/my_task.py --models logistic,lightgbm,lstm
"""

from __future__ import annotations

import numpy as np

from benchmark.task import NotApplicable, Questions, Task
from eventlog import EventLog
from eventlog.arrays import DAY_MS, Queries, Sequences
from eventlog.log import to_ms
from eventlog.split import TimeSplit


class ComesBack(Task):
    """Asks for training at `days` before the cut, and for the test at the cut."""

    kind = "binary"  # the answer is 0 or 1; models say a probability
    headline = "roc_auc"  # ranks the models
    shown = ("roc_auc", "pr_auc", "brier")

    def __init__(self, *, days: float = 5.0) -> None:
        self.days = days

    def train_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions:
        """Return questions about `log`, which ends at the cut: every answer is known by then."""
        queries = self._asked(sequences, to_ms(split.cut) - int(self.days * DAY_MS))
        valid = np.arange(len(queries)) % 7 == 0  # every seventh may stop a model early
        return Questions(queries, self._answers(sequences, queries), valid)

    def test_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Queries:
        """Return the questions at the cut of the real log."""
        return self._asked(sequences, to_ms(split.cut))

    def test_answers(
        self, log: EventLog, sequences: Sequences, queries: Queries, split: TimeSplit
    ) -> np.ndarray:
        """Return (n,) float32: 1 if the user came back."""
        return self._answers(sequences, queries)

    def _asked(self, sequences: Sequences, time: int) -> Queries:
        everybody = np.arange(len(sequences))
        at = np.full(len(sequences), time)
        end = sequences.rows_before(everybody, at)  # the first row that is not known
        begin = sequences.rows_before(everybody, at - 7 * DAY_MS)
        user = everybody[end > begin]
        if len(user) < 10:
            raise NotApplicable(f"only {len(user)} users were seen in the week before it is asked")
        return Queries(user=user, end=end[user], time=at[user])

    def _answers(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        later = sequences.rows_before(queries.user, queries.time + int(self.days * DAY_MS))
        return (later > queries.end).astype(np.float32)
