from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import renamed

from eventlog import EventLog
from eventlog.log import sort_events, tidy
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


def _orders(gaps: np.ndarray, prefix: str) -> EventLog:
    """One order a row: `gaps` (n_users, rows) are the days since the order before."""
    days = np.cumsum(gaps, axis=1)
    users = np.repeat(np.arange(len(gaps)), gaps.shape[1])
    frame = pd.DataFrame(
        {
            "user_id": [f"{prefix}{u:05d}" for u in users],
            "timestamp": pd.Timestamp("2025-01-06", tz="UTC")
            + pd.to_timedelta(days.ravel(), unit="D"),
            "event": "purchase",
        }
    )
    events = sort_events(tidy(frame))
    return EventLog(events=events.assign(event_id=np.arange(len(events))))


def test_what_a_crowd_does_gives_nobody_away_and_what_one_did_does():
    """Half of all users order after 7 and 14 days in turn, in each log; the others have gaps of
    their own, which the synthetic log repeats for a third of the training users.
    """
    rng = np.random.default_rng(0)

    def gaps(users: int) -> np.ndarray:
        out = rng.integers(1, 60, (users, 6))
        out[: users // 2] = [7, 14] * 3
        return out

    fitted = gaps(600)
    made = np.concatenate([gaps(400), fitted[-200:]])
    logs = (_orders(g, p) for g, p in ((fitted, "u"), (made, "s"), (gaps(600), "h")))
    real, synthetic, control = align_logs(*logs)
    found = {x.name: x for x in copied_runs(real, real, synthetic, control, rng=rng)}
    for name in ("exposed_exact_4", "copied_exact_4"):
        assert found[name].rate.value == pytest.approx(1 / 3, abs=0.01)
        assert found[name].control.value < 0.01
        assert found[name].verdict == "fail"


def test_where_only_the_crowd_agrees_every_run_attack_passes():
    rng = np.random.default_rng(0)
    logs = (_orders(np.tile(np.arange(1, 11), (800, 1)), p) for p in "ush")
    real, synthetic, control = align_logs(*logs)
    found = copied_runs(real, real, synthetic, control, rng=rng)
    assert {x.verdict for x in found} == {"pass"}
    assert {x.rate.value for x in found} == {0.0}


def test_gaps_of_another_length_are_no_copy():
    """The gaps of the training users, each a day longer, are of the same size and not the same."""
    rng = np.random.default_rng(0)
    fitted = rng.integers(9, 60, (600, 6))
    logs = (
        _orders(g, p)
        for g, p in ((fitted, "u"), (fitted + 1, "s"), (rng.integers(9, 60, (600, 6)), "h"))
    )
    real, synthetic, control = align_logs(*logs)
    found = {x.name: x for x in copied_runs(real, real, synthetic, control, rng=rng)}
    assert found["exposed_exact_4"].rate.value < 0.01
