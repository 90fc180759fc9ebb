"""Offers lie in their campaign's days; a redemption follows an open treated offer."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from fixtures.coupons import coupon_log

import generators
from eventlog import EventLog
from eventlog.check import check
from eventlog.log import sort_events, tidy
from generators.sequence_model import SequenceGenerator
from generators.structure.declared import Declared, as_toml, read_declared
from generators.structure.finding.finder import declared_structure, find_structure
from generators.structure.relations.offers import Campaigns, open_offer
from generators.structure.structure import Structure

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-03-01", tz="UTC")
DAYS = {"spring": (5, 4), "sun": (18, 3)}  # campaign -> first day, number of days
WINDOW = 6.0


def visit(user: str, day: float, number: int) -> dict[str, Any]:
    return {
        "user_id": user,
        "timestamp": START + day * DAY,
        "session_id": f"{user} {number}",
        "device": f"device {number % 3}",
    }


def shop_with_coupons(users: int = 700, seed: int = 0) -> EventLog:
    """A shop of 30 days, with its own names, whose arms are in a column of text.

    A fifth of the visits end in an order, and four treated offers in ten bring one more.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for u in range(users):
        user = f"k{u:04d}"
        for n in range(8):
            base = visit(user, rng.uniform(0, 30), n)
            rows += [base | {"event": "view_item", "item_id": f"i{rng.integers(9)}"}] * 2
            if rng.random() < 0.2:
                rows.append(
                    base | {"event": "purchase", "item_id": "i2", "order_id": f"{user} at {n}"}
                )
        for k, (coupon, (first, length)) in enumerate(DAYS.items()):
            if rng.random() < 0.2:
                continue
            at = first + rng.uniform(0, length)
            mine = visit(user, at, 20 + k)
            arm = "letter" if rng.random() < 0.5 else "nothing"
            value = 10.0 if coupon == "spring" else 20.0
            off = value if arm == "letter" else 0.0
            rows.append(mine | {"event": "mailing", "coupon_id": coupon, "arm": arm, "value": off})
            rows.append(mine | {"event": "view_item", "item_id": "i1"})
            if arm == "letter" and rng.random() < 0.4:
                mine = visit(user, at + rng.uniform(0.1, WINDOW - 0.1), 30 + k)
                mine |= {"order_id": f"{user} {k}"}
                if rng.random() < 0.9:
                    rows.append(mine | {"event": "voucher", "coupon_id": coupon, "value": value})
                rows.append(mine | {"event": "purchase", "item_id": f"i{rng.integers(9)}"})
    frame = pd.DataFrame(rows).assign(event_id=0)
    frame["timestamp"] = frame["timestamp"].dt.floor("ms")
    events = sort_events(tidy(frame))
    events["event_id"] = np.arange(len(events), dtype=np.int64)
    roles = {"mailing": "coupon_offer", "voucher": "coupon_redeem"}
    return EventLog(events=events, manifest={"made_by": "tests", "roles": roles})


@pytest.fixture(scope="module")
def log() -> EventLog:
    return shop_with_coupons().ordered()


@pytest.fixture(scope="module")
def model(log: EventLog) -> generators.Generator:
    return generators.fit(log, model="markov", seed=1)


@pytest.fixture(scope="module")
def sample(model: generators.Generator) -> EventLog:
    return model.sample(users=1500, seed=3)


def campaigns_of(structure: Structure) -> Campaigns:
    (found,) = [r for r in structure.relations if isinstance(r, Campaigns)]
    return found


def of(log: EventLog, event: str) -> pd.DataFrame:
    return log.events[log.events["event"] == event]


def with_offers(log: EventLog) -> pd.DataFrame:
    """Each redemption with the user's offer of its coupon."""
    return of(log, "voucher").merge(
        of(log, "mailing"), on=["user_id", "coupon_id"], how="left", suffixes=("", "_offer")
    )


def effect(log: EventLog) -> tuple[float, float]:
    """By how much likelier a purchase within the window is after a treated offer; its error."""
    offers = of(log, "mailing")[["user_id", "timestamp", "arm"]]
    both = offers.reset_index().merge(of(log, "purchase")[["user_id", "timestamp"]], on="user_id")
    lag = both["timestamp_y"] - both["timestamp_x"]
    follows = set(both["index"][(lag > pd.Timedelta(0)) & (lag <= WINDOW * DAY)])
    y = offers.index.isin(follows)
    t = (offers["arm"] == "letter").to_numpy()
    error = np.sqrt(y[t].var() / t.sum() + y[~t].var() / (~t).sum())
    return float(y[t].mean() - y[~t].mean()), float(error)


def test_finds_campaigns_their_days_and_their_arms(log: EventLog) -> None:
    found = campaigns_of(find_structure(log, min_users=5))
    assert {c.coupon: c.treatment for c in found.campaigns} == {
        "spring": {"arm": "letter", "value": 10.0},
        "sun": {"arm": "letter", "value": 20.0},
    }
    for c in found.campaigns:
        first, length = DAYS[c.coupon]
        begin = (pd.Timestamp(c.first, unit="ms", tz="UTC") - START) / DAY
        assert first - 0.1 < begin < first + 0.3
        assert (c.last - c.first) / DAY.value * 1e6 < length + 0.1
        assert c.randomised
    assert found.of_offer == ["value"]


def test_a_sample_keeps_what_campaigns_are(log: EventLog, sample: EventLog) -> None:
    assert not [p for p in check(sample) if p.level == "error"]
    offers = of(sample, "mailing")
    assert 0.65 < (len(offers) / 1500) / (len(of(log, "mailing")) / 700) < 1.2
    for coupon, (first, length) in DAYS.items():
        time = offers["timestamp"][offers["coupon_id"] == coupon]
        assert (
            (time >= START + first * DAY) & (time < START + (first + length + 0.05) * DAY)
        ).all()
    assert not offers.duplicated(["user_id", "coupon_id"]).any()
    redeemed = with_offers(sample)
    assert len(redeemed) > 100
    assert (redeemed["arm_offer"] == "letter").all()
    assert (redeemed["value"] == redeemed["value_offer"]).all()
    lag = (redeemed["timestamp"] - redeemed["timestamp_offer"]) / DAY
    assert ((lag >= 0) & (lag <= WINDOW)).all()
    assert {c["coupon_id"] for c in sample.manifest["campaigns"]} == set(DAYS)


def test_a_redemption_stands_at_an_order(sample: EventLog) -> None:
    rows = np.flatnonzero(sample.events["event"] == "voucher")
    after = sample.events.iloc[rows + 1]
    assert (after["event"] == "purchase").all()
    for name in ("user_id", "order_id", "session_id"):
        left = sample.events[name].iloc[rows].astype(str).to_numpy()
        assert (left == after[name].astype(str).to_numpy()).all()


def test_a_sample_keeps_the_effect_of_a_treatment(log: EventLog, sample: EventLog) -> None:
    (real, error), (drawn, other) = effect(log), effect(sample)
    assert abs(real - drawn) < 3 * np.hypot(error, other)
    assert drawn > 4 * other


def bought(log: EventLog) -> float:
    """Share of the offers that a purchase follows within the window."""
    offers = of(log, "mailing")[["user_id", "timestamp"]].reset_index()
    both = offers.merge(of(log, "purchase")[["user_id", "timestamp"]], on="user_id")
    lag = both["timestamp_y"] - both["timestamp_x"]
    return both["index"][(lag > pd.Timedelta(0)) & (lag <= WINDOW * DAY)].nunique() / len(offers)


def moved(model: generators.Generator) -> float:
    """How many more of the offers a purchase follows if all are treated than if none is."""
    assert isinstance(model, SequenceGenerator)
    shares = []
    for log_odds in (-30.0, 30.0):
        changed, codec = copy(model), model.codec_
        arm = np.zeros_like(codec.responses.arm)
        arm[:, 0] = log_odds
        changed.codec_ = replace(codec, responses=replace(codec.responses, arm=arm))
        drawn = changed.sample(users=800, seed=5)
        assert set(of(drawn, "mailing")["arm"]) == {"nothing" if log_odds < 0 else "letter"}
        shares.append(bought(drawn))
    return shares[1] - shares[0]


def test_treating_everybody_moves_users_as_much_as_the_log_says(
    model: generators.Generator, log: EventLog
) -> None:
    real, error = effect(log)
    assert abs(moved(model) - real) < 0.06 + 2 * error


def test_arms_that_follow_from_what_users_do_move_nobody(model: generators.Generator) -> None:
    """The broken twin: users act alike in both arms, and only who acts tells the arm."""
    assert isinstance(model, SequenceGenerator)
    codec, broken = model.codec_, copy(model)
    buys = codec.responses.buys.copy()
    buys[1::2] = buys[::2]
    broken.codec_ = replace(codec, responses=replace(codec.responses, buys=buys))
    assert abs(moved(broken)) < 0.06


def test_a_targeted_arm_follows_from_the_past() -> None:
    """Of the second campaign, which prefers users with many views, and of the first."""
    log = coupon_log(users=500).ordered()
    sample = generators.fit(log, model="markov", seed=1).sample(users=1500, seed=2)
    (real, plain), (drawn, unrelated) = by_views(log), by_views(sample)
    assert real > 0.25
    assert drawn > 0.5 * real
    assert max(abs(plain), abs(unrelated)) < 0.1


def by_views(log: EventLog) -> tuple[float, float]:
    """Share treated of users with many rows before the offer less that of those with few.

    Of the targeted campaign and of a randomised one.
    """
    events = log.events.assign(before=log.events.groupby("user_id", observed=True).cumcount())
    found = []
    for coupon in ("coupon_1", "coupon_0"):
        offers = events[events["coupon_id"] == coupon]
        many = offers["before"] > offers["before"].median()
        treated = offers["discount"] > 0
        found.append(float(treated[many].mean() - treated[~many].mean()))
    return found[0], found[1]


def test_the_same_seed_gives_the_same_rows_after_saving(
    model: generators.Generator, sample: EventLog, tmp_path: Path
) -> None:
    generators.save(model, tmp_path / "model")
    again = generators.load(tmp_path / "model").sample(users=1500, seed=3)
    pd.testing.assert_frame_equal(again.events, sample.events)


def test_users_are_continued(model: generators.Generator, log: EventLog) -> None:
    more = model.continue_log(log, days=5, seed=1)
    assert (more.events["timestamp"] >= log.events["timestamp"].max()).all()
    assert not (more.events["event"] == "mailing").any()  # no campaign runs any more


def test_offers_without_redemptions_are_treated_if_they_have_a_discount() -> None:
    found = campaigns_of(find_structure(coupon_log(users=200).ordered(), min_users=5))
    assert found.redeem is None
    assert [c.control["discount"] for c in found.campaigns] == [0.0] * 3
    assert [c.treatment["discount"] for c in found.campaigns] == [0.15] * 3
    assert [c.randomised for c in found.campaigns] == [True, False, True]
    assert found.window == 5 * 86_400_000  # as the manifest says


def test_campaigns_are_declared_in_a_file(log: EventLog, tmp_path: Path) -> None:
    found = find_structure(log, min_users=5)
    path = tmp_path / "structure.toml"
    path.write_text(as_toml(found).replace("public = false", ""), encoding="utf-8")
    assert campaigns_of(declared_structure(log, read_declared(path, log))) == campaigns_of(found)
    assert campaigns_of(Structure.from_json(found.to_json())) == campaigns_of(found)


def test_under_a_budget_nothing_is_found_but_what_is_declared_holds(
    log: EventLog, tmp_path: Path
) -> None:
    plain = generators.fit(log, model="markov", seed=1, epsilon=3.0)
    assert "campaigns" not in plain.sample(users=20, seed=1).manifest
    assert any("campaigns; declare them" in line for line in plain.changes())
    path = tmp_path / "structure.toml"
    only = Structure([campaigns_of(find_structure(log, min_users=5))], {})
    declared = as_toml(only).replace("public = false", "public = true")  # a shop knows its own
    path.write_text(declared, encoding="utf-8")
    model = generators.fit(log, model="markov", seed=1, epsilon=3.0, structure=path)
    assert any("responses to offers" in line for line in model.changes())
    drawn = model.sample(users=300, seed=1)
    assert not [p for p in check(drawn) if p.level == "error"]
    assert len(of(drawn, "mailing"))


def test_no_campaigns_where_a_coupon_is_offered_again_and_again(log: EventLog) -> None:
    twice = log.events.iloc[np.repeat(np.arange(len(log.events)), 2)].reset_index(drop=True)
    twice["event_id"] = np.arange(len(twice))
    again = EventLog(events=twice, manifest=log.manifest)
    found = find_structure(again, min_users=5, declared=Declared())
    assert not [r for r in found.relations if isinstance(r, Campaigns)]


def test_what_cannot_be_carried_is_refused(log: EventLog) -> None:
    data = msgspec.to_builtins(campaigns_of(find_structure(log, min_users=5)))
    for change in (
        {"of_visit": ["timestamp"]},
        {"campaigns": []},
        {"campaigns": [data["campaigns"][0] | {"last": data["campaigns"][0]["first"]}]},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(data | change, Campaigns)


def test_an_offer_is_open_for_its_window() -> None:
    user, time = np.array([0, 0, 0, 1]), np.array([5, 20, 31, 20])
    offered, at = np.array([0, 0]), np.array([10, 6])
    assert open_offer(user, time, offered, at, 20).tolist() == [-1, 0, -1, -1]
