from __future__ import annotations

import numpy as np
import pytest
from fixtures.shop_logs import renamed

from eventlog import EventLog
from generators.evaluation.align import align_logs
from generators.evaluation.attacks.copied_runs import copied_runs


@pytest.mark.parametrize(("every", "near"), [(8, 1.0), (3, 0.0)])
def test_near_copies_survive_one_changed_row_and_not_two(real, holdout, every, near):
    """Every eighth or third row gets an item that nobody knows: no run of 8 is exact; one row of it
    differs, or two and more.
    """
    items = real.events["item_id"].astype(object).to_numpy().copy()
    items[::every] = "unheard-of"
    a, b, c = align_logs(
        real, renamed(EventLog(events=real.events.assign(item_id=items)), "x"), holdout
    )
    found = {x.name: x for x in copied_runs(a, a, b, c, rng=np.random.default_rng(0))}
    assert found["exposed_exact_8"].rate.value == 0.0
    assert found["exposed_near_8"].rate.value == near
