"""Shares of users' attributes under a privacy budget, made of noisy answers.

Each attribute is asked for alone, and together with the one that it is given. So the answers say
several times how many users have a code: alone, and as the sum over the cells that it can have with
another. All of them are averaged by precision, so that attributes agree: were the users who stay no
time more than those who have one row, by noise alone, the surplus would get many rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from generators.codec.codec import Codec
from generators.codec.parts import (
    ARRIVAL,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    SESSIONS,
)
from generators.markov.attributes import AttributeTables
from generators.markov.backoff import BackoffTable
from generators.markov.private_questions import attribute_table, weight_of
from generators.privacy.counts import (
    Answers,
    Question,
    backed_off,
    given_rows,
    raked,
    shares_of,
)
from generators.privacy.shrinkage import SURE, with_tail

Counts = tuple[np.ndarray, np.ndarray]  # numbers of users, and their variances
# The attribute that an attribute of users is given; the others are given the one before them.
PARENTS = {
    OBSERVATION_SPAN: ARRIVAL,
    SESSIONS: OBSERVATION_SPAN,
    LENGTH: SESSIONS,
    N_LABELLED_SESSIONS: LENGTH,
}


def attribute_questions(codec: Codec, attributes: np.ndarray) -> list[Question]:
    """Return the table of each attribute given another; `attributes` (n_users, S) are codes."""
    sizes = codec.user_attribute_sizes()
    everyone, questions = np.arange(len(attributes)), []
    for k, (name, size) in enumerate(sizes.items()):
        parent = parent_of(codec, k)
        wide = 1 if parent < 0 else list(sizes.values())[parent]
        cell = attributes[:, k] + (0 if parent < 0 else attributes[:, parent] * size)
        scale = math.sqrt(weight_of(codec, name))
        rows = given_rows((everyone, cell, None))
        questions.append(Question(attribute_table(name), wide * size, rows, scale))
    return questions


def learn_attributes(
    codec: Codec, answers: Answers, alone: Sequence[tuple[np.ndarray, float]], *, strength: float
) -> AttributeTables:
    """Learn the shares of each attribute given another.

    A noisy table of pairs follows the marginals, which are known better.

    Args:
        codec: of the log.
        answers: to `attribute_questions`.
        alone: how many users have each code of an attribute, and the sd of the noise on that.
        strength: pseudo-counts of the marginal.
    """
    marginals = agreed(codec, answers, alone)
    reached: list[np.ndarray] = []  # shares of the codes of each attribute, as they are drawn
    parents, shares = list[list[int]](), list[BackoffTable]()
    for k, (name, marginal) in enumerate(zip(codec.user_attributes, marginals, strict=True)):
        counts, noise = answers[attribute_table(name)]
        parent, fits = parent_of(codec, k), that_fit(codec, k)
        found = counts.reshape(fits.shape) * fits
        usual = marginal
        if name == SESSIONS:
            usual = by_decline(found, marginal, noise)
        elif name == LENGTH:
            usual = by_sessions(found, noise)
        share = fits * backed_off(found.ravel(), [len(fits)], usual, first=strength, noise=noise)
        share /= np.maximum(share.sum(1, keepdims=True), 1e-300)
        before = np.ones(1) if parent < 0 else reached[parent]
        share = raked(share, before, marginal)
        reached.append(before @ share)
        parents.append([] if parent < 0 else [2 * parent])
        shares.append(BackoffTable.dense(share, len(parents[k])))
    return AttributeTables(codec, parents, shares, {})


def agreed(
    codec: Codec, answers: Answers, alone: Sequence[tuple[np.ndarray, float]]
) -> list[np.ndarray]:
    """Return the shares (size,) of the codes of each attribute, by all that is said of them."""
    said: list[list[Counts]] = [[(c, np.full(len(c), sd**2))] for c, sd in alone]
    for k, name in enumerate(codec.user_attributes):
        counts, noise = answers[attribute_table(name)]
        parent, fits = parent_of(codec, k), that_fit(codec, k)
        found = counts.reshape(fits.shape) * fits
        for axis, attribute in enumerate((k, parent)):
            if attribute >= 0:
                cells = np.maximum(fits.sum(axis), 1)
                said[attribute].append((found.sum(axis), cells * noise**2))
    users, out = _total(codec, answers), []
    for name, of in zip(codec.user_attributes, said, strict=True):
        counts, variances = (np.stack(x) for x in zip(*of, strict=True))
        variance = 1 / (1 / variances).sum(0)
        mean = (counts / variances).sum(0) * variance
        # what all users are more or less than goes to codes as far as they are uncertain
        mean = np.maximum(mean + (users - mean.sum()) * variance / variance.sum(), 0.0)
        if name in (LENGTH, SESSIONS):
            mean = with_tail(mean, np.sqrt(variance))
        out.append(shares_of(mean))
    return out


def _total(codec: Codec, answers: Answers) -> float:
    """Return how many users there are, by the tables of all attributes."""
    tables = [answers[attribute_table(name)] for name in codec.user_attributes]
    precision = np.array([1 / (len(counts) * noise**2) for counts, noise in tables])
    return float(np.average([counts.sum() for counts, _ in tables], weights=precision))


def by_decline(counts: np.ndarray, marginal: np.ndarray, noise: float) -> np.ndarray:
    """Return the shares of numbers of sessions that are usual for each span, (spans, size).

    They are those of all users, but beyond the last of the `counts` (spans, size) that stands out
    of the noise they decline as the last ones do: few who stay shortly come a hundred times.
    """
    share = np.tile(marginal, (len(counts), 1))
    for own, found in zip(share, np.maximum(counts, 0.0), strict=True):
        visible = np.flatnonzero(found > SURE * noise)
        if len(visible):
            beyond = slice(visible[-1] + 1, None)
            own[beyond] = np.minimum(own, with_tail(found, noise) / found.sum())[beyond]
            own /= own.sum()
    return share


def by_sessions(counts: np.ndarray, noise: float) -> np.ndarray:
    """Return the shares of numbers of rows that are usual for so many sessions.

    Both are on one grid, with two intervals a doubling, so that a difference of codes is a number
    of rows a session; shares of these are those of all users. `counts` and the shares are
    (codes of sessions, codes of rows).
    """
    size, code = len(counts), np.arange(len(counts))
    apart = code[None, :] - code[:, None]
    there = (apart >= 0) & (code > 0)[:, None]
    found = np.bincount(apart[there], counts[there], minlength=size)
    pooled = backed_off(found, [1], np.full(size, 1 / size), noise=noise * math.sqrt(size))[0]
    share = np.where(there, pooled[np.maximum(apart, 0)], 0.0)
    share[~there.any(1)] = 1.0
    usual: np.ndarray = share / share.sum(1, keepdims=True)
    return usual


def parent_of(codec: Codec, k: int) -> int:
    """Return the attribute that the k-th is given: a fixed one, or the one before.

    It is -1 for the first.
    """
    names = list(codec.user_attributes)
    named = PARENTS.get(names[k])
    return names.index(named) if named in names else k - 1


def that_fit(codec: Codec, k: int) -> np.ndarray:
    """Return which codes of the k-th attribute can go with those of its parent, (wide, size)."""
    name, parent = list(codec.user_attributes)[k], parent_of(codec, k)
    sizes = list(codec.user_attribute_sizes().values())
    wide = 1 if parent < 0 else sizes[parent]
    if name == OBSERVATION_SPAN:
        return codec.spans_that_fit(torch.arange(wide)).numpy()
    if name == SESSIONS:
        return with_room(codec)
    if name == LENGTH:  # each session has a row
        (least, _), (_, most) = _ends(codec, SESSIONS), _ends(codec, LENGTH)
        return most[None, :] > least[:, None]
    return np.ones((wide, sizes[k]), dtype=bool)


def with_room(codec: Codec) -> np.ndarray:
    """Return which numbers of sessions have room in a span, (spans, sessions) bool.

    The span ends where the last of them begins: it is longer than 0 where there are several, unless
    sessions can begin at the same time. One that is shorter than all gaps is that of two.
    """
    (_, longest), (least, most) = (_ends(codec, n) for n in (OBSERVATION_SPAN, SESSIONS))
    gap = codec.clock.shortest_between()
    if gap == 0:
        return np.ones((len(longest), len(least)), dtype=bool)
    several, two = longest[:, None] > 0, most > 2
    if gap == np.inf:
        return np.broadcast_to(least <= 1, (len(longest), len(least)))
    room = (np.ceil(least) - 1)[None, :] * gap <= np.maximum(longest, gap)[:, None]
    fits: np.ndarray = np.where(several, room & two, least[None, :] <= 1)
    return fits


def _ends(codec: Codec, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper end of each code of an attribute, (size,); 0 where missing."""
    coder: Any = codec.user_attributes[name]
    low, high = coder.ends()
    return np.nan_to_num(low), np.nan_to_num(high)
