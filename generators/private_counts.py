"""Tables of counts in which each user has a bounded part: exact, or under a budget with Gaussian noise.

A table is a vector of counts; a user's part in it is their own vector of counts, scaled down to an L2 norm of at most `clip`.
Adding or removing a user moves the sum by at most `clip`, so noise of sigma * clip is the Gaussian mechanism (Dwork and Roth
2014, appendix A) with noise multiplier sigma; tables of a list share the budget that is left by weight, for multipliers
s_k compose to one of (sum s_k^-2)^-1/2. Counts of a whole table cost no more than those of one cell, whatever its size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .privacy import Ledger, noise_for


class Tables:
    """Answers one question for each name of `weights`, and writes it into `ledger`. `clip`: L2 norm of a user's part."""

    def __init__(self, ledger: Ledger, weights: Mapping[str, float], *, clip: float, rng: np.random.Generator) -> None:
        self.ledger, self.clip, self.rng = ledger, clip, rng
        self.sigma: dict[str, float] = {}
        if ledger.epsilon is not None:
            delta = ledger.delta - ledger.delta_thresholds
            together = noise_for([(1.0, 1)], epsilon=ledger.epsilon, delta=delta, history=ledger.history)
            self.sigma = {name: together * math.sqrt(sum(weights.values()) / w) for name, w in weights.items()}

    def counts(self, name: str, user: np.ndarray, cell: np.ndarray, size: int, *, clip: float | None = None) -> tuple[np.ndarray, float]:
        """(size,) float64 counts of the known cells 0..size-1, and the standard deviation of the noise on each (0 = exact).

        user (n,) and cell (n,) int64: one entry a row. Each name is asked once.
        """
        if self.ledger.epsilon is None:
            return np.bincount(cell, minlength=size).astype(np.float64), 0.0
        clip, sigma = self.clip if clip is None else clip, self.sigma.pop(name)
        pair, count = np.unique(user * size + cell, return_counts=True)
        owner = pair // size
        norm = np.sqrt(np.bincount(owner, count.astype(np.float64) ** 2))
        part = count * np.minimum(1.0, clip / np.maximum(norm, 1e-12))[owner]
        self.ledger.spend("gaussian counts, a user's part clipped", f"table of {name}", sigma=sigma)
        noise = sigma * clip
        return np.bincount(pair % size, part, minlength=size) + self.rng.normal(0, noise, size), noise


def backed_off(
    counts: np.ndarray, widths: list[int], base: np.ndarray, *, noise: float, strength: float = 1.0, first: float = 1e-3
) -> np.ndarray:
    """(prod(widths), size) shares of the codes in each context, each context backed off to the coarser one before it.

    counts (prod(widths), size) of the finest contexts, base (size,) or (widths[0], size) the shares without them, noise the
    standard deviation on each count. A code counted n times of m in its context has the share (n + s b) / (m + s), b its share
    in the coarser context (MacKay and Peto 1995); s is `first` in the coarsest context, `strength` in the others. Noise: what
    does not stand out by two standard deviations counts as nothing, and the coarser context weighs as much more; where many such
    codes stand out together, they have their mass, shared out as in the coarser context.
    """
    size, depth = base.shape[-1], len(widths)
    share = base.reshape(-1, size)
    grid = counts.reshape(*widths, size)
    for k in range(depth):
        found = grid.sum(axis=tuple(range(k + 1, depth))).reshape(-1, size)
        sd = noise * math.sqrt(math.prod(widths[k + 1:]))
        back = np.repeat(share, len(found) // len(share), axis=0)
        total, found = found.sum(1, keepdims=True), np.where(found > 2 * sd, found, 0.0)
        s = (strength if k else first) + 2 * sd
        part = found + s * back
        if sd:
            lost = np.maximum(total - found.sum(1, keepdims=True) - sd * math.sqrt(size), 0.0)
            low = np.where(found > 0, 0.0, back)
            part += lost * low / np.maximum(low.sum(1, keepdims=True), 1e-12)
        share = part / part.sum(1, keepdims=True)
    return share


def lifted(share: np.ndarray, told: np.ndarray) -> np.ndarray:
    """(n, K, size): `share` (n, size) times how much likelier each code is told one of K things than told the first of them.

    told (n, K, size), or (1, K, size): the shares given each thing. For counts too few to be taken in every context.
    """
    out = share[:, None, :] * told / np.maximum(told[:, :1], 1e-12)
    scaled: np.ndarray = out / out.sum(2, keepdims=True)
    return scaled
