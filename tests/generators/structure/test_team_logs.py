"""Logs of other domains: what is ordinary in them holds in samples of a table and of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import generators
from eventlog import EventLog
from eventlog.check import check

DAY_MS = 86_400_000
FEE = {"solo": 7.99, "family": 12.99, "student": 3.99}
MODELS = [("markov", {}), ("vae", {"epochs": 3})]


def log_of(rows: list[dict[str, Any]], users: pd.DataFrame, roles: dict[str, str]) -> EventLog:
    """Return the log of rows with the time `t` in ms."""
    frame = pd.DataFrame(rows)
    time = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(
        frame.pop("t").astype("int64"), "ms"
    )
    frame.insert(1, "timestamp", time.astype("datetime64[ms, UTC]"))
    return EventLog(frame, users=users, manifest={"roles": roles}).ordered()


def streaming_log(n: int = 160, days: int = 130) -> EventLog:
    """Return rows of a streaming service: plans are renewed every 30 days, from a session of their
    own; who watches at home does so at weekends and on a television.
    """
    rng, rows, users = np.random.default_rng(4), list[dict[str, Any]](), []
    for u in range(n):
        plan, home = str(rng.choice(list(FEE), p=[0.5, 0.3, 0.2])), bool(rng.random() < 0.5)
        users.append({"user_id": f"v{u}", "place": "home" if home else "road"})
        begin, visits = int(rng.integers(0, 40)), list[tuple[float, bool]]()
        visits += [(begin + 0.4 + 30 * k, True) for k in range(5) if k == 0 or rng.random() < 0.95]
        for _ in range(int(rng.poisson(9)) + 2):
            day = int(rng.integers(begin, days))
            if home != (day % 7 >= 5) and rng.random() < 0.85:
                day += (5 - day % 7) % 7 if home else -(day % 7) % 7
            visits.append(
                (day + float(np.clip(rng.normal(0.8 if home else 0.35, 0.05), 0, 0.95)), False)
            )
        for visit, (day, is_due) in enumerate(sorted(v for v in visits if v[0] < days)):
            device = str(rng.choice(["tv", "phone"], p=[0.85, 0.15] if home else [0.15, 0.85]))
            for k in range(1 if is_due else int(rng.integers(1, 6))):
                title = None if is_due else f"film {rng.integers(0, 50)}"
                row = {"user_id": f"v{u}", "t": int(day * DAY_MS) + 600_000 * k}
                row |= {"event": "renewal" if is_due else "play", "session_id": f"s{u}.{visit}"}
                row |= {"item_id": title, "device": device, "plan": plan}
                row["fee"] = FEE[plan] if is_due else np.nan
                rows.append(row)
    log = log_of(rows, pd.DataFrame(users), {"play": "view", "renewal": "purchase"})
    number = log.events.groupby("user_id", observed=True).cumcount() + 1
    return EventLog(log.events.assign(row_of_user=number), log.users, manifest=log.manifest)


def delivery_log(n: int = 180) -> EventLog:
    """Return rows of a food delivery: orders of lines of one kitchen, each with its courier,
    whose zone follows from them, and an amount that is the sum of the lines.
    """
    rng, rows, users = np.random.default_rng(6), list[dict[str, Any]](), []
    price = np.round(rng.uniform(3, 19, 60), 2)
    courier_zone = rng.integers(0, 6, 30)
    for u in range(n):
        kind = str(rng.choice(["office", "family"]))
        users.append({"user_id": f"c{u}", "household": kind})
        for number in range(int(rng.poisson(4)) + 2):
            day = int(rng.integers(0, 70))
            if (kind == "office") != (day % 7 < 5):
                day -= day % 7 - (int(rng.integers(0, 5)) if kind == "office" else 5)
            at = int((day + (0.5 if kind == "office" else 0.78)) * DAY_MS + rng.normal(0, 1.5e6))
            courier, kitchen = int(rng.integers(0, 30)), int(rng.integers(0, 6))
            dishes = rng.choice(10, int(rng.integers(1, 4)), replace=False) + 10 * kitchen
            pieces = rng.integers(1, 4 if kind == "family" else 2, len(dishes))
            for k, (dish, many) in enumerate(zip(dishes, pieces, strict=True)):
                row = {"user_id": f"c{u}", "t": at + 1_000 * k, "event": "order_line"}
                row |= {"session_id": f"d{u}.{number}", "order_id": f"o{u}.{number}"}
                row |= {"item_id": f"dish {dish}", "list_price": price[dish], "pieces": int(many)}
                row |= {"line_amount": round(price[dish] * many, 2), "line_number": k + 1}
                row |= {"courier": f"k{courier}", "zone": f"z{courier_zone[courier]}"}
                rows.append(row)
    log = log_of(rows, pd.DataFrame(users), {"order_line": "purchase"})
    total = log.events.groupby("order_id", observed=True)["line_amount"].transform("sum").round(2)
    return EventLog(log.events.assign(order_amount=total), log.users, manifest=log.manifest)


def weekend(log: EventLog, column: str) -> dict[str, float]:
    """Return the share of rows at weekends by a column of users."""
    events = log.events.merge(log.users, on="user_id")
    return (
        (events["timestamp"].dt.weekday >= 5).groupby(events[column].astype(str)).mean().to_dict()
    )


@pytest.mark.parametrize(("model", "settings"), MODELS)
def test_a_streaming_service_renews_its_plans(model: str, settings: dict[str, Any]) -> None:
    log = streaming_log()
    sample = generators.fit(log, model=model, seed=1, settings=settings).sample(200, seed=2)
    assert not [found for found in check(sample) if found.level == "error"]

    def renewed(of: EventLog) -> float:
        rows = of.ordered().events.query("event == 'renewal'")
        lag = rows.groupby("user_id", observed=True)["timestamp"].diff().dt.total_seconds()
        return float((lag / 86_400).between(29, 31).mean())

    assert renewed(sample) == pytest.approx(renewed(log), rel=0.3)
    events = sample.ordered().events.merge(sample.users, on="user_id")
    renewals = events[events["event"] == "renewal"]
    assert (renewals["fee"] == renewals["plan"].astype(str).map(FEE)).mean() >= 0.99
    assert (events.groupby("user_id")["row_of_user"].diff().dropna() == 1).all()
    assert events.groupby("session_id", observed=True)["device"].nunique().max() == 1
    tv = (events["device"] == "tv").groupby(events["place"].astype(str)).mean()
    assert tv["home"] > 0.7 > 0.35 > tv["road"]
    assert weekend(sample, "place")["home"] > weekend(sample, "place")["road"] + 0.2


@pytest.mark.parametrize(("model", "settings"), MODELS)
def test_a_food_delivery_adds_up(model: str, settings: dict[str, Any]) -> None:
    log = delivery_log()
    sample = generators.fit(log, model=model, seed=1, settings=settings).sample(200, seed=2)
    assert not [found for found in check(sample) if found.level == "error"]
    events, real = sample.ordered().events, log.events
    price = real.drop_duplicates("item_id").set_index("item_id")["list_price"]
    assert np.allclose(events["list_price"], price.loc[events["item_id"].astype(str)])
    amount = events["list_price"] * events["pieces"]
    assert (np.abs(events["line_amount"] - amount) < 0.011).mean() >= 0.99
    orders = events.groupby("order_id", observed=True)
    assert (np.abs(events["order_amount"] - orders["line_amount"].transform("sum")) < 0.011).all()
    # a session is an order in the log, so that a line's number may be that in the session
    place = events.groupby("session_id", observed=True).cumcount() + 1
    assert (events["line_number"] == place).mean() >= 0.97
    zone = events.groupby(events["courier"].astype(str))["zone"].nunique()
    assert zone.max() == 1
    shares = weekend(sample, "household")
    assert shares["family"] > shares["office"] + 0.4
