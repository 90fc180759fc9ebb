"""Values that many share, prices that items have had, and levels to which a user keeps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from fixtures.shop_logs import shop_log
from hypothesis import given, settings
from hypothesis import strategies as st

import generators
from eventlog import EventLog
from generators.codec.coders import Bins
from generators.codec.parts import USUAL, Ladder
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.queries import PrivateQueries

PRICE = st.floats(0.01, 1e6)


@settings(max_examples=50, deadline=None)
@given(
    known=st.lists(st.tuples(st.integers(1, 4), PRICE), max_size=12),
    asked=st.lists(st.tuples(st.integers(1, 5), PRICE), min_size=1, max_size=6),
)
def test_an_item_keeps_to_the_nearest_of_its_prices(
    known: list[tuple[int, float]], asked: list[tuple[int, float]]
) -> None:
    table = pd.DataFrame(known, columns=["item", "price"]).sort_values(["item", "price"])
    ladder = Ladder(table["item"].to_numpy(dtype=np.int64), table["price"].to_numpy(dtype=float))
    item, price = (np.array(column) for column in zip(*asked, strict=True))
    for i, p, found in zip(item, price, ladder.nearest(item, price), strict=True):
        own = [q for j, q in known if j == i]
        if not own:
            assert found == p
        else:
            assert found in own
            nearest = min(abs(np.log(q / p)) for q in own)
            assert abs(np.log(found / p)) <= nearest + 1e-9


def test_values_that_enough_users_share_keep_their_share_of_an_interval() -> None:
    rng = np.random.default_rng(3)
    values = np.where(rng.random(20_000) < 0.01, 7.77, rng.lognormal(2, 1, 20_000))
    user = np.arange(len(values)) // 4
    queries = PrivateQueries(
        n_users=5_000,
        min_users=5,
        ledger=PrivacyLedger.open(None, None, 5_000),
        plan=1.0,
        ids=np.arange(5_000).astype(str),
    )
    bins = Bins.fit(queries, "number", user, values, intervals=16)
    assert 7.77 in bins.common
    code = bins.encode(values)
    drawn = bins.decode(code, rng.random(len(code)))
    assert abs((drawn == 7.77).mean() - 0.01) < 0.003
    assert (bins.encode(drawn) == code).mean() > 0.999


def test_users_keep_to_their_level_of_a_number() -> None:
    """Half of the users buy by the dozen: a sample has such users, and few who do both."""
    log = shop_log(users=300, seed=4)
    events = log.events.copy()
    rng = np.random.default_rng(0)
    owner = events["user_id"].astype(str).factorize()[0]
    many = (owner % 2 == 0)[:, None]
    quantity = np.where(
        many[:, 0], rng.integers(11, 14, len(owner)), rng.integers(1, 4, len(owner))
    )
    events["quantity"] = np.where(events["event"].astype(str) == "purchase", quantity, np.nan)
    model = generators.fit(
        EventLog(events=events, users=log.users, items=log.items, labels=log.labels),
        seed=1,
        model="markov",
    )
    assert USUAL + "quantity" in model.codec_.user_attributes
    sample = model.sample(300, seed=2).events.dropna(subset="quantity")
    dozens = (sample["quantity"] > 6).groupby(sample["user_id"].astype(str))
    of_users = dozens.agg(["size", "mean"]).query("size > 2")["mean"]
    assert 0.2 < (of_users > 0.5).mean() < 0.8
    assert ((of_users > 0.2) & (of_users < 0.8)).mean() < 0.25
