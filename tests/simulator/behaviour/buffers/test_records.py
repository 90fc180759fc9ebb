"""Numbers of the scenario as compiled code reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.behaviour.buffers.records import LATE_REFUNDS, refund_rates


@given(refund=st.floats(0.0, 0.9), late=st.floats(0.0, 1.0))
def test_the_share_of_refunds_is_that_of_the_scenario(refund, late):
    if_late, otherwise = refund_rates(refund, late)
    assert late * if_late + (1 - late) * otherwise == pytest.approx(refund)
    assert 0 <= otherwise <= if_late + 1e-9 <= 1 + 2e-9
    if late < 1 and if_late < 1:
        assert if_late == pytest.approx(LATE_REFUNDS * otherwise)
