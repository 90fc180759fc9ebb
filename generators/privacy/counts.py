"""Tables of counts in which each user has a bounded part: exact, or under a budget with Gaussian
noise.

A table is a vector of counts; a user's part in it is their own vector of counts, scaled down to an
L2 norm of at most `clip`. Adding or removing a user moves the sum by at most `clip`, so noise of
sigma * clip is the Gaussian mechanism (Dwork and Roth 2014, appendix A) with noise multiplier
sigma; tables of a list share the budget that is left by weight, for multipliers s_k compose to one
of (sum s_k^-2)^-1/2. Counts of a whole table cost no more than those of one cell, whatever its
size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from eventlog.privacy.noise import add_gaussian, grid_of
from generators.privacy.accounting import PrivacyLedger, noise_for


class Tables:
    """Answers one question for each name of `weights`, and writes it into `ledger`. `clip`: L2 norm
    of a user's part.
    """

    def __init__(self, ledger: PrivacyLedger, weights: Mapping[str, float], *, clip: float) -> None:
        self.ledger, self.clip, self.rng = ledger, clip, ledger.rng("tables")
        self.sigma: dict[str, float] = {}
        if ledger.epsilon is not None:
            delta = ledger.delta - ledger.delta_thresholds
            together = noise_for(
                [(1.0, 1)], epsilon=ledger.left, delta=delta, history=ledger.history
            )
            self.sigma = {
                name: together * math.sqrt(sum(weights.values()) / w) for name, w in weights.items()
            }

    def counts(
        self,
        name: str,
        user: np.ndarray,
        cell: np.ndarray,
        size: int,
        *,
        clip: float | None = None,
        context: int = 0,
        votes: bool = False,
        weight: np.ndarray | None = None,
    ) -> tuple[np.ndarray, float]:
        """(size,) float64 counts of the known cells 0..size-1, and the standard deviation of the
        noise on each (0 = exact).

        user (n,) and cell (n,) int64: one entry a row. Each name is asked once. Under a budget a
        row counts `weight` (n,), which may hang on its user's other rows and on what was released,
        on no other user's; and with `votes`, where each `context` cells in a row are a context of
        which only the shares matter, a user has one vote in each context, however many rows.
        """
        if self.ledger.epsilon is None:
            return np.bincount(cell, minlength=size).astype(np.float64), 0.0
        clip, sigma = self.clip if clip is None else clip, self.sigma.pop(name)
        pair, place = np.unique(user * size + cell, return_inverse=True)
        owner, count = (
            pair // size,
            np.bincount(place, weight, minlength=len(pair)).astype(np.float64),
        )
        if votes:
            # (user, context): `size` is a multiple of `context`
            _, place = np.unique(pair // context, return_inverse=True)
            count = count / np.bincount(place, count)[place]
        norm = np.sqrt(np.bincount(owner, count**2))
        noise = sigma * clip
        # Towards zero on the grid of the noise: no part grows, and sums of grid points are exact in
        # any order.
        part = np.floor(
            count * np.minimum(1.0, clip / np.maximum(norm, 1e-12))[owner] / grid_of(noise)
        ) * grid_of(noise)
        self.ledger.spend("gaussian counts, a user's part clipped", f"table of {name}", sigma=sigma)
        exact = np.bincount(pair % size, part, minlength=size).astype(np.float64)
        return self._answer(name, exact, noise), noise

    def _answer(self, name: str, exact: np.ndarray, sd: float) -> np.ndarray:
        """`exact` (size,) with noise of standard deviation `sd`: the one place where noise is
        added.
        """
        return add_gaussian(exact, sd=sd, rng=self.rng)


def backed_off(
    counts: np.ndarray,
    widths: list[int],
    base: np.ndarray,
    *,
    noise: float,
    strength: float = 1.0,
    first: float = 1e-3,
    eager: bool = False,
) -> np.ndarray:
    """(prod(widths), size) shares of the codes in each context, each context backed off to the
    coarser one before it.

    counts (prod(widths), size) of the finest contexts, base (size,) or (widths[0], size) the shares
    without them, noise the standard deviation on each count. A code counted n times of m in its
    context has the share (n + s b) / (m + s), b its share in the coarser context (MacKay and Peto
    1995); s is `first` in the coarsest context, `strength` in the others. Counts with noise that do
    not differ from what the coarser context leads one to expect are taken to be that (see
    `_denoised`); where
    `eager`, less is enough to differ: one code in a context is then wrongly taken to differ now and
    then.
    """
    size, depth = base.shape[-1], len(widths)
    share = base.reshape(-1, size)
    grid = counts.reshape(*widths, size)
    for k in range(depth):
        found = grid.sum(axis=tuple(range(k + 1, depth))).reshape(-1, size)
        back = np.repeat(share, len(found) // len(share), axis=0)
        if noise:
            found = _denoised(
                found,
                back,
                noise * math.sqrt(math.prod(widths[k + 1 :])),
                among=size if eager else found.size,
            )
        part = found + (strength if k else first) * back
        share = part / part.sum(1, keepdims=True)
    return share


def _denoised(found: np.ndarray, back: np.ndarray, sd: float, *, among: int) -> np.ndarray:
    """(n, size) counts of noise `sd`, those that do not stand out replaced by `back` (n, size),
    shares of their context's total.

    A count stands out where it differs from that expectation by more than the largest of `among`
    noises (the universal threshold
    of Donoho and Johnstone 1994, hard: what stands out is not drawn back, for shares of steps that
    follow each other multiply). What stands out below and is within the noise of nothing is
    nothing.
    """
    total = np.maximum(np.maximum(found.sum(1), np.where(found > 2 * sd, found, 0.0).sum(1)), 0.0)[
        :, None
    ]
    expected = back * total
    differs = (found - expected) ** 2 > 2 * math.log(max(among, 3)) * sd**2
    kept = np.where(differs, np.where(found < 1.5 * sd, 0.0, found), expected)
    known = (total > 2 * sd) & (kept.sum(1, keepdims=True) > 0)
    out: np.ndarray = np.where(known, np.maximum(kept, 0.0), 0.0)
    return out
