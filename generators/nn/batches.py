"""Batches of users for training, and how a training runs.

The steps of a long sequence are cut into windows, which are rows of a batch like short sequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from generators.sequences.encode import EncodedSequences

LENGTHS_PER_DOUBLING = 4  # groups of lengths that are batched together


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained, without a privacy budget and (`private_...`) with one."""

    epochs: int = 0  # 0: as many as `rows` allows
    rows: int = 850_000  # rows seen in training where `epochs` is 0
    rate: float = 6e-3  # learning rate
    batch_steps: int = 768  # steps of a batch
    window: int = 128  # steps of a window
    word_dropout: float = 0.1
    free_bits: float = 0.1  # nats of each latent dimension that cost nothing
    private_epochs: int = 0  # 0: as many as the number of users allows
    private_rows: int = 64  # rows of a user that are learnt from
    batch_users: int = 192  # expected users of a batch under a privacy budget
    clip: float = 1.0  # largest norm of a user's gradient
    private_rate: float = 2e-3


@dataclass(frozen=True)
class Batch:
    """R windows of B users; the first window of each user comes first."""

    features: torch.Tensor  # (R, T, F) int64
    clock: torch.Tensor  # (R, T, 3) int64
    target: torch.Tensor  # (R, T, n_fields) int64, -1 = not asked
    mask: torch.Tensor  # (R, T) bool: is there a step?
    owner: torch.Tensor  # (R,) int64: row of the user in `user_attributes`
    items: torch.Tensor  # (R, T) int64: the item of each row, copied or fresh
    known: torch.Tensor  # (R, T, N_COPY_RANKS) int32: items that a row can copy
    user_attributes: torch.Tensor  # (B, S) int64
    length: torch.Tensor  # (B,) int64: steps of the user


def make_batch(steps: EncodedSequences, users: np.ndarray, window: int) -> Batch:
    """Return the windows of `users` (B,), padded to the longest."""
    lengths = steps.lengths()[users]
    windows = np.maximum(-(-lengths // window), 1)
    owner = np.append(np.arange(len(users)), np.repeat(np.arange(len(users)), windows - 1))
    number = np.append(
        np.zeros(len(users), dtype=np.int64),
        np.concatenate([np.arange(1, w) for w in windows]) if len(users) else [],
    )
    start = steps.offsets[users][owner] + number.astype(np.int64) * window
    size = np.minimum(lengths[owner] - number.astype(np.int64) * window, window)
    at = start[:, None] + np.arange(int(size.max(initial=1)))[None, :]
    mask = np.arange(at.shape[1])[None, :] < size[:, None]
    index = torch.from_numpy(np.where(mask, at, start[:, None]))
    target = steps.target[index].masked_fill(~torch.from_numpy(mask)[..., None], -1)
    return Batch(
        features=steps.features[index],
        clock=steps.clock[index],
        target=target,
        mask=torch.from_numpy(mask),
        owner=torch.from_numpy(owner),
        items=steps.items[index],
        known=steps.known[index],
        user_attributes=steps.user_attributes[users],
        length=torch.from_numpy(lengths),
    )


def batches(
    steps: EncodedSequences, plan: TrainingPlan, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield users of similar length, about `batch_steps` steps at a time, in random order."""
    noise = rng.random(len(steps))
    group = np.round(np.log2(steps.lengths() + 1) * LENGTHS_PER_DOUBLING)
    order = np.lexsort((noise, group))
    padded = np.minimum(steps.lengths()[order], plan.window) * np.maximum(
        -(-steps.lengths()[order] // plan.window), 1
    )
    batch = np.cumsum(padded) // plan.batch_steps
    groups = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
    for k in rng.permutation(len(groups)):
        yield groups[k]
