"""Contexts of the Markov generator: what the distribution of each field is conditioned on.

A context is a tuple of levels, coarse first: the event before, whether a session begins, ... The
estimate in a context backs off to the context without its last level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import LENGTH
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label
from generators.sequences.feature_layout import Counter

POSITIONS = 8  # levels of the position in the session
PACES = 10  # levels of how fast the rows to come must be
SLOWEST = 10  # level of the counter PACE up to which all are slow
SIZES = (16, 64, 256)  # bounds of the levels of a user's number of rows
CARTS = 2  # levels of the items in the cart: none, some
ORDERS = 4  # levels of the orders so far: 0, 1, 2 or 3, more
MOST_VALUES = 64  # of a column whose last value is part of the context

Level = tuple[torch.Tensor, int]  # (n,) int64 codes, and the number of codes
Levels = list[Level]  # coarse first


@dataclass
class ContextFeatures:
    """What the contexts of n rows are made of; tensors are (n,) int64 unless noted otherwise."""

    features: torch.Tensor  # (n, F): see feature_layout
    event: torch.Tensor  # code of the row's event
    is_session_start: torch.Tensor  # bool
    session_label: torch.Tensor  # of the row's session, 0 = none
    orders: torch.Tensor  # level of the orders so far
    size: torch.Tensor  # level of the rows that the user will have


def context_features(codec: Codec, steps: EncodedSequences) -> ContextFeatures:
    """Return what the contexts of training steps are made of."""
    column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
    before = steps.features[:, layout.LAST_EVENT]
    session_label = (
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
    is_start = codec.clock.starts_session(column["gap"]) | (before == 0)
    size = torch.repeat_interleave(
        size_of(codec, steps.user_attributes), torch.from_numpy(steps.lengths())
    )
    return ContextFeatures(
        features=steps.features,
        event=column["event"].clamp(min=0),
        is_session_start=is_start,
        session_label=session_label,
        orders=order_level(orders),
        size=size,
    )


def size_of(codec: Codec, user_attributes: torch.Tensor) -> torch.Tensor:
    """Return the level of the rows that users will have, (n,): below each of SIZES, or more.

    `user_attributes` (n, n_attributes) are codes.
    """
    lengths: Any = codec.user_attributes[LENGTH]
    low = np.nan_to_num(lengths.ends()[0], nan=1.0)
    level = np.searchsorted(SIZES, low, side="right")
    return torch.from_numpy(level)[user_attributes[:, list(codec.user_attributes).index(LENGTH)]]


def index_of(levels: Levels) -> tuple[torch.Tensor, int]:
    """Return the number of each row's context, (n,), and how many contexts there are.

    The last level varies fastest.
    """
    at, contexts = torch.zeros_like(levels[0][0]), 1
    for level, width in levels:
        at, contexts = at * width + level, contexts * width
    return at, contexts


def purchases(codec: Codec) -> torch.Tensor:
    """Return whether an event is a purchase, (n_events + 2,) bool, by its code + 1; 0 = start."""
    return torch.tensor(
        [False, False] + [codec.roles[e] == "purchase" for e in codec.events.values]
    )


def order_level(orders: torch.Tensor) -> torch.Tensor:
    """Return the level of `orders` (n,), (n,): 0, 1, 2 or 3, more."""
    return torch.log2(orders.double() + 1).floor().long().clamp(max=ORDERS - 1)


def context(codec: Codec, name: str, seen: ContextFeatures) -> Levels:
    """Return the context of a field in each row; the session label is the last level of all."""
    features = seen.features
    label = (seen.session_label, len(codec.session_labels) + 1)

    def counter(which: Counter, levels: int) -> tuple[torch.Tensor, int]:
        return features[:, codec.counter_column(which)].clamp(max=levels - 1), levels

    before = (features[:, layout.LAST_EVENT], codec.events.size + 1)
    event = (seen.event, codec.events.size)
    begins, orders = (seen.is_session_start.long(), 2), (seen.orders, ORDERS)
    if name == "gap":
        pace = (
            (features[:, codec.counter_column(Counter.PACE)] - SLOWEST).clamp(min=0) // 3
        ).clamp(max=PACES - 1)
        return [
            before,
            counter(Counter.CART, CARTS),
            (pace, PACES),
            counter(Counter.ROWS_IN_SESSION, POSITIONS),
            label,
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
            label,
        ]
    if name == "category":
        return [event, (features[:, layout.LAST_CATEGORY], codec.categories.size + 1), label]
    if name in codec.ids:  # a user's first row is apart: only there is no earlier id to keep to
        first = seen.is_session_start.long() + (features[:, layout.LAST_EVENT] == 0)
        return [event, (first, 3), orders, before, label]
    size = codec.values[name].size if name in codec.values else MOST_VALUES + 1
    # "the same as before" means something only where the value before is known
    if size <= MOST_VALUES:
        return [event, begins, (features[:, codec.value_column(name)], size), label]
    return [event, before, begins, label]
