"""The effect of each campaign, on a log whose effects are planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fixtures.coupons import coupon_log

from generators.evaluation.campaigns import campaign_effects


def test_planted_effects_lie_in_their_intervals() -> None:
    real, other = coupon_log(users=3000, seed=1), coupon_log(users=3000, seed=2)
    truth = real.truth["coupons"]
    found = campaign_effects(real, other)
    assert [f.coupon for f in found] == ["coupon_0", "coupon_1", "coupon_2"]
    assert [f.randomised for f in found] == [True, False, True]
    for effect in (found[0], found[2]):
        rows = truth[truth["coupon_id"] == effect.coupon]
        planted = float((rows["y1"].astype(int) - rows["y0"].astype(int)).mean())
        assert effect.real is not None
        assert abs(effect.real.difference - planted) < 1.5 * effect.real.half_width < 0.06
        assert effect.real.treated + effect.real.control == 3000
        assert effect.agree


def test_a_log_whose_arms_mean_nothing_does_not_agree() -> None:
    real = coupon_log(users=2000, seed=1)
    events = real.events.copy()
    offers = np.flatnonzero(events["event"] == "coupon_offer")
    column = events.columns.get_loc("discount")
    events.iloc[offers, column] = np.random.default_rng(0).permutation(
        events["discount"].to_numpy()[offers]
    )
    found = campaign_effects(real, replace(real, events=events))
    assert [f.agree for f in found] == [False] * 3


def test_without_campaigns_or_an_arm_there_is_no_effect() -> None:
    log = coupon_log(users=100)
    assert campaign_effects(replace(log, manifest={}), log) == []
    treated = log.events[log.events["discount"].fillna(1) > 0].reset_index(drop=True)
    (first, *_) = campaign_effects(log, replace(log, events=treated))
    assert first.synthetic is None
    assert first.agree is None
