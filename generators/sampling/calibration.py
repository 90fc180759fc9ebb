"""Biases with which sessions, events and labels come in a sample as often as in the log.

A network is right about the rows that it was shown, and a little less about rows that follow its
own: what takes several rows, such as a purchase, is then drawn too rarely. So samples are drawn
from it, and what they have too rarely or too often gets a bias: whether a session goes on after an
event, which event follows it, whether a row has a value of a column, and whether an id is new.
Labelled sessions are few, and differ from others; so there is a second sample, of users who are to
have some, and these sessions have biases of their own. Others let them come when they are to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from generators.codec.codec import SESSION_LABEL, Codec
from generators.sampling.conditions import with_labelled_sessions
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label
from generators.sequences.feature_layout import Counter

ROUNDS = 4  # samples
MOST_ROWS = 40_000  # of a sample
FEW = 5.0  # rows that say nothing of a difference between a sample and the log
MOST_STEP = 2.0  # that a bias changes by in a round
LEVELS_TOGETHER = 3  # of the rows to come, of which few labelled sessions say little each
MOST = 3.0  # of a bias: the plan of a user may leave no choice, whatever the bias

# field -> (contexts, codes) float32: what is added to its logits; see `Contexts.of_rows`
Biases = Mapping[str, np.ndarray]
# field -> (contexts, codes), or (contexts, 2) where the codes from `Contexts.first_yes` on are one
Counts = dict[str, np.ndarray]
# biases, users, number of the sample, are the users to have labelled sessions? -> what it has
Draw = Callable[[Biases, int, int, bool], Counts]


@dataclass
class Known:
    """What is known of n rows when a field of them is drawn; None = not yet."""

    features: np.ndarray  # (n, F) int64
    begins: np.ndarray | None = None  # (n,) bool: a session
    session_label: np.ndarray | None = None  # (n,) int64
    flags: np.ndarray | None = None  # (n,) int64: that any of the user's recent items carries
    event: np.ndarray | None = None  # (n,) int64


class Contexts:
    """The contexts in which the codes of each field have a bias of their own.

    That is, for a gap, the event before; for a session label the level of the rows to come; for an
    event whether a session begins, which items there are that events need, and the event before;
    for another field the event. The label of the session comes first where it counts (`labels`).
    """

    def __init__(self, codec: Codec) -> None:
        sizes, self.events, self.ids = codec.fields(), codec.events.size, list(codec.ids)
        self.within, self.values = codec.clock.within.size, codec.value_fields
        self.rows_left, self.labels_left = (
            codec.counter_column(c) for c in (Counter.ROWS_LEFT, Counter.LABELLED_SESSIONS_LEFT)
        )
        needed = int(np.bitwise_or.reduce(codec.effects().needs))
        self.needed = [1 << bit for bit in range(needed.bit_length()) if needed & (1 << bit)]
        labels = len(codec.session_labels) + 1
        apart = ("gap", "event", *self.ids)
        self.labels = {name: labels if name in apart else 1 for name in sizes}
        contexts = {
            "gap": self.events + 1,
            SESSION_LABEL: layout.COUNTER_SIZES[Counter.ROWS_LEFT] // LEVELS_TOGETHER + 1,
            "event": 2 * 2 ** len(self.needed) * (self.events + 1),
            **dict.fromkeys([*self.values, *self.ids], self.events),
        }
        self.shapes = {
            name: (n * self.labels[name], sizes[name])
            for name, n in contexts.items()
            if name in sizes
        }

    def first_yes(self, name: str) -> int:
        """Return from which code on the codes of a field have one bias; 0: each has its own."""
        if name == "gap":
            return self.within  # a session begins
        return 1 if name == SESSION_LABEL or name in self.values else 0

    def of_rows(self, name: str, known: Known, rows: np.ndarray) -> np.ndarray:
        """Return the context of a field for `rows` (m,) of those that are `known`."""
        if name == SESSION_LABEL:
            return known.features[rows, self.rows_left] // LEVELS_TOGETHER
        before = known.features[rows, layout.LAST_EVENT]
        if name == "gap":
            label = np.maximum(known.features[rows, layout.LAST_SESSION_LABEL] - 1, 0)
            return label * (self.events + 1) + before
        label = 0 if known.session_label is None else known.session_label[rows]
        if name == "event":
            assert known.begins is not None
            assert known.flags is not None
            context = label * 2 + known.begins[rows]
            for flag in self.needed:
                context = context * 2 + (known.flags[rows] & flag > 0)
            return context * (self.events + 1) + before
        assert known.event is not None
        return known.event[rows] + (label * self.events if name in self.ids else 0)

    def count(self, name: str, known: Known, rows: np.ndarray, code: np.ndarray) -> np.ndarray:
        """Return how often `rows` (m,) have the codes (m,) in each context, see `Counts`."""
        (contexts, codes), first = self.shapes[name], self.first_yes(name)
        if first:
            code, codes = (code >= first).astype(np.int64), 2
        at = self.of_rows(name, known, rows) * codes + code
        counts = np.bincount(at, minlength=contexts * codes).reshape(contexts, codes)
        return counts.astype(np.float64)

    def asked_for_label(self, known: Known) -> np.ndarray:
        """Return the rows (m,) that can have a new session label."""
        assert known.begins is not None
        return np.flatnonzero(known.begins & (known.features[:, self.labels_left] > 0))


def calibrate_fields(codec: Codec, steps: EncodedSequences, draw: Draw) -> Biases:
    """Return the biases; `draw` samples users with those found so far."""
    contexts = Contexts(codec)
    wanted = _counts_of_log(codec, contexts, steps)
    biases = {n: np.zeros(shape, dtype=np.float32) for n, shape in contexts.shapes.items()}
    rows = np.maximum(steps.lengths() - 1, 1)
    users, labelled = _users_of_rows(rows), 0
    if codec.session_labels:
        some = with_labelled_sessions(codec, True, None)(steps.user_attributes).numpy()
        labelled = _users_of_rows(rows[some])
    for k in range(ROUNDS):
        drawn = draw(biases, users, k, False)
        if labelled:
            for name, counts in draw(biases, labelled, k, True).items():
                if name != SESSION_LABEL:  # of these users, only the sessions that have a label
                    counts[: len(counts) // contexts.labels[name]] = 0
                drawn[name] = drawn[name] + counts if name in drawn else counts
        for name in drawn:
            step, first = _step(wanted[name], drawn[name]), contexts.first_yes(name)
            if first:
                biases[name][:, first:] += step[:, 1:] - step[:, :1]
            else:
                biases[name] += step
            np.clip(biases[name], -MOST, MOST, out=biases[name])
    return biases


def _counts_of_log(codec: Codec, contexts: Contexts, steps: EncodedSequences) -> Counts:
    """Return what the log has."""
    column = {name: steps.target[:, k].numpy() for k, name in enumerate(steps.names)}
    features, event = steps.features.numpy(), column["event"]
    begins = (column["gap"] >= contexts.within) | (features[:, layout.LAST_EVENT] == 0)
    known = Known(features, begins, flags=steps.flags.numpy(), event=event)
    if SESSION_LABEL in column:
        drawn = steps.target[:, steps.names.index(SESSION_LABEL)]
        known.session_label = current_session_label(drawn, steps.features).numpy()
    out = {}
    for name in contexts.shapes:
        asked = (event >= 0) & (column[name] >= (name == "gap"))
        if name in codec.rules.allowed:
            asked &= (codec.rules.allowed[name].sum(1) > 1)[np.maximum(event, 0)]
        rows = np.flatnonzero(asked)
        if name == SESSION_LABEL:
            rows = np.intersect1d(rows, contexts.asked_for_label(known))
        out[name] = contexts.count(name, known, rows, column[name][rows])
    return out


def _users_of_rows(rows: np.ndarray) -> int:
    """Return how many users are drawn, of users with these numbers of rows (n_users,)."""
    return min(len(rows), max(int(MOST_ROWS * len(rows) / max(rows.sum(), 1)), 1))


def _step(wanted: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return by how much logits (contexts, codes) are to rise, by counts of the same shape.

    The shares of few rows are drawn together, so that their difference says less.
    """
    of_wanted, of_drawn = (x.sum(1, keepdims=True) for x in (wanted, drawn))
    both = (wanted / np.maximum(of_wanted, 1) + drawn / np.maximum(of_drawn, 1)) / 2
    share, other = (
        (counts + FEW * both) / (total + FEW)
        for counts, total in ((wanted, of_wanted), (drawn, of_drawn))
    )
    known = (both > 0) & (of_wanted > 0) & (of_drawn > 0)
    ratio = np.log(np.where(known, share, 1.0)) - np.log(np.where(known, other, 1.0))
    step: np.ndarray = ratio.clip(-MOST_STEP, MOST_STEP).astype(np.float32)
    return step
