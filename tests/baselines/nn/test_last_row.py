"""What a label reads of the event that it is about."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.order_logs import orders_as_examples, random_log
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from baselines.models.sequence.lstm import LSTM
from baselines.nn.last_row import LastRow, numbers
from eventlog import EventLog
from eventlog.arrays import Examples, Queries
from eventlog.encode import Encoder
from eventlog.log import tidy


@given(seed=st.integers(0, 1_000))
@settings(max_examples=15, deadline=None)
def test_encoded_numbers_rise_with_the_number(seed: int) -> None:
    log = random_log(seed, rows=80)
    sequences = Encoder.fit(log, high_cardinality=4).encode(log)
    orders = orders_as_examples(sequences, np.random.default_rng(seed))
    encode = LastRow(orders)
    x = encode(sequences, orders.queries)
    assert x.shape == (len(orders), len(encode.bins))
    assert ((x >= 0) & (x <= 1)).all()
    for name, values in numbers(sequences).items():
        mine = [k for k, (column, _, _) in enumerate(encode.bins) if column == name]
        order = np.argsort(values[orders.queries.end - 1], kind="stable")
        assert (np.diff(x[order][:, mine], axis=0) >= 0).all()
    nothing = Queries(
        orders.queries.user, sequences.offsets[orders.queries.user], orders.queries.time
    )
    assert (encode(sequences, nothing) == 0).all()


@pytest.mark.usefixtures("one_thread")
def test_a_card_of_long_standing_is_told_from_one_that_came_minutes_ago() -> None:
    """Everybody pays with a new card once, and then again with it (a fraud) or with the old one.

    Cards are hashes, so only their equality tells which, and no earlier row gives it away.
    """
    rng = np.random.default_rng(0)
    users, orders = 500, 8
    user, place = np.repeat(np.arange(users), orders), np.tile(np.arange(orders), users)
    fraud = rng.random(users) < 0.4
    new = (place == orders - 2) | ((place == orders - 1) & fraud[user])
    minute = np.where(place < orders - 2, place * 1_440, (orders - 3) * 1_440 + place * 10)
    start = pd.Timestamp("2026-01-01", tz="UTC")
    log = EventLog(
        events=tidy(
            pd.DataFrame(
                {
                    "event_id": np.arange(len(user)),
                    "user_id": [f"u{u:03d}" for u in user],
                    "timestamp": start + pd.to_timedelta(minute, unit="min"),
                    "event": "purchase",
                    "payment_method": [f"c{2 * u + n}" for u, n in zip(user, new, strict=True)],
                }
            )
        )
    )
    encoder = Encoder.fit(log, high_cardinality=10)
    sequences = encoder.encode(log)
    asked = Queries(
        np.arange(users), sequences.offsets[1:], sequences.time[sequences.offsets[1:] - 1]
    )
    label = fraud[[int(name[1:]) for name in sequences.users]].astype(np.float32)
    learn, test = np.arange(250), np.arange(250, users)
    model = LSTM(dim=16, budget=0.2)
    model.fit(Examples(sequences, asked[learn], label[learn]), encoder=encoder, seed=0)
    assert roc_auc_score(label[test], model.score(sequences, asked[test])) > 0.95
