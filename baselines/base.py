"""Model: what every baseline is, and what a user's own model in one file must be.

Example::

    class Mine(Model):
        kinds = frozenset({"next_item"})
        def fit(self, train, valid=None, *, encoder, seed): ...
        def score(self, sequences, queries): ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np

from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

Kind = Literal["next_item", "binary", "uplift"]


class Model(ABC):
    """A predictor. Settings are keyword arguments of `__init__`; what is learnt ends in an
    underscore.

    `kinds`: the questions it answers.
      next_item: which item comes next. Rows of `sequences` are steps, every one with an item.
      binary:    the probability that the answer is 1 (churned, fraudulent).
      uplift:    by how much a treatment raises the probability that the answer is 1;
                 `train.treatment` says who had it.
                 The row of the treatment itself (the offer) is not among the known rows: it would
                 give the arm away.
    `tasks`: limits a model to some tasks by name (a recency rule fits churn only); None = all of
    its kinds.
    """

    kinds: ClassVar[frozenset[str]]
    tasks: ClassVar[frozenset[str] | None] = None

    @abstractmethod
    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Learn from `train`; `valid` (later in time than `train`, before the test) may stop it
        early.

        A question's answer may lie in a later row of the same sequences: a model reads rows before
        `queries.end` only.
        """

    @abstractmethod
    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """next_item: (n_queries, encoder.n_items) float32, column = item code (0 and 1 are
        ignored), higher is likelier.
        binary: (n_queries,) float in 0..1. uplift: (n_queries,) float in -1..1, P(1 | treated) -
        P(1 | control). Called with batches of queries; rows at or after `queries.end` are not to be
        read.
        """

    def n_parameters(self) -> int:
        """Number of learnt numbers, 0 where that means nothing."""
        return 0
