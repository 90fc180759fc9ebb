"""What only those who buy do, and what needs a filled cart, is found and kept in a sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from fixtures.coupons import coupon_log

import generators
from eventlog import EventLog
from eventlog.log import sort_events
from generators.neural_generator import NeuralGenerator


def with_payments(log: EventLog, *, seed: int) -> EventLog:
    """Return `log` with what comes before a purchase: a cart row, a checkout and a payment.

    One payment in 20 fails and is made again. Three checkouts in 1,000 have nothing in the cart.
    """
    rng, events = np.random.default_rng(seed), log.events.drop(columns="event_id")
    bought = events[events["event"].astype(str) == "purchase"]
    failed = rng.random(len(bought)) < 0.05
    parts = [events.astype({"event": object})]
    for name, seconds, rows in (
        ("add_to_cart", 40, bought),
        ("begin_checkout", 30, bought),
        ("add_payment_info", 20, bought),
        ("payment_failed", 10, bought[failed]),
    ):
        time = rows["timestamp"] - pd.Timedelta(seconds=seconds)
        part = rows.assign(event=name, timestamp=time, order_id=None)
        parts.append(part if name == "add_to_cart" else part.assign(item_id=None))
    bare = bought.sample(frac=0.003, random_state=seed)
    day = bare["timestamp"].dt.floor("D")  # at night, before anything else
    parts.append(bare.assign(event="begin_checkout", timestamp=day, order_id=None, item_id=None))
    out = sort_events(pd.concat(parts, ignore_index=True).astype({"event": "category"}))
    out["event_id"] = np.arange(len(out), dtype=np.int64)
    return replace(log, events=out)


def failures(log: EventLog) -> float:
    """Return how many payments fail for each that is made."""
    events = log.events["event"].astype(str)
    return float((events == "payment_failed").sum() / (events == "add_payment_info").sum())


def test_a_payment_is_not_begun_where_nothing_can_be_bought() -> None:
    """Where a purchase is closed, as the cart is empty or a user does not buy while an offer is
    open, payments failed one after the other: nothing else ever follows one.
    """
    log = with_payments(coupon_log(users=900, seed=3), seed=4)
    fitted = generators.fit(log, model="vae", seed=1, settings={"epochs": 2})
    assert isinstance(fitted, NeuralGenerator)
    rules = fitted.codec_.rules
    assert {"purchase", "add_payment_info"} <= set(rules.buying)
    assert "view_item" not in rules.buying
    assert {"begin_checkout", "add_payment_info"} <= set(rules.required_flags)
    assert failures(fitted.sample(900, seed=2)) < 1.6 * failures(log)
