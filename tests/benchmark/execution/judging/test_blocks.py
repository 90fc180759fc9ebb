"""What a block holds ends at each question, whatever the log; nothing is lost or asked twice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fixtures.tiny import tiny_log

from benchmark.execution.judging import blocks
from benchmark.task import Task
from benchmark.tasks.fraud import Fraud
from benchmark.tasks.recommendation import Recommendation
from eventlog.arrays import Examples


@pytest.fixture(scope="module", params=[Recommendation(min_targets=1), Fraud(min_frauds=1)])
def test_part(request: pytest.FixtureRequest) -> Examples:
    log = tiny_log()
    return request.param.prepare(log, log, Task.split(log)).test


@pytest.mark.parametrize("arriving", [False, True])
@pytest.mark.parametrize("questions", [7, 4_096])
def test_every_question_is_in_one_block_in_time_and_no_user_twice(
    test_part: Examples, arriving: bool, questions: int
) -> None:
    user, time = test_part.queries.user, test_part.queries.time
    found = list(blocks.windows(test_part, questions=questions, arriving=arriving))
    asked = np.concatenate([b for w in found for b in w.blocks])
    assert sorted(asked) == list(range(len(test_part)))
    latest = -(2**62)
    for window in found:
        times = time[np.concatenate(window.blocks)]
        assert window.begin == times.min() >= latest
        latest = times.max()
        assert len(times) <= questions
        if arriving:
            assert latest - window.begin < max(blocks.WINDOW_MS, np.ptp(time) / blocks.WINDOWS + 1)
        for block in window.blocks:
            assert len(np.unique(user[block])) == len(block)
            assert (np.diff(time[block]) >= 0).all()


def test_blocks_are_bounded_in_rows(test_part: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    length = test_part.queries.end - test_part.sequences.offsets[test_part.queries.user]
    monkeypatch.setattr(blocks, "ROWS", 200)
    for window in blocks.windows(test_part, arriving=False):
        for block in window.blocks:
            assert length[block].sum() <= 200 + length.max()


@pytest.mark.parametrize("others", [False, True])
def test_a_cut_holds_what_was_known_and_nothing_later(test_part: Examples, others: bool) -> None:
    whole, n = test_part.sequences, min(20, len(test_part))
    some = np.sort(np.random.default_rng(0).permutation(len(test_part))[:n])
    asked = test_part.queries[some]
    sequences, queries = blocks.cut(whole, asked, others=others)
    assert (queries.user == np.arange(n)).all()
    assert (queries.end == sequences.offsets[1 : n + 1]).all()
    for i in range(n):
        old = slice(whole.offsets[asked.user[i]], asked.end[i])
        new = slice(sequences.offsets[i], sequences.offsets[i + 1])
        assert sequences.users[i] == whole.users[asked.user[i]]
        np.testing.assert_array_equal(sequences.time[new], whole.time[old])
        for name, values in whole.columns.items():
            np.testing.assert_array_equal(sequences.columns[name][new], values[old])
    assert (sequences.event_id == np.arange(sequences.n_rows)).all()
    rest = sequences.offsets[n]
    if not others:
        assert sequences.n_rows == rest
        return
    before = whole.time < asked.time.min()
    unasked = ~np.isin(whole.row_user(), asked.user)
    row = np.flatnonzero(before & unasked)
    np.testing.assert_array_equal(sequences.time[rest:], whole.time[row])
    np.testing.assert_array_equal(
        sequences.users[sequences.row_user()[rest:]], whole.users[whole.row_user()[row]]
    )
    assert (sequences.time[rest:] < asked.time.min()).all()


def test_a_shuffled_history_keeps_its_rows_times_and_last_order(test_part: Examples) -> None:
    n = min(40, len(test_part))
    sequences, queries = blocks.cut(test_part.sequences, test_part.queries[np.arange(n)])
    rng = np.random.default_rng(1)
    mixed = blocks.shuffled(sequences, queries, rng=rng)
    np.testing.assert_array_equal(mixed.time, sequences.time)
    moved = 0
    for i in range(n):
        rows = np.arange(sequences.offsets[i], sequences.offsets[i + 1])
        stays = rows[sequences.time[rows] >= queries.time[i]]
        rest = rows[sequences.time[rows] < queries.time[i]]

        def content(of, where: np.ndarray) -> list[tuple]:
            return list(zip(of.role[where], *(v[where] for v in of.columns.values()), strict=True))

        assert content(mixed, stays) == content(sequences, stays)
        assert sorted(map(repr, content(mixed, rest))) == sorted(
            map(repr, content(sequences, rest))
        )
        moved += content(mixed, rest) != content(sequences, rest)
    assert moved > n / 2


def test_a_sample_of_users_keeps_their_questions(test_part: Examples) -> None:
    users = np.unique(test_part.queries.user)[::3]
    some = blocks.of_users(test_part, users)
    kept = np.isin(test_part.queries.user, users)
    assert len(some.sequences) == len(users)
    np.testing.assert_array_equal(some.target, test_part.target[kept])
    old, new = test_part.sequences, some.sequences
    np.testing.assert_array_equal(
        new.event_id[some.queries.end - 1], old.event_id[test_part.queries.end[kept] - 1]
    )
    np.testing.assert_array_equal(
        some.queries.end - new.offsets[some.queries.user],
        test_part.queries.end[kept] - old.offsets[test_part.queries.user[kept]],
    )


def test_answers_travel_with_their_questions(test_part: Examples) -> None:
    known_at = test_part.queries.time + 5
    some = blocks.cut_examples(dataclasses.replace(test_part, known_at=known_at), slice(3, 9))
    np.testing.assert_array_equal(some.target, test_part.target[3:9])
    assert some.known_at is not None
    np.testing.assert_array_equal(some.known_at, known_at[3:9])
