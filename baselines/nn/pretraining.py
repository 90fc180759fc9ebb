"""Masked events: which rows are hidden, and what must be told of them (BERT4Rec, arXiv:1904.06690);
and next sessions.

A quarter of the windows hide only their last row, as at scoring; the others hide each row with
probability .25. As pre-training for labels, half of the windows also go on as another user's after
their longest pause, and the mean state must tell which (next sentence prediction of BERT,
arXiv:1810.04805, on sessions).
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

MASK, LAST_ONLY = 0.25, 0.25


def choose_masked(batch: Batch, rng: np.random.Generator) -> tuple[Batch, np.ndarray]:
    """The batch with only the reads that are to be hidden, at least one a window, and (r,) bool: is
    it its window's last read alone?
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
    """Cross-entropy of the hidden rows' items (where they have one) and of the codes of their other
    fields.

    row (r,) flat rows, hidden (r, dim). The output layers are the input tables, so nothing is
    learnt that is thrown away.
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
    """Mean state (b, dim) -> (b,) logit that the second part of a window is of the same user as the
    first.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, 1))

    def loss(self, states: Tensor, length: Tensor, same: Tensor) -> Tensor:
        """Cross-entropy; states (b, t, dim), length (b,), same (b,) float 0/1. Windows of one row
        say nothing.
        """
        real = (torch.arange(states.shape[1], device=states.device) < length[:, None])[..., None]
        mean = (states * real).sum(1) / length[:, None]
        told = length > 1
        value = F.binary_cross_entropy_with_logits(self.net(mean)[:, 0], same, reduction="none")
        return (value * told).sum() / told.sum().clamp_min(1)


def swap_sessions(
    batch: Batch, pause: np.ndarray, rng: np.random.Generator
) -> tuple[Batch, np.ndarray]:
    """The batch in which half of the windows continue as another does after that one's longest
    pause, read at every row.

    pause (n_rows + 1,) is the length of the pause before each row, in any unit. Also (b,) bool: the
    window is as it was.
    """
    rows, length = batch.rows, batch.length
    b, t = rows.shape
    column = np.arange(t)
    before = np.where((column > 0) & (column < length[:, None]), pause[rows], -1)
    # (b,) first row after the longest pause
    cut = np.where(length > 1, before.argmax(axis=1), length)
    other = rng.permutation(b)
    swap = (rng.random(b) < 0.5) & (other != np.arange(b)) & (length > 1) & (length[other] > 1)
    source = column - cut[:, None] + cut[other][:, None]
    tail = np.take_along_axis(rows[other], np.clip(source, 0, t - 1), axis=1)
    tail = np.where(source < length[other][:, None], tail, -1)
    swapped = np.where(swap[:, None] & (column >= cut[:, None]), tail, rows)
    size = np.where(swap, np.minimum(cut + length[other] - cut[other], t), length)
    window, position = np.nonzero(column < size[:, None])
    return Batch(swapped, size, window, position, np.zeros(len(window), dtype=np.int64)), ~swap
