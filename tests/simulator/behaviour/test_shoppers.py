"""How the planned visits of shoppers are ordered."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.behaviour.shoppers import order_within

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1e-9, 0.5, 7.25, 3e8])))


@given(PAIRS)
def test_order_within_groups_is_that_of_lexsort_also_where_times_are_equal(pairs):
    group = np.array([g for g, _ in pairs], dtype=np.int64)
    time = np.array([t for _, t in pairs])
    np.testing.assert_array_equal(order_within(group, time), np.lexsort((time, group)))
