"""A handmade log with coupons: offers and ghost offers of two campaigns before the cut and one after it, with their truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.log import sort_events, tidy

START = pd.Timestamp("2026-01-01", tz="UTC")
CAMPAIGNS = ((20, True), (35, False), (52, True))  # day of the offer, randomised?


def coupon_log(*, users: int = 400, seed: int = 0, window_days: float = 5.0) -> EventLog:
    """60 days. Users who viewed a lot are moved by a coupon, the others are not; the second campaign is targeted at them."""
    rng = np.random.default_rng(seed)
    keen = rng.random(users) < 0.5
    rows, truth = [], []
    for user in range(users):
        for _ in range(12 if keen[user] else 3):
            rows.append((user, rng.uniform(0, 60), "view_item", f"i{rng.integers(20)}", None, None))
        for number, (day, randomised) in enumerate(CAMPAIGNS):
            at = day + rng.uniform(0, 2)
            propensity = 0.5 if randomised else (0.8 if keen[user] else 0.2)
            treated = rng.random() < propensity
            y0 = rng.random() < 0.15
            y1 = y0 or (keen[user] and rng.random() < 0.6)
            rows.append((user, at, "coupon_offer", None, f"coupon_{number}", 0.15 if treated else 0.0))
            if y1 if treated else y0:
                rows.append((user, at + rng.uniform(0.01, window_days), "purchase", "i1", None, None))
            truth.append((user, f"coupon_{number}", at, randomised, propensity, treated, y0, y1))
    frame = pd.DataFrame(rows, columns=["user_id", "timestamp", "event", "item_id", "coupon_id", "discount"])
    frame["user_id"] = frame["user_id"].map("u{:03d}".format)
    frame["timestamp"] = (START + pd.to_timedelta(frame["timestamp"], unit="D")).dt.floor("ms")
    frame["order_id"] = np.where(frame["event"] == "purchase", "o" + frame.index.astype(str), None)
    events = sort_events(tidy(frame.assign(event_id=0)))
    events["event_id"] = np.arange(len(events), dtype=np.int64)
    coupons = pd.DataFrame(truth, columns=["user_id", "coupon_id", "offered_at", "randomised", "propensity", "treated", "y0", "y1"])
    coupons["user_id"] = coupons["user_id"].map("u{:03d}".format)
    coupons["offered_at"] = (START + pd.to_timedelta(coupons["offered_at"], unit="D")).dt.floor("ms")
    campaigns = [{"coupon_id": f"coupon_{n}", "start": str(START + pd.Timedelta(days=day)), "window_days": window_days, "discount": 0.15,
                  "randomised": randomised} for n, (day, randomised) in enumerate(CAMPAIGNS)]
    return EventLog(events=events, truth={"coupons": coupons}, manifest={"made_by": "tests", "campaigns": campaigns})
