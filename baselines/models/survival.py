"""Discrete-time survival: in which part of the horizon does the next purchase come, if it comes?

The horizon is cut into periods. The hazard of a period is the chance of a purchase in it if there
was none before, by one logistic regression for all periods (Singer and Willett, It's about time,
Journal of Educational Statistics 18(2), 1993)::

    h_k(x) = sigmoid(x b + g_k),      P(no purchase within the horizon) = prod_k (1 - h_k(x))

A churn label says only whether a purchase came. When it came is known where the same customer is
asked about again later; otherwise it is shared out among the periods by EM. The horizon itself is
read off the customers whose next purchase and label are both known.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import Annotated, ClassVar

import numpy as np

from baselines.base import Model
from baselines.tabular.features import Features
from baselines.tabular.tabular import Standardiser, has_both, joined, log_loss, smoothed_rate
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

EM_STEPS = 3
NEWTON_STEPS = 25
ENOUGH = 1e-4  # a Newton step smaller than this ends the fit
NEVER = np.iinfo(np.int64).max


class Survival(Model):
    """Hazards of a purchase per period, by logistic regression on point-in-time features.

    Args:
        periods: of the horizon.
        strengths: inverse penalties (sklearn's C), among which the validation part chooses.
        default: the one to use without a validation part.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    tasks: ClassVar[frozenset[str] | None] = frozenset({"churn"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        periods: Annotated[int, Range(1, 60)] = 6,
        strengths: Several[Annotated[float, Above(0.0)]] = (0.001, 0.01, 0.1, 1.0),
        default: Annotated[float, Above(0.0)] = 0.1,
    ) -> None:
        self.periods, self.strengths, self.default = periods, tuple(strengths), default

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Fit the hazards by EM; convex in each step, so the seed has no effect."""
        self.base_rate_ = smoothed_rate(train.target)
        self.constant_ = not has_both(train.target)
        if self.constant_:
            return
        self.features_ = Features(encoder)
        table = self.features_.fit(train)
        left = train.target > 0
        when = self._periods_of(train)
        strength = self.default
        if valid is not None and has_both(valid.target):
            held = self.features_.transform(valid.sequences, valid.queries), valid.target > 0
            losses = []
            for c in self.strengths:
                self._fit(table, when, left, c)
                losses.append(log_loss(held[1], self._survival(held[0])))
            strength = self.strengths[int(np.argmin(losses))]
            table, left = joined(table, left, held)
            when = np.vstack([when, _anywhere(held[1], self.periods)])
        self._fit(table, when, left, strength)

    def _periods_of(self, train: Examples) -> np.ndarray:
        """Return in which periods the purchase may have been, (n, periods) bool."""
        gap, seen = _next_purchase(train)
        left = train.target > 0
        when = _anywhere(left, self.periods)
        bought = gap[~left & (gap < NEVER)]
        if len(bought) == 0:
            return when
        # The horizon lies between the longest wait of a customer who stayed and the shortest of
        # one who left.
        low = int(bought.max())
        later = gap[left & (gap < NEVER)]
        horizon = (low + int(later.min())) / 2 if len(later) else float(low)
        edges = np.arange(1, self.periods + 1) * max(horizon, 1.0) / self.periods
        known = ~left & (gap < NEVER)
        period = np.minimum(np.searchsorted(edges, gap[known]), self.periods - 1)
        when[known] = np.arange(self.periods) == period[:, None]
        quiet = ~left & (gap == NEVER)  # the purchase came after what is known
        when[quiet] &= edges > seen[quiet][:, None]
        when[quiet & ~when.any(axis=1), -1] = True
        return when

    def _fit(self, table: np.ndarray, when: np.ndarray, left: np.ndarray, strength: float) -> None:
        self.scale_ = Standardiser(table)
        x = self.scale_(table).astype(np.float64)
        self.weight_, self.level_ = np.zeros(x.shape[1]), np.full(self.periods, -1.0)
        share = when / np.maximum(when.sum(axis=1, keepdims=True), 1)
        for _ in range(EM_STEPS):
            self._maximise(x, share, left, 1 / strength)
            hazard = _sigmoid((x @ self.weight_)[:, None] + self.level_)
            alive = np.cumprod(1 - hazard, axis=1)
            likely = np.where(when, hazard * np.column_stack([np.ones(len(x)), alive[:, :-1]]), 0)
            share = likely / np.maximum(likely.sum(axis=1, keepdims=True), 1e-12)

    def _maximise(self, x: np.ndarray, share: np.ndarray, left: np.ndarray, penalty: float) -> None:
        """Fit weights and levels by Newton's method.

        All periods of a customer have the same features, so the Hessian costs as much as for one.

        Args:
            x: (n, n_features) float64, standardised.
            share: (n, periods) probability that the purchase was in each period.
            left: (n,) bool: there was none.
            penalty: on the squared weights.
        """
        f = x.shape[1]
        # (n, periods): probability that the customer had not bought before the period
        at_risk = share[:, ::-1].cumsum(axis=1)[:, ::-1] + left[:, None]
        for _ in range(NEWTON_STEPS):
            hazard = _sigmoid((x @ self.weight_)[:, None] + self.level_)
            rest = at_risk * hazard - share
            gradient = np.append(x.T @ rest.sum(axis=1) + penalty * self.weight_, rest.sum(axis=0))
            curve = at_risk * hazard * (1 - hazard)
            hessian = np.zeros((f + self.periods, f + self.periods))
            hessian[:f, :f] = (x * curve.sum(axis=1)[:, None]).T @ x
            hessian[:f, f:] = x.T @ curve
            hessian[f:, :f] = hessian[:f, f:].T
            hessian[f:, f:] = np.diag(curve.sum(axis=0))
            hessian += np.diag(np.append(np.full(f, penalty), np.full(self.periods, 1e-6)))
            step = np.linalg.solve(hessian, gradient)
            step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))
            self.weight_ = self.weight_ - step[:f]
            self.level_ = self.level_ - step[f:]
            if np.abs(step).max() < ENOUGH:
                break

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the probability of no purchase within the horizon, (n,) float64."""
        if self.constant_:
            return np.full(len(queries), self.base_rate_)
        return self._survival(self.features_.transform(sequences, queries))

    def _survival(self, table: np.ndarray) -> np.ndarray:
        x = self.scale_(table).astype(np.float64)
        hazard = _sigmoid((x @ self.weight_)[:, None] + self.level_)
        alive: np.ndarray = np.prod(1 - hazard, axis=1)
        return alive

    def n_parameters(self) -> int:
        """Return the number of weights and levels."""
        return 0 if self.constant_ else self.weight_.size + self.level_.size


def _next_purchase(train: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Return the wait for the next purchase, and how long a customer is seen, (n,) int64 ms each.

    Only rows before the customer's latest question are read; the wait is NEVER if no purchase is
    among them.
    """
    sequences, queries = train.sequences, train.queries
    last_end = np.zeros(len(sequences), dtype=np.int64)
    np.maximum.at(last_end, queries.user, queries.end)
    last_time = np.zeros(len(sequences), dtype=np.int64)
    np.maximum.at(last_time, queries.user, queries.time)
    rows = np.append(np.flatnonzero(sequences.role == "purchase"), sequences.n_rows)
    row = rows[np.searchsorted(rows, queries.end)]
    found = row < last_end[queries.user]
    time = np.append(sequences.time, 0)[np.where(found, row, -1)]
    return (
        np.where(found, time - queries.time, NEVER),
        last_time[queries.user] - queries.time,
    )


def _anywhere(left: np.ndarray, periods: int) -> np.ndarray:
    """Return all periods for those who bought and none for those who left, (n, periods) bool."""
    return np.repeat(~left[:, None], periods, axis=1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))
