"""Tables of the Markov generator under a privacy budget, made of noisy answers.

What is asked is in `private_questions`. Everything here is computed from the answers alone: shares
backed off to coarser contexts, factors by which levels of a context change a field, and how many
times likelier each code is in labelled sessions than in those without a label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generators.codec.codec import SESSION_LABEL, Codec
from generators.markov.contexts import number_before
from generators.markov.pacing import Pacing
from generators.markov.private_questions import (
    FACTORS,
    HIDDEN,
    SESSION_TIME,
    coarse_levels,
    coarse_table,
    factor_table,
    labelled_levels,
    labelled_table,
    only_code,
)
from generators.privacy.counts import Answers, backed_off
from generators.privacy.shrinkage import SURE
from generators.sequences.levels import SESSION_TIMES, mean_rows

# fields whose factors rise or fall by the same step from level to level
LINEAR_FACTORS = frozenset({"event"})
LARGEST_FACTOR = 5.0
LIFTS = (1e-2, 1e3)  # least and largest factor of a code in labelled sessions
# standard deviations of noise that a deviation must exceed: 1 in 400 does by chance
SIGNIFICANT = 3.0
PRIOR = 1e-3  # added to shares before they are divided
MISSING = 0  # the code of a missing value


@dataclass
class PrivateTables:
    """Estimates the table of each field from noisy answers."""

    codec: Codec
    answers: Answers
    marginals: dict[str, np.ndarray]  # shares of each field's codes

    def learn(self, name: str, widths: list[int]) -> np.ndarray:
        """Return the shares of a field's codes, (contexts, size).

        `widths` are the numbers of codes of the levels of its context, the last one that of the
        session label.
        """
        if name == SESSION_LABEL:
            return self._session_label(widths)
        size, only = self.codec.fields()[name], only_code(self.codec, name)
        if only is not None:
            return np.tile(np.arange(size) == only, (math.prod(widths), 1)).astype(np.float64)
        widths, kinds = widths[:-1], widths[-1]
        if name.startswith("label:"):
            return self._event_label(name, widths, kinds)
        first = coarse_levels(self.codec, name)
        coarse, noise = self.answers[coarse_table(name)]
        marginal = self._marginal(name, coarse.reshape(-1, size), noise)
        share = backed_off(coarse, [1, *widths[:first]], marginal, noise=noise)
        if name in FACTORS:
            share = share.reshape(*widths[:first], *[1] * (len(widths) - first), size)
            for what, within, of in FACTORS[name]:
                factor = self._factor(name, what, [widths[k] for k in within], widths[of])
                share = share * factor.reshape(
                    *[w if k in (*within, of) else 1 for k, w in enumerate(widths)], size
                )
            share = share / share.sum(-1, keepdims=True)
            share = share.reshape(-1, size)
        elif name in self.answers:
            counts, fine = self.answers[name]
            number = number_before(self.codec, name)
            if number is not None:
                order = _ascending(self.codec, number)
                share = given_number(counts.reshape(widths[0], -1, size), order, share, fine)
            else:
                wide = [math.prod(widths[:first]), *widths[first:]]
                share = backed_off(counts, wide, share, first=1.0, noise=fine)
        if kinds == 1:
            return share
        coarse = coarse.reshape(*widths[:first], size)
        return self._with_labelled(name, widths, kinds, share, coarse, noise, marginal)

    def _marginal(self, name: str, coarse: np.ndarray, noise: float) -> np.ndarray:
        """Return the shares (size,) of a field's codes without any context.

        A column has missing values where its counts `coarse` (contexts, size) show some. Where the
        noise hides them there are none: most columns that seem never to be missing never are.
        """
        share = self.marginals[name]
        if name not in self.codec.bins and name not in self.codec.values:
            return share
        missing, some = coarse[:, MISSING], share[MISSING] < 1
        hidden = missing.sum() <= SIGNIFICANT * noise * math.sqrt(len(missing))
        if some and hidden and missing.max() <= SURE * noise:
            there = np.where(np.arange(len(share)) == MISSING, 0.0, share)
            return np.asarray(there / there.sum())
        return share

    def _factor(self, name: str, what: str, within: list[int], levels: int) -> np.ndarray:
        """Return how many times likelier each code is at a level than without knowing it.

        The factors are (contexts of `within` and levels, size). First there is one ratio for all
        contexts, observed over expected (indirect standardisation), so that it does not matter
        which contexts coincide with which level; then what single contexts show beyond it.
        """
        counts, noise = self.answers[factor_table(name, what)]
        size, widths = self.codec.fields()[name], within or [1]
        wide = math.prod(widths)
        without = backed_off(
            counts.reshape(wide, -1, size).sum(1),
            widths,
            self.marginals[name],
            noise=noise * math.sqrt(levels),
        )
        grid = counts.reshape(wide, levels, size)
        total = grid.sum(2)
        above_noise = total > 2 * HIDDEN * noise * math.sqrt(size)
        # (levels, size)
        expected = (np.where(above_noise, total, 0.0)[:, :, None] * without[:, None]).sum(0)
        off = (grid * above_noise[:, :, None]).sum(0) - expected
        sd = noise * np.sqrt(above_noise.sum(0))[:, None]
        if name in LINEAR_FACTORS:
            step = np.arange(levels)[:, None] - (expected * np.arange(levels)[:, None]).sum(
                0
            ) / np.maximum(expected.sum(0), 1e-9)
            # least squares of off = slope * lever, which leaves the totals as they are
            lever = expected * step
            spread = np.maximum((lever**2).sum(0), 1e-9)
            slope = (off * lever).sum(0) / spread
            ratio = (
                1
                + np.where(np.abs(slope) > SIGNIFICANT * sd.max() / np.sqrt(spread), slope, 0.0)
                * step
            )
        else:
            ratio = np.where(
                np.abs(off) > SIGNIFICANT * sd, 1 + off / np.maximum(expected, 1e-9), 1.0
            )
        led = without[:, None] * np.clip(ratio, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
        led = (led / led.sum(2, keepdims=True)).reshape(-1, size)
        found = backed_off(counts, [wide * levels], led, first=10.0, noise=noise).reshape(
            wide, levels, size
        )
        return np.clip(
            (found + PRIOR) / (without[:, None] + PRIOR), 1 / LARGEST_FACTOR, LARGEST_FACTOR
        )

    def pacing(self, widths: list[int]) -> Pacing:
        """Return how gaps depend on what is to come; `widths` are as in `learn`.

        Contexts are as frequent as their counts say.
        """
        before = np.append(0.0, self.marginals["event"])  # there is no gap before a first row
        size = self.codec.fields()["gap"]
        counts, _ = self.answers[coarse_table("gap")]
        cart = np.maximum(counts.reshape(widths[0], widths[1], size).sum(2), 0.0) + PRIOR
        counts, _ = self.answers[factor_table("gap", "position")]
        position = np.maximum(counts.reshape(widths[0], -1, size).sum(2), 0.0) + PRIOR
        weight = (
            before[:, None, None]
            * (cart / cart.sum(1, keepdims=True))[:, :, None]
            * (position / position.sum(1, keepdims=True))[:, None]
        )
        share = self.learn("gap", [*widths[:-1], 1]).reshape(-1, widths[2], size)
        weight = weight.reshape(-1, widths[2])
        within = self.codec.clock.within.size
        between = (weight[..., None] * share[..., within:]).sum((0, 1))
        by_time = np.tile(between, (SESSION_TIMES, 1))
        if SESSION_TIME in self.answers and between.sum() > 0:
            between /= between.sum()
            counts, noise = self.answers[SESSION_TIME]
            by_time = backed_off(counts, [SESSION_TIMES], between, first=10.0, noise=noise)
        return Pacing.learn(self.codec.clock, share, weight, by_time)

    def _with_labelled(
        self,
        name: str,
        widths: list[int],
        kinds: int,
        share: np.ndarray,
        coarse: np.ndarray,
        noise: float,
        marginal: np.ndarray,
    ) -> np.ndarray:
        """Return the shares of codes in sessions without and with each label.

        Args:
            share: (contexts, size) shares in sessions without a label.
            coarse: (*coarse contexts, size) counts in sessions without a label.
            noise: on each of those counts.
            marginal: (size,) shares of codes without any context.

        Returns:
            (contexts * kinds, size), the kind of label varying fastest; kind 0 is `share`.
        """
        size, within = share.shape[-1], labelled_levels(self.codec, name)
        votes, few = self.answers[labelled_table(name)]
        wide, cells = math.prod(widths[k] for k in within), coarse[..., 0].size
        overall = backed_off(
            coarse.reshape(-1, size).sum(0),
            [1],
            marginal,
            noise=noise * math.sqrt(cells),
        )
        rest = tuple(k for k in range(coarse.ndim - 1) if k not in within)
        none = backed_off(
            coarse.sum(axis=rest).reshape(-1, size),
            [wide],
            overall,
            noise=noise * math.sqrt(cells / wide),
        )
        votes = votes.reshape(wide, kinds, size)
        led = np.repeat(none[:, None], kinds - 1, axis=1)
        if wide > 1:
            each = backed_off(
                votes.sum(0)[1:],
                [kinds - 1],
                overall,
                first=1.0,
                noise=few * math.sqrt(wide),
            )
            led = led * np.clip((each + PRIOR) / (overall + PRIOR), *LIFTS)
            led /= led.sum(2, keepdims=True)
        found = backed_off(
            votes[:, 1:],
            [wide * (kinds - 1)],
            led.reshape(-1, size),
            first=1.0,
            noise=few,
        )
        lift = (found.reshape(wide, kinds - 1, size) + PRIOR) / (none[:, None] + PRIOR)
        lift = np.clip(lift, *LIFTS)
        lift = lift.reshape(
            *[w if k in within else 1 for k, w in enumerate(widths)], kinds - 1, size
        )
        shares = share.reshape(*widths, 1, size) * lift
        shares = (shares / shares.sum(-1, keepdims=True)).reshape(-1, kinds - 1, size)
        return np.concatenate([share[:, None], shares], axis=1).reshape(-1, size)

    def _session_label(self, widths: list[int]) -> np.ndarray:
        """Return the shares of session labels, (contexts, size).

        Labelled sessions lie anywhere among the sessions to come. So only the kinds of labels are
        asked for, of users who have some to come.
        """
        size, (width, levels) = len(self.codec.session_labels) + 1, widths
        counts, noise = self.answers[SESSION_LABEL]
        votes = counts.reshape(-1, size).sum(0)[1:]
        # the label of a session whose kind is hidden by the noise would never be drawn
        kind = np.where(votes > HIDDEN * noise * math.sqrt(width), votes, 0.0)
        to_come = np.maximum(mean_rows()[:levels], 1.0)
        # (labelled sessions to come, sessions to come)
        some = np.minimum(np.arange(width)[:, None] / to_come[None, :], 1.0) * (kind.sum() > 0)
        return np.concatenate(
            [1 - some[..., None], some[..., None] * kind / max(kind.sum(), 1e-9)], 2
        ).reshape(-1, size)

    def _event_label(self, name: str, widths: list[int], kinds: int) -> np.ndarray:
        """Return the shares of a label of events, (contexts * kinds, size).

        There is none in sessions without a label, and none on events where the noise hides it.
        """
        size, n_events = self.codec.fields()[name], widths[0]
        votes, noise = self.answers[labelled_table(name)]
        grid = votes.reshape(kinds, n_events, size)
        # (n_events, size)
        above_noise = grid[1:].sum(0) > HIDDEN * noise * math.sqrt(kinds - 1)
        above_noise[:, 0] = True
        kept = backed_off(
            np.where(above_noise, grid[1:], 0.0).swapaxes(0, 1),
            [n_events, kinds - 1],
            above_noise.mean(0),
            noise=noise,
        )
        kept = kept.reshape(n_events, kinds - 1, size) * above_noise[:, None]
        none = np.broadcast_to(np.arange(size) == 0, (n_events, 1, size))
        # (n_events, kinds, size)
        both = np.concatenate([none, kept / kept.sum(2, keepdims=True)], axis=1)
        return np.repeat(both[:, None], math.prod(widths[1:]), axis=1).reshape(-1, size)


def _ascending(codec: Codec, name: str) -> np.ndarray:
    """Return the codes of a number by their values, (size,); 'missing' comes first."""
    if name != "price":
        return np.argsort(codec.bins[name].ranks())
    ratio, plain = codec.bins["price_ratio"], codec.bins["price"]
    return np.argsort(np.append(ratio.ranks(), ratio.size + plain.ranks()[1:]))


def given_number(
    counts: np.ndarray, order: np.ndarray, share: np.ndarray, noise: float
) -> np.ndarray:
    """Return the shares of a field's codes given its event and a number, (events * codes, size).

    What is alike for neighbouring values of the number is learnt from all of them: half of its
    range is a context of its own, given the event alone, and so is half of that half, and so on.

    Args:
        counts: (events, codes, size) with `noise` on each.
        order: (codes,) of the number, by their values.
        share: (events, size) given the event alone.
    """
    events, codes, size = counts.shape
    depth = math.ceil(math.log2(codes))
    ascending = np.zeros((events, 2**depth, size))
    ascending[:, :codes] = counts[:, order]
    halves = [events, *[2] * depth]
    found = backed_off(ascending, halves, share, first=1.0, noise=noise).reshape(ascending.shape)
    out = np.empty_like(counts)
    out[:, order] = found[:, :codes]
    return out.reshape(-1, size)
