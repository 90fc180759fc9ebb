"""Batches of users for training, and how a training runs.

The steps of a long sequence are cut into windows, which count like short sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences

LENGTHS_PER_DOUBLING = 4  # groups of lengths that are batched together


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained, without a privacy budget and (`private_...`) with one."""

    epochs: int = 0  # 0: as many as `rows` allows
    rows: int = 850_000  # rows seen in training where `epochs` is 0
    rate: float = 6e-3  # learning rate
    batch_steps: int = 640  # steps of a batch
    window: int = 128  # steps of a window
    word_dropout: float = 0.1
    item_dropout: float = 0.9  # of a log that is passed over often, see `hidden`
    free_bits: float = 0.1  # nats of each latent dimension that cost nothing
    private_epochs: int = 0  # 0: as many as the number of users allows
    private_rows: int = 64  # rows of a user that are learnt from
    batch_users: int = 192  # expected users of a batch under a privacy budget
    clip: float = 1.0  # largest norm of a user's gradient
    private_rate: float = 2e-3


@dataclass(frozen=True)
class Batch:
    """The first steps of B users, padded to the longest of them, T."""

    features: torch.Tensor  # (B, T, F) int64
    clock: torch.Tensor  # (B, T, 3) int64
    target: torch.Tensor  # (B, T, n_fields) int64, -1 = not asked
    mask: torch.Tensor  # (B, T) bool: is there a step?
    user_attributes: torch.Tensor  # (B, S) int64
    length: torch.Tensor  # (B,) int64: steps of the user


@dataclass(frozen=True)
class PackedBatch:
    """The steps of B users one after another, N in all, cut into W windows; nothing is padded."""

    features: torch.Tensor  # (N, F) int64
    seen: torch.Tensor  # (N, F) int64: those that the network sees, -1 = hidden
    clock: torch.Tensor  # (N, 3) int64
    target: torch.Tensor  # (N, n_fields) int64, -1 = not asked
    items: torch.Tensor  # (N,) int64: the item of each row, copied or fresh
    moves: torch.Tensor  # (N,) int64: whether its price is reduced
    known: torch.Tensor  # (N, N_COPY_RANKS) int32: items that a row can copy
    starts: torch.Tensor  # (W + 1,) int64: where each window begins; the last is N
    owner: torch.Tensor  # (N,) int64: row of the user in `user_attributes`
    user_attributes: torch.Tensor  # (B, S) int64
    length: torch.Tensor  # (B,) int64: steps of the user
    # (M,) int64: the steps of each user's first window but the first step, whose features say what
    # the rows before were, and (B + 1,) where those of each user begin
    encoded: torch.Tensor
    encoded_starts: torch.Tensor


def make_batch(steps: EncodedSequences, users: np.ndarray, window: int) -> Batch:
    """Return the first `window` steps of each of `users` (B,)."""
    lengths = steps.lengths()[users]
    start, size = steps.offsets[users], np.minimum(lengths, window)
    at = start[:, None] + np.arange(int(size.max(initial=1)))[None, :]
    mask = np.arange(at.shape[1])[None, :] < size[:, None]
    index = torch.from_numpy(np.where(mask, at, start[:, None]))
    return Batch(
        features=steps.features[index],
        clock=steps.clock[index],
        target=steps.target[index].masked_fill(~torch.from_numpy(mask)[..., None], -1),
        mask=torch.from_numpy(mask),
        user_attributes=steps.user_attributes[users],
        length=torch.from_numpy(lengths),
    )


def pack(steps: EncodedSequences, users: np.ndarray, window: int) -> PackedBatch:
    """Return all steps of `users` (B,), cut into windows of `window` steps."""
    lengths = steps.lengths()[users]
    ends = np.cumsum(lengths)
    owner = np.repeat(np.arange(len(users)), lengths)
    number = np.arange(len(owner)) - (ends - lengths)[owner]  # of a step among those of its user
    at = torch.from_numpy(steps.offsets[users][owner] + number)
    encoded = np.clip(lengths - 1, 0, window - 1)
    features = steps.features.index_select(0, at)
    return PackedBatch(
        features=features,
        seen=features,
        clock=steps.clock.index_select(0, at),
        target=steps.target.index_select(0, at),
        items=steps.items.index_select(0, at),
        moves=steps.moves.index_select(0, at),
        known=steps.known.index_select(0, at),
        starts=torch.from_numpy(np.append(np.flatnonzero(number % window == 0), len(owner))),
        owner=torch.from_numpy(owner),
        user_attributes=steps.user_attributes[users],
        length=torch.from_numpy(lengths),
        encoded=torch.from_numpy(np.flatnonzero((number > 0) & (number < window))),
        encoded_starts=torch.from_numpy(np.append(0, np.cumsum(encoded))),
    )


def hidden(
    batch: PackedBatch, rows: float, items: float, generator: torch.Generator
) -> PackedBatch:
    """Return `batch` with a share of the rows, and a share of the last items, hidden.

    A network that sees the items of few users tells users apart by them, and learns their rows by
    heart (dropout of inputs: Srivastava et al. 2014, JMLR 15).
    """
    hide = torch.zeros(batch.features.shape, dtype=torch.bool)
    last = hide[:, layout.LAST_ITEMS : layout.LAST_ITEMS + layout.N_LAST_ITEMS]
    last |= torch.rand(last.shape, generator=generator) < items
    hide |= torch.rand((len(hide), 1), generator=generator) < rows
    return replace(batch, seen=batch.features.masked_fill(hide, -1))


def batches(
    steps: EncodedSequences, plan: TrainingPlan, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield users of similar length, about `batch_steps` steps at a time, in random order.

    Lengths are alike because what a latent costs for free is a mean over the batch (`latents_of`).
    """
    noise = rng.random(len(steps))
    group = np.round(np.log2(steps.lengths() + 1) * LENGTHS_PER_DOUBLING)
    order = np.lexsort((noise, group))
    batch = np.cumsum(steps.lengths()[order]) // plan.batch_steps
    groups = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
    for k in rng.permutation(len(groups)):
        yield groups[k]
