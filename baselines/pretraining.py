"""Masked events: which rows are hidden, and what must be told of them (BERT4Rec, arXiv:1904.06690).

A quarter of the windows hide only their last row, as at scoring; the others hide each row with probability .25.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from eventlog.encode import FIRST

from .embedding import EventEmbedding, EventTable
from .windows import Batch

MASK, LAST_ONLY = 0.25, 0.25


def choose_masked(batch: Batch, rng: np.random.Generator) -> tuple[Batch, np.ndarray]:
    """The batch with only the reads that are to be hidden, at least one a window, and (r,) bool: is it its window's last read alone?"""
    b = len(batch.rows)
    alone = rng.random(b) < LAST_ONLY
    count = np.bincount(batch.window, minlength=b)
    last = np.zeros(len(batch.window), dtype=bool)
    last[np.cumsum(count)[count > 0] - 1] = True  # reads come window by window, in time order
    chosen = (rng.random(len(batch.window)) < MASK) & ~alone[batch.window]
    alone |= np.bincount(batch.window[chosen], minlength=b) == 0
    chosen |= last & alone[batch.window]
    window = batch.window[chosen]
    return replace(batch, window=window, position=batch.position[chosen], query=batch.query[chosen]), alone[window]


def masked_event_loss(embedding: EventEmbedding, table: EventTable, row: Tensor, hidden: Tensor) -> Tensor:
    """Cross-entropy of the hidden rows' items (where they have one) and of the codes of their other fields.

    row (r,) flat rows, hidden (r, dim). The output layers are the input tables, so nothing is learnt that is thrown away.
    """
    item = table.item[row]
    with_item = item >= FIRST
    loss = hidden.new_zeros(())
    if with_item.any():
        loss = loss + F.cross_entropy(hidden[with_item] @ embedding.items().T, item[with_item])
    shift = 0
    for column, (_, size) in enumerate(embedding.fields.categorical):
        logits = hidden @ embedding.codes.weight[shift:shift + size].T
        loss = loss + F.cross_entropy(logits, table.codes[row, column].long() - shift) / len(embedding.fields.categorical)
        shift += size
    return loss
