"""What each field of markov is given: a few levels of what came before, coarse first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import LENGTH
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label
from generators.sequences.feature_layout import Counter

POSITIONS = 8  # positions in the session told apart
# levels of how fast the rows to come must be, and the tracker's level up to which all are slow
PACES, SLOWEST = 10, 10
SIZES = (16, 64, 256)  # rows of a user: fewer than each, or more
# levels of: items in the cart (none, some); orders so far (0, 1, 2 or 3, more)
CARTS, ORDERED = 2, 4
MOST_VALUES = 64  # of a column whose value before is looked at

# (n,) codes of one thing that a field is given, and how many there are
Level = tuple[torch.Tensor, int]
Levels = list[Level]


@dataclass
class ContextFeatures:
    """What the contexts of n rows are made of; every tensor is (n,) int64 unless said otherwise."""

    features: torch.Tensor  # (n, F): see Codec.feature_sizes
    event: torch.Tensor
    breaks: torch.Tensor  # bool: does the row begin a session?
    intent: torch.Tensor  # of the row's session
    orders: torch.Tensor  # level of the orders so far
    size: torch.Tensor  # level of the rows that the user will have


def seen_before(codec: Codec, steps: EncodedSequences) -> ContextFeatures:
    """What each of `steps` is given."""
    column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
    before = steps.features[:, layout.LAST_EVENT]
    intent = (
        current_session_label(column[SESSION_LABEL], steps.features)
        if codec.session_labels
        else torch.zeros_like(before)
    )
    bought = purchases(codec)[before]
    # a user's first step has no row before, so none spans two users
    begins = bought & ~torch.cat([bought.new_zeros(1), bought[:-1]])
    so_far = begins.long().cumsum(0)
    start = torch.from_numpy(steps.offsets[:-1])
    orders = so_far - torch.repeat_interleave(so_far[start], torch.from_numpy(steps.lengths()))
    breaks = codec.clock.starts_session(column["gap"]) | (before == 0)
    size = torch.repeat_interleave(
        size_of(codec, steps.user_attributes), torch.from_numpy(steps.lengths())
    )
    return ContextFeatures(
        steps.features, column["event"].clamp(min=0), breaks, intent, order_level(orders), size
    )


def size_of(codec: Codec, static: torch.Tensor) -> torch.Tensor:
    """(n,) level of the rows that users with the codes `static` (n, n_static) will have: fewer than
    16, 64, 256, more.
    """
    low = np.nan_to_num(codec.user_attributes[LENGTH].ends()[0], nan=1.0)  # type: ignore[union-attr]
    level = np.searchsorted(SIZES, low, side="right")
    return torch.from_numpy(level)[static[:, list(codec.user_attributes).index(LENGTH)]]


def index_of(levels: Levels) -> tuple[torch.Tensor, int]:
    """(n,) number of the context that `levels` make, the last level running fastest, and how many
    contexts there are.
    """
    at, contexts = torch.zeros_like(levels[0][0]), 1
    for level, width in levels:
        at, contexts = at * width + level, contexts * width
    return at, contexts


def purchases(codec: Codec) -> torch.Tensor:
    """(n_events + 2,) bool: is the event before (code + 1, 0 = start) a purchase?"""
    return torch.tensor(
        [False, False] + [codec.roles[e] == "purchase" for e in codec.events.values]
    )


def order_level(orders: torch.Tensor) -> torch.Tensor:
    """(n,) level of (n,) orders so far: 0, 1, 2 or 3, more."""
    return torch.log2(orders.double() + 1).floor().long().clamp(max=ORDERED - 1)


def context(codec: Codec, name: str, seen: ContextFeatures) -> Levels:
    """What a field is given, coarse first: (n,) codes and how many there are. Each level backs off
    to those before it.
    """
    features, told = seen.features, (seen.intent, len(codec.session_labels) + 1)

    def counter(which: Counter, levels: int) -> tuple[torch.Tensor, int]:
        return features[:, codec.counter_column(which)].clamp(max=levels - 1), levels

    before, event = (
        (features[:, layout.LAST_EVENT], codec.events.size + 1),
        (seen.event, codec.events.size),
    )
    begins, orders = (seen.breaks.long(), 2), (seen.orders, ORDERED)
    if name == "gap":
        pace = (
            (features[:, codec.counter_column(Counter.PACE)] - SLOWEST).clamp(min=0) // 3
        ).clamp(max=PACES - 1)
        return [
            before,
            counter(Counter.CART, CARTS),
            (pace, PACES),
            counter(Counter.ROWS_IN_SESSION, POSITIONS),
            told,
        ]
    if name == SESSION_LABEL:
        return [
            counter(c, layout.COUNTER_SIZES[c])
            for c in (Counter.LABELLED_SESSIONS_LEFT, Counter.ROWS_LEFT)
        ]
    if name == "event":
        return [
            before,
            begins,
            counter(Counter.CART, CARTS),
            (seen.size, len(SIZES) + 1),
            orders,
            told,
        ]
    if name == "category":
        return [event, (features[:, layout.LAST_CATEGORY], codec.categories.size + 1), told]
    if name in codec.ids:  # a user's first row is apart: only there is no earlier id to keep to
        first = seen.breaks.long() + (features[:, layout.LAST_EVENT] == 0)
        return [event, (first, 3), orders, before, told]
    size = codec.values[name].size if name in codec.values else MOST_VALUES + 1
    # 'the same as before' says nothing of the shares of the values unless one knows what was before
    if size <= MOST_VALUES:
        return [event, begins, (features[:, codec.value_column(name)], size), told]
    return [event, before, begins, told]
