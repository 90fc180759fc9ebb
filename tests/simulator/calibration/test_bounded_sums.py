"""What one user adds to the sums that calibration releases: bounded, and on its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fixtures.odd_user import IDS, with_odd_user
from fixtures.private_release import bounded_sums, log_with
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog import EventLog
from simulator.calibration import statistics
from simulator.calibration.facts_of_sums import facts_of
from simulator.calibration.private_outline import NAMES, OUTLINE_BOUNDS
from simulator.calibration.statistics import BOUNDS, Answer
from simulator.calibration.window import window_of

makes = st.fixed_dictionaries(
    {
        "orders": st.sampled_from(["none", "empty", "there"]),
        "sessions": st.sampled_from(["none", "empty", "there"]),
        "views": st.booleans(),
        "items": st.booleans(),
        "labels": st.booleans(),
        "seed": st.integers(0, 99),
    }
)


@settings(max_examples=15, deadline=None)
@given(how=makes, at=st.sampled_from(list(IDS)))
def test_an_odd_user_adds_a_part_within_the_bound_and_changes_no_other_part(how, at):
    log = log_with(**how)
    odd = with_odd_user(log, at=at, rows=2_000)
    alone = odd.only_users([IDS[at]])
    roles = {*log.roles.values(), "wishlist"}
    items = log.items["item_id"].to_numpy() if how["items"] else None
    (before, names), (after, more), (own, its) = (
        bounded_sums(x, roles, items) for x in (log, odd, alone)
    )
    assert before.keys() == after.keys() == own.keys()
    for question, whole in after.items():
        bound = {**BOUNDS, **{f"outline: {q}": b for q, b in OUTLINE_BOUNDS.items()}}[question]
        assert np.linalg.norm(whole - before[question]) <= bound + 1e-9, question
        assert np.array_equal(whole, before[question] + own[question]), (
            question
        )  # exactly: sums lie on a grid
    moved = {name: more[name] - names.get(name, 0.0) for name in more}
    assert moved == {name: its.get(name, 0.0) for name in more}
    assert math.hypot(*moved.values()) <= OUTLINE_BOUNDS[NAMES] + 1e-9


@pytest.mark.parametrize("column", ["session_id", "order_id", "user_id"])
def test_what_users_add_does_not_follow_from_the_order_of_rows_or_ids(column):
    log = log_with(orders="there", sessions="there")
    roles = set(log.roles.values())
    mixed = log.events.sample(frac=1, random_state=3).reset_index(drop=True)
    mixed[column] = mixed[column].cat.reorder_categories(mixed[column].cat.categories[::-1])
    for one, other in zip(
        bounded_sums(log, roles, None),
        bounded_sums(EventLog(mixed, labels=log.labels), roles, None),
        strict=True,
    ):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_user_s_orders_without_ids_count_by_instant_whoever_has_ids():
    log = log_with(orders="empty", sessions="there")
    window = window_of(log, days=None, longest=120, items=None)
    facts = facts_of(statistics.summary_statistics(log, window).sums(), start=window.start)
    assert facts["orders per buyer"] > 1
    rest = log_with(orders="there", sessions="there", views=False)
    window = window_of(rest, days=None, longest=120, items=None)
    facts = facts_of(statistics.summary_statistics(rest, window).sums(), start=window.start)
    assert math.isnan(facts["sessions that buy"])
    assert math.isnan(facts["users who buy"])


@pytest.mark.parametrize("roles", [{"view"}, {"view", "cart"}, set()])
def test_where_no_purchase_is_looked_at_nobody_has_orders_or_waits(roles):
    """The noise may hide that a log has purchases: the questions about them are asked all the
    same.
    """
    asked, _ = bounded_sums(log_with(orders="there", sessions="there"), roles, None)
    assert not asked["gaps"].any()
    assert not asked["prices"].any()


def test_parts_are_cut_to_the_grid_and_not_lengthened():
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(50), 4)
    answer = Answer(user, np.tile(np.arange(4), 50), rng.lognormal(0, 3, 200), 4)
    for u in range(50):
        mine = user == u
        part = Answer(user[mine], answer.cell[mine], answer.value[mine], 4).sums(2.0)
        assert np.linalg.norm(part) <= 2.0
        assert np.array_equal(part / statistics.PART_GRID, np.rint(part / statistics.PART_GRID))
