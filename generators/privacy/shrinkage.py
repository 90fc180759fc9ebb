"""Shrink counts with Gaussian noise of known size towards what is expected of them.

Each true count is a multiple of its expectation: 1 where nothing but chance makes it differ, 0 what
never occurs, or anything else; a large one may be off it by some standard deviations of the noise.
How frequent each multiple is follows from all counts of a table together by maximum likelihood,
without a form that is assumed (Kiefer and Wolfowitz 1956, doi:10.1214/aoms/1177728066; as an
estimator of many means Jiang and Zhang 2009, doi:10.1214/08-AOS638). A count becomes its posterior
mean. So a table full of facts keeps small counts that a table full of noise loses. All of it is a
function of noisy answers, which costs nothing.
"""

from __future__ import annotations

import numpy as np

# Multiples of its expectation that a count may be: finer where most are.
MULTIPLES = np.concatenate(
    [[0.0], 2.0 ** np.arange(-5, -1), np.exp(np.linspace(-1.2, 1.2, 25)), 2.0 ** np.arange(2, 12)]
)
# Standard deviations of the noise beyond which a count is large, and beyond which one that differs
# from its expectation is taken as it is.
FAR = 8.0
OFFSETS = np.linspace(-FAR, FAR, 65)  # by which a large count may differ, in the same unit
# Expectations, in the same unit, between which small counts have shares of their own.
LEVELS = (0.1, 1.0)
# Counts that are assumed beside those of a level, each of multiple 0 and 1, or offset 0.
PSEUDO_COUNTS = 5.0
ROUNDS = 30  # of expectation maximisation
MOST_LEARNT = 20_000  # counts from which the shares are learnt
BLOCK = 100_000  # counts at a time
SURE = 4.0  # standard deviations by which a cell stands out of the noise for certain
DECLINE = 2  # cells over which a decline is seen


def shrunk(found: np.ndarray, expected: np.ndarray, sd: float) -> np.ndarray:
    """Return estimates >= 0 of the true counts.

    Args:
        found: (n,) counts with noise.
        expected: (n,) what they are without further knowledge, >= 0.
        sd: standard deviation of the noise.
    """
    count, mean = found / sd, expected / sd
    out, large = np.maximum(count, 0.0), count >= FAR
    level = np.where(large, len(LEVELS) + 1, np.digitize(mean, LEVELS))
    level[large & (np.abs(count - mean) >= FAR)] = -1
    for k in range(len(LEVELS) + 2):
        at, offsets = np.flatnonzero(level == k), k > len(LEVELS)
        if not len(at):
            continue
        share = _shares(count, mean, at[:: -(-len(at) // MOST_LEARNT)], offsets=offsets)
        for block in np.array_split(at, -(-len(at) // BLOCK)):
            value, likelihood = _possible(count[block], mean[block], offsets=offsets)
            weight = likelihood * share
            out[block] = (weight * value).sum(1) / weight.sum(1)
    return np.maximum(out, 0.0) * sd


def with_tail(found: np.ndarray, sd: float | np.ndarray) -> np.ndarray:
    """Return counts with noise whose highest cells are shrunk towards a steady decline.

    Beyond the last cell that stands out of the noise counts are expected to decline as the last
    ones up to it do, or as steeply as follows from the next one not standing out, give or take as
    many as are expected; each is weighed against that by precision. Left as they are, the few high
    cells that the noise raises would hold most of what a sum over the cells is made of.

    Args:
        found: (n,) counts >= 0 of cells in ascending order.
        sd: standard deviation of the noise on each; of all, or (n,).
    """
    out, sd = found.astype(np.float64), np.broadcast_to(sd, found.shape)
    visible = np.flatnonzero(out > SURE * sd)
    if (sd == 0).all() or len(visible) == 0 or visible[-1] == 0:
        return out
    last = int(visible[-1])
    first = max(last - DECLINE, 0)
    ratio = min(out[last] / max(out[first], sd[first]), 1.0) ** (1 / (last - first))
    ratio = min(ratio, SURE * sd[last] / out[last])  # the next one does not stand out
    for k in range(last + 1, len(out)):
        expected = out[k - 1] * ratio
        out[k] = expected + (out[k] - expected) * expected**2 / (expected**2 + sd[k] ** 2)
    return out


def _shares(count: np.ndarray, mean: np.ndarray, at: np.ndarray, *, offsets: bool) -> np.ndarray:
    """Return how frequent each of MULTIPLES or OFFSETS is among the counts of places `at`."""
    usual = OFFSETS == 0 if offsets else (MULTIPLES == 0) | np.isclose(MULTIPLES, 1.0)
    pseudo = PSEUDO_COUNTS * usual
    share = (1.0 + pseudo) / (1.0 + pseudo).sum()
    _, likelihood = _possible(count[at], mean[at], offsets=offsets)
    for _ in range(ROUNDS):
        weight = likelihood * share
        share = (weight / weight.sum(1, keepdims=True)).sum(0) + pseudo
        share /= share.sum()
    return np.asarray(share)


def _possible(
    count: np.ndarray, mean: np.ndarray, *, offsets: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the true counts may be, and the likelihood of each, (n, values) both.

    Args:
        count: (n,) in standard deviations of the noise.
        mean: (n,) what is expected of them.
        offsets: may they differ from that by OFFSETS, or by MULTIPLES?

    Returns:
        The likelihood is relative to that of the most likely value.
    """
    value = mean[:, None] + OFFSETS if offsets else mean[:, None] * MULTIPLES
    square = (count[:, None] - value) ** 2
    return value, np.exp((square.min(1, keepdims=True) - square) / 2)
