"""Task: a question asked of a log, its answers, and how well a model answers. No leaks by design.

Every task shares one cut in time. A model learns from a *source* (the real log, or a generated
one), of which it gets only what was known at the cut; it is tested on the real log. The encoder is
fitted on the source alone, so what the source lacks (an item that no generated user ever saw) is
unknown to the model and counts as a miss.

Example::

    class Mine(Task):
        kind = "binary"
        headline = "roc_auc"
        def train_questions(self, log, sequences, split): ...
        def test_questions(self, log, sequences, split): ...
        def test_answers(self, log, sequences, queries, split): ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
import pandas as pd

from benchmark.evaluation import metrics
from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder
from eventlog.split import TimeSplit, by_time

TEST_SHARE = 1 / 6
# Of a log, what `Task.asked_users` gets.
ASKED_COLUMNS = ("event_id", "user_id", "timestamp", "event", "item_id")


class NotApplicable(InputError):
    """The log lacks what the task asks about; the text says what.

    Such a cell is left out, with the text as the reason.
    """


class Truth(Protocol):
    """The part of `simulator.truth.oracles` that an oracle needs."""

    def oracle_next_item_rank(  # noqa: D102
        self, log: EventLog, event_ids: np.ndarray
    ) -> np.ndarray: ...
    def oracle_churn(  # noqa: D102
        self, log: EventLog, user_ids: np.ndarray, cut: pd.Timestamp, horizon: pd.Timedelta
    ) -> np.ndarray: ...
    def oracle_fraud(self, log: EventLog, event_ids: np.ndarray) -> np.ndarray: ...  # noqa: D102


@dataclass(frozen=True)
class Questions:
    """Questions with answers; `valid` marks those that a model may use to stop early."""

    queries: Queries
    target: np.ndarray  # (n,) int32 item code (0 missing, 1 unknown), or float32 0/1
    valid: np.ndarray  # (n,) bool
    treatment: np.ndarray | None = None  # (n,) float32 0/1: who was treated; uplift only
    known_at: np.ndarray | None = None  # (n,) int64 ms: when the answer became known


@dataclass(frozen=True)
class TaskData:
    """What a model cell works on.

    A model gets `train`, `valid`, the encoder, and of `test` the sequences and queries.
    """

    encoder: Encoder
    train: Examples
    valid: Examples | None
    test: Examples
    catalogue: int  # items of the real training log
    effect: np.ndarray | None = None  # (n_test,) float64 true effect, if known; uplift only
    # Questions about the real log whose answers become known while the test goes on, by `known_at`;
    # a model gets each when its time has come. Its sequences are those of `test`.
    arriving: Examples | None = None
    # What keeps the test apart: the cut in time, or its users, where all is asked at one time.
    split_by: Literal["time", "user"] = "time"


@dataclass(frozen=True)
class Scored:
    """How well a model answered: metrics, and their values on resamples of the test users."""

    metrics: dict[str, float]
    replicates: dict[str, np.ndarray]  # metric -> (metrics.RESAMPLES,) float32
    chance: float  # what a constant scorer gets on the headline metric


class Task(ABC):
    """A task. Its settings are keyword arguments of `__init__`.

    `headline` names the metric that ranks models, and `trivial` the model that marks 0 % of the
    headroom.
    """

    kind: ClassVar[Literal["next_item", "binary", "uplift"]]
    headline: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]  # further metrics of the leaderboard, the headline first
    trivial: ClassVar[str] = "base_rate"
    # What the oracle knows that no observer of a log can, in a sentence.
    oracle_knows: ClassVar[str] = "knows the truth of the simulated log"
    # Tables of a simulated log's truth that `test_effect` reads.
    truth_tables: ClassVar[tuple[str, ...]] = ()
    # Of a simulated log, what `oracle` reads: truth tables, and columns of the events. None: all.
    oracle_tables: ClassVar[tuple[str, ...] | None] = None
    oracle_columns: ClassVar[tuple[str, ...] | None] = None

    # --- what a task defines ----------------------------------------------------------------------

    def view(self, log: EventLog) -> EventLog:
        """Return the rows of a log that the task looks at; by default all of them."""
        return log

    @abstractmethod
    def train_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions:
        """Return questions about `log`, which ends before `split.cut`, with answers from it.

        Raises NotApplicable.
        """

    def asked_users(self, log: EventLog, split: TimeSplit) -> np.ndarray | None:
        """Return the ids of the users whom `test_questions` may ask about; None: all users.

        Where a model learns from some of a log's users only, the rows of others are read for these
        alone. `log` has the events' ASKED_COLUMNS and nothing more.
        """
        return None

    @abstractmethod
    def test_questions(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Queries:
        """Return questions about the test window of the real `log`.

        They must not depend on the encoder. Raises NotApplicable.
        """

    @abstractmethod
    def test_answers(
        self, log: EventLog, sequences: Sequences, queries: Queries, split: TimeSplit
    ) -> np.ndarray:
        """Return the (n,) answers: item codes of `sequences`, or float32 0/1."""

    def test_treatment(self, log: EventLog, queries: Queries) -> np.ndarray | None:
        """Return (n,) float32 0/1: which test questions were treated.

        None unless the task is about a treatment.
        """
        return None

    def test_effect(
        self, log: EventLog, sequences: Sequences, queries: Queries
    ) -> np.ndarray | None:
        """Return the (n,) true effect of the treatment, from the log's `truth_tables`.

        None where it is not known.
        """
        return None

    def arriving(self, log: EventLog, sequences: Sequences, split: TimeSplit) -> Questions | None:
        """Return questions whose answers become known after the training labels, with `known_at`.

        None where a model is told nothing while it is tested.
        """
        return None

    def oracle(
        self, truth: Truth, log: EventLog, test: Examples, split: TimeSplit
    ) -> np.ndarray | None:
        """Return what a simulated log's truth says: (n,) ranks of the next item, or probabilities.

        None where there is no oracle.
        """
        return None

    # --- what all tasks do ------------------------------------------------------------------------

    @staticmethod
    def split(log: EventLog) -> TimeSplit:
        """Return the cut that all tasks of a log share."""
        return by_time(log, test_share=TEST_SHARE)

    def prepare(
        self, source: EventLog, log: EventLog, split: TimeSplit, *, learn: TimeSplit | None = None
    ) -> TaskData:
        """Return questions to learn from and to be tested on.

        Args:
            source: what is learnt from, up to the cut.
            log: the real log, which is asked about after the cut.
            split: the cut.
            learn: another split for `source`, which may be later where the users of `source` are
                not those of `log`.

        Raises NotApplicable where the source or the log lacks labels, purchases, items, or enough
        of them, and InputError where rows have no user, time or event id of their own.
        """
        learn = split if learn is None else learn
        # Grouped, because tasks take the rows of a log to be the rows of its Sequences.
        log, source = log.grouped(), source.grouped()
        past = _not_empty(source.before(learn.cut), f"before {learn.cut:%Y-%m-%d %H:%M}")
        known = self.view(past).grouped()
        encoder = Encoder.fit(known)
        sequences = encoder.encode(known)
        asked = self.train_questions(known, sequences, learn)
        view = self.view(log).grouped()
        seen = encoder.encode(view)
        queries = self.test_questions(view, seen, split)
        test = Examples(
            seen,
            queries,
            self.test_answers(view, seen, queries, split),
            self.test_treatment(view, queries),
        )
        real = self.view(log.before(split.cut))
        late = self.arriving(view, seen, split)
        return TaskData(
            encoder=encoder,
            train=_pick(asked, sequences, ~asked.valid),
            valid=_pick(asked, sequences, asked.valid) if asked.valid.any() else None,
            test=test,
            catalogue=int(real.events["item_id"].nunique()) if "item_id" in real.events else 0,
            effect=self.test_effect(view, seen, queries),
            arriving=None if late is None else _by_arrival(late, seen),
        )

    def judge(self, answer: np.ndarray, data: TaskData) -> Scored:
        """Return metrics of (n,) answers.

        Those are ranks (1 = best, NaN = a miss), probabilities of 1, or effects of the treatment.
        """
        test = data.test
        if self.kind == "next_item":
            return _scored(metrics.next_item_metrics(answer, test.queries.user), chance=0.0)
        if self.kind == "uplift":
            assert test.treatment is not None
            measured = metrics.uplift_metrics(
                answer, test.target, test.treatment, test.queries.user, true_effect=data.effect
            )
            return _scored(measured, chance=0.0)
        measured = metrics.binary_metrics(answer, test.target, test.queries.user, names=self.shown)
        rate = float(np.mean(test.target))
        return _scored(measured, chance={"roc_auc": 0.5, "pr_auc": rate}.get(self.headline, 0.0))


def users_of(log: EventLog, rows: np.ndarray) -> np.ndarray:
    """Return the ids of the users of the rows at which `rows` (n_events,) bool holds, ascending."""
    users = log.events["user_id"][rows].astype("category")
    return np.sort(users.cat.remove_unused_categories().cat.categories.to_numpy(dtype=object))


def queries_before(sequences: Sequences, row: np.ndarray) -> Queries:
    """Return questions asked just before each flat row (n,), at its time: its values are hidden."""
    return Queries(user=sequences.row_user()[row], end=row, time=sequences.time[row])


def _scored(measured: metrics.Measured, *, chance: float) -> Scored:
    return Scored(
        metrics=measured.values,
        replicates={n: r.astype(np.float32) for n, r in measured.replicates.items()},
        chance=chance,
    )


def _pick(asked: Questions, sequences: Sequences, keep: np.ndarray) -> Examples:
    treatment = None if asked.treatment is None else asked.treatment[keep]
    known_at = None if asked.known_at is None else asked.known_at[keep]
    return Examples(sequences, asked.queries[keep], asked.target[keep], treatment, known_at)


def _by_arrival(late: Questions, sequences: Sequences) -> Examples:
    assert late.known_at is not None
    order = np.argsort(late.known_at, kind="stable")
    return Examples(
        sequences, late.queries[order], late.target[order], known_at=late.known_at[order]
    )


def _not_empty(log: EventLog, where: str) -> EventLog:
    if len(log) == 0:
        raise NotApplicable(f"there are no events {where}")
    return log
