"""Contexts of the Markov generator: what the distribution of each field is conditioned on.

A context is a tuple of levels, coarse first. The estimate in a context backs off to the context
without its last level. The usual levels of a field, all of which it has under a privacy budget::

    gap        the event before, whether the cart is empty, the pace, the position in the session
    label      how many labelled sessions are to come, and in how many rows
    event      the event before, whether a session begins, the cart, the user's number of rows,
               the orders so far
    category   the event, the category before
    a value    the event, whether a session begins, the user's value before
    an id      the event, whether a session begins (the first or a later one), the orders so far,
               the event before; under a budget how many ids there were instead of these two
    others     the event, the event before, whether a session begins

and each also the session's label, and the first three what the user does about an open offer.
Under a budget the events, values and others also tell rows without any time since the row before
from those with some. Without a budget the event is also given which flags recent items carry, and
whether an item is copied how many there are to copy.
`conditions` lists what else a field may be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from generators.codec.clock import Passed
from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    OBSERVATION_SPAN,
)
from generators.markov.announced import announced, category_before
from generators.markov.conditions import Condition, ContextFeatures
from generators.markov.tables import FRESH_PRICE, PARTS
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label
from generators.sequences.feature_layout import Counter

COARSE = 8  # levels of a number of users, of which later attributes may be given
POSITIONS = 8  # levels of the position in the session
SIZES = (16, 64, 256)  # bounds of the levels of a user's number of rows
CARTS = 2  # levels of the items in the cart: none, some
IDS_HAD = 3  # levels of how many ids of a column there were: none, one, more
ORDERS = 4  # levels of the orders so far: 0, 1, 2 or 3, more
MOST_CODES_ABOUT = 64  # of a condition that a field may be given
# Attributes that say when and how much: the features say what of them is left.
TIMES = (ARRIVAL, OBSERVATION_SPAN, LENGTH, LAST_ROWS, LAST_SPAN)
FLAGS = 16  # levels of the flags that recent items carry; those of the session are not among them
INSIDE, BEFORE = torch.tensor([1, 2, 3, 5, 10]), torch.tensor([1, 6])  # bounds of numbers of items
MOST_VALUES = 64  # of a column whose last value is part of the context

Level = tuple[torch.Tensor, int]  # (n,) int64 codes, and the number of codes
Levels = list[Level]  # coarse first


def fields_of_row(codec: Codec) -> list[str]:
    """Return the fields that later fields of their row may be given."""
    numbers = [n for n in codec.rest_fields if n in codec.bins]
    return ["gap", COPY_ACTION, "order", *codec.value_fields, *numbers]


def conditions(codec: Codec) -> list[Condition]:
    """Return what a field may be given: the user's attributes, the rows before, and its own row."""
    sizes, features = codec.fields(), codec.feature_sizes()
    traits = codec.item_traits()
    return [
        *(
            Condition(name, size, attribute=k)
            for k, (name, size) in enumerate(codec.user_attribute_sizes().items())
        ),
        *(
            Condition(
                f"item's {name}", int(table.max()) + 1, field="item", table=torch.from_numpy(table)
            )
            for name, table in traits.items()
        ),
        *(
            Condition(
                f"last item's {name}",
                int(table.max()) + 1,
                feature=layout.LAST_ITEMS,
                table=torch.from_numpy(table),
            )
            for name, table in traits.items()
        ),
        *(Condition(f"feature {k}", size, feature=k) for k, size in enumerate(features)),
        *(Condition(name, sizes[name], field=name) for name in fields_of_row(codec)),
    ]


def is_open(codec: Codec, name: str, condition: Condition) -> bool:
    """Is `condition` known, and of use, when the field `name` is drawn?"""
    order = list(codec.fields())
    place = {FRESH_PRICE: order.index("item"), **dict.fromkeys(PARTS, 0)}
    before = order[: place[name] if name in place else order.index(name)]
    return (
        1 < condition.size <= MOST_CODES_ABOUT
        and condition.own in ("", name)
        and condition.name not in TIMES
        and (not condition.field or condition.field in before)
    )


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
    passed = passed_before(codec, column["gap"], before)
    size = torch.repeat_interleave(
        size_of(codec, steps.user_attributes), torch.from_numpy(steps.lengths())
    )
    attributes = torch.repeat_interleave(
        steps.user_attributes, torch.from_numpy(steps.lengths()), dim=0
    )
    return ContextFeatures(
        features=steps.features,
        event=column["event"].clamp(min=0),
        passed=passed,
        session_label=session_label,
        orders=order_level(orders),
        size=size,
        attributes=attributes,
        item=steps.items,
        response=response_of(codec, steps.clock),
        flags=steps.flags,
        copies=copies_level(steps.known),
        drawn={name: column[name].clamp(min=0) for name in fields_of_row(codec)},
    )


def nothing_seen(codec: Codec) -> ContextFeatures:
    """Return the features of no row at all, from which a context has its widths."""
    nothing = torch.zeros(0, dtype=torch.int64)
    return ContextFeatures(
        features=torch.zeros((0, len(codec.feature_sizes())), dtype=torch.int64),
        event=nothing,
        passed=nothing,
        session_label=nothing,
        orders=nothing,
        size=nothing,
        attributes=torch.zeros((0, len(codec.user_attributes)), dtype=torch.int64),
        item=nothing,
        response=nothing,
        flags=nothing,
        copies=nothing,
        drawn=dict.fromkeys(fields_of_row(codec), nothing),
    )


def parent_levels(codec: Codec, name: str, code: torch.Tensor) -> tuple[Level, Level]:
    """Return an attribute (n,) of users as levels of which later ones may be given one.

    The first is the attribute as it is, the second is coarser where it is a number.
    """
    coder: Any = codec.user_attributes[name]
    exact = code, coder.size
    if not isinstance(coder, Bins) or coder.size <= COARSE:
        return exact, exact
    return exact, (torch.from_numpy(coder.ranks() * COARSE // coder.size)[code], COARSE)


def size_of(codec: Codec, user_attributes: torch.Tensor) -> torch.Tensor:
    """Return the level of the rows that users will have, (n,): below each of SIZES, or more.

    `user_attributes` (n, n_attributes) are codes.
    """
    lengths: Any = codec.user_attributes[LENGTH]
    low = np.ceil(np.nan_to_num(lengths.ends()[0], nan=1.0))  # of whole numbers
    level = np.searchsorted(SIZES, low, side="right")
    return torch.from_numpy(level)[user_attributes[:, list(codec.user_attributes).index(LENGTH)]]


def passed_before(codec: Codec, gap: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Return what has passed before rows, (n,): see `clock.Passed`.

    `gap` (n,) are codes, `before` (n,) the codes + 1 of the events before, 0 at a first row.
    """
    passed = codec.clock.passed(gap.clamp(min=0))
    return torch.where(before == 0, int(Passed.SESSION), passed)


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


def context(
    codec: Codec,
    name: str,
    seen: ContextFeatures,
    chosen: Sequence[int] | None = None,
    known: Sequence[Condition] = (),
) -> Levels:
    """Return the context of a field in each row; of the usual levels the session label is last.

    `chosen` are places among the usual levels, which come first, and the `known` conditions; None
    takes the usual levels.
    """
    usual = usual_levels(codec, name, seen)
    if chosen is None:
        return usual
    levels = [
        usual[k] if k < len(usual) else (known[k - len(usual)].of(seen), known[k - len(usual)].size)
        for k in chosen
    ]
    if name == "category" and codec.rules.usual_category:
        # a search tells more about the category after it than any taste
        quiet = (announced(codec, seen.features) == 0).long()
        levels = [
            (level if k < len(usual) else level * quiet, width)
            for k, (level, width) in zip(chosen, levels, strict=True)
        ]
    return levels


def usual_levels(codec: Codec, name: str, seen: ContextFeatures) -> Levels:
    """Return the usual levels of a field; see above."""
    levels = _context(codec, name, seen)
    at = 1
    if depends_on_items(codec, name):
        by_event = name == "event"
        copies = (len(INSIDE) + 1) * (len(BEFORE) + 1)
        levels.insert(at, (seen.flags % FLAGS, FLAGS) if by_event else (seen.copies, copies))
        at += 1
    if answers_offers(codec, name):
        # the gap leads to the row: only the offer that was open before it is known
        before = seen.features[:, codec.blocks().offer]
        response = before if name in ("gap", *PARTS) else seen.response
        levels.insert(at, (response, layout.OFFER_SIZES[0]))
    return levels


def n_kept(codec: Codec, name: str) -> int:
    """Return how many of the usual levels of a field, from the first, are always kept."""
    return 1 + depends_on_items(codec, name) + answers_offers(codec, name)


def depends_on_items(codec: Codec, name: str) -> bool:
    """Is a field always given which items the user has had?

    What is possible depends on them. Were they left out, what is impossible would be drawn as
    often as elsewhere, and its place taken by whatever is possible. Not under a privacy budget.
    """
    return not codec.private and (
        name == COPY_ACTION or (name == "event" and len(codec.rules.required_flags) > 0)
    )


def copies_level(known: torch.Tensor) -> torch.Tensor:
    """Return the level of how many items of the session, and from before it, can be copied.

    `known` (n, N_COPY_RANKS) are the items of the ranks, 0 = none.
    """
    inside = (known[:, : codes.N_SESSION_RANKS] > 0).sum(1)
    before = (known[:, codes.N_SESSION_RANKS :] > 0).sum(1)
    inside, before = (
        torch.bucketize(inside, INSIDE, right=True),
        torch.bucketize(before, BEFORE, right=True),
    )
    return inside * (len(BEFORE) + 1) + before


def response_of(codec: Codec, clock: torch.Tensor) -> torch.Tensor:
    """Return the last of `clock` (n, levels), see `Codec.row_levels`; 0 without campaigns."""
    return clock[:, -1] if codec.answers_offers else torch.zeros_like(clock[:, 0])


def answers_offers(codec: Codec, name: str) -> bool:
    """Is a field always given what the user does about an open offer?"""
    return codec.answers_offers and name in ("gap", *PARTS, "event", COPY_ACTION)


def _context(codec: Codec, name: str, seen: ContextFeatures) -> Levels:
    features = seen.features
    label = (seen.session_label, len(codec.session_labels) + 1)

    def counter(which: Counter, levels: int) -> tuple[torch.Tensor, int]:
        return features[:, codec.counter_column(which)].clamp(max=levels - 1), levels

    before = (features[:, layout.LAST_EVENT], codec.events.size + 1)
    event = (seen.event, codec.events.size)
    begins = (seen.passed == Passed.SESSION).long()
    # without a budget fields can be given the gap itself
    passed = (seen.passed, len(Passed)) if codec.private else (begins, 2)
    orders = (seen.orders, ORDERS)
    if name == "gap" or name in PARTS:
        return [
            before,
            counter(Counter.CART, CARTS),
            counter(Counter.PACE, layout.COUNTER_SIZES[Counter.PACE]),
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
            passed,
            counter(Counter.CART, CARTS),
            (seen.size, len(SIZES) + 1),
            orders,
            label,
        ]
    if name == "category":
        return [event, (category_before(codec, features), codec.categories.size + 1), label]
    if name in codec.ids:  # a user's first row is apart: only there is no earlier id to keep to
        first = begins + (features[:, layout.LAST_EVENT] == 0)
        if codec.private:  # one table holds what matters most: is there an id to keep to
            had = features[:, codec.id_count_column(name)].clamp(max=IDS_HAD - 1)
            return [event, (first * IDS_HAD + had, 3 * IDS_HAD), label]
        return [event, (first, 3), orders, before, label]
    size = codec.values[name].size if name in codec.values else MOST_VALUES + 1
    # "the same as before" means something only where the value before is known
    if size <= MOST_VALUES:
        return [event, passed, (features[:, codec.value_column(name)], size), label]
    return [event, before, passed, label]
