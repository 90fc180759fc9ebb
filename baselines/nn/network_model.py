"""What a model with a network answers once it is fitted: how it reads a log, and its scores.

How it is built and trained is in `neural`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from baselines.base import Kind, LearningCurve, Model
from baselines.last_log import LastLog
from baselines.nn.embedding import EventTable, Fields, Past
from baselines.nn.label import sigmoid
from baselines.nn.last_row import LastRow
from baselines.nn.network import Network
from baselines.nn.scoring import item_scores, label_logits
from baselines.nn.training import History
from baselines.nn.windows import tails
from baselines.repeats import repeat_columns
from eventlog.arrays import Queries, Sequences
from eventlog.encode import Encoder


class NetworkModel(Model):
    """A model whose answers are those of a network; `fit` sets what ends in `_`."""

    bidirectional: ClassVar[bool] = False

    length: int  # rows of history in a window ...
    label_length: int  # ... and for labels

    kind_: Kind
    at_event_: bool  # labels are about events, rather than about dates
    encoder_: Encoder
    device_: torch.device
    fields_: Fields
    network_: Network
    last_row_: LastRow | None
    measure_: str
    history_: History

    def __init__(self) -> None:
        self._tables = LastLog[EventTable]()

    @property
    def window(self) -> int:
        """Rows of history in a window of the fitted kind of question."""
        return self.length if self.kind_ == "next_item" else self.label_length

    # --- how a log is read ------------------------------------------------------------------------

    def extra_columns(self, sequences: Sequences) -> dict[str, np.ndarray]:
        """Return columns to add to the rows, (n_rows,) each.

        Whether an order is a fraud turns on whether its card, device and item are the user's own:
        where a label is about an event, rows carry what they repeat of the user's earlier ones.
        """
        return repeat_columns(sequences) if self.at_event_ else {}

    def known(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return what a label's head reads beside the states, (n, F) float32.

        Those are the numbers of the event that a label is about; at dates F is 0.
        """
        if self.last_row_ is None:
            return np.zeros((len(queries), 0), dtype=np.float32)
        return self.last_row_(sequences, queries)

    def table_of(self, sequences: Sequences) -> EventTable:
        """Return the log as tensors; those of the log asked about last are kept."""
        return self._tables.get(sequences, lambda: self._table(sequences))

    def _table(self, sequences: Sequences) -> EventTable:
        columns = self.extra_columns(sequences)
        missing = np.zeros(sequences.n_rows)
        extra = [columns.get(name, missing) for name in self.fields_.extra]
        return EventTable(sequences, self.fields_, self.device_, extra)

    # --- scores -----------------------------------------------------------------------------------

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return log-probabilities of items, probabilities of a label, or effects; float32.

        next_item: (n, n_items); binary: (n,); uplift: (n,), the difference of probabilities.
        """
        if self.kind_ == "next_item":
            return self._item_scores(sequences, queries)
        control, treated = sigmoid(self.final_logits(sequences, queries)).T
        return treated - control if self.kind_ == "uplift" else control

    def final_logits(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the logits that scores are made of, (n, 2) float32: those of the network."""
        return self.arm_logits(sequences, queries)

    def arm_logits(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the network's logits under control and treated, (n, 2) float32.

        For binary labels both are the same.
        """
        windows = tails(sequences.offsets, queries, self.window)
        table, known = self.table_of(sequences), self.known(sequences, queries)
        return label_logits(self.network_, table, windows, queries, known)

    def _item_scores(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the log-probabilities of next items, (n, n_items) float32."""
        length = max(self.length - self.bidirectional, 1)  # a masked row is appended
        return item_scores(
            self.network_,
            self.table_of(sequences),
            tails(sequences.offsets, queries, length),
            queries,
            self.item_log_probability,
            n_items=self.encoder_.n_items,
        )

    def learning_curve(self) -> LearningCurve | None:
        """Return how validation scores went; steps of pre-training count.

        The first value is that of the untrained model, or of what a hybrid begins from.
        """
        history = self.history_
        if not history.at:
            return None
        return LearningCurve(self.measure_, tuple(history.at), tuple(history.measure), history.best)

    def n_parameters(self) -> int:
        """Return the number of weights of the network."""
        return sum(p.numel() for p in self.network_.parameters())

    def item_log_probability(self, z: Tensor, past: Past, last: np.ndarray) -> Tensor:
        """Return the log-probability of each item as the next one, (r, n_items).

        Args:
            z: (r, dim) from `Network.item_vector`.
            past: the items before each question.
            last: (r, PAST_ROWS) int64, the same items as an array, latest first.
        """
        return self.network_.item_log_probability(z, past)
