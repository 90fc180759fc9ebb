"""Objectives without labels: next events, masked events (BERT4Rec, arXiv:1904.06690), sessions.

A causal backbone learns at every row what the next one holds and how long it takes to come: all
users' rows teach it, where only a few thousand have labels. A backbone that looks both ways learns
masked rows. A quarter of its windows hide only their last row, as at scoring; the others hide each
row with probability 0.25. In pre-training for labels half of them also continue with another
user's rows after their longest pause, and the mean state must tell which do: BERT's next sentence
prediction (arXiv:1810.04805) with sessions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nn.embedding import GAP_BINS, EventEmbedding, EventTable
from baselines.nn.network import Network
from baselines.nn.windows import Batch
from eventlog.arrays import FIRST, Queries, Sequences

MASK = 0.25  # probability that a row is hidden
LAST_ONLY = 0.25  # share of windows that hide only their last row
NEGATIVES = 256  # items that an item is compared with
GAP_CODE = 0  # column of `EventTable.time`: the pause before a row
SWAPPED = 0.5  # share of windows that continue with another user's rows


class Pretraining(nn.Module):
    """A network and what it predicts without labels.

    Args:
        network: what is trained.
        table: the log.
        dim: channels.
        rng: chooses rows and sessions.
    """

    def __init__(
        self, network: Network, table: EventTable, dim: int, rng: np.random.Generator
    ) -> None:
        super().__init__()
        self.network, self.table, self.rng = network, table, rng
        self.event: NextEvent | None = None if network.bidirectional else NextEvent(dim)
        self.session: NextSession | None = NextSession(dim) if network.bidirectional else None
        self.pause = table.time[:, GAP_CODE].cpu().numpy()

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of windows that are read at every row."""
        network, table = self.network, self.table
        if self.event is not None:
            states = network.states(table, batch)
            return self.event.loss(network.embedding, table, network.tensor(batch.rows), states)
        assert self.session is not None
        batch, same = swap_sessions(batch, self.pause, self.rng)
        batch, _ = choose_masked(batch, self.rng)
        window, position = network.tensor(batch.window), network.tensor(batch.position)
        states = network.states(table, batch, network.mask_of_reads(batch))
        row = network.tensor(batch.rows)[window, position]
        events = event_loss(network.embedding, table, row, states[window, position], gap=False)
        length, same_user = network.tensor(batch.length), network.tensor(same.astype(np.float32))
        return events + self.session.loss(states, length, same_user)


def known_rows(sequences: Sequences, queries: Queries) -> Queries:
    """Return every row that may be learnt from without labels, as a question that ends there.

    Those are a user's rows before the last question about them, and all rows before the last
    question of users who are not asked about.
    """
    offsets, user = sequences.offsets, sequences.row_user()
    end = np.full(len(sequences), -1, dtype=np.int64)
    np.maximum.at(end, queries.user, queries.end - offsets[queries.user])
    row = np.arange(sequences.n_rows)
    asked = row - offsets[user] < end[user]
    others = (end[user] < 0) & (sequences.time < queries.time.max(initial=0))
    row = np.flatnonzero(asked | others)
    return Queries(user[row], row + 1, sequences.time[row])


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


def event_loss(
    embedding: EventEmbedding, table: EventTable, row: Tensor, hidden: Tensor, *, gap: bool
) -> Tensor:
    """Return the cross-entropy of rows' items, of the codes of their other fields, and of gaps.

    The output layers are the input tables, so everything that is learnt stays in use. Items are
    compared with shared negatives.

    Args:
        embedding: the input tables.
        table: the log.
        row: (r,) flat rows.
        hidden: (r, dim) states from which they are predicted.
        gap: predict the gap before each row, too.
    """
    loss = _item_loss(embedding, table.item[row], hidden)
    shift, fields = 0, embedding.fields.categorical
    for column, (_, size) in enumerate(fields):
        logits = hidden @ embedding.codes.weight[shift : shift + size].T
        own = table.codes[row, column].long() - shift
        loss = loss + F.cross_entropy(logits, own) / len(fields)
        shift += size
    if gap:
        logits = hidden @ embedding.time.weight[:GAP_BINS].T
        loss = loss + F.cross_entropy(logits, table.time[row, 0].long())
    return loss


def _item_loss(embedding: EventEmbedding, item: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean cross-entropy of the items of rows that have one, among sampled items."""
    with_item = item >= FIRST
    v = len(embedding.item.weight) - FIRST
    if v < 2 or not bool(with_item.any()):
        return hidden.new_zeros(())
    hidden, item = hidden[with_item], item[with_item]
    sample = FIRST + torch.randperm(v, device=item.device)[:NEGATIVES]
    vectors = embedding.items(torch.cat([item, sample]))
    own = (hidden * vectors[: len(item)]).sum(-1)
    logits = hidden @ vectors[len(item) :].T
    logits = logits.masked_fill(sample == item[:, None], float("-inf"))
    return (torch.logaddexp(own, torch.logsumexp(logits, dim=-1)) - own).mean()


class NextEvent(nn.Module):
    """Predicts the next row of each row from a causal backbone's states."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Linear(dim, dim)

    def loss(
        self, embedding: EventEmbedding, table: EventTable, rows: Tensor, states: Tensor
    ) -> Tensor:
        """Return the loss of windows `rows` (b, t) and their states (b, t, dim)."""
        follows = rows[:, 1:] >= 0
        if not bool(follows.any()):
            return states.new_zeros(())
        hidden = self.net(states[:, :-1][follows])
        return event_loss(embedding, table, rows[:, 1:][follows], hidden, gap=True)


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
