"""Codes that stand for all of a field of very many, drawn anew for each update of a training.

The sum over all codes in a softmax is replaced by its estimate from some, each weighted by how
rarely it is drawn (Bengio and Senecal 2008, doi:10.1109/TNN.2007.912312; Jean et al. 2015,
arXiv:1412.2007). What a row has chosen is not estimated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

DRAWS = 1024  # in an update
EVEN = 0.1  # share of the draws that goes to all codes alike; the rest follows the log
NEVER = -1e9  # added to the logit of a code that stands for none


class Compared(NamedTuple):
    """The m codes that n rows are compared with."""

    codes: torch.Tensor  # (m,) int64, ascending: those drawn, and what the rows have chosen
    place: torch.Tensor  # (n,) int64: of each row's code among them
    others: torch.Tensor  # (m,): added to their logits in rows that have not chosen them


class CodeSampler:
    """Draws codes of one field; `counts` (size,) says how often the log has each."""

    def __init__(self, counts: np.ndarray) -> None:
        size = len(counts)
        self.share = (1 - EVEN) * counts / max(counts.sum(), 1) + EVEN / size
        self.share /= self.share.sum()
        self.up_to = np.cumsum(self.share)

    def draw(self, chosen: torch.Tensor, rng: np.random.Generator) -> Compared:
        """Draw codes beside those `chosen` (n,), one in each of DRAWS equal parts of the shares."""
        size = len(self.share)
        at = (np.arange(DRAWS) + rng.random(DRAWS)) / DRAWS
        drawn = np.minimum(np.searchsorted(self.up_to, at, side="right"), size - 1)
        times = np.bincount(drawn, minlength=size)
        mine = chosen.numpy()
        compared = times > 0
        compared[mine] = True
        codes = np.flatnonzero(compared)
        place = np.empty(size, dtype=np.int64)
        place[codes] = np.arange(len(codes))
        weight = times[codes] / (DRAWS * self.share[codes])
        others = np.where(weight > 0, np.log(np.maximum(weight, 1e-30)), NEVER)
        return Compared(
            torch.from_numpy(codes),
            torch.from_numpy(place[mine]),
            torch.from_numpy(others.astype(np.float32)),
        )
