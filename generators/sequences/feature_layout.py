"""Layout of the features: what a model sees of a user before the next row, column by column.

This is the one description of their order. Compiled code reads the offsets from `Blocks`, a model
reads single columns through `Codec.value_column` and `Codec.counter_column`, and `feature_sizes`
gives the number of levels of each column.

Example::

    blocks = Blocks.of(values=2, rest=3, ids=1)
    in_cart = features[:, blocks.counters + Counter.CART]
"""

from __future__ import annotations

from enum import IntEnum
from itertools import accumulate
from typing import NamedTuple, Self

from generators.sequences import row_columns as col
from generators.sequences.codes import N_COPY_ACTIONS, N_ORDERS, N_RESPONSES

# Columns with a fixed place: codes + 1 of the last row (0 = there was none), then the last items.
LAST_EVENT, LAST_CATEGORY, LAST_SESSION_LABEL = col.EVENT, col.CATEGORY, col.SESSION_LABEL
LAST_ITEMS = col.N_CODES
N_LAST_ITEMS = 3

REMAINING = 32  # levels of how much of the span is left
CLOCK_SIZES = (24, 7, REMAINING)  # levels of hour, weekday and remaining span
# The last columns: hour and weekday of the last row, level + 1 (0 = there was none).
LAST_HOUR, LAST_WEEKDAY = -3, -2
# Levels of: how many ids of a column the user has had; for how many rows (log scale) the last one.
ID_COUNTS, ID_AGES = 10, 12
# Levels of: what a user does about an open offer; the hours for which it is still open (log scale).
OFFER_SIZES = (N_RESPONSES, 12)
PRICE_MOVES = 4  # no item, and its price is as usual, reduced, raised


class Counter(IntEnum):
    """What is counted of a user, in the order of the columns. `COUNTER_SIZES` gives the levels."""

    ROWS_IN_SESSION = 0  # so far; levels as those of ROWS_LEFT
    SESSIONS = 1
    ROWS = 2  # log scale
    CART = 3  # recent items in the cart
    BOUGHT = 4  # recent items that were ever bought
    ROWS_LEFT = 5  # still to come, before the last session or in it
    LABELLED_SESSIONS = 6
    TIME_LEFT = 7  # until the last session, or its end
    PACE = 8  # rows an hour still to come, log scale
    LABELLED_SESSIONS_LEFT = 9
    LABEL_PENDING = 10  # the session has a label, and no row of it has carried it yet
    FAILED_PAYMENTS = 11  # in the session
    IN_LAST_SESSION = 12
    SPENT = 13  # in the session, log scale; always 0 under a privacy budget


COUNTER_SIZES = (20, 16, 13, 8, 8, 24, 4, 48, 44, 4, 2, 6, 2, 24)


class Blocks(NamedTuple):
    """Where each block of columns begins, and how many columns there are in all."""

    last_row: int
    last_items: int
    values: int  # the last value of each categorical column
    rest: int  # the last code of each other field
    counters: int
    id_counts: int
    id_ages: int
    offer: int  # the open offer, where a log has campaigns
    sessions: int  # those still to begin, where they are planned
    clock: int
    width: int

    @classmethod
    def of(
        cls, *, values: int, rest: int, ids: int, offers: bool = False, sessions: bool = False
    ) -> Self:
        """Lay out the features of a log with these numbers of categorical, other and id columns.

        `offers`: are there campaigns? `sessions`: is their number planned?
        """
        sizes = (
            col.N_CODES,
            N_LAST_ITEMS,
            values,
            rest,
            len(Counter),
            ids,
            ids,
            len(OFFER_SIZES) * offers,
            int(sessions),
            len(CLOCK_SIZES),
        )
        return cls(*accumulate(sizes, initial=0))


def feature_sizes(
    *,
    gaps: int,
    session_labels: int,
    events: int,
    categories: int,
    items: int,
    values: list[int],
    rest: list[int],
    ids: int,
    offers: bool = False,
    sessions: bool = False,
) -> list[int]:
    """Return the number of levels of each column; arguments are numbers of codes, 0 included."""
    last_row = (gaps, events, N_COPY_ACTIONS, categories, N_ORDERS, session_labels)
    return [
        *(size + 1 for size in last_row),
        *([items] * N_LAST_ITEMS),
        *values,
        *(size + 1 for size in rest),
        *COUNTER_SIZES,
        *([ID_COUNTS] * ids),
        *([ID_AGES] * ids),
        *(OFFER_SIZES if offers else ()),
        *([COUNTER_SIZES[Counter.ROWS_LEFT]] * sessions),  # of the same levels
        *(size + 1 for size in CLOCK_SIZES),
    ]
