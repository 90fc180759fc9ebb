"""Model: the base class of every baseline, and of a user's own model in a file.

Example::

    class Mine(Model):
        kinds = frozenset({"next_item"})

        def __init__(self, *, decay: Annotated[float, Range(0.0, 1.0)] = 0.8) -> None:
            self.decay = decay

        def fit(self, train, valid=None, *, encoder, seed): ...

        def score(self, sequences, queries): ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from eventlog._runtime.display import Displayed, changed_settings
from eventlog._runtime.settings import check_arguments
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

Kind = Literal["next_item", "binary", "uplift"]
Family = Literal["simple", "sequence", "hybrid"]


@dataclass(frozen=True)
class LearningCurve:
    """How a trained model did on the validation questions while it was trained.

    `values[0]` is the score at the start, before the first step; higher is better.
    """

    measure: str  # what was measured, such as "ndcg@10"
    steps: tuple[int, ...]  # ascending, from 0
    values: tuple[float, ...]  # of the same length
    best: int  # position of the step whose weights were kept; 0: the model kept its start


class Model(Displayed, ABC):
    """A predictor. Settings are keyword arguments of `__init__`; what is learnt ends in `_`.

    `kinds` are the questions that it answers:

    next_item
        Which item comes next. The rows of `sequences` are steps, each with an item.
    binary
        The probability that the answer is 1 (churned, fraudulent).
    uplift
        By how much a treatment raises the probability that the answer is 1; `train.treatment` says
        who was treated. The row of the treatment itself (the offer) is not among the known rows,
        because it would reveal the arm.

    `tasks` limits a model to some tasks by name (a recency rule fits churn only); None means all
    tasks of its kinds.

    `family` says what the model is made of, and the leaderboard shows it:

    simple
        Counts, aggregates, trees, neighbours.
    sequence
        It reads the order of events and learns from nothing else.
    hybrid
        A sequence model that begins from, or is mixed with, something simple.

    `seeded` says whether the seed changes what is learnt. A model that does not draw sets it to
    False and is fitted once, not once a seed.

    `budgeted` says that the model has a setting `budget`, the CPU seconds of the reference machine
    (see `nn.budget`) within which it is trained; a suite gives all such models the same.

    `reads_others` asks for the rows of other users at scoring, too: those known when the questions
    are asked. By default `score` gets the users who are asked about, and nobody else.
    """

    kinds: ClassVar[frozenset[str]]
    tasks: ClassVar[frozenset[str] | None] = None
    family: ClassVar[Family] = "simple"
    reads_others: ClassVar[bool] = False
    seeded: ClassVar[bool] = True
    budgeted: ClassVar[bool] = False

    def _facts(self) -> dict[str, object]:
        return changed_settings(self)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, where: str) -> Self:
        """Make a model from settings as a file or a command line gives them.

        They are checked against the annotations of `__init__`. Raises InputError for a value of
        the wrong type or out of range, UnknownNameError for an unknown setting. `where` is what
        the settings are of, for the message, such as "model lstm".
        """
        return cls(**check_arguments(cls, settings, where=where))

    @abstractmethod
    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Learn from `train`.

        A question's answer may be in a later row of the same sequences, so only rows before
        `queries.end` may be read.

        Args:
            train: questions with answers.
            valid: more of them, later than `train` and before the test, for early stopping.
            encoder: vocabularies and scales of the sequences.
            seed: the same seed gives the same model.
        """

    def observe(self, known: Examples) -> None:
        """Take in answers that became known since `fit` or since the last call; by default none.

        It is called before `score`, as time goes on, with the questions whose answer is known by
        then: those of the validation part first, later those of the test window that came back
        (a chargeback). `known.known_at` says when; nothing later than the next questions is among
        them.
        """

    @abstractmethod
    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Answer questions, a batch at a time; rows at or after `queries.end` must not be read.

        Returns:
            next_item: (n, encoder.n_items) float32, higher is likelier; the columns are item codes,
            and codes 0 and 1 are ignored.
            binary: (n,) float in 0..1.
            uplift: (n,) float in -1..1, P(1 | treated) - P(1 | control).
        """

    def n_parameters(self) -> int:
        """Return the number of learnt numbers, 0 if that has no meaning."""
        return 0

    def learning_curve(self) -> LearningCurve | None:
        """Return how validation scores went during training; None without such training."""
        return None
