"""Tables of shares that back off: counted and looked up as plain Python does it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.markov.backoff import FEWEST_ROWS, FIRST, BackoffTable

SIZE, WIDTHS, STRENGTHS = 3, (2, 4, 3), (9.0, 2.0, 0.5)
ROW = st.tuples(st.integers(0, SIZE - 1), *(st.integers(0, w - 1) for w in WIDTHS))


def plain_share(rows: list[tuple[int, ...]], context: tuple[int, ...], code: int) -> float:
    """Return the share of a code in a context, by recursion."""
    mine = [r for r in rows if r[1 : 1 + len(context)] == context]
    if not context:
        counts = Counter(r[0] for r in rows)
        return (counts[code] + FIRST / SIZE) / (len(rows) + FIRST)
    coarser = plain_share(rows, context[:-1], code)
    if len(mine) < FEWEST_ROWS:
        return coarser
    s = STRENGTHS[len(context) - 1]
    return (sum(r[0] == code for r in mine) + s * coarser) / (len(mine) + s)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(ROW, min_size=1, max_size=60), asked=st.lists(ROW, min_size=1, max_size=5))
def test_a_context_has_the_smoothed_shares_of_its_rows_or_of_a_coarser_one(
    rows: list[tuple[int, ...]], asked: list[tuple[int, ...]]
) -> None:
    def levels(of: list[tuple[int, ...]]) -> list[tuple[np.ndarray, int]]:
        table = np.array(of)
        return [(table[:, 1 + k], w) for k, w in enumerate(WIDTHS)]

    code = np.array([r[0] for r in rows])
    table = BackoffTable.learn(code, levels(rows), SIZE, STRENGTHS)
    found = table.share[table.rows(levels(asked), len(asked))]
    wanted = [[plain_share(rows, r[1:], c) for c in range(SIZE)] for r in asked]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(table.share.sum(1), 1, atol=1e-6)


def test_rows_that_are_not_asked_do_not_count() -> None:
    level = [(np.zeros(8, dtype=np.int64), 1)]
    table = BackoffTable.learn(np.array([1, 1, 1, 1, -1, -1, -1, -1]), level, 2, [1.0])
    assert table.share[table.rows(level, 8)][0, 1] > 0.99


def test_a_dense_table_has_every_finest_context() -> None:
    share = np.array([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0], [0.3, 0.7]])
    levels = [(np.array([1, 0]), 2), (np.array([0, 1]), 2)]
    table = BackoffTable.dense(share, len(levels))
    np.testing.assert_allclose(table.share[table.rows(levels, 2)], share[[2, 1]])
