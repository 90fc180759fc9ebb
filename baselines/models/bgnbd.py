"""BG/NBD: churn from a purchase process in which customers buy at a rate and may drop out.

Each customer's rate is gamma-distributed and the probability of dropping out after a purchase is
beta-distributed (Fader, Hardie and Lee, "Counting Your Customers" the Easy Way, Marketing Science
24(2), 2005: likelihood (6), expected purchases in a horizon (10)). Customers are ranked by expected
purchases rather than by P(alive), which is 1 for everyone who bought once. A logistic curve turns
the logarithm of the expectation into the probability of churn.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

from baselines.base import Model
from baselines.tabular.history import history_of
from baselines.tabular.tabular import Platt
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.encode import Encoder


class BGNBD(Model):
    """Maximum likelihood on (repeat orders, time of the last, age) of all customers.

    Args:
        horizon_days: period of the expected purchases; the ranking hardly depends on it.
        penalty: on squared log parameters per customer; keeps the fit of a tiny log finite.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    tasks: ClassVar[frozenset[str] | None] = frozenset({"churn"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        horizon_days: Annotated[float, Above(0.0)] = 60.0,
        penalty: Annotated[float, Range(0.0)] = 1e-3,
    ) -> None:
        self.horizon_days, self.penalty = horizon_days, penalty

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Fit the four parameters on each user's latest question, the curve on all questions."""
        self.encoder_ = encoder
        x, recency, age = self._customer(train.sequences, train.queries)
        order = np.lexsort((train.queries.time, train.queries.user))
        user = train.queries.user[order]
        last = order[np.append(user[1:] != user[:-1], True)[: len(order)]]
        self.r_, self.alpha_, self.a_, self.b_ = self._maximise(x[last], recency[last], age[last])
        self.curve_ = Platt(self._log_expected(train.sequences, train.queries), train.target)

    def _maximise(self, x: np.ndarray, recency: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Return r, alpha (days), a and b, (4,)."""
        # Customers with the same numbers share a term, which makes far fewer terms on daily data.
        table, weight = np.unique(np.stack([x, recency, age]), axis=1, return_counts=True)
        x, recency, age = table
        # With alpha in units of the mean age all four parameters are near 1.
        unit = max(float(age.mean()), 1e-6) if len(age) else 1.0

        def loss(logs: np.ndarray) -> float:
            value = np.sum(
                weight * log_likelihood(np.exp(logs), x, recency / unit, age / unit)
            ) / max(weight.sum(), 1)
            return float(-value + self.penalty * np.sum(logs**2))

        r, alpha, a, b = np.exp(
            minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(-8, 8)] * 4).x
        )
        return np.array([r, alpha * unit, a, b])

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the probability of churn, (n,) float64."""
        return self.curve_(self._log_expected(sequences, queries))

    def _log_expected(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the log of the expected purchases in the horizon, (n, 1)."""
        parameters = np.array([self.r_, self.alpha_, self.a_, self.b_])
        expected = expected_purchases(
            parameters, *self._customer(sequences, queries), horizon=self.horizon_days
        )
        return np.log(np.maximum(expected, 1e-12))[:, None]

    def _customer(
        self, sequences: Sequences, queries: Queries
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return repeat orders, and days from the first order to the last and to the question.

        Each is (n,).
        """
        x, recency, age = np.zeros((3, len(queries)))
        history = history_of(sequences, self.encoder_)
        start, end, rows = sequences.offsets[queries.user], queries.end, history.order_rows
        orders = history.order_sum[end] - history.order_sum[start]
        bought = orders > 0
        first = rows[np.searchsorted(rows, start[bought])]
        last = rows[np.searchsorted(rows, end[bought]) - 1]
        x[bought] = orders[bought] - 1
        recency[bought] = (sequences.time[last] - sequences.time[first]) / DAY_MS
        age[bought] = (queries.time[bought] - sequences.time[first]) / DAY_MS
        return x, recency, np.maximum(age, recency)

    def n_parameters(self) -> int:
        """Return 6: r, alpha, a, b, and two of the curve."""
        return 6


def log_likelihood(
    parameters: np.ndarray, x: np.ndarray, recency: np.ndarray, age: np.ndarray
) -> np.ndarray:
    """Return the log-likelihood of each customer by equation (6), (n,).

    Args:
        parameters: r, alpha, a, b.
        x: (n,) repeat orders.
        recency: (n,) time from the first order to the last, in the unit of alpha.
        age: (n,) time from the first order to the end of observation.
    """
    r, alpha, a, b = parameters
    common = (
        gammaln(r + x)
        - gammaln(r)
        + r * np.log(alpha)
        + gammaln(a + b)
        + gammaln(b + x)
        - gammaln(b)
        - gammaln(a + b + x)
    )
    alive = -(r + x) * np.log(alpha + age)
    with np.errstate(divide="ignore"):
        dead = np.where(
            x > 0,
            np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + recency),
            -np.inf,
        )
    result: np.ndarray = common + np.logaddexp(alive, dead)
    return result


def expected_purchases(
    parameters: np.ndarray, x: np.ndarray, recency: np.ndarray, age: np.ndarray, *, horizon: float
) -> np.ndarray:
    """Return the expected orders within `horizon` after `age`, given the past, by (10), (n,)."""
    r, alpha, a, b = parameters
    if abs(a - 1) < 1e-6:
        a = 1 + 1e-6  # the formula's removable singularity
    rate = ((alpha + age) / (alpha + age + horizon)) ** (r + x)
    series = hyp2f1(r + x, b + x, a + b + x - 1, horizon / (alpha + age + horizon))
    with np.errstate(invalid="ignore", over="ignore"):
        unconditional = (a + b + x - 1) / (a - 1) * (1 - rate * series)
        # With tens of thousands of orders the series overflows; the purchase rate is then known
        # almost exactly.
        unconditional = np.where(
            np.isfinite(unconditional), unconditional, horizon * (r + x) / (alpha + age)
        )
    died = np.where(
        x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + recency)) ** (r + x), 0
    )
    result: np.ndarray = np.nan_to_num(unconditional / (1 + died), nan=0.0, posinf=0.0, neginf=0.0)
    return result
