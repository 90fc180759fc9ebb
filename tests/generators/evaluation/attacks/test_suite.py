from __future__ import annotations

import numpy as np
import pytest
from fixtures.shop_logs import renamed, shop_log

from eventlog import EventLog, InputError
from generators.evaluation.attacks import suite
from generators.evaluation.attacks.common import Attack


@pytest.fixture(scope="module")
def on_a_copy(real, holdout) -> dict[str, Attack]:
    return {a.name: a for a in suite.run(real, renamed(real, "x"), holdout, seed=1)}


@pytest.fixture(scope="module")
def on_independent(real, holdout) -> dict[str, Attack]:
    return {a.name: a for a in suite.run(real, shop_log(seed=2, prefix="s"), holdout, seed=1)}


def test_every_attack_bites_on_a_copy(on_a_copy):
    for name, attack in on_a_copy.items():
        assert attack.verdict == "fail", name
        assert attack.risk > 0.8, name
        assert 0 <= attack.low <= attack.risk <= attack.high <= 1


def test_no_attack_bites_on_independent_data(on_independent):
    assert len(on_independent) >= 12
    for name, attack in on_independent.items():
        assert attack.verdict != "fail", name
        assert attack.low < 0.02, name


def test_what_single_users_did_is_found_though_no_run_is_copied():
    """A walk from item to item by the steps that members made: nobody is copied, and yet the steps
    of single users stand there.
    """
    real, holdout = (
        shop_log(users=400, items=400, seed=k, prefix=p) for k, p in ((0, "u"), (1, "h"))
    )
    events, rng = real.events, np.random.default_rng(0)
    item = events["item_id"].astype(object).to_numpy()
    after: dict[object, list[object]] = {}
    user = events["user_id"].to_numpy()
    for k in np.flatnonzero(
        (user[1:] == user[:-1])
        & events["item_id"].notna().to_numpy()[1:]
        & events["item_id"].notna().to_numpy()[:-1]
    ):
        after.setdefault(item[k], []).append(item[k + 1])
    shop = shop_log(users=400, items=400, seed=2, prefix="s")
    walked = shop.events["item_id"].astype(object).to_numpy().copy()
    owner = shop.events["user_id"].to_numpy()
    for k in range(1, len(walked)):
        if (
            owner[k] == owner[k - 1]
            and walked[k] is not None
            and walked[k - 1] in after
            and rng.random() < 0.3
        ):
            walked[k] = after[walked[k - 1]][rng.integers(len(after[walked[k - 1]]))]
    found = {
        a.name: a
        for a in suite.run(
            real, EventLog(events=shop.events.assign(item_id=walked)), holdout, seed=1
        )
    }
    assert found["exposed_exact_8"].risk < 0.05
    assert found["membership_learnt_auc"].low > 0.2
    assert found["membership_learnt_auc"].risk > 2 * found["membership_auc"].risk


def test_half_a_copy_is_found_in_half_of_the_users(real, holdout):
    fresh = shop_log(seed=2, prefix="s", users=75)
    users = real.events["user_id"].cat.categories[:75]
    half = renamed(real.only_users(users), "x")
    events = attacks_join(half, fresh)
    found = {a.name: a for a in suite.run(real, events, holdout, seed=1)}
    assert found["exposed_exact_8"].rate.value == pytest.approx(0.5, abs=0.03)
    assert 0.3 < found["linkage"].risk < 0.6
    assert found["membership_auc"].verdict == "fail"


def attacks_join(a: EventLog, b: EventLog) -> EventLog:
    import pandas as pd

    from eventlog.log import sort_events, tidy

    frames = [
        log.events.astype({c: object for c in log.events if log.events[c].dtype == "category"})
        for log in (a, b)
    ]
    events = sort_events(tidy(pd.concat(frames, ignore_index=True)))
    return EventLog(events=events.assign(event_id=np.arange(len(events))))


def test_the_same_seed_gives_the_same_figures(real, holdout, on_independent):
    again = suite.run(real, shop_log(seed=2, prefix="s"), holdout, seed=1)
    assert again == list(on_independent.values())


def test_without_a_control_group_nothing_is_settled(real):
    found = suite.run(real, shop_log(seed=2, prefix="s", users=60), seed=1)
    assert not [a for a in found if a.name.startswith("membership")]
    assert {a.verdict for a in found} == {"unsettled"}


def test_a_holdout_that_shares_users_is_refused(real):
    with pytest.raises(InputError, match="150 user"):
        suite.run(real, real, real, seed=1)


def test_a_log_without_items(real, holdout):
    def bare(log):
        return EventLog(events=log.events[["event_id", "user_id", "timestamp", "event"]])

    found = {
        a.name: a for a in suite.run(bare(real), renamed(bare(real), "x"), bare(holdout), seed=1)
    }
    assert found["membership_auc"].verdict == "fail"
    assert found["exposed_exact_8"].verdict == "fail"
