"""With which probability an item is shown at a place of a list: exact, for ranking with noise.

A list is ranked by score plus Gumbel noise, a Plackett-Luce draw (Luce 1959; Plackett 1975). That
is a race: item j arrives at an exponential time of rate w_j = exp(score_j / noise), and the first
to arrive is at the top. Item j is at place k if k others arrive before it, so

    P(j at k) = integral of w_j exp(-w_j t) P(exactly k of the others have arrived by t) dt.

How many have arrived is a sum of independent coins (Poisson-binomial); taking one coin out of the
sum is a polynomial division. Over log t the integrand is smooth and falls off fast at both ends,
where the trapezoidal rule converges exponentially.
"""

from __future__ import annotations

import math

import numpy as np

from eventlog._runtime.compiled import compiled, inner, inner_with_arrays

STEP = 0.2  # of the integration over log t, for up to STEP_PLACES places
STEP_PLACES = 36
LOWEST = 1e-11  # probability below which the integrand counts as nothing
ROUNDING = 1e-16  # relative error of a float64
# Counts kept beyond the places asked for, at least: see `without_one`.
SPARE = 24


@compiled()
def place_probabilities(score, noise, places):
    """Return (n, places) float64: the probability that item j is at place k, from the top.

    `score` (n,) of the items, -inf = never shown; `noise`: scale of the Gumbel noise, 0 = none.
    """
    n = len(score)
    out = np.zeros((n, places))
    there = np.flatnonzero(score > -np.inf)
    if len(there) == 0:
        return out
    if noise <= 0.0:
        order = np.argsort(-score[there], kind="mergesort")
        for k in range(min(places, len(there))):
            out[there[order[k]], k] = 1.0
        return out
    weight = np.empty(len(there))
    top = np.max(score[there])
    for j in range(len(there)):
        weight[j] = math.exp((score[there[j]] - top) / noise)
    integrate(weight, there, out)
    return out


@inner_with_arrays
def integrate(weight, there, out):
    """Add up the integrand over log t into `out[there]`, for rates `weight` (m,)."""
    m, places = len(weight), out.shape[1]
    size = min(m, places + max(SPARE, places)) + 1
    # Up to this probability a coin is divided out from the bottom up, which multiplies rounding
    # errors by p / (1 - p) for each place; otherwise from the top down, which divides what the
    # counts that are not kept would add by as much for each spare one.
    border = 0.5
    if size <= m:
        odds = ROUNDING ** (-1.0 / size)
        border = odds / (1.0 + odds)
    arrived, others, p = np.empty(size), np.empty(min(places, m)), np.empty(m)
    # The longer the list, the sharper is what is integrated.
    step = STEP * min(1.0, math.sqrt(STEP_PLACES / places))
    # Before the first time hardly anything has arrived; after the last the list is full.
    log_time = math.log(LOWEST / weight.sum())
    last = -math.log(weight.min()) + math.log(-math.log(LOWEST))
    while log_time < last:
        time = math.exp(log_time)
        for j in range(m):
            p[j] = -math.expm1(-weight[j] * time)
        count_arrived(p, arrived)
        if arrived[: places + 1].sum() < LOWEST:
            break
        for j in range(m):
            density = step * weight[j] * time * math.exp(-weight[j] * time)
            if density < LOWEST:
                continue
            without_one(arrived, p[j], p[j] <= border, others)
            for k in range(len(others)):
                out[there[j], k] += density * max(others[k], 0.0)
        log_time += step


@inner
def count_arrived(p, out):
    """Fill `out` with the probability that exactly 0, 1, ... of the coins `p` show heads."""
    out[:] = 0.0
    out[0] = 1.0
    for j in range(len(p)):
        for c in range(min(j + 1, len(out) - 1), 0, -1):
            out[c] = out[c] * (1.0 - p[j]) + out[c - 1] * p[j]
        out[0] *= 1.0 - p[j]


@inner
def without_one(arrived, p, upwards, out):
    """Fill `out` with the first of `arrived` as it would be without a coin of probability `p`.

    `upwards`: begin at a count of 0, and not at the greatest.
    """
    if upwards:
        scale, odds = 1.0 / (1.0 - p), p / (1.0 - p)
        out[0] = arrived[0] * scale
        for c in range(1, len(out)):
            out[c] = arrived[c] * scale - odds * out[c - 1]
        return
    scale, odds, count = 1.0 / p, (1.0 - p) / p, 0.0
    for c in range(len(arrived) - 1, 0, -1):
        count = arrived[c] * scale - odds * count
        if c <= len(out):
            out[c - 1] = count
