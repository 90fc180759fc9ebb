"""The network of all neural models: embedding, backbone, head, and what is read from them."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from baselines.nn.backbones import states_at
from baselines.nn.embedding import Asked, EventEmbedding, EventTable, Past
from baselines.nn.heads import LabelHead, NextItemHead
from baselines.nn.losses import item_logits
from baselines.nn.windows import Batch
from eventlog.arrays import DAY_MS, FIRST

NO_ITEM_LOGIT = -1e4  # of missing and unknown items; finite, so that no metric meets infinities
GATE_STD = 0.5  # of a gate's initial weights: it begins as a random question to each row ...
GATE_BIAS = -4.0  # ... that about one row in six answers with yes
# Over which sums of states decay, at first: for questions asked at dates, and at events, which turn
# on what has just happened.
MEMORY_DAYS = (1.0, 7.0, 30.0, 365.0)
EVENT_MEMORY_DAYS = (1 / 24, 1.0, 10.0, 100.0)


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
        memory_days: tuple[float, ...] = MEMORY_DAYS,
    ) -> None:
        super().__init__()
        self.embedding, self.backbone, self.head = embedding, backbone, head
        self.bidirectional = bidirectional
        dim = len(embedding.mask)
        self.gate = nn.Linear(dim, dim)
        nn.init.normal_(self.gate.weight, std=GATE_STD)
        nn.init.constant_(self.gate.bias, GATE_BIAS)
        self.rates = nn.Parameter(-torch.tensor(memory_days).log())  # (4,) log of 1 / days

    @property
    def item_head(self) -> NextItemHead:
        """The head of a model for next items."""
        return cast(NextItemHead, self.head)

    def tensor(self, values: np.ndarray) -> Tensor:
        """Return an array, which may be read-only, as a tensor on the network's device."""
        values = np.require(values, requirements=["C", "W"])
        return torch.from_numpy(values).to(self.embedding.mask.device)

    def timed(self, batch: Batch) -> Tensor:
        """Return the rows whose times count, (b, t), -1 for padding."""
        return self.tensor(batch.rows if batch.timed is None else batch.timed)

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
        rows = self.tensor(batch.rows)
        x = self.embedding(table, rows, masked, time)
        states: Tensor = self.backbone(x, self.tensor(batch.length), table.ms[self.timed(batch)])
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

    def read_label(self, table: EventTable, batch: Batch, asked: Asked) -> Tensor:
        """Return what a label's head reads of windows that are each read at their last row.

        The last state, how often something was the case over four spans of time (`memory_days` at
        first, then learnt), and the question's time: (b, READS dim). What is counted is learnt,
        too: a gate of each row's state.
        """
        states = self.states(table, batch)
        rows, length = self.timed(batch), self.tensor(batch.length)
        age = (asked.ms[:, None] - table.ms[rows]).clamp_min(0) / DAY_MS  # (b, t) days
        weight = torch.exp(-age[..., None] * self.rates.exp()) * (rows >= 0)[..., None]
        gate = torch.sigmoid(self.gate(states))  # (b, t, dim)
        sums = torch.log1p(weight.transpose(1, 2) @ gate)  # (b, 4, dim)
        last = states[torch.arange(len(states), device=states.device), length - 1]
        return torch.cat([last, sums.flatten(1), self.embedding.when(asked.codes)], dim=-1)

    def logits(self, table: EventTable, batch: Batch, asked: Asked, known: Tensor) -> Tensor:
        """Return the logit of a label at the end of each window.

        Args:
            table: the log.
            batch: b windows, each read once, at its last row.
            asked: when the b questions are asked.
            known: (b, F) what is read beside the states, see `NeuralModel.known`.

        Returns:
            (b, 1); for uplift (b, 2): what the arms share and what separates them.
        """
        logits: Tensor = self.head(self.read_label(table, batch, asked), known)
        return logits

    def next_state(self, table: EventTable, batch: Batch, when: Tensor) -> Tensor:
        """Return the state from which the next item is predicted, (b, dim).

        The batch holds windows that are each read once, at their last row.
        """
        if self.bidirectional:
            return self._state_of_appended_mask(table, batch, when)
        x = self.embedding(table, self.tensor(batch.rows))
        return self._states_at(table, batch, x, self.tensor(batch.position))

    def _states_at(self, table: EventTable, batch: Batch, x: Tensor, position: Tensor) -> Tensor:
        """Return the state at one position (b,) of each window, (b, dim), of embedded rows x."""
        length, ms = self.tensor(batch.length), table.ms[self.timed(batch)]
        return states_at(self.backbone, x, length, ms, position)

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
        x = self.embedding(table, self.tensor(rows), self.tensor(masked), time)
        return self._states_at(table, longer, x, self.tensor(end))

    def item_vector(self, state: Tensor, when: Tensor) -> Tensor:
        """Return what is compared with the items, (r, dim), of states and time codes (r, 3)."""
        head = self.item_head
        vector: Tensor = head(state, self.embedding.when(when) if head.question else state)
        return vector

    def item_log_probability(self, z: Tensor, past: Past) -> Tensor:
        """Return the log-probability of each item as the next one, (r, V).

        `z` (r, dim) comes from `item_vector`, `past` holds the user's items before each question.
        """
        head = self.item_head
        logits = item_logits(z, self.embedding.items(), head.bias, head.repeats(z, past))
        logits[:, :FIRST] = NO_ITEM_LOGIT
        return torch.log_softmax(logits, dim=-1)
