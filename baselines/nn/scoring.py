"""What a network says of many questions, computed for some padded rows at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from baselines.nn.embedding import EventTable, Past
from baselines.nn.heads import READS
from baselines.nn.losses import arm_logit
from baselines.nn.network import Network
from baselines.nn.windows import Windows, batches
from eventlog.arrays import Queries

SCORE_ROWS = 4_096  # padded rows computed at once: few, so that they stay in the cache
ARMS = 2  # control and treated


@torch.inference_mode()
def label_reads(
    network: Network, table: EventTable, windows: Windows, queries: Queries, *, dim: int
) -> np.ndarray:
    """Return what a label's head reads of each question's sequence, (n, READS dim) float32."""
    network.eval()
    asked = table.asked(queries)
    read = np.zeros((len(queries), READS * dim), dtype=np.float32)
    for batch in batches(windows, SCORE_ROWS):
        at = asked.at(network.tensor(batch.query))
        read[batch.query] = network.read_label(table, batch, at).cpu().numpy()
    return read


@torch.inference_mode()
def label_logits(
    network: Network,
    table: EventTable,
    windows: Windows,
    queries: Queries,
    known: np.ndarray,
) -> np.ndarray:
    """Return the logits under control and treated, (n, ARMS) float32.

    For binary labels both are the same.

    Args:
        network: with a head for labels.
        table: the log.
        windows: those of the questions.
        queries: n questions.
        known: (n, F) what the head reads beside the states.
    """
    asked = table.asked(queries)
    beside = network.tensor(known)
    scores = np.zeros((len(queries), ARMS), dtype=np.float32)
    for batch in batches(windows, SCORE_ROWS):
        query = network.tensor(batch.query)
        logits = network.logits(table, batch, asked.at(query), beside[query])
        both = (logits, logits)
        if logits.shape[1] == ARMS:
            both = (arm_logit(logits, 0.0)[:, None], arm_logit(logits, 1.0)[:, None])
        scores[batch.query] = torch.cat(both, dim=1).cpu().numpy()
    return scores


@torch.inference_mode()
def item_scores(
    network: Network,
    table: EventTable,
    windows: Windows,
    queries: Queries,
    log_probability: Callable[[Tensor, Past, np.ndarray], Tensor],
    *,
    n_items: int,
) -> np.ndarray:
    """Return the log-probabilities of next items, (n, n_items) float32.

    `log_probability` makes them of the vectors of some questions; see
    `NeuralModel.item_log_probability`.
    """
    when = table.asked(queries).codes
    user, end = network.tensor(queries.user), network.tensor(queries.end)
    scores = np.zeros((len(queries), n_items), dtype=np.float32)
    for batch in batches(windows, SCORE_ROWS):
        query = network.tensor(batch.query)
        z = network.item_vector(network.next_state(table, batch, when[query]), when[query])
        past = table.past(user[query], end[query])
        part = log_probability(z, past, past.item.cpu().numpy())
        scores[batch.query] = part.cpu().numpy()
    return scores
