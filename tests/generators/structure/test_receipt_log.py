"""A store's receipts: lines, and one row that says what they come to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog

ITEMS = 80
DAY_S = 86_400


def receipt_log(users: int = 220) -> EventLog:
    """Return a log of receipts: items with a price, some of them weighed."""
    rng, rows, number = np.random.default_rng(31), list[dict[str, Any]](), 1000
    price, weighed = rng.lognormal(1, 0.6, ITEMS).round(2), rng.random(ITEMS) < 0.3
    for u in range(users):
        time = float(rng.uniform(0, 20)) * DAY_S
        for _ in range(int(rng.poisson(5)) + 1):
            number, time = number + 1, time + DAY_S * rng.exponential(6)
            here: dict[str, Any] = {"user_id": f"h{u}", "order_id": f"R{number}"}
            here |= {"session_id": f"R{number}", "till": int(rng.integers(1, 6))}
            total, lines = 0.0, int(rng.poisson(4)) + 1
            for k, item in enumerate(rng.choice(ITEMS, lines, replace=False)):
                line = {"item_id": f"p{item}", "unit_price": price[item], "line": k + 1}
                if weighed[item]:
                    line["kg"] = round(float(rng.uniform(0.2, 2)), 3)
                    line["amount"] = round(price[item] * line["kg"], 2)
                else:
                    line["amount"] = price[item]
                total = round(total + line["amount"], 2)
                rows.append({**here, **line, "t": time, "event": "line"})
                time += 3
            cash = bool(rng.random() < 0.4)
            paid = {"total": total, "lines": lines, "means": "cash" if cash else "card"}
            if cash:
                paid["change"] = float(rng.integers(0, 500)) / 100
            rows.append({**here, **paid, "t": time + 20, "event": "paid"})
    return log_of_rows(pd.DataFrame(rows), "2026-01-10", {"line": "purchase", "paid": "other"})


@pytest.fixture(scope="module")
def twin() -> EventLog:
    return generators.fit(receipt_log(), model="markov", seed=1).sample(260, seed=2).ordered()


def test_a_receipt_comes_to_what_its_lines_are(twin: EventLog) -> None:
    """One row of an order has its total, and none of the amounts."""
    order = twin.events["order_id"].astype(str)
    line, paid = (twin.events["event"] == n for n in ("line", "paid"))
    of = twin.events[line].groupby(order[line])["amount"]
    ends = twin.events[paid].set_index(order[paid])
    ends = ends[~ends.index.duplicated()]
    assert len(ends) > 600
    real = ends.index.intersection(of.sum().index)
    assert ((ends.loc[real, "total"] - of.sum()[real]).abs() < 0.011).all()
    assert (ends.loc[real, "lines"] == of.size()[real]).all()
    assert twin.events.groupby(order)["till"].nunique().max() == 1


def test_a_line_costs_what_is_weighed_or_one_piece(twin: EventLog) -> None:
    line = twin.events[twin.events["event"] == "line"]
    wanted = line["unit_price"] * line["kg"].fillna(1)
    assert ((wanted - line["amount"]).abs() < 0.011).all()
    assert 0.2 < line["kg"].notna().mean() < 0.4


def test_what_is_known_of_some_items_and_some_receipts(twin: EventLog) -> None:
    paid = twin.events[twin.events["event"] == "paid"]
    assert ((paid["means"].astype(str) == "cash") == paid["change"].notna()).mean() > 0.995
    assert paid["change"].dropna().between(0, 5).all()
    assert 0.3 < paid["change"].notna().mean() < 0.5
