"""Fit a neural model on next items, with a causal backbone at every row or with masked rows.

A backbone that looks both ways learns from masked rows (see `pretraining`), a causal one from all
rows at once. The network's probability is mixed with counts of transitions and repeats by a learnt
gate (see `sequences.transition_counts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from baselines.nn.losses import (
    Repeats,
    binary_item_loss,
    gated_log_probability,
    sampled_log_probability,
    softmax_log_probability,
)
from baselines.nn.pretraining import choose_masked
from baselines.nn.training import History, forever, train
from baselines.nn.windows import Batch, Windows, batches, chunks, n_batches
from eventlog.arrays import FIRST, Examples, Queries

if TYPE_CHECKING:
    from baselines.nn.neural import NeuralModel

# Share of the loss in which the network answers without the counts, so that it does not come to
# rely on them.
ALONE = 0.5
# (negatives per row, calibration) of the losses with sampled negatives.
SAMPLED_LOSSES = {"gbce": (256, 0.75), "bce": (1, 0.0)}
SMOOTHING = 0.1  # occurrences added to each item's count, for its prior and as a negative
NEGATIVE_POWER = 0.75  # negatives are drawn by popularity to this power
RANKS = 10  # of NDCG


@dataclass(frozen=True)
class _Questions:
    """The questions and answers as tensors on the network's device."""

    target: Tensor  # (n,) int64 item codes
    when: Tensor  # (n, 3) int32 time codes
    user: Tensor  # (n,) int64
    end: Tensor  # (n,) int64
    counted: Tensor | None  # (n, 2) probability of the target by transitions and by repeats
    proposal: Tensor  # (V,) probability of each item as a negative


def fit_next_item(
    model: NeuralModel, examples: Examples, valid: Examples | None, rng: np.random.Generator
) -> History:
    """Train the network of `model`; NDCG@10 on `valid`, if given, chooses the weights."""
    network, queries = model.network_, examples.queries
    table, offsets = model.table_of(examples.sequences), examples.sequences.offsets
    known = _questions(model, examples)
    # A masked row is its own question: it is at the place of the answer.
    asked = Queries(queries.user, queries.end + 1, queries.time) if model.bidirectional else queries

    def epoch_windows(draw: np.random.Generator | None) -> Windows:
        return chunks(offsets, asked, model.length, draw)

    def loss(batch: Batch) -> Tensor:
        last_only = np.ones(1, dtype=bool)
        if model.bidirectional:
            batch, last_only = choose_masked(batch, rng)
        only_past = network.tensor(last_only)
        state = network.read(table, batch, masked=model.bidirectional)
        query = network.tensor(batch.query)
        head = network.item_head
        z, gate = head(state, network.embedding.when(known.when[query]) if head.question else state)
        items = network.embedding.items()
        repeats = head.repeats(z, table.past(known.user[query], known.end[query]))
        target = known.target[query]
        if model.loss != "softmax":
            n, calibration = SAMPLED_LOSSES[model.loss]
            return binary_item_loss(
                z, items, head.bias, repeats, target, n=n, calibration=calibration
            ).mean()
        log_p = _log_probability(model, z, items, repeats, target, known.proposal)
        if gate is not None and known.counted is not None:
            both = gated_log_probability(log_p, known.counted[query].unbind(-1), gate)
            # The gate learns only where, as at scoring, the past alone is seen.
            log_p = torch.where(only_past, (1 - ALONE) * both + ALONE * log_p, log_p)
        return -log_p.mean()

    measure = None
    if valid is not None and len(valid):
        some = np.sort(rng.permutation(len(valid))[: model.valid_questions])
        held_out, answer = valid.queries[some], valid.target[some]
        measure = lambda: _ndcg(model.score(valid.sequences, held_out), answer)
    per_epoch = n_batches(epoch_windows(None), model.batch_rows)
    return train(
        network,
        forever(lambda: batches(epoch_windows(rng), model.batch_rows, rng)),
        loss,
        model.schedule(per_epoch, model.epochs, model.max_steps),
        measure,
    )


def with_known_answers(examples: Examples) -> Examples:
    """Return the questions whose answer is in the encoder's vocabulary."""
    keep = examples.target >= FIRST
    if keep.all():
        return examples
    return Examples(examples.sequences, examples.queries[keep], examples.target[keep])


def _questions(model: NeuralModel, examples: Examples) -> _Questions:
    """Move the questions to the device, and begin the head's bias at the log of popularity."""
    network, queries = model.network_, examples.queries
    table = model.table_of(examples.sequences)
    target = network.tensor(examples.target.astype(np.int64))
    when = network.tensor(table.question_time(queries))
    user, end = network.tensor(queries.user), network.tensor(queries.end)
    counted = None
    if model.counts_ is not None:
        counted = network.tensor(model.counts_.target_probability(examples))
        model.counts_.forget_training()
    share = np.bincount(examples.target, minlength=model.encoder_.n_items) + SMOOTHING
    share[:FIRST] = 0
    with torch.no_grad():
        prior = np.log(np.maximum(share / share.sum(), 1e-9))
        network.item_head.bias.copy_(network.tensor(prior.astype(np.float32)))
    flattened = share**NEGATIVE_POWER
    proposal = network.tensor((flattened / flattened.sum()).astype(np.float32))
    return _Questions(target, when, user, end, counted, proposal)


def _log_probability(
    model: NeuralModel, z: Tensor, items: Tensor, repeats: Repeats, target: Tensor, proposal: Tensor
) -> Tensor:
    """Return the log-probability of the target, (p,): exact for a catalogue of moderate size."""
    bias = model.network_.item_head.bias
    if len(items) <= model.full_softmax:
        return softmax_log_probability(z, items, bias, repeats, target)
    return sampled_log_probability(
        z, items, bias, repeats, target, proposal=proposal, n=model.negatives
    )


def _ndcg(scores: np.ndarray, target: np.ndarray) -> float:
    """Return the mean NDCG@10 of (n, V) scores; ties count against the model."""
    scores = scores[:, FIRST:]
    own = scores[np.arange(len(target)), target - FIRST]
    rank = (scores >= own[:, None]).sum(axis=1)  # 1 is best
    return float(np.where(rank <= RANKS, 1 / np.log2(rank + 1), 0.0).mean())
