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

    def __init__(self, ledger: Ledger, weights: Mapping[str, float], *, clip: float) -> None:
        self.ledger, self.clip, self.rng = ledger, clip, ledger.rng(12)
        self.sigma: dict[str, float] = {}
        if ledger.epsilon is not None:
            delta = ledger.delta - ledger.delta_thresholds
            together = noise_for([(1.0, 1)], epsilon=ledger.left, delta=delta, history=ledger.history)
            self.sigma = {name: together * math.sqrt(sum(weights.values()) / w) for name, w in weights.items()}

    def counts(
        self, name: str, user: np.ndarray, cell: np.ndarray, size: int, *, clip: float | None = None, context: int = 0, power: float = 1.0,
    ) -> tuple[np.ndarray, float]:
        """(size,) float64 counts of the known cells 0..size-1, and the standard deviation of the noise on each (0 = exact).

        user (n,) and cell (n,) int64: one entry a row. Each name is asked once. Under a budget, where each `context` cells in a row
        are a context of which only the shares matter, a user's n rows in one context weigh n^power: with a power of 0 a user has one
        vote in each, so that what somebody does often does not push aside what they do seldom.
        """
        if self.ledger.epsilon is None:
            return np.bincount(cell, minlength=size).astype(np.float64), 0.0
        clip, sigma = self.clip if clip is None else clip, self.sigma.pop(name)
        pair, count = np.unique(user * size + cell, return_counts=True)
        owner, count = pair // size, count.astype(np.float64)
        if context:
            _, place = np.unique(pair // context, return_inverse=True)  # (user, context): `size` is a multiple of `context`
            count = count * np.bincount(place, count)[place] ** (power - 1)
        norm = np.sqrt(np.bincount(owner, count ** 2))
        part = count * np.minimum(1.0, clip / np.maximum(norm, 1e-12))[owner]
        self.ledger.spend("gaussian counts, a user's part clipped", f"table of {name}", sigma=sigma)
        noise = sigma * clip
        return np.bincount(pair % size, part, minlength=size) + self.rng.normal(0, noise, size), noise


def backed_off(
    counts: np.ndarray, widths: list[int], base: np.ndarray, *, noise: float, strength: float = 1.0, first: float = 1e-3,
    wary: bool = False,
) -> np.ndarray:
    """(prod(widths), size) shares of the codes in each context, each context backed off to the coarser one before it.

    counts (prod(widths), size) of the finest contexts, base (size,) or (widths[0], size) the shares without them, noise the
    standard deviation on each count. A code counted n times of m in its context has the share (n + s b) / (m + s), b its share
    in the coarser context (MacKay and Peto 1995); s is `first` in the coarsest context, `strength` in the others. Counts with
    noise are first drawn to what the coarser context leads one to expect, the more so where `wary` (see `_denoised`).
    """
    size, depth = base.shape[-1], len(widths)
    share = base.reshape(-1, size)
    grid = counts.reshape(*widths, size)
    for k in range(depth):
        found = grid.sum(axis=tuple(range(k + 1, depth))).reshape(-1, size)
        back = np.repeat(share, len(found) // len(share), axis=0)
        if noise:
            found = _denoised(found, back, noise * math.sqrt(math.prod(widths[k + 1:])), among=found.size if wary else size)
        part = found + (strength if k else first) * back
        share = part / part.sum(1, keepdims=True)
    return share


def _denoised(found: np.ndarray, back: np.ndarray, sd: float, *, among: int) -> np.ndarray:
    """(n, size) counts of noise `sd`, shrunk to `back` (n, size) shares of their total: the non-negative garrote (Breiman 1995).

    What differs from the expectation by no more than the largest of `among` noises does not differ (the universal threshold of
    Donoho and Johnstone 1994); the more it does, the less it is drawn back. What is then lower than expected and within the noise
    of nothing is nothing.
    """
    total = np.maximum(found.sum(1), np.where(found > 2 * sd, found, 0.0).sum(1))[:, None]
    expected = back * np.maximum(total, 0.0)
    off = found - expected
    kept = np.maximum(1 - 2 * math.log(max(among, 3)) * sd**2 / np.maximum(off**2, 1e-12), 0.0)
    shrunk = expected + off * kept
    shrunk = np.where((shrunk < 1.5 * sd) & (kept > 0), 0.0, shrunk)
    known = (total > 2 * sd) & (shrunk.sum(1, keepdims=True) > 0)
    out: np.ndarray = np.where(known, np.maximum(shrunk, 0.0), 0.0)
    return out


def lifted(told: np.ndarray, fine: np.ndarray, coarse: np.ndarray, *, most: float) -> np.ndarray:
    """(n, K, size): shares `told` each of K things, made as much likelier as `fine` (n, size) is than `coarse` (n, size).

    told (n, K, size) or (1, K, size), for counts too few to be taken in every context. A code is made at most `most` times likelier.
    """
    ratio = np.clip((fine + 1e-3) / (coarse + 1e-3), 1e-2, most)
    out = told * ratio[:, None, :]
    scaled: np.ndarray = out / np.maximum(out.sum(2, keepdims=True), 1e-12)
    return scaled
