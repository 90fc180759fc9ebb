from __future__ import annotations

import numpy as np
import pytest

from eventlog import Encoder, EventLog, InputError
from eventlog.split import by_time, by_user, draw_users, leave_one_out


def test_by_time_cuts_the_last_share_of_the_span(small_log: EventLog) -> None:
    split = by_time(small_log, test_share=0.25)
    first, last = small_log.span
    assert abs(split.horizon / (last - first) - 0.25) < 1e-6
    assert split.end == last


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_a_share_that_leaves_nothing_is_refused(small_log: EventLog, share: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        by_time(small_log, test_share=share)


def test_a_log_of_one_instant_cannot_be_cut(small_log: EventLog) -> None:
    with pytest.raises(InputError, match="both sides"):
        by_time(EventLog(small_log.events.iloc[:1]))


def test_leave_one_out_asks_for_the_last_row(small_log: EventLog) -> None:
    sequences = Encoder.fit(small_log).encode(small_log)
    queries = leave_one_out(sequences)
    assert (queries.end == sequences.offsets[queries.user + 1] - 1).all()
    assert (
        leave_one_out(sequences, back=2).end
        == sequences.offsets[leave_one_out(sequences, back=2).user + 1] - 2
    ).all()


def test_by_user_is_a_partition_and_seeded(small_log: EventLog) -> None:
    one, two = by_user(small_log, share=0.3, rng=np.random.default_rng(1))
    users = [set(part.events["user_id"].astype(str)) for part in (one, two)]
    assert not users[0] & users[1]
    assert users[0] | users[1] == set(small_log.events["user_id"].astype(str))
    again = by_user(small_log, share=0.3, rng=np.random.default_rng(1))[1]
    assert set(again.events["user_id"].astype(str)) == users[1]


def test_one_user_cannot_be_split_by_user(small_log: EventLog) -> None:
    with pytest.raises(InputError, match="1 user"):
        by_user(small_log.only_users(["u001"]), share=0.5, rng=np.random.default_rng(0))


def test_drawn_users_are_known_before_the_instant_and_no_later_row_changes_them(
    small_log: EventLog,
) -> None:
    cut = small_log.time_at(0.5)
    early = small_log.before(cut)
    drawn = draw_users(small_log, 10, before=cut, rng=np.random.default_rng(3))
    assert len(drawn) == 10 == len(set(drawn))
    assert set(drawn) <= set(early.events["user_id"].astype(str))
    again = draw_users(early, 10, before=cut, rng=np.random.default_rng(3))
    assert (drawn == again).all()
    other = draw_users(small_log, 10, before=cut, rng=np.random.default_rng(4))
    assert set(other) != set(drawn)
    everybody = draw_users(small_log, 10**6, before=cut, rng=np.random.default_rng(3))
    assert set(everybody) == set(early.events["user_id"].astype(str))
