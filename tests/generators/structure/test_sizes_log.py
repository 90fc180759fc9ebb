"""A log of clothes: what is bought has the size of its cart, what comes back the amount paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog

DAY_S = 86_400
SIZES = ("S", "M", "L", "XL")


def sizes_log(users: int = 260) -> EventLog:
    """Return a log of carts, purchases and returns; prices are haggled over."""
    rng, rows = np.random.default_rng(43), list[dict[str, Any]]()
    for u in range(users):
        time = float(rng.uniform(0, 20)) * DAY_S
        for visit in range(int(rng.poisson(5)) + 1):
            time += DAY_S * rng.exponential(5)
            here = {"user_id": f"z{u}", "session_id": f"{u}.{visit}"}
            chosen = [(int(i), str(rng.choice(SIZES))) for i in rng.choice(50, 3, replace=False)]
            for item, size in chosen:
                time += 30 + rng.exponential(60)
                rows.append({**here, "t": time, "event": "look", "item_id": f"c{item}"})
                if rng.random() < 0.7:
                    time += 20
                    cart = {"item_id": f"c{item}", "size": size, "event": "cart"}
                    rows.append({**here, **cart, "t": time})
            for item, size in chosen:
                if rows[-1].get("event") == "look" or rng.random() < 0.5:
                    continue
                if not any(r.get("size") == size and r["item_id"] == f"c{item}" for r in rows[-6:]):
                    continue
                time, paid = time + 10, round(float(rng.lognormal(3, 0.5)), 2)
                bought = {"item_id": f"c{item}", "size": size, "amount": paid}
                rows.append({**here, **bought, "event": "buy", "t": time})
                if rng.random() < 0.3:
                    back = {"user_id": f"z{u}", "session_id": f"{u}.{visit}b", **bought}
                    rows.append({**back, "event": "return", "t": time + DAY_S / 2})
    roles = {"look": "view", "cart": "cart", "buy": "purchase", "return": "refund"}
    return log_of_rows(pd.DataFrame(rows), "2026-01-10", roles)


@pytest.fixture(scope="module", params=["markov", "vae"])
def twin(request: pytest.FixtureRequest) -> EventLog:
    settings = {} if request.param == "markov" else {"epochs": 3}
    model = generators.fit(sizes_log(), model=request.param, seed=1, settings=settings)
    return model.sample(300, seed=2).ordered()


def test_a_row_repeats_what_the_user_had_of_the_item(twin: EventLog) -> None:
    rows = twin.events.assign(user=twin.events["user_id"].astype(str))
    rows["item"] = rows["item_id"].astype(str)
    carts = set(rows[rows["event"] == "cart"][["user", "item", "size"]].itertuples(index=False))
    buys = rows[rows["event"] == "buy"]
    of_cart = [tuple(r) in carts for r in buys[["user", "item", "size"]].itertuples(index=False)]
    assert len(buys) > 300
    assert np.mean(of_cart) > 0.98
    paid = set(buys[["user", "item", "amount"]].itertuples(index=False))
    back = rows[rows["event"] == "return"]
    assert len(back) > 80
    of_buy = [tuple(r) in paid for r in back[["user", "item", "amount"]].itertuples(index=False)]
    assert np.mean(of_buy) > 0.96
