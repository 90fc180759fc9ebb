"""Objectives without labels: masked events (BERT4Rec, arXiv:1904.06690) and next sessions.

A quarter of the windows hide only their last row, as at scoring; the others hide each row with
probability 0.25. In pre-training for labels half of the windows also continue with another user's
rows after their longest pause, and the mean state must tell which do: BERT's next sentence
prediction (arXiv:1810.04805) with sessions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nn.embedding import EventEmbedding, EventTable
from baselines.nn.windows import Batch
from eventlog.arrays import FIRST

MASK = 0.25  # probability that a row is hidden
LAST_ONLY = 0.25  # share of windows that hide only their last row
SWAPPED = 0.5  # share of windows that continue with another user's rows


def choose_masked(batch: Batch, rng: np.random.Generator) -> tuple[Batch, np.ndarray]:
    """Choose the reads to hide, at least one in each window.

    Returns:
        The batch with only these reads, and for each whether it is the last read of its window and
        the only one hidden there, (r,) bool.
    """
    b = len(batch.rows)
    alone = rng.random(b) < LAST_ONLY
    count = np.bincount(batch.window, minlength=b)
    last = np.zeros(len(batch.window), dtype=bool)
    last[np.cumsum(count)[count > 0] - 1] = True  # reads come window by window, in time order
    chosen = (rng.random(len(batch.window)) < MASK) & ~alone[batch.window]
    alone |= np.bincount(batch.window[chosen], minlength=b) == 0
    chosen |= last & alone[batch.window]
    window = batch.window[chosen]
    return replace(
        batch, window=window, position=batch.position[chosen], query=batch.query[chosen]
    ), alone[window]


def masked_event_loss(
    embedding: EventEmbedding, table: EventTable, row: Tensor, hidden: Tensor
) -> Tensor:
    """Return the cross-entropy of the hidden rows' items and of the codes of their other fields.

    The output layers are the input tables, so everything that is learnt stays in use.

    Args:
        embedding: the input tables.
        table: the log.
        row: (r,) flat rows.
        hidden: (r, dim) their states.
    """
    item = table.item[row]
    with_item = item >= FIRST
    loss = hidden.new_zeros(())
    if with_item.any():
        loss = loss + F.cross_entropy(hidden[with_item] @ embedding.items().T, item[with_item])
    shift = 0
    for column, (_, size) in enumerate(embedding.fields.categorical):
        logits = hidden @ embedding.codes.weight[shift : shift + size].T
        loss = loss + F.cross_entropy(logits, table.codes[row, column].long() - shift) / len(
            embedding.fields.categorical
        )
        shift += size
    return loss


class NextSession(nn.Module):
    """Predicts from the mean state whether both parts of a window are of the same user."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, 1))

    def loss(self, states: Tensor, length: Tensor, same: Tensor) -> Tensor:
        """Return the cross-entropy over windows of at least two rows.

        Args:
            states: (b, t, dim).
            length: (b,) rows of each window.
            same: (b,) float, 1 if both parts are of the same user.
        """
        real = (torch.arange(states.shape[1], device=states.device) < length[:, None])[..., None]
        mean = (states * real).sum(1) / length[:, None]
        counts = length > 1
        value = F.binary_cross_entropy_with_logits(self.net(mean)[:, 0], same, reduction="none")
        return (value * counts).sum() / counts.sum().clamp_min(1)


def swap_sessions(
    batch: Batch, pause: np.ndarray, rng: np.random.Generator
) -> tuple[Batch, np.ndarray]:
    """Let half of the windows continue as another one does after its longest pause.

    Args:
        batch: the windows.
        pause: (n_rows + 1,) the pause before each row, in any unit.
        rng: chooses the windows.

    Returns:
        The windows, read at every row, and which are unchanged, (b,) bool.
    """
    rows, length = batch.rows, batch.length
    b, t = rows.shape
    column = np.arange(t)
    before = np.where((column > 0) & (column < length[:, None]), pause[rows], -1)
    # (b,) the first row after the longest pause
    cut = np.where(length > 1, before.argmax(axis=1), length)
    other = rng.permutation(b)
    swap = (rng.random(b) < SWAPPED) & (other != np.arange(b)) & (length > 1) & (length[other] > 1)
    source = column - cut[:, None] + cut[other][:, None]
    tail = np.take_along_axis(rows[other], np.clip(source, 0, t - 1), axis=1)
    tail = np.where(source < length[other][:, None], tail, -1)
    swapped = np.where(swap[:, None] & (column >= cut[:, None]), tail, rows)
    size = np.where(swap, np.minimum(cut + length[other] - cut[other], t), length)
    window, position = np.nonzero(column < size[:, None])
    return Batch(swapped, size, window, position, np.zeros(len(window), dtype=np.int64)), ~swap
