"""Tables of the Markov generator under a privacy budget.

Each table is asked once, with noise, and is small enough for its counts to exceed the noise. No
table has the whole context of a field: in many fine contexts the noise would hide the few that
matter. Each field has a table of coarse contexts; everything else that changes the field is a
factor (`_factor`): how many times likelier each code is after an order, at a high pace, ...
Labelled sessions are few, so they have tables of their own, in which each user has one vote in a
context: how many times likelier each code is there than in sessions without a label.

The contribution of a user to a table is bounded (see `generators.privacy.counts`). So rows have
weights: those after frequent events count less than those after rare ones. Otherwise the thousand
page views of some users would leave no room for their one checkout. What is frequent depends on the
user's number of rows and is itself asked under the budget (`row_weights`). Within a context all
rows of a user have the same weight, since a weight that depends on what the user did next would
bias the shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import ARRIVAL, LENGTH, N_LABELLED_SESSIONS, OBSERVATION_SPAN
from generators.markov.contexts import SIZES, ContextFeatures, Level, Levels, index_of
from generators.privacy.counts import Tables, backed_off
from generators.sequences import feature_layout as layout
from generators.sequences.user_state import least_rows

# Shares of a budget; other columns of the log have LIGHT, other fields 1.
WEIGHTS = {
    "gap": 3.0,
    "event": 8.0,
    "pick": 2.0,
    "category": 2.0,
    "item": 3.0,
    SESSION_LABEL: 2.0,
    ARRIVAL: 1.0,
    OBSERVATION_SPAN: 3.0,
    LENGTH: 3.0,
    N_LABELLED_SESSIONS: 1.0,
}
LIGHT = 0.3
LABELLED_WEIGHTS = {"event": 2.0}  # of tables given the session label
FACTOR_WEIGHTS = {"event": 3.0, "gap": 1.0}  # of each factor


class Factor(NamedTuple):
    """A level of a field's context that changes the field by a factor."""

    name: str
    within: tuple[int, ...]  # levels of the context within which it is looked at
    level: int  # of the context


FACTORS = {
    "event": (Factor("users' rows", (0, 2), 3), Factor("orders", (0, 2), 4)),
    "gap": (Factor("pace", (), 2), Factor("position", (), 3)),
}
# fields whose factors rise or fall by the same step from level to level
LINEAR_FACTORS = frozenset({"event"})
VOTES_CLIP = 2.0  # L2 norm of a user's votes where most users have none
SHARES = "events of users, by their rows"
TYPICAL_ROWS = np.array([6.0, 32.0, 128.0, 400.0])  # of users of each level of size
# Rows of an event that a user is assumed to have at least, so that weights are bounded.
LEAST_ROWS = 0.3
# Exponent of the weight of a row, (rows of its event)^-FLATTEN: at 0 all rows have the same weight,
# at 1 all events.
FLATTEN = 0.75
LARGEST_FACTOR = 5.0
LIFTS = (1e-2, 1e3)  # least and largest factor of a code in labelled sessions
# standard deviations of noise that a deviation must exceed: 1 in 400 does by chance
SIGNIFICANT = 3.0
HIDDEN = 2.0  # standard deviations of noise up to which a count may be chance
PRIOR = 1e-3  # added to shares before they are divided


def weights(codec: Codec) -> dict[str, float]:
    """Return each table's share of what is left of a budget, by the name of the table."""
    fields = [n for n in codec.fields() if not n.startswith("label:")]
    light = {n for n in codec.fields() if n in codec.values or (n in codec.bins and n != "price")}
    labelled = (
        [n for n in codec.fields() if n not in ("item", SESSION_LABEL)]
        if codec.session_labels
        else []
    )
    share = {n: WEIGHTS.get(n, LIGHT if n in light else 1.0) for n in fields}
    return (
        {n: w for n, w in share.items() if n not in FACTORS}
        | {coarse_table(n): w for n, w in share.items() if n not in ("item", SESSION_LABEL)}
        | {
            factor_table(n, what): FACTOR_WEIGHTS[n]
            for n, factors in FACTORS.items()
            for what, *_ in factors
        }
        | {
            labelled_table(n): LABELLED_WEIGHTS.get(n, LIGHT / 2 if n in light else 1.0)
            for n in labelled
        }
        | {SHARES: 1.0}
        | {f"users' {n}": WEIGHTS.get(n, LIGHT) for n in codec.user_attributes}
    )


def coarse_table(name: str) -> str:
    """Return the name of the table of a field in its coarsest contexts."""
    return f"{name} in few contexts"


def factor_table(name: str, what: str) -> str:
    """Return the name of the table of a factor of a field."""
    return f"{name} by {what}"


def labelled_table(name: str) -> str:
    """Return the name of the table of a field given the session label."""
    return f"{name} given the intent"


def coarse_levels(codec: Codec, name: str) -> int:
    """Return how many levels of its context a field has in its coarse table."""
    if name == "event":
        return 3
    return 2 if name == "gap" or name in codec.ids or name in codec.values else 1


def labelled_levels(codec: Codec, name: str) -> list[int]:
    """Return the levels of its context that a field has in labelled sessions, one or none."""
    if name == "gap":
        return []
    return [1 if name in codec.ids or name in codec.values else 0]


def row_weights(
    codec: Codec, seen: ContextFeatures, owner: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights of rows, and the shares of events.

    The weight of a row depends on how many rows of an event users of that size have. Each user has
    one vote, divided by the shares of the user's rows.

    Args:
        owner: (n,) user of each row.

    Returns:
        The weights (n,) by the event before the row, the weights (n,) by its own event, and the
        shares (n_events,) of events in the rows of an average user.
    """
    n_events, n_sizes = codec.events.size, len(SIZES) + 1
    size, event = seen.size.numpy(), seen.event.numpy()
    there = event > 0
    found, noise = tables.counts(
        SHARES,
        owner[there],
        (size * n_events + event)[there],
        n_sizes * n_events,
        clip=1.0,
        context=n_events,
        votes=True,
    )
    found = found.reshape(n_sizes, n_events)
    users = np.maximum(found.sum(1, keepdims=True), 1.0)
    weight = (
        np.maximum(np.maximum(found, HIDDEN * noise) / users * TYPICAL_ROWS[:, None], LEAST_ROWS)
        ** -FLATTEN
    )
    before = np.concatenate([np.ones((n_sizes, 1)), weight], 1)  # 0 = the user's start
    total = np.maximum(found.sum(0), 0.0)
    share = np.where(total > HIDDEN * noise, total, total / 2) + 1e-9
    return (
        before[size, seen.features[:, layout.LAST_EVENT].numpy()],
        weight[size, event],
        share / share.sum(),
    )


@dataclass
class PrivateChain:
    """Learns the table of each field under a privacy budget."""

    codec: Codec
    tables: Tables  # asks the counts
    owner: np.ndarray  # (n,) user of each row
    seen: ContextFeatures
    marginals: dict[str, np.ndarray]  # shares of each field's codes

    def __post_init__(self) -> None:
        self.after, self.own, share = row_weights(self.codec, self.seen, self.owner, self.tables)
        self.marginals = self.marginals | {"event": share}
        self.share_of_starts = 1.0  # of rows that begin a session, once gaps are known

    def learn(self, name: str, code: torch.Tensor, levels: Levels) -> np.ndarray:
        """Return the shares of a field's codes, (contexts of `levels`, size).

        Args:
            code: (n,) codes of the field, -1 = not asked.
            levels: see `context`; the last one is the session label.
        """
        if name == SESSION_LABEL:
            return self._session_label(code, levels)
        levels, label = levels[:-1], levels[-1]
        if name.startswith("label:"):
            return self._event_label(name, code, levels, label)
        size, widths = self.codec.fields()[name], [w for _, w in levels]
        plain = (code >= 0) & (label[0] == 0)
        first, base = coarse_levels(self.codec, name), self.marginals[name]
        coarse, noise = self._count(coarse_table(name), name, code, plain, levels[:first])
        share = backed_off(coarse, [1, *widths[:first]], base, noise=noise)
        if name == "gap":
            found = np.maximum(coarse.reshape(-1, size).sum(0), 0.0)
            self.share_of_starts = float(
                found[self.codec.clock.within.size :].sum() / max(found[1:].sum(), 1e-9)
            )
        if name in FACTORS:
            share = share.reshape(*widths[:first], *[1] * (len(widths) - first), size)
            for what, within, of in FACTORS[name]:
                factor = self._factor(
                    name, what, code, plain, [levels[k] for k in within], levels[of]
                )
                share = share * factor.reshape(
                    *[w if k in (*within, of) else 1 for k, w in enumerate(widths)], size
                )
            share = (share / share.sum(-1, keepdims=True)).reshape(-1, size)
        else:
            counts, fine = self._count(name, name, code, plain, levels)
            share = backed_off(
                counts, [math.prod(widths[:first]), *widths[first:]], share, first=1.0, noise=fine
            )
        if label[1] == 1:
            return share
        return self._with_labelled(
            name, code, levels, label, share, coarse.reshape(*widths[:first], size), noise
        )

    def _count(
        self,
        table: str,
        name: str,
        code: torch.Tensor,
        asked: torch.Tensor,
        levels: Levels,
        *,
        votes: bool = False,
    ) -> tuple[np.ndarray, float]:
        """Return counts of `code` (n,) in the contexts of `levels`, (contexts * size,), and their
        noise; over the rows `asked` (n,) bool.
        """
        size, (at, n) = self.codec.fields()[name], index_of(levels)
        rows = asked.numpy()
        cell = (at * size + code).numpy()[rows]
        if votes:
            return self.tables.counts(
                table, self.owner[rows], cell, n * size, context=size, clip=VOTES_CLIP, votes=True
            )
        weight = self.after if name in ("event", "gap") else self.own
        return self.tables.counts(table, self.owner[rows], cell, n * size, weight=weight[rows])

    def _factor(
        self,
        name: str,
        what: str,
        code: torch.Tensor,
        asked: torch.Tensor,
        within: Levels,
        of: Level,
    ) -> np.ndarray:
        """Return how many times likelier each code is given `of` than without it.

        The factors are (contexts of `within` and `of`, size). First there is one ratio for all
        contexts, observed over expected (indirect standardisation), so that it does not matter
        which contexts coincide with which level; then what single contexts show beyond it.
        """
        counts, noise = self._count(factor_table(name, what), name, code, asked, [*within, of])
        size, widths = self.codec.fields()[name], [w for _, w in within] or [1]
        wide, levels = math.prod(widths), of[1]
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

    def _with_labelled(
        self,
        name: str,
        code: torch.Tensor,
        levels: Levels,
        label: Level,
        share: np.ndarray,
        coarse: np.ndarray,
        noise: float,
    ) -> np.ndarray:
        """Return the shares of codes in sessions without and with each label.

        Args:
            share: (contexts, size) shares in sessions without a label.
            coarse: (*coarse contexts, size) counts in sessions without a label.
            noise: on each of those counts.

        Returns:
            (contexts * kinds, size), the kind of label varying fastest; kind 0 is `share`.
        """
        (of_session, kinds), widths, size = label, [w for _, w in levels], share.shape[-1]
        within = labelled_levels(self.codec, name)
        votes, few = self._count(
            labelled_table(name),
            name,
            code,
            (code >= 0) & (of_session > 0),
            [*(levels[k] for k in within), label],
            votes=True,
        )
        wide, cells = math.prod(widths[k] for k in within), coarse[..., 0].size
        overall = backed_off(
            coarse.reshape(-1, size).sum(0),
            [1],
            self.marginals[name],
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
                eager=True,
            )
            led = led * np.clip((each + PRIOR) / (overall + PRIOR), *LIFTS)
            led /= led.sum(2, keepdims=True)
        found = backed_off(
            votes[:, 1:],
            [wide * (kinds - 1)],
            led.reshape(-1, size),
            first=1.0,
            noise=few,
            eager=True,
        )
        lift = (found.reshape(wide, kinds - 1, size) + PRIOR) / (none[:, None] + PRIOR)
        lift = np.clip(lift, *LIFTS)
        lift = lift.reshape(
            *[w if k in within else 1 for k, w in enumerate(widths)], kinds - 1, size
        )
        shares = share.reshape(*widths, 1, size) * lift
        shares = (shares / shares.sum(-1, keepdims=True)).reshape(-1, kinds - 1, size)
        return np.concatenate([share[:, None], shares], axis=1).reshape(-1, size)

    def _session_label(self, code: torch.Tensor, levels: Levels) -> np.ndarray:
        """Return the shares of session labels, (contexts, size).

        Labelled sessions lie anywhere among the sessions to come, whose number follows from the
        rows to come. So only the kinds of labels are asked for, of users who have some to come.
        """
        size, (left, width) = len(self.codec.session_labels) + 1, levels[0]
        counts, noise = self._count(
            SESSION_LABEL, SESSION_LABEL, code, (code >= 0) & (left > 0), levels[:1], votes=True
        )
        votes = counts.reshape(-1, size).sum(0)[1:]
        # the label of a session whose kind is hidden by the noise would never be drawn
        kind = np.where(votes > HIDDEN * noise * math.sqrt(width), votes, 0.0)
        to_come = np.maximum(least_rows().numpy()[: levels[1][1]] * self.share_of_starts, 1.0)
        # (labelled sessions to come, rows to come)
        some = np.minimum(np.arange(width)[:, None] / to_come[None, :], 1.0) * (kind.sum() > 0)
        return np.concatenate(
            [1 - some[..., None], some[..., None] * kind / max(kind.sum(), 1e-9)], 2
        ).reshape(-1, size)

    def _event_label(
        self, name: str, code: torch.Tensor, levels: Levels, label: Level
    ) -> np.ndarray:
        """Return the shares of a label of events, (contexts * kinds, size).

        There is none in sessions without a label, and none on events where the noise hides it.
        """
        (of_session, kinds), size, n_events = label, self.codec.fields()[name], levels[0][1]
        votes, noise = self._count(
            labelled_table(name),
            name,
            code,
            (code >= 0) & (of_session > 0),
            [label, levels[0]],
            votes=True,
        )
        grid = votes.reshape(kinds, n_events, size)
        # (n_events, size)
        above_noise = grid[1:].sum(0) > HIDDEN * noise * math.sqrt(kinds - 1)
        above_noise[:, 0] = True
        kept = backed_off(
            np.where(above_noise, grid[1:], 0.0).swapaxes(0, 1),
            [n_events, kinds - 1],
            above_noise.mean(0),
            noise=noise,
            eager=True,
        )
        kept = kept.reshape(n_events, kinds - 1, size) * above_noise[:, None]
        none = np.broadcast_to(np.arange(size) == 0, (n_events, 1, size))
        # (n_events, kinds, size)
        both = np.concatenate([none, kept / kept.sum(2, keepdims=True)], axis=1)
        return np.repeat(both[:, None], math.prod(w for _, w in levels[1:]), axis=1).reshape(
            -1, size
        )
