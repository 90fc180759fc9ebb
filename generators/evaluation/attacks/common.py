"""What all attacks share: success rates with 95 % intervals, and the excess over a control group.

An attack that works equally well on users who were not in the training data has learnt something
about people in general. Only the excess over that control group is a leak.

Example::

    wilson(0, 50)    # Rate(value=0.0, low=0.0, high=0.071, n=50): 50 failures do not prove safety
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import numpy as np

from generators.evaluation.distances import auc_score

Z = 1.959963984540054  # two-sided 95 %
# Of the room that the control group leaves. A convention; a team may hold itself to less.
LIMIT = 0.10

Verdict = Literal["pass", "fail", "unsettled"]


@dataclass(frozen=True)
class Rate:
    """A share, or an AUC, with its 95 % interval and the number of users behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Attack:
    """The result of one attack: its success rates, and its risk with a 95 % interval.

    `risk` is (rate - control) / (1 - control), cut to 0..1.
    """

    name: str
    title: str
    what: str  # what counts as a success, in one sentence
    rate: Rate  # on users who were in the training data
    control: Rate | None  # on users who were not; None without a holdout
    naive: float | None  # success rate of guessing at random, where that is meaningful
    risk: float
    low: float
    high: float
    limit: float = LIMIT

    @classmethod
    def from_rates(
        cls,
        name: str,
        title: str,
        what: str,
        rate: Rate,
        control: Rate | None,
        naive: float | None = None,
    ) -> Attack:
        """Return the attack; its risk is the excess over `control`, or without one the rate."""
        risk, low, high = (
            residual(rate, control) if control is not None else (rate.value, rate.low, rate.high)
        )
        return cls(name, title, what, rate, control, naive, risk, low, high)

    @property
    def verdict(self) -> Verdict:
        """Whether the whole interval is within the limit ("pass") or beyond it ("fail").

        Otherwise, or without a control group, "unsettled".
        """
        if self.control is None:
            return "unsettled"
        if self.high <= self.limit:
            return "pass"
        return "fail" if self.low > self.limit else "unsettled"


def wilson(successes: int, n: int, *, tests: int = 1) -> Rate:
    """Return a share with its Wilson score interval, which is meaningful at 0 and at 1 too.

    Wilson 1927, doi:10.1080/01621459.1927.10502953. With several `tests` the intervals of all of
    them hold together with 95 % (Bonferroni). Without any try (n = 0) the interval is 0..1.
    """
    from scipy.stats import binomtest

    if n == 0:
        return Rate(0.0, 0.0, 1.0, 0)
    interval = binomtest(successes, n).proportion_ci(1 - 0.05 / tests, method="wilson")
    return Rate(successes / n, float(interval.low), float(interval.high), n)


def clopper_pearson_low(successes: int, n: int, *, confidence: float = 0.95) -> float:
    """Return the one-sided lower bound of a share (Clopper and Pearson 1934).

    It holds with at least `confidence`, for any n.
    """
    from scipy.stats import binomtest

    test = binomtest(successes, n, alternative="greater")
    return float(test.proportion_ci(confidence, method="exact").low)


def residual(attack: Rate, control: Rate) -> tuple[float, float, float]:
    """Return the excess risk (attack - control) / (1 - control) as (value, low, high) in 0..1.

    The risk and its estimate (from the middles of Wilson intervals) are those of anonymeter (Giomi
    et al. 2023, doi:10.56553/popets-2023-0055). The interval is not: the risk is 1 - q, where q is
    the ratio of the two shares of failures, and it is 1 less Donner and Zou's interval of q (2012,
    doi:10.1177/0962280210383202) from those of the two shares. Propagated errors, which anonymeter
    takes, miss the risk more often than they say where the attack fails on few users of either
    group.
    """
    failed, expected = (Rate(1 - r.value, 1 - r.high, 1 - r.low, r.n) for r in (attack, control))
    low, high = (float(np.clip(1 - q, 0.0, 1.0)) for q in reversed(_ratio(failed, expected)))
    middle = (expected.low + expected.high) / 2
    value = 1 - (failed.low + failed.high) / 2 / middle if middle > 0 else 0.0
    return float(np.clip(value, low, high)), low, high


def _ratio(one: Rate, two: Rate) -> tuple[float, float]:
    """Return the interval of the ratio of two independent shares, `one` / `two`, in 0..inf.

    Its ends are the ratios q for which an end of the interval of one - q * two is 0.
    """
    product = one.value * two.value
    down = two.high * (2 * two.value - two.high), one.low * (2 * one.value - one.low)
    up = two.low * (2 * two.value - two.low), one.high * (2 * one.value - one.high)
    below = product + sqrt(max(product**2 - down[0] * down[1], 0.0))
    above = product + sqrt(max(product**2 - up[0] * up[1], 0.0))
    return down[1] / below if below > 0 else 0.0, above / up[0] if up[0] > 0 else inf


def auc(positive: np.ndarray, negative: np.ndarray) -> Rate:
    """Return the AUC of two samples of scores (n,), (m,) with Newcombe's interval.

    Newcombe 2006 (doi:10.1002/sim.2324), method 5. It is a score-type interval: an AUC of 1 on few
    users still has a lower bound below 1. Empty samples give 0.5 with the interval 0..1.
    """
    from scipy.optimize import brentq

    m, n = len(positive), len(negative)
    if m == 0 or n == 0:
        return Rate(0.5, 0.0, 1.0, m + n)
    value = auc_score(positive, negative)
    middle = (m + n) / 2 - 1

    def beyond(theta: float) -> float:
        """|value - theta| less Z standard errors at theta: 0 at both ends of the interval."""
        spread = 1 + middle * (1 - theta) / (2 - theta) + middle * theta / (1 + theta)
        variance = theta * (1 - theta) * spread / (m * n)
        return abs(value - theta) - Z * sqrt(variance)

    # Strictly inside the interval: at a value of 0 or 1 itself the standard error is 0.
    inside = min(max(value, 1e-12), 1 - 1e-12)
    low, high = (float(brentq(beyond, inside, end, xtol=1e-12)) for end in (0.0, 1.0))
    return Rate(value, low, high, m + n)


def rate_at_false_positives(
    inside: np.ndarray, outside: np.ndarray, share: float
) -> tuple[Rate, float]:
    """Return the rate of `inside` scores above a threshold, and the threshold.

    At most `share` of the `outside` scores exceed the threshold. Both arrays have shape (n,).
    """
    threshold = float(np.sort(outside)[::-1][int(share * len(outside))])
    return wilson(int((inside > threshold).sum()), len(inside)), threshold
