"""Contexts of the Markov generator: what the distribution of each field is conditioned on.

A context is a tuple of levels, coarse first. The estimate in a context backs off to the context
without its last level. The usual levels of a field, all of which it has under a privacy budget::

    gap        the event before, whether the cart is empty, the pace, the position in the session;
               under a budget not the pace, see `pacing`
    label      how many labelled sessions are to come, and in how many rows; under a budget in how
               many sessions
    event      the event before, whether a session begins, the cart, the user's number of rows
               (under a budget that of a session), the orders so far
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

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from generators.codec.clock import Passed
from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    OBSERVATION_SPAN,
    SESSIONS,
)
from generators.markov.announced import Announced
from generators.markov.conditions import Condition, ContextFeatures, Usual, drawn_part
from generators.markov.tables import FRESH_PRICE, PARTS
from generators.markov.user_levels import SIZES, VISITS, size_of, visit_of
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.sequences.feature_layout import Counter
from generators.sequences.price_moves import last_move_of
from generators.sequences.row_columns import N_CLOCK
from generators.sequences.session_labels import current_session_label

COARSE = 8  # levels of a number of users, of which later attributes may be given
POSITIONS = 8  # levels of the position in the session
CARTS = 2  # levels of the items in the cart: none, some
IDS_HAD = 3  # levels of how many ids of a column there were: none, one, more
MORE_ORDERS = np.array([1, 3, 7])  # orders so far with which the levels after the first begin
ORDERS = len(MORE_ORDERS) + 1
MOST_CODES_ABOUT = 64  # of a condition that a field may be given
# Attributes that say when and how much: the features say what of them is left.
TIMES = (ARRIVAL, OBSERVATION_SPAN, SESSIONS, LENGTH, LAST_ROWS, LAST_SPAN)
FLAGS = 16  # levels of the flags that recent items carry; those of the session are not among them
INSIDE, BEFORE = np.array([1, 2, 3, 5, 10]), np.array([1, 6])  # bounds of numbers of items
# Whether the prices of the last item and of the row's are reduced: name, field before which it is
# not known, part of ContextFeatures.
MOVES = (
    ("price of the last item moved", "", "last_move"),
    ("price of the item moved", "item", "move"),
)
MOST_VALUES = 64  # of a column whose last value is part of the context

Level = tuple[np.ndarray, int]  # (n,) int64 codes, and the number of codes
Levels = list[Level]  # coarse first


def fields_of_row(codec: Codec) -> list[str]:
    """Return the fields that later fields of their row may be given."""
    return ["gap", COPY_ACTION, "order", *codec.value_fields, *codec.numbers]


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
            Condition(f"item's {name}", int(table.max()) + 1, field="item", table=table)
            for name, table in traits.items()
        ),
        *(
            Condition(
                f"last item's {name}",
                int(table.max()) + 1,
                feature=layout.LAST_ITEMS,
                table=table,
            )
            for name, table in traits.items()
        ),
        *(
            Condition(name, layout.PRICE_MOVES, field=field, part=part)
            for name, field, part in MOVES
            if codec.moves_prices
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
    column = {n: steps.target[:, k].numpy() for k, n in enumerate(steps.names)}
    features, lengths = steps.features.numpy(), steps.lengths()
    before = features[:, layout.LAST_EVENT]
    session_label = np.zeros_like(before)
    if codec.session_labels:
        drawn = steps.target[:, steps.names.index(SESSION_LABEL)]
        session_label = current_session_label(drawn, steps.features).numpy()
    bought = purchases(codec)[before]
    # a user's first step has no row before, so none spans two users
    begins = bought & ~np.append(False, bought[:-1])
    so_far = np.cumsum(begins)
    orders = so_far - np.repeat(so_far[steps.offsets[:-1]], lengths)
    attributes = steps.user_attributes.numpy()
    return ContextFeatures(
        features=features,
        event=np.maximum(column["event"], 0),
        passed=passed_before(codec.clock.passed(), column["gap"], before),
        session_label=session_label,
        orders=order_level(orders),
        size=np.repeat(size_of(codec, attributes), lengths),
        visit=np.repeat(visit_of(codec, attributes), lengths),
        attributes=np.repeat(attributes, lengths, axis=0),
        item=steps.items.numpy(),
        response=response_of(codec, steps.clock.numpy()),
        flags=steps.flags.numpy(),
        copies=copies_level(steps.known.numpy()),
        last_move=last_move_of(codec, steps.clock.numpy()),
        move=steps.moves.numpy(),
        drawn={name: np.maximum(column[name], 0) for name in fields_of_row(codec)},
    )


def parent_levels(codec: Codec, name: str, code: np.ndarray) -> tuple[Level, Level]:
    """Return an attribute (n,) of users as levels of which later ones may be given one.

    The first is the attribute as it is, the second is coarser where it is a number.
    """
    coder: Any = codec.user_attributes[name]
    exact = code, coder.size
    if not isinstance(coder, Bins) or coder.size <= COARSE:
        return exact, exact
    return exact, ((coder.ranks() * COARSE // coder.size)[code], COARSE)


def passed_before(passed: np.ndarray, gap: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return what has passed before rows, (n,): see `clock.Passed`.

    `passed` is that of each gap, see `Clock.passed`, `gap` (n,) are codes, `before` (n,) the codes
    + 1 of the events before, 0 at a first row.
    """
    return np.where(before == 0, int(Passed.SESSION), passed[np.maximum(gap, 0)])


def index_of(levels: Levels) -> tuple[np.ndarray, int]:
    """Return the number of each row's context, (n,), and how many contexts there are.

    The last level varies fastest.
    """
    at, contexts = np.zeros_like(levels[0][0]), 1
    for level, width in levels:
        at, contexts = at * width + level, contexts * width
    return at, contexts


def purchases(codec: Codec) -> np.ndarray:
    """Return whether an event is a purchase, (n_events + 2,) bool, by its code + 1; 0 = start."""
    return np.array([False, False] + [codec.roles[e] == "purchase" for e in codec.events.values])


def order_level(orders: np.ndarray) -> np.ndarray:
    """Return the level of `orders` (n,), (n,): 0, 1 or 2, 3 to 6, more."""
    level: np.ndarray = np.searchsorted(MORE_ORDERS, orders, side="right")
    return level


def context(
    codec: Codec,
    name: str,
    chosen: Sequence[int] | None = None,
    known: Sequence[Condition] = (),
) -> list[Usual | Condition]:
    """Return the context of a field, coarse first; of the usual levels the session label is last.

    `chosen` are places among the usual levels, which come first, and the `known` conditions; None
    takes the usual levels.
    """
    usual = usual_levels(codec, name)
    if chosen is None:
        return [*usual]
    given = [usual[k] if k < len(usual) else known[k - len(usual)] for k in chosen]
    if name == "category" and codec.rules.usual_category:
        # a search tells more about the category after it than any taste
        quiet = Announced(codec)
        given = [
            level if k < len(usual) else _where_quiet(level, quiet)
            for k, level in zip(chosen, given, strict=True)
        ]
    return given


def levels_of(given: Sequence[Usual | Condition], seen: ContextFeatures) -> Levels:
    """Return the codes of rows in a context, (n,) int64 each, and how many there are."""
    return [(level.of(seen), level.size) for level in given]


def reads_of(given: Sequence[Usual | Condition]) -> set[str]:
    """Return what a context reads, as `ContextFeatures.only` calls it."""
    return set[str]().union(*(level.reads() for level in given))


def usual_levels(codec: Codec, name: str) -> list[Usual]:
    """Return the usual levels of a field; see above."""
    levels = _usual(codec, name)
    at = 1
    if name == "event" and depends_on_items(codec, name):
        levels.insert(at, _usual_of(FLAGS, {"flags"}, lambda seen: seen.flags % FLAGS))
        at += 1
    elif depends_on_items(codec, name):
        copies = (len(INSIDE) + 1) * (len(BEFORE) + 1)
        levels.insert(at, _usual_of(copies, {"copies"}, lambda seen: seen.copies))
        at += 1
    if answers_offers(codec, name):
        # the gap leads to the row: only the offer that was open before it is known
        before, size = codec.blocks().offer, layout.OFFER_SIZES[0]
        levels.insert(
            at,
            _feature(before, size)
            if name in ("gap", *PARTS)
            else _usual_of(size, {"response"}, lambda seen: seen.response),
        )
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


def copies_level(known: np.ndarray) -> np.ndarray:
    """Return the level of how many items of the session, and from before it, can be copied.

    `known` (n, N_COPY_RANKS) are the items of the ranks, 0 = none.
    """
    inside = (known[:, : codes.N_SESSION_RANKS] > 0).sum(1)
    before = (known[:, codes.N_SESSION_RANKS :] > 0).sum(1)
    level: np.ndarray = np.searchsorted(INSIDE, inside, side="right") * (len(BEFORE) + 1)
    return level + np.searchsorted(BEFORE, before, side="right")


def response_of(codec: Codec, clock: np.ndarray) -> np.ndarray:
    """Return the response in `clock` (n, levels), see `Codec.row_levels`; 0 without campaigns."""
    return clock[:, N_CLOCK] if codec.answers_offers else np.zeros_like(clock[:, 0])


def answers_offers(codec: Codec, name: str) -> bool:
    """Is a field always given what the user does about an open offer?"""
    return codec.answers_offers and name in ("gap", *PARTS, "event", COPY_ACTION)


def _usual_of(
    size: int, parts: Collection[str], of: Callable[[ContextFeatures], np.ndarray]
) -> Usual:
    return Usual(size, frozenset(parts), of)


def _feature(column: int, size: int) -> Usual:
    """Return the level of a column of the features."""
    return _usual_of(size, {"features"}, lambda seen: seen.features[:, column])


def _where_quiet(level: Usual | Condition, quiet: Announced) -> Usual:
    """Return a level that is 0 where a category is announced."""
    return _usual_of(
        level.size,
        {*level.reads(), "features"},
        lambda seen: level.of(seen) * (quiet.next(seen.features) == 0),
    )


def _usual(codec: Codec, name: str) -> list[Usual]:
    label = _usual_of(
        len(codec.session_labels) + 1, {"session_label"}, lambda seen: seen.session_label
    )

    def counter(which: Counter, levels: int) -> Usual:
        column = codec.counter_column(which)
        return _usual_of(
            levels,
            {"features"},
            lambda seen: np.minimum(seen.features[:, column], levels - 1),
        )

    before = _feature(layout.LAST_EVENT, codec.events.size + 1)
    event = _usual_of(codec.events.size, {"event"}, lambda seen: seen.event)
    # without a budget fields can be given the gap itself
    passed = _usual_of(2, {"passed"}, _begins)
    if codec.private:
        passed = _usual_of(len(Passed), {"passed"}, lambda seen: seen.passed)
    orders = _usual_of(ORDERS, {"orders"}, lambda seen: seen.orders)
    if name == "gap" or name in PARTS:
        pace = counter(Counter.PACE, layout.COUNTER_SIZES[Counter.PACE])
        return [
            before,
            counter(Counter.CART, CARTS),
            *(() if codec.users.plans_sessions else (pace,)),
            counter(Counter.ROWS_IN_SESSION, POSITIONS),
            label,
        ]
    if name == SESSION_LABEL:
        labelled, rows = (
            counter(c, layout.COUNTER_SIZES[c])
            for c in (Counter.LABELLED_SESSIONS_LEFT, Counter.ROWS_LEFT)
        )
        sessions = _feature(codec.blocks().sessions, rows.size)
        return [labelled, sessions if codec.users.plans_sessions else rows]
    if name == "event":
        size = _usual_of(len(SIZES) + 1, {"size"}, lambda seen: seen.size)
        if codec.users.plans_sessions:
            size = _usual_of(len(VISITS) + 1, {"visit"}, lambda seen: seen.visit)
        # under a budget what was never seen is as it is after such a time, whatever came before
        first = [passed, before] if codec.private else [before, passed]
        return [*first, counter(Counter.CART, CARTS), size, orders, label]
    if name == "category":
        of = Announced(codec)
        last = _usual_of(
            codec.categories.size + 1, {"features"}, lambda seen: of.before(seen.features)
        )
        return [event, last, label]
    if name in codec.ids:  # a user's first row is apart: only there is no earlier id to keep to
        if codec.private:  # one table holds what matters most: is there an id to keep to
            column = codec.id_count_column(name)
            had = _usual_of(
                3 * IDS_HAD,
                {"passed", "features"},
                lambda seen: (
                    _first(seen) * IDS_HAD + np.minimum(seen.features[:, column], IDS_HAD - 1)
                ),
            )
            return [event, had, label]
        return [event, _usual_of(3, {"passed", "features"}, _first), orders, before, label]
    number = number_before(codec, name) if codec.private else None
    if number is not None:
        return [event, _drawn(number, codec.fields()[number]), label]
    size_of_value = codec.values[name].size if name in codec.values else MOST_VALUES + 1
    # "the same as before" means something only where the value before is known
    if size_of_value <= MOST_VALUES:
        return [event, passed, _feature(codec.value_column(name), size_of_value), label]
    return [event, before, passed, label]


def number_before(codec: Codec, name: str) -> str | None:
    """Return the number of a row that is drawn right before another one; None where there is none.

    Numbers of a row are often two measures of one thing: what is paid, and for how many.
    """
    sizes, last = codec.fields(), None
    for field in codec.rest_fields:
        if field == name:
            return last if name in codec.bins else None
        if field in codec.bins and 1 < sizes[field] <= MOST_VALUES:
            last = field
    return None


def _drawn(name: str, size: int) -> Usual:
    """Return the code of a field of the row as a level."""
    return _usual_of(size, {drawn_part(name)}, lambda seen: seen.drawn[name])


def _begins(seen: ContextFeatures) -> np.ndarray:
    """Return whether a session begins, (n,) int64."""
    return (seen.passed == Passed.SESSION).astype(np.int64)


def _first(seen: ContextFeatures) -> np.ndarray:
    """Return 2 at a user's first row, 1 at that of another session, 0 else, (n,) int64."""
    return _begins(seen) + (seen.features[:, layout.LAST_EVENT] == 0)
