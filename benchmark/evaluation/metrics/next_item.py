"""Metrics of the rank of the item that came next."""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.answers import TOP
from benchmark.evaluation.metrics.resampling import Measured, resamples


def next_item_metrics(rank: np.ndarray, user: np.ndarray) -> Measured:
    """Return HR, NDCG and MRR at 10 of (n,) ranks of questions by (n,) users.

    Each question has one right answer, so its NDCG is 1 / log2(1 + rank).
    """
    hit = rank <= TOP  # NaN compares false: a miss
    safe = np.where(hit, rank, 1.0)
    gains = {
        "ndcg@10": hit / np.log2(1 + safe),
        "hr@10": hit.astype(np.float64),
        "mrr@10": hit / safe,
    }
    index = np.unique(user, return_inverse=True)[1]
    count = np.bincount(index).astype(np.float64)
    sums = np.stack([np.bincount(index, weights=g) for g in gains.values()], axis=1)
    # sums (users, metrics), w (b, users) -> (b, metrics)
    blocks = [(w @ sums) / (w @ count)[:, None] for w in resamples(len(count))]
    values = np.concatenate(blocks)  # (RESAMPLES, metrics)
    return Measured(
        {name: float(g.mean()) for name, g in gains.items()},
        {name: values[:, i] for i, name in enumerate(gains)},
    )
