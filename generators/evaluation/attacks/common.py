"""95 % intervals that stay honest at 0 and 1, where attacks on good and on terrible generators end
up.

Example::

    wilson(0, 50)      # Rate(value=0.0, low=0.0, high=0.071, n=50): no success in 50 tries does not
    prove safety
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

Z = 1.959963984540054  # two-sided 95 %


@dataclass(frozen=True)
class Rate:
    """A share, or an AUC, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int, *, tests: int = 1) -> Rate:
    """Wilson score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953). (0, 0) gives an
    interval of 0..1.

    With several `tests` the intervals of all of them hold together with 95 % (Bonferroni).
    """
    if n == 0:
        return Rate(0.0, 0.0, 1.0, 0)
    z = Z if tests == 1 else NormalDist().inv_cdf(1 - 0.025 / tests)
    middle = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(successes * (n - successes) / n + z * z / 4)
    return Rate(successes / n, max(middle - half, 0.0), min(middle + half, 1.0), n)


def residual(attack: Rate, control: Rate) -> tuple[float, float, float]:
    """(value, low, high) of the excess risk (attack - control) / (1 - control), cut to 0..1.

    What an attack gains on users who were in the training data over users who were not:
    anonymeter's definition (Giomi et al. 2023, doi:10.56553/popets-2023-0055), with its estimates
    (the middles of Wilson intervals) and its propagation of their half-widths.
    """
    a, c = (attack.low + attack.high) / 2, (control.low + control.high) / 2
    error_a, error_c = (attack.high - attack.low) / 2, (control.high - control.low) / 2
    if c >= 1.0:
        return 0.0, 0.0, 1.0
    value = (a - c) / (1 - c)
    error = sqrt((error_a / (1 - c)) ** 2 + (error_c * (a - 1) / (1 - c) ** 2) ** 2)
    low, mid, high = (float(np.clip(x, 0.0, 1.0)) for x in (value - error, value, value + error))
    return mid, low, high


def auc(positive: np.ndarray, negative: np.ndarray) -> Rate:
    """P(positive > negative) + P(equal) / 2 of two samples of scores, with Newcombe's interval.

    Newcombe 2006 (doi:10.1002/sim.2324), method 5: score-type, so that an AUC of 1 on few users is
    not taken for certain.
    """
    m, n = len(positive), len(negative)
    if m == 0 or n == 0:
        return Rate(0.5, 0.0, 1.0, m + n)
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    value = float((below + upto).mean() / 2 / n)
    middle = (m + n) / 2 - 1

    def beyond(theta: float) -> float:
        """|value - theta| in units of the standard error at theta, less Z."""
        spread = 1 + middle * (1 - theta) / (2 - theta) + middle * theta / (1 + theta)
        variance = theta * (1 - theta) * spread / (m * n)
        return abs(value - theta) - Z * sqrt(variance)

    return Rate(value, _root(beyond, value, 0.0), _root(beyond, value, 1.0), m + n)


def _root(f: object, inside: float, end: float) -> float:
    """Where `f` (negative at `inside`, nonnegative at `end`) crosses 0, by halving."""
    assert callable(f)
    for _ in range(60):
        middle = (inside + end) / 2
        if f(middle) < 0:
            inside = middle
        else:
            end = middle
    return (inside + end) / 2


def clopper_pearson_low(successes: int, n: int, *, confidence: float = 0.95) -> float:
    """One-sided lower bound of a share (Clopper and Pearson 1934): true with at least `confidence`,
    for any n.
    """
    from scipy.stats import beta

    return 0.0 if successes == 0 else float(beta.ppf(1 - confidence, successes, n - successes + 1))
