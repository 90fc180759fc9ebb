"""Gaps between rows that bring users to the end of their rows and of their sessions in time.

A user has a number of rows still to come, a number of sessions still to begin, and a time until the
last of these. Of draws from their shares, those that happen to have as many session starts and to
add up to as much time are, for many rows, distributed like draws from the shares times
exp(odds * starts - rate * gap), with the odds and the rate at which the means are sessions by rows
and time by sessions: the Gibbs conditioning principle (van Campenhout and Cover 1981,
doi:10.1109/TIT.1981.1056374). So how gaps depend on what is left of the plan needs no counts of
users, and costs no privacy budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from generators.codec.clock import Clock
from generators.markov.tables import BEGINS, BETWEEN, WITHIN
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.sequences.levels import SESSION_TIMES, level_of_session_time, mean_rows, mean_time
from generators.validation import array

HALVINGS = 60  # of the interval in which odds or a rate are looked for
PRIOR = 1e-4  # added to shares before they are divided
LARGEST_ODDS = 30.0  # on the scale of logits
LEAST_LOG = -60.0  # of a share: where the noise left nothing, gaps are alike
LARGEST_RATE = np.arcsinh(1e6)  # an hour; rates are looked for on this scale


@dataclass(frozen=True)
class Pacing:
    """How gaps depend on the rows, sessions and time still to come, by their levels."""

    # (levels of rows, levels of sessions) float32: added to the log odds that a session begins
    odds: np.ndarray
    # (levels of time, levels of sessions) float32: of gaps between sessions, an hour
    rate: np.ndarray
    # (levels of the time a session, codes of gaps between sessions) float32: added to their logits
    usual: np.ndarray

    @classmethod
    def learn(
        cls, clock: Clock, share: np.ndarray, weight: np.ndarray, by_time: np.ndarray
    ) -> Pacing:
        """Learn from the shares of gaps (contexts, positions, size).

        `weight` (contexts, positions) is how frequent each of them is. A position is the number of
        rows of the session so far, the last one that and more. `by_time` are the shares of gaps
        between sessions at each level of the time a session.
        """
        within, rows, time = clock.within.size, mean_rows(), mean_time()
        begins = share[..., within:].sum(2) / np.maximum(share[..., 1:].sum(2), 1e-300)
        ratio = np.minimum(rows[None, :] / np.maximum(rows[:, None], 1.0), 1.0)
        odds = odds_for(begins[:, 1:], weight[:, 1:], ratio)
        between = (weight[..., None] * share[..., within:]).sum((0, 1))
        target = time[:, None] / np.maximum(rows[None, :], 1.0)
        rate = np.zeros_like(target)
        usual = np.zeros_like(by_time)
        if between.sum() > 0:
            hours = mean_hours(clock, time)[:, None, within:]
            rate = rate_for(by_time[level_of_session_time()], hours, target)
            usual = np.log((by_time + PRIOR) / (between / between.sum() + PRIOR))
        return cls(odds.astype(np.float32), rate.astype(np.float32), usual.astype(np.float32))

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays from which `restored` makes it."""
        return {f"pacing/{name}": values for name, values in vars(self).items()}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], between: int) -> Pacing:
        """Return what `state` gave, of a log with so many gaps `between` sessions.

        Raises StateError where it is anything else.
        """
        rows, time = COUNTER_SIZES[Counter.ROWS_LEFT], COUNTER_SIZES[Counter.TIME_LEFT]
        shapes = {"odds": (rows, rows), "rate": (time, rows), "usual": (SESSION_TIMES, between)}
        return cls(
            **{
                name: array(
                    arrays, f"pacing/{name}", dtype="float32", shape=shape, low=-1e7, high=1e7
                )
                for name, shape in shapes.items()
            }
        )


class PacedGaps:
    """The logits of a log's gaps by what is to come, with what follows from its clock."""

    def __init__(self, pacing: Pacing, clock: Clock) -> None:
        self.within, self.odds = clock.within.size, pacing.odds
        hours = np.nan_to_num(mean_hours(clock, mean_time())[:, self.within :].astype(np.float32))
        # (levels of time, levels of sessions, codes of gaps between sessions)
        self.slow = pacing.rate[:, :, None] * hours[:, None]
        self.usual = pacing.usual[level_of_session_time()]

    def parts(
        self, log_share: np.ndarray, rows: np.ndarray, sessions: np.ndarray, time: np.ndarray
    ) -> dict[str, torch.Tensor]:
        """Return the logits of the parts of the gap; see `tables.joined`.

        Args:
            log_share: (n, size) of gaps.
            rows: (n,) levels of the rows to come; so are `sessions` and `time`.
            sessions: see there.
            time: see there.
        """
        share = torch.from_numpy(log_share).clamp(min=LEAST_LOG)
        inside, between = share[:, 1 : self.within], share[:, self.within :]
        if between.shape[1] == 0:
            return {WITHIN: inside, BEGINS: torch.zeros(len(inside), 2)}
        odds = torch.logsumexp(between, 1) - torch.logsumexp(inside, 1)
        odds = odds + torch.from_numpy(self.odds[rows, sessions])
        begins = torch.nn.functional.logsigmoid(torch.stack([-odds, odds], 1))
        usual, slow = (torch.from_numpy(x[time, sessions]) for x in (self.usual, self.slow))
        return {BEGINS: begins, WITHIN: inside, BETWEEN: between + usual - slow}


def mean_hours(clock: Clock, most: np.ndarray) -> np.ndarray:
    """Return the mean of the gaps of each code in hours, as they are drawn within it.

    It is (n, size), of gaps that may take each of the hours `most` (n,); NaN where a code may not.
    """
    low, high = (end / 3600 for end in clock.gap_ends())
    high = np.minimum(high, np.maximum(most[:, None], low))
    with np.errstate(divide="ignore", invalid="ignore"):
        geometric = (high - low) / np.log(high / low)
    mean = np.where(high > low, np.where(low > 0, geometric, (low + high) / 2), low)
    return np.where(low <= most[:, None], mean, np.nan)


def odds_for(begins: np.ndarray, weight: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return what to add to log odds for rows to begin a session as often as `target` says.

    Args:
        begins: (contexts, positions) shares of rows that begin a session, after 1, 2, ... rows of
            the one before; the last position is that and more.
        weight: (contexts, positions) how frequent each is.
        target: shares of all rows.
    """
    share = np.clip(begins, 1e-9, 1 - 1e-9)
    logit, weight = np.log(share / (1 - share)), weight / weight.sum(0)
    low, high = np.full(target.shape, -LARGEST_ODDS), np.full(target.shape, LARGEST_ODDS)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # (..., positions): after so many rows, and that a session has more
        ends = (weight / (1 + np.exp(-logit - middle[..., None, None]))).sum(-2)
        longer = np.cumprod(1 - ends[..., :-1], -1)
        rows = 1 + longer[..., :-1].sum(-1) + longer[..., -1] / np.maximum(ends[..., -1], 1e-12)
        found = 1 / rows
        low, high = np.where(found < target, middle, low), np.where(found < target, high, middle)
    out: np.ndarray = (low + high) / 2
    return out


def rate_for(share: np.ndarray, hours: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rates of the same shape as `target` at which shares have that mean in hours.

    Shares (..., size) are those at a rate of 0, `hours` (..., size) the mean of each code, NaN
    where a gap is too long. Where no rate leads to the mean, it is as near as any.
    """
    low, high = np.full(target.shape, -LARGEST_RATE), np.full(target.shape, LARGEST_RATE)
    with np.errstate(divide="ignore"):
        logs = np.where(np.isnan(hours), -np.inf, np.log(share))
    logs = np.where((logs > -np.inf).any(-1, keepdims=True), logs, 0.0)
    hours = np.nan_to_num(hours)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        log = logs - np.sinh(middle)[..., None] * hours
        tilted = np.exp(log - log.max(-1, keepdims=True))
        found = (tilted * hours).sum(-1) / tilted.sum(-1)
        low, high = np.where(found > target, middle, low), np.where(found > target, high, middle)
    out: np.ndarray = np.sinh((low + high) / 2)
    return out
