"""Fit a neural model on binary labels or uplift, after pre-training of a two-way backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from baselines.nn.embedding import EventTable
from baselines.nn.losses import arm_logit, binary_loss
from baselines.nn.pretraining import (
    NextSession,
    choose_masked,
    masked_event_loss,
    swap_sessions,
)
from baselines.nn.training import History, forever, train
from baselines.nn.windows import Batch, Windows, batches, chunks, n_batches, tails
from baselines.uplift import arms
from eventlog.arrays import Examples, Queries

if TYPE_CHECKING:
    from baselines.nn.neural import NeuralModel

GAP_CODE = 0  # column of `EventTable.time`: the pause before a row


def fit_label(
    model: NeuralModel, examples: Examples, valid: Examples | None, rng: np.random.Generator
) -> History:
    """Train the network of `model`; the likelihood of `valid`, if given, chooses the weights."""
    network, queries = model.network_, examples.queries
    table, offsets = model.table_of(examples.sequences), examples.sequences.offsets
    target = network.tensor(examples.target.astype(np.float32))
    uplift = model.kind_ == "uplift"
    arm = network.tensor(arms(examples).astype(np.float32)) if uplift else None
    when = network.tensor(table.question_time(queries))
    known = network.tensor(model.features_.transform(examples.sequences, queries))
    if model.bidirectional and model.pretrain_steps > 0:
        pretrain(model, table, queries, rng)

    def epoch_windows(draw: np.random.Generator | None) -> Windows:
        if model.bidirectional:
            return tails(offsets, queries, model.length)
        return chunks(offsets, queries, model.length, draw)

    def loss(batch: Batch) -> Tensor:
        query = network.tensor(batch.query)
        logits = network.logits(table, batch, when[query], known[query])
        logit = logits[:, 0] if arm is None else arm_logit(logits, arm[query])
        return binary_loss(logit, target[query])

    measure: Callable[[], float] | None = None
    if valid is not None and len(valid):
        some = np.sort(rng.permutation(len(valid))[: 2 * model.valid_questions])
        asked, answer = valid.queries[some], valid.target[some]
        treated = arms(valid)[some] if uplift else np.zeros(len(some), dtype=bool)

        def likelihood() -> float:
            # The network alone is judged: it should not learn what the trees know anyway.
            control_logit, treated_logit = model.arm_logits(valid.sequences, asked).T
            return _log_likelihood(sigmoid(np.where(treated, treated_logit, control_logit)), answer)

        measure = likelihood

    per_epoch = n_batches(epoch_windows(None), model.batch_rows)
    return train(
        network,
        forever(lambda: batches(epoch_windows(rng), model.batch_rows, rng)),
        loss,
        model.schedule(per_epoch, model.binary_epochs, model.binary_max_steps),
        measure,
    )


def pretrain(
    model: NeuralModel, table: EventTable, queries: Queries, rng: np.random.Generator
) -> None:
    """Learn masked events and next sessions, on the rows that the training questions reveal."""
    network, sequences = model.network_, table.sequences
    offsets = sequences.offsets
    end = np.zeros(len(offsets) - 1, dtype=np.int64)
    np.maximum.at(end, queries.user, queries.end)
    row = np.flatnonzero(np.arange(sequences.n_rows) < end[sequences.row_user()])
    every_row = Queries(sequences.row_user()[row], row + 1, sequences.time[row])
    windows = lambda draw: chunks(offsets, every_row, model.length, draw)
    session = NextSession(model.dim).to(model.device_)
    pause = table.time[:, GAP_CODE].cpu().numpy()

    def loss(batch: Batch) -> Tensor:
        batch, same = swap_sessions(batch, pause, rng)
        batch, _ = choose_masked(batch, rng)
        window, position = network.tensor(batch.window), network.tensor(batch.position)
        states = network.states(table, batch, network.mask_of_reads(batch))
        events = masked_event_loss(
            network.embedding,
            table,
            network.tensor(batch.rows)[window, position],
            states[window, position],
        )
        sessions = session.loss(
            states, network.tensor(batch.length), network.tensor(same.astype(np.float32))
        )
        return events + sessions

    per_epoch = n_batches(windows(None), model.batch_rows)
    train(
        nn.ModuleList([network, session]),
        forever(lambda: batches(windows(rng), model.batch_rows, rng)),
        loss,
        model.schedule(per_epoch, model.binary_epochs // 3, model.pretrain_steps),
    )


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits."""
    return 1 / (1 + np.exp(-logit))


def _log_likelihood(probability: np.ndarray, target: np.ndarray) -> float:
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return float((target * np.log(p) + (1 - target) * np.log1p(-p)).mean())
