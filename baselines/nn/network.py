"""The network of all neural models: embedding, backbone, head, and what is read from them."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from baselines.nn.embedding import EventEmbedding, EventTable, Past
from baselines.nn.heads import LabelHead, NextItemHead
from baselines.nn.losses import gated_log_probability, item_logits
from baselines.nn.windows import Batch
from baselines.sequences.transition_counts import Counts
from eventlog.arrays import FIRST

NO_ITEM_LOGIT = -1e4  # of missing and unknown items; finite, so that no metric meets infinities


class Network(nn.Module):
    """Embedding, backbone and head.

    Shapes below: b windows of t rows, r reads (see `windows`), dim channels, V items.
    """

    def __init__(
        self,
        embedding: EventEmbedding,
        backbone: nn.Module,
        head: NextItemHead | LabelHead,
        *,
        bidirectional: bool,
    ) -> None:
        super().__init__()
        self.embedding, self.backbone, self.head = embedding, backbone, head
        self.bidirectional = bidirectional

    @property
    def item_head(self) -> NextItemHead:
        """The head of a model for next items."""
        return cast(NextItemHead, self.head)

    def tensor(self, values: np.ndarray) -> Tensor:
        """Return an array as a tensor on the network's device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.embedding.mask.device)

    def states(
        self,
        table: EventTable,
        batch: Batch,
        masked: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """Return the states of the batch's rows, (b, t, dim).

        Args:
            table: the log.
            batch: the windows.
            masked: (b, t) bool, rows whose content is hidden.
            time: (b, t, 3) time codes that replace those of the rows.
        """
        x = self.embedding(table, self.tensor(batch.rows), masked, time)
        states: Tensor = self.backbone(x, self.tensor(batch.length))
        return states

    def read(self, table: EventTable, batch: Batch, *, masked: bool) -> Tensor:
        """Return the state at each read, (r, dim); `masked` hides the content of these rows."""
        window, position = self.tensor(batch.window), self.tensor(batch.position)
        hidden = self.mask_of_reads(batch) if masked else None
        return self.states(table, batch, hidden)[window, position]

    def mask_of_reads(self, batch: Batch) -> Tensor:
        """Return which rows are reads, (b, t) bool."""
        mask = torch.zeros(batch.rows.shape, dtype=torch.bool, device=self.embedding.mask.device)
        mask[self.tensor(batch.window), self.tensor(batch.position)] = True
        return mask

    def logits(self, table: EventTable, batch: Batch, when: Tensor, known: Tensor) -> Tensor:
        """Return the logit of a label at each read.

        Args:
            table: the log.
            batch: the windows.
            when: (r, 3) time codes of the questions.
            known: (r, F) aggregates of the questions.

        Returns:
            (r, 1); for uplift (r, 2): what the arms share and what separates them.
        """
        window, position = self.tensor(batch.window), self.tensor(batch.position)
        states = self.states(table, batch)
        # A two-way backbone is read at the end of its window, so the mean so far is that of all.
        mean = states.cumsum(dim=1)[window, position] / (position + 1)[:, None]
        logits: Tensor = self.head(states[window, position], mean, self.embedding.when(when), known)
        return logits

    def next_state(self, table: EventTable, batch: Batch, when: Tensor) -> Tensor:
        """Return the state from which each read's next item is predicted, (r, dim)."""
        if self.bidirectional:
            return self._state_of_appended_mask(table, batch, when)
        return self.read(table, batch, masked=False)

    def _state_of_appended_mask(self, table: EventTable, batch: Batch, when: Tensor) -> Tensor:
        """Return the state of a masked row after each window, which knows only the asking time."""
        b, empty = len(batch.rows), (batch.rows[:, 0] < 0)
        end = np.where(empty, 0, batch.length)  # (b,) position of the appended row
        rows = np.concatenate([batch.rows, np.full((b, 1), -1)], axis=1)  # (b, t + 1)
        at = np.arange(b), end
        masked = np.zeros(rows.shape, dtype=bool)
        masked[at] = True
        time = table.time[self.tensor(rows)]  # (b, t + 1, 3)
        time[self.tensor(at[0]), self.tensor(end)] = when
        longer = Batch(rows, end + 1, batch.window, batch.position, batch.query)
        states = self.states(table, longer, self.tensor(masked), time)
        return states[self.tensor(at[0]), self.tensor(end)]

    def item_log_probability(
        self, state: Tensor, when: Tensor, past: Past, last: np.ndarray, counts: Counts | None
    ) -> Tensor:
        """Return the log-probability of each item as the next one, (r, V).

        Args:
            state: (r, dim) from `next_state`.
            when: (r, 3) time codes of the questions.
            past: the user's items before each question.
            last: (r, REPEATS) the last items, latest first, for `counts`.
            counts: transitions and repeats to mix in, or None.
        """
        head, embedding = self.item_head, self.embedding
        z, gate = head(state, embedding.when(when) if head.question else state)
        logits = item_logits(z, embedding.items(), head.bias, head.repeats(z, past))
        logits[:, :FIRST] = NO_ITEM_LOGIT
        log_p = torch.log_softmax(logits, dim=-1)
        if gate is not None and counts is not None:
            counted = [self.tensor(p) for p in counts.after(last.astype(np.int64))]
            log_p = gated_log_probability(log_p, counted, gate[:, None])
        return log_p
