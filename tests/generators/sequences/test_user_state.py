"""The compiled tracker against a plain list of items; draws against the shares that they are to
have.
"""

from __future__ import annotations

from itertools import count

import numpy as np
from fixtures.shop_logs import shop_log

import generators
from generators.codec.timing_params import TimingParams
from generators.sampling.constraints import draw_codes, draw_items, drawn, shares_of
from generators.sampling.timing import draw_gaps
from generators.sequence_model import SequenceGenerator
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.encode import encode
from generators.sequences.feature_layout import Blocks
from generators.sequences.spending import Spending
from generators.sequences.user_record import USER, Effects
from generators.sequences.user_state import UserState


def test_picks_are_ranks_in_the_list_of_what_was_touched_last() -> None:
    """Of a shop without carts (which would keep an item from falling out) and without needs."""
    log = shop_log(users=30, rows=60, items=80, seed=2)
    log.events["event"] = log.events["event"].cat.rename_categories(
        {"add_to_cart": "wishlist", "refund": "visit", "purchase": "looked"}
    )
    model = generators.fit(log, model="markov", seed=1, settings={"min_users": 1})
    assert isinstance(model, SequenceGenerator)
    assert not model.codec_.rules.required_flags
    steps = encode(log, model.codec_)
    copy_action, fresh = (steps.target[:, steps.names.index(n)].numpy() for n in ("pick", "item"))
    gap = steps.target[:, steps.names.index("gap")]
    for user in range(len(steps)):
        recent: list[int] = []
        session: set[int] = set()  # items of the session
        before: set[int] = set()  # of the sessions before it
        for at in range(steps.offsets[user], steps.offsets[user + 1] - 1):
            item = int(steps.items[at])
            if model.codec_.clock.starts_session(gap[at]):
                before, session = before | session, set()
            assert (
                steps.features[at, layout.LAST_ITEMS : layout.LAST_ITEMS + 3].tolist()
                == [*recent, 0, 0, 0][:3]
            )
            inside = [i for i in recent if i in session][: codes.N_SESSION_RANKS]
            others = [i for i in recent if i not in session]
            others = others[: codes.N_COPY_RANKS - codes.N_SESSION_RANKS]
            ranks = dict(zip(inside, count())) | dict(zip(others, count(codes.N_SESSION_RANKS)))
            known = steps.known[at].tolist()
            assert {i: rank for rank, i in enumerate(known) if i} == ranks
            assert copy_action[at] == (
                codes.NO_ITEM
                if item == 0
                else codes.FIRST_COPY + ranks[item]
                if item in ranks
                else codes.FIRST_COPY + codes.N_SESSION_RANKS - 1
                if item in session
                else codes.EARLIER
                if item in before
                else codes.FRESH
            )
            if copy_action[at] == codes.FRESH:
                assert fresh[at] == item
            if item:
                recent = [item, *(i for i in recent if i != item)][: codes.N_RECENT]
                session.add(item)


def test_codes_are_drawn_by_their_shares_and_only_what_is_open() -> None:
    n = 40_000
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32))
    can, row = np.tile([True, False, True, True], (n, 1)), np.full((n, 2), -1)
    u = np.random.default_rng(1).random((n, 2))
    draw_codes(np.tile(logits, (n, 1)), can, np.arange(n), u, 1, row, 0)
    np.testing.assert_allclose(
        np.bincount(row[:, 0], minlength=4) / n, np.array([1, 0, 3, 4]) / 8, atol=0.01
    )
    assert (row[:, 1] == -1).all()
    weight = np.empty(4, dtype=np.float32)
    assert drawn(logits, np.zeros(4, dtype=np.bool_), 0.5, weight) == 0  # nothing is open
    rare, open_ = np.array([-np.inf, -200.0], dtype=np.float32), np.ones(2, dtype=np.bool_)
    assert drawn(rare, open_, 0.999, weight) == 1


def test_shares_are_those_with_which_codes_are_drawn() -> None:
    rng = np.random.default_rng(4)
    logits, can = rng.normal(size=(5, 6)).astype(np.float32), rng.random((5, 6)) < 0.6
    logits[0, 1], can[1] = -np.inf, False
    weight = np.where(can, np.exp(logits.astype(float)), 0)
    expected = weight / np.maximum(weight.sum(1, keepdims=True), 1e-30)
    np.testing.assert_allclose(shares_of(logits, can), expected, rtol=1e-5)


def test_a_fresh_item_is_none_that_the_user_has_unless_there_is_no_other() -> None:
    n = 500
    none = np.zeros(2, dtype=np.int64)
    effects = Effects(
        none,
        none,
        none,
        none,
        False,
        np.zeros(5, dtype=np.int64),
        np.zeros(2, dtype=np.bool_),
        np.zeros(0, dtype=np.int64),
        np.zeros(0, dtype=np.int64),
        0,
        0,
        0,
        Blocks.of(values=0, rest=0, ids=0),
        Spending.of({}, {}, np.zeros(2)),
    )
    zeros = np.zeros(n, dtype=np.int64)
    state = UserState(
        effects,
        values=np.zeros((n, 0), dtype=np.int64),
        length=zeros,
        until=zeros,
        time=zeros,
        n_sessions=zeros,
        n_labelled_sessions=zeros,
        last_rows=zeros,
        last_start=zeros,
        rhythm=zeros,
    )
    recent = np.zeros((n, codes.N_COPY_RANKS), dtype=np.int64)
    recent[:, :2] = [2, 4]
    recent[n // 2 :, :4] = [1, 2, 3, 4]
    row = np.zeros((n, 13), dtype=np.int64)
    start = np.array([1, 5])
    u, weight = np.random.default_rng(2).random((n, 1)), np.ones((n, 6), dtype=np.float32)
    past = state.past_items
    draw_items(state.users, past, row, np.arange(n), weight, recent, effects, start, u, 0)
    items = row[:, col.ITEM]
    assert set(items[: n // 2]) == {1, 3}
    assert set(items[n // 2 :]) == {1, 2, 3, 4}


def test_who_is_behind_takes_a_shorter_break_and_no_other_session() -> None:
    user = np.zeros(1, dtype=USER)
    user["length"], user["last_rows"], user["rows"], user["in_session"], user["last_start"] = (
        40,
        2,
        8,
        8,
        381_000,
    )
    # end, two gaps within sessions, three breaks
    edges = np.array([0.0, 10.0, 20.0, 80.0, 200.0, 400.0])
    none = np.zeros(64, dtype=np.int64)
    hands = TimingParams(
        low=edges,
        high=np.append(edges[1:], 900.0),
        weekly=np.ones((1, 168)),
        within=3,
        start=0,
        end=10**9,
        step=1,
        planned=True,
        least=none,
        short=none,
        fast=none,
        longest_rows=0,
        longest_ms=0,
        unfinished=0,
    )
    row = np.zeros((1, col.VALUES), dtype=np.int64)
    # 8 of 38 rows: 80 of 381 s
    for wanted, pace, found in ((3, 250_000, 3), (4, 250_000, 3), (4, 150_000, 4), (2, 250_000, 2)):
        logits = np.where(np.arange(6) == wanted, 0.0, -50.0).astype(np.float32)[None]
        draw_gaps(
            user,
            hands._replace(fast=none + pace),
            np.zeros(1, dtype=np.bool_),
            logits,
            np.full((1, 1), 0.5),
            row,
        )
        assert row[0, col.GAP] == found
