"""Windows and batches: every question is read once, at the row before it, and padding is only
padding.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.nn.windows import Windows, batches, chunks, tails
from eventlog.arrays import Queries


@st.composite
def asked(draw):
    counts = np.array(draw(st.lists(st.integers(0, 23), min_size=1, max_size=6)))
    offsets = np.append(0, np.cumsum(counts))
    picks = [
        (u, offsets[u] + k)
        for u, n in enumerate(counts)
        for k in range(n + 1)
        if draw(st.booleans())
    ]
    user, end = np.array(picks or [(0, 0)], dtype=np.int64).T
    return (
        offsets,
        Queries(user=user, end=end, time=np.zeros(len(user), dtype=np.int64)),
        draw(st.integers(1, 9)),
    )


def read_rows(windows: Windows, offsets: np.ndarray, queries: Queries) -> None:
    window = np.repeat(np.arange(len(windows)), np.diff(windows.read_offsets))
    assert sorted(windows.read_query) == list(range(len(queries)))
    end, user = queries.end[windows.read_query], queries.user[windows.read_query]
    some = end > offsets[user]
    assert (windows.start[window] + windows.read_position == end - 1)[some].all()
    assert (windows.length[window] == 0)[~some].all()
    assert (windows.start[window] >= offsets[user]).all()
    assert (windows.read_position[some] < windows.length[window][some]).all()


@settings(max_examples=100, deadline=None)
@given(asked(), st.integers(0, 9))
def test_each_question_is_read_once_at_the_row_before_it(case, seed):
    offsets, queries, length = case
    last = np.zeros(len(offsets) - 1, dtype=np.int64)
    np.maximum.at(last, queries.user, queries.end)
    shifted = chunks(offsets, queries, length, np.random.default_rng(seed))
    for windows in (tails(offsets, queries, length), chunks(offsets, queries, length), shifted):
        read_rows(windows, offsets, queries)
        assert (windows.length <= length).all()
        user = queries.user[windows.read_query[windows.read_offsets[:-1]]]
        nonempty = windows.length > 0
        # nothing that no question reveals
        assert (windows.start + windows.length <= last[user])[nonempty].all()


@settings(max_examples=60, deadline=None)
@given(asked(), st.integers(1, 40), st.booleans())
def test_batches_hold_every_window_once(case, batch_rows, shuffled):
    offsets, queries, length = case
    rng = np.random.default_rng(0) if shuffled else None
    seen = []
    for batch in batches(chunks(offsets, queries, length), batch_rows, rng):
        real = np.arange(batch.rows.shape[1]) < batch.length[:, None]
        empty = batch.rows[:, 0] < 0
        assert ((batch.rows >= 0) == (real & ~empty[:, None])).all()
        end = queries.end[batch.query]
        has = end > offsets[queries.user[batch.query]]
        assert (batch.rows[batch.window, batch.position] == end - 1)[has].all()
        seen.extend(batch.query)
    assert sorted(seen) == list(range(len(queries)))
