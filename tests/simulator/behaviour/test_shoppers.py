"""How the planned visits of shoppers are ordered."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from simulator.behaviour.session.memory import has_seen, note_seen
from simulator.behaviour.shoppers import MEMORY, order_within

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1e-9, 0.5, 7.25, 3e8])))


@given(PAIRS)
def test_order_within_groups_is_that_of_lexsort_also_where_times_are_equal(pairs):
    group = np.array([g for g, _ in pairs], dtype=np.int64)
    time = np.array([t for _, t in pairs])
    np.testing.assert_array_equal(order_within(group, time), np.lexsort((time, group)))


@given(st.lists(st.integers(0, 4 * MEMORY), max_size=30), st.integers(0, 4 * MEMORY))
def test_a_shopper_remembers_the_items_seen_by_their_cells(items, asked):
    shopper = np.zeros(1, dtype=[("seen", "u1", (MEMORY // 8,))])
    assert remembers(shopper, np.array(items, dtype=np.int64), asked) == (
        asked % MEMORY in {item % MEMORY for item in items}
    )


@njit
def remembers(shoppers, items, asked):
    """Return whether a shopper who has seen `items` has seen the item `asked`."""
    for item in items:
        note_seen(shoppers[0], item)
    return has_seen(shoppers[0], asked)
