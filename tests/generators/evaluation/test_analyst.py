"""The analyst's tables, written again with pandas, and the distances between them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import renamed

from eventlog import EventLog
from eventlog.log import tidy
from generators.evaluation import analyst
from generators.evaluation.align import AlignedLog, align_logs


@pytest.fixture(scope="module")
def aligned(real: EventLog, other: EventLog) -> tuple[AlignedLog, AlignedLog]:
    a, b = align_logs(real, other)
    return a, b


def frame(log: EventLog) -> pd.DataFrame:
    return log.events.assign(
        user=log.events["user_id"].astype(str), event=lambda f: f["event"].astype(str)
    )


def offers(n: int, *, bought: tuple[float, float], seed: int) -> EventLog:
    """A log of `n` users with an offer each, and these shares of purchases after either arm."""
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < 0.5
    buys = np.flatnonzero(rng.random(n) < np.where(treated, *bought))
    start = pd.Timestamp("2026-01-01", tz="UTC")
    rows = pd.DataFrame(
        {
            "user_id": [f"u{k:05d}" for k in [*range(n), *buys]],
            "timestamp": [start] * n + [start + pd.Timedelta(days=2)] * len(buys),
            "event": ["coupon_offer"] * n + ["purchase"] * len(buys),
            "discount": [*np.where(treated, 0.1, 0.0), *[np.nan] * len(buys)],
        }
    ).sort_values(["user_id", "timestamp"], ignore_index=True)
    rows.insert(0, "event_id", np.arange(len(rows)))
    return EventLog(events=tidy(rows))


def test_a_log_is_at_no_distance_from_itself(real: EventLog) -> None:
    a, b = align_logs(real, renamed(real, "x"))
    found = analyst.measures(a, b)
    assert found.pop("top_items_overlap") == 1.0
    assert set(found) >= {"revenue_error", "retention_error", "rfv_js", "orders_ks"}
    assert max(found.values()) < 1e-12


def test_weekly_revenue(real: EventLog, aligned: tuple[AlignedLog, AlignedLog]) -> None:
    a, start = aligned[0], int(aligned[0].time.min())
    bought = frame(real).query("event == 'purchase'")
    week = (bought["timestamp"] - real.span[0]) // pd.Timedelta(days=7)
    expected = bought["price"].astype(float).groupby(week).sum() / a.n_users
    found = analyst.weekly_revenue(a, start, 20)
    np.testing.assert_allclose(found, expected.reindex(range(20), fill_value=0.0), rtol=1e-6)


def test_retention(real: EventLog, aligned: tuple[AlignedLog, AlignedLog]) -> None:
    table = frame(real)
    first = table.groupby("user")["timestamp"].transform("min")
    week = (table["timestamp"] - first) // pd.Timedelta(days=7)
    last = (real.span[1] - first.groupby(table["user"]).first()) // pd.Timedelta(days=7)
    expected = [table["user"][week == k].nunique() / max((last >= k).sum(), 1) for k in range(1, 5)]
    np.testing.assert_allclose(analyst.retention(aligned[0], 4), expected)


def test_customers(real: EventLog, aligned: tuple[AlignedLog, AlignedLog]) -> None:
    bought = frame(real).query("event == 'purchase'").groupby("user")
    expected = np.column_stack(
        [
            (real.span[1] - bought["timestamp"].max()) / pd.Timedelta(days=1),
            bought["timestamp"].nunique(),
            bought["price"].apply(lambda price: price.astype(float).sum()),
        ]
    )
    np.testing.assert_allclose(analyst.customers(aligned[0]), expected, rtol=1e-6)


def test_the_funnel_of_a_segment(aligned: tuple[AlignedLog, AlignedLog]) -> None:
    a = aligned[0]
    code, size = a.codes["country"], len(a.levels["country"])
    rows = pd.DataFrame({"s": np.cumsum(a.starts), "c": code, "e": a.roles[a.codes["event"]]})
    of = rows.groupby("s")["c"].first()
    for k, stage in enumerate(analyst.STAGES):
        reached = (rows["e"] == stage).groupby(rows["s"]).any()
        np.testing.assert_allclose(
            analyst.funnel(a, code, size)[:, k], reached.groupby(of).mean(), atol=1e-12
        )


def test_top_items_of_a_country(aligned: tuple[AlignedLog, AlignedLog]) -> None:
    a = aligned[0]
    place = a.codes["country"].astype(np.int64)
    found = analyst.top_items(a, place, len(a.levels["country"]))
    for country, top in enumerate(found):
        rows = a.is_role("purchase") & (place == country) & (a.codes["item_id"] >= 0)
        count = np.bincount(a.codes["item_id"][rows], minlength=len(a.levels["item_id"]))
        assert sorted(count[top]) == sorted(count)[-analyst.TOP :]


def test_the_effect_of_an_offer_lies_in_its_interval() -> None:
    a, b = align_logs(
        offers(4_000, bought=(0.3, 0.2), seed=1), offers(4_000, bought=(0.2, 0.2), seed=2)
    )
    for log, effect in ((a, 0.1), (b, 0.0)):
        found, half = analyst.offer_effect(log)
        assert abs(found - effect) < half < 0.03
    assert analyst.measures(a, b)["offer_effect_gap"] == pytest.approx(0.1, abs=0.05)


def test_a_log_without_offers_has_no_effect(aligned: tuple[AlignedLog, AlignedLog]) -> None:
    assert np.isnan(analyst.offer_effect(aligned[0])).all()
    assert "offer_effect_gap" not in analyst.measures(*aligned)
