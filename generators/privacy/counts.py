"""Tables of counts, exact or with Gaussian noise, all of them under one clip of each user.

A table is a vector of counts of known cells. Under a budget the tables that are asked together are
one vector: each user adds their own counts in all tables, every table times its scale, scaled down
to an L2 norm of at most 1. Adding or removing a user changes the sum by at most 1, so noise with
standard deviation sigma is the Gaussian mechanism (Dwork and Roth 2014, appendix A) with noise
multiplier sigma, whatever the number of tables and cells. One clip of the whole serves better than
one of each table: nobody is at the limit of all tables, and what a user leaves unused in one is
room in the others.

Example::

    tables = Tables(ledger, {"norms": 0.5, "tables": 20.0}, n_users=len(log.users))
    answers = tables.ask("tables", whole=[arrival], clipped=[start, following], clip=8.0)
    counts, noise = answers["following"]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eventlog.privacy.noise import add_gaussian, grid_of
from generators.privacy.accounting import PrivacyLedger, noise_for
from generators.privacy.shrinkage import shrunk

# users, cells, and under a budget what each row counts (None: 1), one entry a row
Rows = tuple[np.ndarray, np.ndarray, np.ndarray | None]
Answers = dict[str, tuple[np.ndarray, float]]  # counts (size,), sd of the noise on each (0 = exact)

# Bounds of the cells in which users' norms are counted, to find a clip.
NORMS = 2.0 ** (np.arange(-40, 61) / 4)
RAKINGS = 50  # rounds of iterative proportional fitting
LEAST_ROOM = 1e-3  # of a user's vector, for the tables that are scaled down
VISIBLE = 2.0  # standard deviations of noise that a cell of norms must exceed


@dataclass(frozen=True)
class Question:
    """A table that is asked for: how often each of the cells 0..size-1 occurs."""

    name: str
    size: int
    # The rows; what a row counts may depend on the user's own rows and on released answers, never
    # on other users. They are made when they are needed, since all tables at once would not fit.
    rows: Callable[[], Rows]
    scale: float = 1.0  # of the table within a user's vector
    # Where above 0: consecutive cells in which a user has one vote together, however many rows,
    # because only the shares within such a context matter.
    context: int = 0

    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each user's own counts: users (m,), sorted, cells (m,), counts (m,) >= 0."""
        user, cell, weight = self.rows()
        pair, place = np.unique(user * self.size + cell, return_inverse=True)
        count = np.bincount(place, weight, minlength=len(pair)).astype(np.float64)
        if self.context:
            # (user, context): `size` is a multiple of `context`
            _, place = np.unique(pair // self.context, return_inverse=True)
            count = count / np.bincount(place, count)[place]
        return pair // self.size, pair % self.size, count


def given_rows(rows: Rows) -> Callable[[], Rows]:
    """Return `rows` that are at hand, as a question takes them."""
    return lambda: rows


class Tables:
    """Asks for tables under the budget that `ledger` has left, and records what it costs there.

    `weights` are the rounds of questions and their shares of that budget; each is asked once.
    """

    def __init__(
        self, ledger: PrivacyLedger, weights: Mapping[str, float], *, n_users: int
    ) -> None:
        self.ledger, self.n_users, self.rng = ledger, n_users, ledger.rng("tables")
        delta = ledger.delta - ledger.delta_thresholds
        together = noise_for([(1.0, 1)], epsilon=ledger.left, delta=delta, history=ledger.history)
        self.sigma = {
            n: together * math.sqrt(sum(weights.values()) / w) for n, w in weights.items()
        }

    def ask(
        self,
        what: str,
        whole: Sequence[Question],
        clipped: Sequence[Question] = (),
        *,
        clip: float = 1.0,
    ) -> Answers:
        """Return all tables of a round, one Gaussian mechanism of sensitivity 1.

        Args:
            what: the round.
            whole: tables in which a user has at most one count, which is never scaled down; the
                squares of their scales add up to 1 at most.
            clipped: tables of rows. A user's counts in them, each times its scale, are scaled down
                together to a norm of at most `clip`; they get the room that `whole` leaves.
            clip: see there.
        """
        sigma = self.sigma.pop(what)
        room = math.sqrt(max(1.0 - sum(q.scale**2 for q in whole), 0.0))
        if clipped and room < LEAST_ROOM:
            raise ValueError(f"{what}: the whole tables leave no room for the clipped ones")
        rest = self.norms(clipped)
        factor = np.minimum(1.0, clip / np.maximum(rest, 1e-12)) * room / clip
        norm = np.sqrt(self.norms(whole) ** 2 + (rest * factor) ** 2)
        # What the guarantee rests on, whatever was said of `whole`: no vector is longer than 1.
        bounded = np.minimum(1.0, 1.0 / np.maximum(norm, 1e-12))
        grid, sums = grid_of(sigma), []
        asked = [(q, bounded) for q in whole] + [(q, bounded * factor) for q in clipped]
        for q, of_user in asked:
            owner, cell, count = q.parts()
            # Rounded towards zero on the grid of the noise: no contribution grows, and sums of
            # grid points are exact in any order.
            part = np.floor(count * q.scale * of_user[owner] / grid) * grid
            sums.append(np.bincount(cell, part, minlength=q.size).astype(np.float64))
        self.ledger.spend("gaussian counts, a user's vector clipped", what, sigma=sigma)
        noisy = self._answer(what, np.concatenate(sums), sigma)
        scales = [q.scale for q in whole] + [q.scale * room / clip for q in clipped]
        tables = np.split(noisy, np.cumsum([q.size for q, _ in asked])[:-1])
        return {
            q.name: (table / scale, sigma / scale)
            for (q, _), scale, table in zip(asked, scales, tables, strict=True)
        }

    def clip_for(self, what: str, questions: Sequence[Question], quantile: float) -> float:
        """Return about the `quantile` of users' norms in `questions`, asked as a round of its own.

        Users without any count are left out. It is the upper bound of a cell of NORMS; 1.0 where
        the noise hides all cells.
        """
        found = self.norms(questions)
        user = np.flatnonzero(found)
        cell = np.searchsorted(NORMS, found[user]).clip(max=len(NORMS) - 1)
        norms = Question(what, len(NORMS), given_rows((user, cell, None)))
        counts, noise = self.ask(what, [norms])[what]
        seen = np.where(counts > VISIBLE * noise, counts, 0.0)
        if not seen.any():
            return 1.0
        return float(NORMS[np.searchsorted(np.cumsum(seen), quantile * seen.sum())])

    def norms(self, questions: Sequence[Question]) -> np.ndarray:
        """Return the L2 norm of each user's scaled counts in all `questions`, (n_users,)."""
        square = np.zeros(self.n_users)
        for q in questions:
            owner, _, count = q.parts()
            square += np.bincount(owner, (count * q.scale) ** 2, minlength=self.n_users)
        return np.sqrt(square)

    def _answer(self, what: str, exact: np.ndarray, sd: float) -> np.ndarray:
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
) -> np.ndarray:
    """Return the shares of the codes in each context, backed off to coarser contexts.

    A code counted n times of m in its context has the share (n + s b) / (m + s), with b its share
    in the coarser context (MacKay and Peto 1995).

    Args:
        counts: (prod(widths), size) of the finest contexts.
        widths: number of values of each part of a context, the coarsest first.
        base: (size,) or (widths[0], size) shares without any context.
        noise: standard deviation on each count. Noisy counts are shrunk towards what the coarser
            context predicts (see `generators.privacy.shrinkage`).
        strength: s of all contexts except the coarsest.
        first: s of the coarsest contexts.

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
            found = _denoised(found, back, noise * math.sqrt(math.prod(widths[k + 1 :])))
        part = found + (strength if k else first) * back
        share = part / part.sum(1, keepdims=True)
    return share


def _denoised(found: np.ndarray, back: np.ndarray, sd: float) -> np.ndarray:
    """Return estimates of counts (n, size) with noise `sd`; 0 in contexts that the noise hides.

    What is expected is `back` (n, size), the shares of the coarser context, times the context's
    total.
    """
    seen = np.where(found > VISIBLE * sd, found, 0.0).sum(1)
    total = np.maximum(found.sum(1), seen)
    known = total > VISIBLE * sd
    out = np.zeros_like(found)
    expected = back[known] * total[known, None]
    out[known] = shrunk(found[known].ravel(), expected.ravel(), sd).reshape(expected.shape)
    return out


def shares_of(counts: np.ndarray) -> np.ndarray:
    """Return `counts` (n,) as shares; equal ones where there are none."""
    total = counts.sum()
    return counts / total if total > 0 else np.full(len(counts), 1 / len(counts))


def raked(share: np.ndarray, before: np.ndarray, marginal: np.ndarray) -> np.ndarray:
    """Return shares (contexts, size) that lead from the shares of contexts to a marginal.

    Iterative proportional fitting (Deming and Stephan 1940): the odds ratios of `share` stay. A
    code that no context has stays without a share.

    Args:
        share: (contexts, size) shares of codes in each context.
        before: (contexts,) shares of the contexts.
        marginal: (size,) shares of codes over all contexts.
    """
    for _ in range(RAKINGS):
        reached = before @ share
        share = share * np.where(reached > 0, marginal / np.maximum(reached, 1e-12), 1.0)
        total = share.sum(1, keepdims=True)
        share = np.where(total > 0, share / np.maximum(total, 1e-300), marginal)
    return share
