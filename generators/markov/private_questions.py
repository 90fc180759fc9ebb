"""What the Markov generator asks of a log under a privacy budget.

Each table is asked once, with noise, and is small enough for its counts to exceed the noise. No
table has the whole context of a field: in many fine contexts the noise would hide the few that
matter. Each field has a table of coarse contexts; everything else that changes the field is a
factor: how many times likelier each code is after an order, at a high pace, ... Labelled sessions
are few, so they have tables of their own, in which each user has one vote in a context.

There are three rounds:

1. Which events users have, from which rows get their weights: those after frequent events count
   less than those after rare ones. Otherwise the thousand page views of some users would leave no
   room for their one checkout. Within a context all rows of a user have the same weight, since a
   weight that depends on what the user did next would bias the shares.
2. How long users' vectors of counts are, from which the clip follows.
3. All tables, as one vector of each user (see `generators.privacy.counts`). Attributes of users are
   one count each and are never scaled down, so that their shares are unbiased; all tables of rows
   are scaled down together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.parts import ARRIVAL, LENGTH, N_LABELLED_SESSIONS, OBSERVATION_SPAN, SESSIONS
from generators.markov.conditions import ContextFeatures
from generators.markov.contexts import index_of, levels_of, usual_levels
from generators.markov.label_chain import Visits
from generators.markov.user_levels import SIZES
from generators.privacy.counts import Answers, Question, Rows, Tables, given_rows
from generators.privacy.pairs import Pairs
from generators.sequences import feature_layout as layout
from generators.sequences.feature_layout import Counter
from generators.sequences.levels import SESSION_TIMES, level_of_session_time

# The rounds, and their shares of the budget.
SHARES, LENGTHS, TABLES = "events of users, by their rows", "lengths of vectors", "tables"
ROUNDS = {SHARES: 0.02, LENGTHS: 0.01, TABLES: 0.97}
ITEM_PAIRS = "pairs of items"
# Weights of tables; other columns of the log have LIGHT, other fields 1.
WEIGHTS = {
    "gap": 3.0,
    "event": 8.0,
    "pick": 2.0,
    "category": 2.0,
    "item": 3.0,
    ITEM_PAIRS: 20.0,
    SESSION_LABEL: 2.0,
    ARRIVAL: 1.0,
    OBSERVATION_SPAN: 3.0,
    SESSIONS: 3.0,
    LENGTH: 3.0,
    N_LABELLED_SESSIONS: 1.0,
}
LIGHT = 0.3
LABELLED_WEIGHTS = {"event": 2.0}  # of tables given the session label
FACTOR_WEIGHTS = {"event": 3.0, "gap": 1.0}  # of each factor
# Weight of the tables of labelled sessions. Few users have any: those few lend less of their vector
# to the other tables, and these gain more than the others lose.
LABELLED = 64.0
TYPICAL_ROWS = np.array([6.0, 32.0, 128.0, 400.0])  # of users of each level of size
# Rows of an event that a user is assumed to have at least, so that weights are bounded.
LEAST_ROWS = 0.3
# Exponent of the weight of a row, (rows of its event)^-FLATTEN: at 0 all rows have the same weight,
# at 1 all events.
FLATTEN = 0.75
HIDDEN = 2.0  # standard deviations of noise up to which a count may be chance
SESSION_TIME = "gaps between sessions by the time a session"
LABEL = -1  # the level of a context that is the session label, its last


class Factor(NamedTuple):
    """A level of a field's context that changes the field by a factor."""

    name: str
    within: tuple[int, ...]  # levels of the context within which it is looked at
    level: int  # of the context


FACTORS = {
    "event": (Factor("users' rows a session", (1, 2), 3), Factor("orders", (1, 2), 4)),
    "gap": (Factor("position", (0,), 2),),
}


def coarse_table(name: str) -> str:
    """Return the name of the table of a field in its coarsest contexts."""
    return f"{name} in few contexts"


def factor_table(name: str, what: str) -> str:
    """Return the name of the table of a factor of a field."""
    return f"{name} by {what}"


def labelled_table(name: str) -> str:
    """Return the name of the table of a field given the session label."""
    return f"{name} given the session label"


def attribute_table(name: str) -> str:
    """Return the name of the table of an attribute of users."""
    return f"users' {name}"


def only_code(codec: Codec, name: str) -> int | None:
    """Return the code that all rows have in a field; None where there may be others.

    What can only be one code is not asked for, so the budget goes to the other tables.
    """
    if name == "event" and len(codec.events.values) == 1:
        return 1
    nothing = codec.fields()[name] == 1 or (name == COPY_ACTION and codec.items.size == 1)
    return 0 if nothing else None


def coarse_levels(codec: Codec, name: str) -> int:
    """Return how many levels of its context a field has in its coarse table."""
    if name == "event":
        return 3
    return 2 if name == "gap" or name in codec.ids or name in codec.values else 1


def labelled_levels(codec: Codec, name: str) -> list[int]:
    """Return the levels of its context that a field has in labelled sessions."""
    if name == "gap":
        return []
    if name in codec.ids:
        return [0, 1]
    return [1 if name in codec.values or name == "event" else 0]


def weight_of(codec: Codec, name: str) -> float:
    """Return the weight of the tables of a field or an attribute of users."""
    light = name not in codec.fields() or name in codec.values
    light = light or (name in codec.bins and name != "price")
    return WEIGHTS.get(name, LIGHT if light else 1.0)


@dataclass
class PrivateQuestions:
    """Asks for all tables of a log.

    Args:
        codec: of the log.
        tables: spend the budget.
        owner: (n,) user of each row.
        seen: of each row.
        column: (n,) codes of each field, -1 = not asked.
        visits: of users to items, as labels: their codes less 1.
        pairs: of those labels.
    """

    codec: Codec
    tables: Tables
    owner: np.ndarray
    seen: ContextFeatures
    column: dict[str, np.ndarray]
    visits: Visits
    pairs: Pairs

    def ask(
        self, attributes: Sequence[Question], *, clip_quantile: float
    ) -> tuple[Answers, np.ndarray]:
        """Return all tables, and the shares (n_events,) of events in the rows of a typical user.

        `attributes` are tables with one count of each user; the clip of the tables of rows is about
        the `clip_quantile` of users' norms.
        """
        self.after, self.own, share = self._row_weights()
        rows = [q for name in self.codec.fields() for q in self._of_field(name)]
        if self.codec.clock.size > self.codec.clock.within.size:
            rows.append(self._session_time())
        total = sum(q.scale**2 for q in (*attributes, *rows) if q.name not in self._labelled())
        whole = [_scaled(q, q.scale / math.sqrt(total)) for q in attributes]
        clip = self.tables.clip_for(LENGTHS, rows, clip_quantile)
        return self.tables.ask(TABLES, whole, rows, clip=clip), share

    def _row_weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the weights of rows, and the shares of events.

        The weight of a row depends on how many rows of an event users of that size have. Each user
        has one vote, divided by the shares of the user's rows.

        Returns:
            The weights (n,) by the event before the row, the weights (n,) by its own event, and the
            shares (n_events,) of events in the rows of a typical user.
        """
        n_events, n_sizes = self.codec.events.size, len(SIZES) + 1
        size, event = self.seen.size, self.seen.event
        there = event > 0
        question = Question(
            SHARES,
            n_sizes * n_events,
            lambda: (self.owner[there], (size * n_events + event)[there], None),
            context=n_events,
        )
        found, noise = self.tables.ask(SHARES, [question])[SHARES]
        found = found.reshape(n_sizes, n_events)
        users = np.maximum(found.sum(1, keepdims=True), 1.0)
        typical = np.maximum(found, HIDDEN * noise) / users * TYPICAL_ROWS[:, None]
        weight = np.maximum(typical, LEAST_ROWS) ** -FLATTEN
        before = np.concatenate([np.ones((n_sizes, 1)), weight], 1)  # 0 = the user's start
        total = np.maximum(found.sum(0), 0.0)
        share = np.where(total > HIDDEN * noise, total, total / 2) + 1e-9
        return (
            before[size, self.seen.features[:, layout.LAST_EVENT]],
            weight[size, event],
            share / share.sum(),
        )

    def _labelled(self) -> set[str]:
        return {labelled_table(n) for n in self.codec.fields()} | {SESSION_LABEL}

    def _of_field(self, name: str) -> list[Question]:
        """Return the tables of a field; none where all rows have the same code."""
        codec, weight = self.codec, weight_of(self.codec, name)
        if only_code(codec, name) is not None:
            return []
        if name == "item":
            size, item = codec.items.size, self.column["item"]
            fresh = item >= 0
            rows, heavy = (self.owner[fresh], item[fresh], None), WEIGHTS[ITEM_PAIRS]
            pairs = self.pairs
            return [
                Question("item", size, given_rows(rows), math.sqrt(weight)),
                Question(
                    ITEM_PAIRS, pairs.size, lambda: self.visits.pairs(pairs), math.sqrt(heavy)
                ),
            ]
        if name == SESSION_LABEL:
            return [self._question(SESSION_LABEL, name, (0,), LABELLED * weight, votes=True)]
        given = [*labelled_levels(codec, name), LABEL]
        if name.startswith("label:"):
            return [self._question(labelled_table(name), name, (LABEL, 0), LABELLED, votes=True)]
        n_levels = len(usual_levels(codec, name)) - 1
        tables = [
            self._question(coarse_table(name), name, range(coarse_levels(codec, name)), weight)
        ]
        for what, within, level in FACTORS.get(name, ()):
            of = FACTOR_WEIGHTS[name]
            tables.append(self._question(factor_table(name, what), name, (*within, level), of))
        if name not in FACTORS and n_levels > coarse_levels(codec, name):
            tables.append(self._question(name, name, range(n_levels), weight))
        if codec.session_labels:
            light = LIGHT / 2 if weight == LIGHT else 1.0
            of = LABELLED * LABELLED_WEIGHTS.get(name, light)
            tables.append(self._question(labelled_table(name), name, given, of, votes=True))
        return tables

    def _session_time(self) -> Question:
        """Return the question for gaps between sessions at each level of the time a session."""
        codec, within = self.codec, self.codec.clock.within.size
        size = codec.clock.size - within

        def rows() -> Rows:
            gap, features = self.column["gap"], self.seen.features
            begins = gap >= within
            time = features[begins, codec.counter_column(Counter.TIME_LEFT)]
            level = level_of_session_time()[time, features[begins, codec.blocks().sessions]]
            cell = level * size + gap[begins] - within
            return self.owner[begins], cell, self.after[begins]

        return Question(SESSION_TIME, SESSION_TIMES * size, rows, math.sqrt(FACTOR_WEIGHTS["gap"]))

    def _question(
        self, table: str, name: str, at: Sequence[int], weight: float, *, votes: bool = False
    ) -> Question:
        """Return the question for the codes of a field in the contexts of the levels `at`.

        With `votes` it is about labelled sessions, otherwise about those without a label.
        """
        size = self.codec.fields()[name]
        given = usual_levels(self.codec, name)
        n = math.prod(given[k].size for k in at)

        def rows() -> Rows:
            code = self.column[name]
            # of session labels the first level is how many are to come
            label = given[0 if name == SESSION_LABEL else LABEL].of(self.seen)
            asked = (code >= 0) & ((label > 0) == votes)
            if name in self.codec.rules.allowed:  # what its event decides need not be learnt
                open_to = self.codec.rules.allowed[name].sum(1) > 1
                asked &= open_to[self.seen.event]
            levels = levels_of([given[k] for k in at], self.seen)
            cell = (index_of(levels)[0] * size + code)[asked]
            weights = self.after if name in ("event", "gap") else self.own
            return self.owner[asked], cell, None if votes else weights[asked]

        return Question(table, n * size, rows, math.sqrt(weight), size if votes else 0)


def _scaled(question: Question, scale: float) -> Question:
    return Question(question.name, question.size, question.rows, scale, question.context)
