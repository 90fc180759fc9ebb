"""A team's own columns are learnt by what they are: a number, a category, an id, a property of a
user.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog


def test_extra_columns_come_back_with_their_types_and_shares() -> None:
    log = shop_log(users=200, seed=3)
    rng = np.random.default_rng(0)
    user = log.events["user_id"].cat.codes.to_numpy()
    log.events["weight_kg"] = np.where(
        rng.random(len(log)) < 0.1, np.nan, np.exp(rng.normal(0, 1, len(log)))
    )
    log.events["voucher"] = pd.Categorical(np.where(rng.random(len(log)) < 0.25, "yes", "no"))
    log.events["device_no"] = pd.Categorical([f"d{u}" for u in user])
    names = log.events["user_id"].cat.categories
    log.users = pd.DataFrame(
        {
            "user_id": names,
            "tier": np.where(np.arange(len(names)) % 4 == 0, "gold", "plain"),
            "age": 20.0 + np.arange(len(names)) % 50,
        }
    )
    twin: EventLog = generators.fit(log, model="markov", seed=1).sample(300, seed=2)
    assert twin.users is not None
    assert abs((twin.events["voucher"] == "yes").mean() - 0.25) < 0.05
    assert abs(np.nanmedian(twin.events["weight_kg"]) - 1) < 0.2
    assert abs(twin.events["weight_kg"].isna().mean() - 0.1) < 0.03
    assert abs(twin.events["device_no"].nunique() - 300) <= 3, "one id a user, as it was"
    assert abs((twin.users["tier"] == "gold").mean() - 0.25) < 0.1
    assert twin.users["age"].between(18, 72).all()
    assert not set(twin.events["device_no"].astype(str)) & set(log.events["device_no"].astype(str))
