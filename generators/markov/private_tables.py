"""The tables of markov under a budget: each is asked once, with noise, and small enough for what it
says to stand out.

No table holds all that a field is given, for the noise of many fine contexts would drown the few
that matter. Of each field there is a table of coarse contexts; what else changes it is a factor
(`_factor`): how much likelier each code is where a user has ordered before, is in a hurry, ...
Sessions with an intent are few, so they have tables of their own, in which each user has one vote
in a context: how much likelier each code is there than in sessions that have none.

A user's part in a table is bounded (private_counts). So rows do not count alike: those after
frequent events count less than those after rare ones, by what is frequent among users of that size
(`row_weights`, itself asked under the budget). Else the thousand page views of some would leave no
room for their one checkout. Within one context all rows of a user count alike, for a weight that
hangs on what the user went on to do would bend the shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import ARRIVAL, LENGTH, N_LABELLED_SESSIONS, OBSERVATION_SPAN
from generators.markov.contexts import SIZES, ContextFeatures, Level, Levels, index_of
from generators.privacy.counts import Tables, backed_off
from generators.sequences import feature_layout as layout
from generators.sequences.user_state import least_rows

# Shares of a budget; other columns of the log have LIGHT, other fields 1.
HEAVY = {
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
TOLD = {"event": 2.0}  # of tables given the intent
FACTOR = {"event": 3.0, "gap": 1.0}  # of each factor
# What else changes a field: the name, the levels of its context within which, and the level.
FACTORS = {
    "event": (("users' rows", (0, 2), 3), ("orders", (0, 2), 4)),
    "gap": (("pace", (), 2), ("position", (), 3)),
}
# fields whose factors go up or down from level to level, by the same step each time
IN_STEPS = frozenset({"event"})
FEW = 2.0  # L2 norm of a user's votes where most users have none
SHARES = "events of users, by their rows"
TYPICAL = np.array([6.0, 32.0, 128.0, 400.0])  # rows of users of each of SIZES
# a user has at least so many rows of an event, or its rows would count without bound
LEAST_ROWS = 0.3
# a row counts (rows of its kind)^-this: 0 = all alike, 1 = all events together alike
FLATTEN = 0.75
MOST = 5.0  # times likelier, by one factor
# standard deviations of noise: one in 400 codes that are alike seems to differ
STANDS_OUT = 3.0


def weights(codec: Codec) -> dict[str, float]:
    """Each table's share of what is left of a budget."""
    fields = [n for n in codec.fields() if not n.startswith("label:")]
    light = {n for n in codec.fields() if n in codec.values or (n in codec.bins and n != "price")}
    told = (
        [n for n in codec.fields() if n not in ("item", SESSION_LABEL)]
        if codec.session_labels
        else []
    )
    share = {n: HEAVY.get(n, LIGHT if n in light else 1.0) for n in fields}
    return (
        {n: w for n, w in share.items() if n not in FACTORS}
        | {coarse_table(n): w for n, w in share.items() if n not in ("item", SESSION_LABEL)}
        | {
            factor_table(n, what): FACTOR[n]
            for n, factors in FACTORS.items()
            for what, _, _ in factors
        }
        | {told_table(n): TOLD.get(n, LIGHT / 2 if n in light else 1.0) for n in told}
        | {SHARES: 1.0}
        | {f"users' {n}": HEAVY.get(n, LIGHT) for n in codec.user_attributes}
    )


def coarse_table(name: str) -> str:
    """Name of the table of a field in its coarsest contexts."""
    return f"{name} in few contexts"


def factor_table(name: str, what: str) -> str:
    """Name of the table of a field by one more thing."""
    return f"{name} by {what}"


def told_table(name: str) -> str:
    """Name of the table of a field given the intent."""
    return f"{name} given the intent"


def coarse_levels(codec: Codec, name: str) -> int:
    """How many levels of its context a field has in its coarse table."""
    if name == "event":
        return 3
    return 2 if name == "gap" or name in codec.ids or name in codec.values else 1


def told_level(codec: Codec, name: str) -> list[int]:
    """The level of its context by which a field is looked at in sessions with an intent; of a new
    device, does a session begin.
    """
    if name == "gap":
        return []
    return [1 if name in codec.ids or name in codec.values else 0]


def row_weights(
    codec: Codec, seen: ContextFeatures, owner: np.ndarray, tables: Tables
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) weights of rows by the event before them, (n,) by their own, and the (n_events,) shares
    of events with the mean user.

    owner (n,) users of the rows. What a row counts hangs on how many rows of its event users of
    that size have: by shares of each user's rows, of which each user has one.
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
        np.maximum(np.maximum(found, 2 * noise) / users * TYPICAL[:, None], LEAST_ROWS) ** -FLATTEN
    )
    before = np.concatenate([np.ones((n_sizes, 1)), weight], 1)  # 0 = the user's start
    total = np.maximum(found.sum(0), 0.0)
    share = np.where(total > 2 * noise, total, total / 2) + 1e-9
    return (
        before[size, seen.features[:, layout.LAST_EVENT].numpy()],
        weight[size, event],
        share / share.sum(),
    )


@dataclass
class PrivateChain:
    """Learns the tables of fields through `tables`. owner (n,): users of the rows; marginals:
    shares of each field's codes.
    """

    codec: Codec
    tables: Tables
    owner: np.ndarray
    seen: ContextFeatures
    marginals: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        self.after, self.own, share = row_weights(self.codec, self.seen, self.owner, self.tables)
        self.marginals = self.marginals | {"event": share}
        self.breaks = 1.0  # share of rows that begin a session, once gaps are known

    def learn(self, name: str, code: torch.Tensor, levels: Levels) -> np.ndarray:
        """(contexts of `levels`, size) shares of the codes (n,) of a field; the last of `levels` is
        the intent.
        """
        if name == SESSION_LABEL:
            return self._intent(code, levels)
        levels, intent = levels[:-1], levels[-1]
        if name.startswith("label:"):
            return self._label(name, code, levels, intent)
        size, widths = self.codec.fields()[name], [w for _, w in levels]
        plain = (code >= 0) & (intent[0] == 0)
        first, base = coarse_levels(self.codec, name), self.marginals[name]
        coarse, noise = self._count(coarse_table(name), name, code, plain, levels[:first])
        share = backed_off(coarse, [1, *widths[:first]], base, noise=noise)
        if name == "gap":
            found = np.maximum(coarse.reshape(-1, size).sum(0), 0.0)
            self.breaks = float(
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
        if intent[1] == 1:
            return share
        return self._told(
            name, code, levels, intent, share, coarse.reshape(*widths[:first], size), noise
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
        """(contexts * size,) counts of `code` (n,) within the contexts of `levels`, over the rows
        `asked` (n,), and their noise.
        """
        size, (at, n) = self.codec.fields()[name], index_of(levels)
        rows = asked.numpy()
        cell = (at * size + code).numpy()[rows]
        if votes:
            return self.tables.counts(
                table, self.owner[rows], cell, n * size, context=size, clip=FEW, votes=True
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
        """(contexts of `within` and `of`, size): how much likelier each code is given `of` than
        without it, in a context of `within`.

        First one ratio for all contexts, observed over expected (indirect standardisation), so that
        it does not matter which contexts go with which level; then what single contexts show beyond
        it.
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
        heard = total > 4 * noise * math.sqrt(size)
        # (levels, size)
        expected = (np.where(heard, total, 0.0)[:, :, None] * without[:, None]).sum(0)
        off = (grid * heard[:, :, None]).sum(0) - expected
        sd = noise * np.sqrt(heard.sum(0))[:, None]
        if name in IN_STEPS:
            step = np.arange(levels)[:, None] - (expected * np.arange(levels)[:, None]).sum(
                0
            ) / np.maximum(expected.sum(0), 1e-9)
            # least squares on off = slope * lever: the total stays what it is
            lever = expected * step
            spread = np.maximum((lever**2).sum(0), 1e-9)
            slope = (off * lever).sum(0) / spread
            ratio = (
                1
                + np.where(np.abs(slope) > STANDS_OUT * sd.max() / np.sqrt(spread), slope, 0.0)
                * step
            )
        else:
            ratio = np.where(
                np.abs(off) > STANDS_OUT * sd, 1 + off / np.maximum(expected, 1e-9), 1.0
            )
        led = without[:, None] * np.clip(ratio, 1 / MOST, MOST)
        led = (led / led.sum(2, keepdims=True)).reshape(-1, size)
        found = backed_off(counts, [wide * levels], led, first=10.0, noise=noise).reshape(
            wide, levels, size
        )
        return np.clip((found + 1e-3) / (without[:, None] + 1e-3), 1 / MOST, MOST)

    def _told(
        self,
        name: str,
        code: torch.Tensor,
        levels: Levels,
        intent: Level,
        share: np.ndarray,
        coarse: np.ndarray,
        noise: float,
    ) -> np.ndarray:
        """(contexts, kinds, size): `share` (contexts, size) where there is no intent, and beside it
        that of each intent.

        coarse (coarse contexts, size): counts without intent, with `noise` on each.
        """
        (told, kinds), widths, size = intent, [w for _, w in levels], share.shape[-1]
        within = told_level(self.codec, name)
        votes, few = self._count(
            told_table(name),
            name,
            code,
            (code >= 0) & (told > 0),
            [*(levels[k] for k in within), intent],
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
            led = led * np.clip((each + 1e-3) / (overall + 1e-3), 1e-2, 1e3)
            led /= led.sum(2, keepdims=True)
        found = backed_off(
            votes[:, 1:],
            [wide * (kinds - 1)],
            led.reshape(-1, size),
            first=1.0,
            noise=few,
            eager=True,
        )
        lift = np.clip(
            (found.reshape(wide, kinds - 1, size) + 1e-3) / (none[:, None] + 1e-3), 1e-2, 1e3
        )
        lift = lift.reshape(
            *[w if k in within else 1 for k, w in enumerate(widths)], kinds - 1, size
        )
        shares = share.reshape(*widths, 1, size) * lift
        shares = (shares / shares.sum(-1, keepdims=True)).reshape(-1, kinds - 1, size)
        return np.concatenate([share[:, None], shares], axis=1).reshape(-1, size)

    def _intent(self, code: torch.Tensor, levels: Levels) -> np.ndarray:
        """Sessions with an intent lie anywhere among those to come, which are as many as the rows
        to come hold. So only their kinds are asked for, of users who have some left to come.
        """
        size, (marks, width) = len(self.codec.session_labels) + 1, levels[0]
        counts, noise = self._count(
            SESSION_LABEL, SESSION_LABEL, code, (code >= 0) & (marks > 0), levels[:1], votes=True
        )
        votes = counts.reshape(-1, size).sum(0)[1:]
        # the label of one that is not heard of would never come
        kind = np.where(votes > 2 * noise * math.sqrt(width), votes, 0.0)
        to_come = np.maximum(least_rows().numpy()[: levels[1][1]] * self.breaks, 1.0)
        # (marks, rows to come)
        some = np.minimum(np.arange(width)[:, None] / to_come[None, :], 1.0) * (kind.sum() > 0)
        return np.concatenate(
            [1 - some[..., None], some[..., None] * kind / max(kind.sum(), 1e-9)], 2
        ).reshape(-1, size)

    def _label(self, name: str, code: torch.Tensor, levels: Levels, intent: Level) -> np.ndarray:
        """A label given the event and the intent: none where no intent is, none on events where
        none stands out of the noise.
        """
        (told, kinds), size, n_events = intent, self.codec.fields()[name], levels[0][1]
        votes, noise = self._count(
            told_table(name), name, code, (code >= 0) & (told > 0), [intent, levels[0]], votes=True
        )
        grid = votes.reshape(kinds, n_events, size)
        # (n_events, size)
        heard = grid[1:].sum(0) > 2 * noise * math.sqrt(kinds - 1)
        heard[:, 0] = True
        kept = backed_off(
            np.where(heard, grid[1:], 0.0).swapaxes(0, 1),
            [n_events, kinds - 1],
            heard.mean(0),
            noise=noise,
            eager=True,
        )
        kept = kept.reshape(n_events, kinds - 1, size) * heard[:, None]
        none = np.broadcast_to(np.arange(size) == 0, (n_events, 1, size))
        # (n_events, kinds, size)
        both = np.concatenate([none, kept / kept.sum(2, keepdims=True)], axis=1)
        return np.repeat(both[:, None], math.prod(w for _, w in levels[1:]), axis=1).reshape(
            -1, size
        )
