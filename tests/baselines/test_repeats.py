"""What a row repeats of its user's earlier rows, against a count row by row."""

from __future__ import annotations

import numpy as np
from fixtures.order_logs import random_log
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.repeats import repeat_columns
from eventlog.arrays import FIRST
from eventlog.encode import Encoder


@given(seed=st.integers(0, 1_000))
@settings(max_examples=15, deadline=None)
def test_repeats_are_those_of_the_users_own_earlier_rows(seed: int) -> None:
    log = random_log(seed, rows=60)
    s = Encoder.fit(log, high_cardinality=4).encode(log)
    columns = repeat_columns(s)
    assert {"age_item", "earlier_item", "age_device", "earlier_device"} <= columns.keys()
    for name in {name.partition("_")[2] for name in columns}:
        value, least = (s.ids[name], 0) if name in s.ids else (s.columns[name], FIRST)
        for row, user in enumerate(s.row_user()):
            past = np.arange(s.offsets[user], row)
            same = past[(value[past] == value[row]) & (value[row] >= least)]
            since = (s.time[row] - s.time[same].min()) / 60_000 if len(same) else 0
            assert np.isclose(columns[f"earlier_{name}"][row], np.log1p(len(same)))
            assert np.isclose(columns[f"age_{name}"][row], np.log1p(since))
