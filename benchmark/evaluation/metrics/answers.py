"""Check what a model answers, and turn scores of next items into ranks."""

from __future__ import annotations

import numpy as np

from eventlog._runtime.errors import WorkError
from eventlog.arrays import FIRST

CELLS = 4_000_000  # numbers in one block of next-item scores: 16 MB as float32
TOP = 10


class BadScores(WorkError):
    """A model's scores are not what `Model.score` promises: wrong shape, NaN, or not in 0..1."""


def ranks(scores: np.ndarray, target: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Rank the right answers among a model's scores of the next item, (n, n_items).

    Returns the (n,) float rank of each answer among all items (1 = best, the mean over ties, NaN =
    an item that the model does not know), and the codes of the items that are in a top ten. Raises
    BadScores.
    """
    scores = _checked(scores, (len(target), n_items))[:, FIRST:]
    top = np.argpartition(scores, -min(TOP, scores.shape[1]), axis=1)[:, -TOP:]
    return rank_of(scores, target.astype(np.int64) - FIRST), np.unique(top) + FIRST


def rank_of(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the (n,) rank of column `target` (n,) in each row of `scores` (n, items).

    Ties share their mean rank; NaN where the target is negative or its score NaN.
    """
    own = np.take_along_axis(scores, np.maximum(target, 0)[:, None], axis=1)
    above = (scores > own).sum(axis=1)
    tied = (scores == own).sum(axis=1)
    rank = above + (tied + 1) / 2
    return np.where((target >= 0) & ~np.isnan(own[:, 0]), rank, np.nan)


def probabilities(scores: np.ndarray, n: int) -> np.ndarray:
    """Return a model's (n,) probabilities of 1 as float64. Raises BadScores."""
    out = _checked(scores, (n,)).astype(np.float64)
    if out.min(initial=0.0) < 0 or out.max(initial=0.0) > 1:
        raise BadScores(
            f"the scores lie in {out.min():.3g}..{out.max():.3g}; a binary task expects "
            "probabilities in 0..1"
        )
    return out


def effects(scores: np.ndarray, n: int) -> np.ndarray:
    """Return a model's (n,) effects of a treatment as float64. Raises BadScores."""
    out = _checked(scores, (n,)).astype(np.float64)
    if out.min(initial=0.0) < -1 or out.max(initial=0.0) > 1:
        raise BadScores(
            f"the scores lie in {out.min():.3g}..{out.max():.3g}; an uplift task expects "
            "differences of probabilities in -1..1"
        )
    return out


def _checked(scores: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.shape != shape:
        raise BadScores(f"the scores have shape {scores.shape}, expected {shape}")
    if np.isnan(scores).any():
        raise BadScores(f"{int(np.isnan(scores).sum())} of {scores.size} scores are NaN")
    return scores
