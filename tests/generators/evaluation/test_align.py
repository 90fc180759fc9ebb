from __future__ import annotations

import numpy as np
from fixtures.shop_logs import shop_log

from eventlog import EventLog
from generators.evaluation.align import align_logs, ngrams


def test_ngrams_never_cross_users():
    (flat,) = align_logs(shop_log(users=30, rows=3, seed=5))
    for n in (1, 2, 3):
        assert len(ngrams(flat, n)[0]) == np.maximum(flat.lengths - n + 1, 0).sum()


def test_rows_in_any_order_are_the_same_log(real, other):
    unique = EventLog(events=real.events.drop_duplicates(["user_id", "timestamp"]))
    mixed = EventLog(events=unique.events.sample(frac=1, random_state=0))
    (a, b), (c, d) = align_logs(unique, other), align_logs(mixed, other)
    for one, two in ((a, c), (b, d)):
        np.testing.assert_array_equal(one.offsets, two.offsets)
        np.testing.assert_array_equal(one.time, two.time)
        for name, codes in one.codes.items():
            np.testing.assert_array_equal(codes, two.codes[name], err_msg=name)
