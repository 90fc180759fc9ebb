"""Contexts in which the codes of a network's fields have biases of their own.

That is, for a gap, the event before; for a session label the level of the rows to come; for an
event whether a session begins, which items there are that events need, and the event before; for an
id or a value, the event; for a number, the event and whether the item's price is reduced; for a
label, whether the session is still to have one, and the event. The label of the session comes
first, but for values and numbers.
"""

from __future__ import annotations

import numpy as np

from generators.codec.codec import SESSION_LABEL, Codec
from generators.sequences import feature_layout as layout
from generators.sequences.feature_layout import Counter

LEVELS_TOGETHER = 3  # of the rows to come, of which few labelled sessions say little each


class Contexts:
    """The contexts of a codec's fields; those of rows are (n,) int64."""

    def __init__(self, codec: Codec) -> None:
        self.events, self.labels = codec.events.size, len(codec.session_labels) + 1
        needed = int(np.bitwise_or.reduce(codec.effects().needs))
        self.moves = layout.PRICE_MOVES if codec.moves_prices else 1
        self.needed = [1 << bit for bit in range(needed.bit_length()) if needed & (1 << bit)]

    def sizes(self, codec: Codec) -> dict[str, int]:
        """Return how many contexts there are of each field."""
        sizes = {
            "gap": self.labels * (self.events + 1),
            "event": self.labels * 2 * 2 ** len(self.needed) * (self.events + 1),
            **dict.fromkeys(codec.value_fields, self.events),
            **dict.fromkeys(codec.numbers, self.events * self.moves),
            **dict.fromkeys(codec.ids, self.labels * self.events),
            **dict.fromkeys(codec.labels.fields, self.labels * 2 * self.events),
        }
        if codec.session_labels:
            levels = layout.COUNTER_SIZES[Counter.ROWS_LEFT]
            sizes[SESSION_LABEL] = (levels - 1) // LEVELS_TOGETHER + 1
        return sizes

    def of_gap(self, label: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return the contexts after rows of these session labels and events + 1."""
        return label * (self.events + 1) + before

    def of_session_label(self, rows_left: np.ndarray) -> np.ndarray:
        """Return the contexts of labels of sessions that begin at these levels of rows to come."""
        return rows_left // LEVELS_TOGETHER

    def of_event(
        self, label: np.ndarray, begins: np.ndarray, flags: np.ndarray, before: np.ndarray
    ) -> np.ndarray:
        """Return the contexts of events.

        Args:
            label: of the session.
            begins: (n,) bool, does the row begin a session?
            flags: that any of the user's recent items carries.
            before: the event + 1 of the row before, 0 = there is none.
        """
        context = label * 2 + begins
        for flag in self.needed:
            context = context * 2 + (flags & flag > 0)
        return context * (self.events + 1) + before

    def of_id(self, label: np.ndarray, event: np.ndarray) -> np.ndarray:
        """Return the contexts of the ids of rows of these session labels and events."""
        return label * self.events + event

    def of_number(self, event: np.ndarray, move: np.ndarray) -> np.ndarray:
        """Return the contexts of the numbers of rows of these events, whose prices `move` so."""
        return event * self.moves + move

    def of_label(self, label: np.ndarray, pending: np.ndarray, event: np.ndarray) -> np.ndarray:
        """Return the contexts of the labels of rows of these session labels and events.

        `pending` (n,) bool: has no row before in the session carried its label?
        """
        return (label * 2 + pending) * self.events + event
