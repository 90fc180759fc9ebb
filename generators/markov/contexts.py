"""Contexts of the Markov generator: what the distribution of each field is conditioned on.

A context is a tuple of levels, coarse first: the event before, whether a session begins, ... The
estimate in a context backs off to the context without its last level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    LEVELS,
    OBSERVATION_SPAN,
    PRICE_LEVEL,
)
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label
from generators.sequences.feature_layout import Counter

POSITIONS = 8  # levels of the position in the session
PACES = 10  # levels of how fast the rows to come must be
SLOWEST = 10  # level of the counter PACE up to which all are slow
SIZES = (16, 64, 256)  # bounds of the levels of a user's number of rows
CARTS = 2  # levels of the items in the cart: none, some
NO_CATEGORY = 1  # of a row before that has none, see feature_layout.LAST_CATEGORY
ORDERS = 4  # levels of the orders so far: 0, 1, 2 or 3, more
MOST_CODES_ABOUT = 64  # of an attribute that a field may be given
LEAST_GAIN = 20.0  # nats that an attribute must tell about all rows together
BACKOFF = 0.3  # pseudo-counts of what is known without it, for each code
MOST_CHOSEN = 3  # attributes that a field is given
MOST_CELLS = 2_500_000  # of a table with them
MOST_COUNTED_ROWS = 200_000  # by which they are chosen
# Attributes that say when and how much: the features say what of them is left.
TIMES = (ARRIVAL, OBSERVATION_SPAN, LENGTH, LAST_ROWS, LAST_SPAN)
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
    about: torch.Tensor  # (n, n_attributes + 1): attributes of the user, price level of the item


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
    attributes = torch.repeat_interleave(
        steps.user_attributes, torch.from_numpy(steps.lengths()), dim=0
    )
    level = torch.from_numpy(codec.item_table(PRICE_LEVEL))[steps.items]
    return ContextFeatures(
        features=steps.features,
        event=column["event"].clamp(min=0),
        is_session_start=is_start,
        session_label=session_label,
        orders=order_level(orders),
        size=size,
        about=torch.cat([attributes, level[:, None]], 1),
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


def context(codec: Codec, name: str, seen: ContextFeatures, chosen: Sequence[int] = ()) -> Levels:
    """Return the context of a field in each row; the session label is the last level of all.

    `chosen` are columns of `seen.about` that it is given as well, see `choose`.
    """
    levels, sizes, about = _context(codec, name, seen), sizes_about(codec), seen.about
    if name == "category" and codec.rules.usual_category:
        # a search tells more about the category after it than any taste
        about = about * (_announced(codec, seen.features) == 0)[:, None]
    return [levels[0], *((about[:, k], sizes[k]) for k in chosen), *levels[1:]]


def sizes_about(codec: Codec) -> list[int]:
    """Return the number of codes of each column of `ContextFeatures.about`."""
    return [*codec.user_attribute_sizes().values(), len(LEVELS) + 1]


def choose(codec: Codec, name: str, code: torch.Tensor, seen: ContextFeatures) -> list[int]:
    """Return what of a user, or of the row's item, tells most about a field beside its context.

    One after another is chosen while it tells more than chance would; `code` (n,) are the codes of
    the field, -1 = not asked.
    """
    asked = torch.nonzero(code >= 0)[:, 0]
    asked = asked[:: max(len(asked) // MOST_COUNTED_ROWS, 1)]
    levels = [(level[asked], width) for level, width in _context(codec, name, seen)]
    at = index_of(levels[:1])[0].numpy()
    of, size = code[asked].numpy(), codec.fields()[name]
    cells = size * int(np.prod([width for _, width in levels]))
    sizes, about = sizes_about(codec), seen.about[asked].numpy()
    names = [*codec.user_attributes, PRICE_LEVEL]
    known = set(codec.value_fields) | set(codec.rest_fields)
    left = [
        k
        for k, n in enumerate(names)
        if 1 < sizes[k] <= MOST_CODES_ABOUT
        and n not in TIMES
        and (n in codec.user_attributes or name in known)
    ]
    chosen: list[int] = []
    while left and len(chosen) < MOST_CHOSEN:
        gains = [
            _gain(at, about[:, k], sizes[k], of, size)
            if cells * sizes[k] <= MOST_CELLS
            else -np.inf
            for k in left
        ]
        best = int(np.argmax(gains))
        if gains[best] <= LEAST_GAIN:
            break
        k = left.pop(best)
        chosen.append(k)
        at, cells = at * sizes[k] + about[:, k], cells * sizes[k]
    return chosen


def _gain(at: np.ndarray, level: np.ndarray, width: int, code: np.ndarray, size: int) -> float:
    """Return by how much `level` (n,) raises the log likelihood of `code` (n,) in contexts (n,).

    Each row is predicted by the others, so that a level that tells nothing gains nothing.
    """
    alone = _left_out(at, code, size, np.full(len(code), 1 / size))
    both = _left_out(at * width + level, code, size, alone)
    return float(np.log(both).sum() - np.log(alone).sum())


def _left_out(context: np.ndarray, code: np.ndarray, size: int, base: np.ndarray) -> np.ndarray:
    """Return the share of each row's code among the other rows of its context, (n,).

    It is backed off to `base` (n,).
    """
    _, cell, n_cell = np.unique(context * size + code, return_inverse=True, return_counts=True)
    _, place, n_context = np.unique(context, return_inverse=True, return_counts=True)
    weight = BACKOFF * size
    found: np.ndarray = (n_cell[cell] - 1 + weight * base) / (n_context[place] - 1 + weight)
    return found


def parents(codec: Codec, attributes: np.ndarray) -> list[int]:
    """Return for each attribute of users the earlier one that tells most about it, -1 = none.

    It is the tree of Chow and Liu (1968) in a given order; `attributes` (n_users, S) are codes.
    """
    sizes = list(codec.user_attribute_sizes().values())
    none = np.zeros(len(attributes), dtype=np.int64)
    out = []
    for k, size in enumerate(sizes):
        gains = [_gain(none, attributes[:, j], sizes[j], attributes[:, k], size) for j in range(k)]
        tells = gains and max(gains) > LEAST_GAIN
        out.append(int(np.argmax(gains)) if tells else -1)
    return out


def _context(codec: Codec, name: str, seen: ContextFeatures) -> Levels:
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
        return [event, (_category_before(codec, features), codec.categories.size + 1), label]
    if name in codec.ids:  # a user's first row is apart: only there is no earlier id to keep to
        first = seen.is_session_start.long() + (features[:, layout.LAST_EVENT] == 0)
        return [event, (first, 3), orders, before, label]
    size = codec.values[name].size if name in codec.values else MOST_VALUES + 1
    # "the same as before" means something only where the value before is known
    if size <= MOST_VALUES:
        return [event, begins, (features[:, codec.value_column(name)], size), label]
    return [event, before, begins, label]


def _announced(codec: Codec, features: torch.Tensor) -> torch.Tensor:
    """Return the code of the category to which the last row, a search or the like, usually leads.

    It is 0 where the last row has a category, or nothing that leads to one.
    """
    found = torch.zeros_like(features[:, 0])
    for name, usual in codec.rules.usual_category.items():
        likely = torch.tensor(usual)[features[:, codec.value_column(name)]]
        found = torch.where(found == 0, likely, found)
    return found * (features[:, layout.LAST_CATEGORY] == NO_CATEGORY)


def _category_before(codec: Codec, features: torch.Tensor) -> torch.Tensor:
    """Return the code + 1 of the category before, or of the announced one; 0 = no row before.

    Where the last row has none, it is the category of the user's last item.
    """
    announced, last = _announced(codec, features), features[:, layout.LAST_CATEGORY]
    of_item = torch.from_numpy(codec.items.category)[features[:, layout.LAST_ITEMS]]
    last = torch.where((last == NO_CATEGORY) & (of_item > 0), of_item + 1, last)
    return torch.where(announced > 0, announced + 1, last)
