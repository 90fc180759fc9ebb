"""Tables of counts with a bounded contribution of each user, exact or with Gaussian noise.

A table is a vector of counts. A user's contribution is their own vector of counts, scaled down to
an L2 norm of at most `clip`. Adding or removing a user changes the sum by at most `clip`, so noise
with standard deviation sigma * clip is the Gaussian mechanism (Dwork and Roth 2014, appendix A)
with noise multiplier sigma. A table costs the same whatever its size. Several tables share the
remaining budget by weight: multipliers s_k compose to one of (sum s_k^-2)^-1/2.

Example::

    tables = Tables(ledger, {"start": 1.0, "next": 3.0}, clip=8.0)
    counts, noise = tables.counts("next", user, cell, n_cells)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from eventlog.privacy.noise import add_gaussian, grid_of
from generators.privacy.accounting import PrivacyLedger, noise_for


class Tables:
    """Answers one question for each name in `weights`, and records it in `ledger`.

    `clip` is the largest L2 norm of a user's contribution.
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
        """Return the counts (size,) of the cells 0..size-1, and the noise on each (0 = exact).

        Each name may be asked once. The noise is given as its standard deviation.

        Args:
            name: of the table.
            user: (n,) int64, one entry a row.
            cell: (n,) int64.
            size: number of cells.
            clip: instead of the clip of all tables.
            context: with `votes`, how many consecutive cells are one context.
            votes: under a budget a user has one vote in each context, however many rows: where only
                the shares within a context matter.
            weight: (n,) under a budget, what a row counts; it may depend on the user's own rows and
                on released answers, never on other users.
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
        # Rounded towards zero on the grid of the noise: no contribution grows, and sums of grid
        # points are exact in any order.
        part = np.floor(
            count * np.minimum(1.0, clip / np.maximum(norm, 1e-12))[owner] / grid_of(noise)
        ) * grid_of(noise)
        self.ledger.spend("gaussian counts, a user's part clipped", f"table of {name}", sigma=sigma)
        exact = np.bincount(pair % size, part, minlength=size).astype(np.float64)
        return self._answer(name, exact, noise), noise

    def _answer(self, name: str, exact: np.ndarray, sd: float) -> np.ndarray:
        """Return `exact` (size,) with noise of standard deviation `sd`.

        The only place where Tables adds noise.
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
    """Return the shares of the codes in each context, backed off to coarser contexts.

    A code counted n times of m in its context has the share (n + s b) / (m + s), with b its share
    in the coarser context (MacKay and Peto 1995).

    Args:
        counts: (prod(widths), size) of the finest contexts.
        widths: number of values of each part of a context, the coarsest first.
        base: (size,) or (widths[0], size) shares without any context.
        noise: standard deviation on each count. Noisy counts that do not differ from what the
            coarser context predicts are replaced by that prediction (see `_denoised`).
        strength: s of all contexts except the coarsest.
        first: s of the coarsest contexts.
        eager: accept smaller differences, at the price that now and then a code in a context is
            wrongly taken to differ.

    Returns:
        (prod(widths), size) shares.
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
    """Replace counts (n, size) with noise `sd` that do not stand out by their expectation.

    The expectation is `back` (n, size), the shares of the coarser context, times the context's
    total. A count stands out where it differs from it by more than the largest of `among` noises:
    the universal threshold of Donoho and Johnstone 1994. The threshold is hard (what stands out is
    not shrunk), because shares of consecutive steps multiply. A count that stands out below its
    expectation, within the noise of 0, becomes 0.
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
