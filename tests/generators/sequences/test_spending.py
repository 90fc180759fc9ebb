"""What a user has spent in a session so far."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.shop_logs import shop_log
from hypothesis import given
from hypothesis import strategies as st

import generators
from generators.sequences.encode import encode
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.sequences.spending import Spending, spent_before

# code 0 = missing, 1 and 2 = shares of the item's price, 3 = a price as it is
SPENDING = Spending.of(
    {"quantity": 0, "price": 1},
    {
        "price_ratio": np.array([np.nan, 0.0, np.log(0.5)]),
        "price": np.array([np.nan, 7.0]),
        "quantity": np.array([np.nan, 1.0, 4.0]),
    },
    np.array([np.nan, 3.0, 10.0]),
)
PRICES = {0: [0, 0, 0], 1: [0, 3, 10], 2: [0, 1.5, 5], 3: [7, 7, 7]}  # by code and item
PIECES = [1, 1, 4]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 3), st.integers(0, 2), st.booleans(), st.booleans()
        ),
        max_size=40,
    )
)
def test_it_is_what_the_purchases_of_the_session_cost(
    rows: list[tuple[int, int, int, bool, bool]],
) -> None:
    wanted, spent = [], 0.0
    for pieces, price, item, begins, bought in rows:
        wanted.append(min(np.ceil(2 * np.log2(spent / SPENDING.unit + 1)), 23))
        spent = (0.0 if begins else spent) + bought * PRICES[price][item] * PIECES[pieces]
    values = np.array([r[:2] for r in rows], dtype=np.int64).reshape(-1, 2)
    item, begins, bought = (np.array([r[k] for r in rows], dtype=int) for k in (2, 3, 4))
    found = spent_before(values, item, begins > 0, bought > 0, SPENDING)
    assert found.tolist() == wanted


def test_the_state_of_a_user_knows_it_as_rows_do() -> None:
    log = shop_log(users=60, rows=30, seed=3).ordered()
    codec = generators.fit(log, model="markov", seed=1).codec_
    steps = encode(log, codec, max_rows=1024, private=False)
    level = steps.features[:, codec.counter_column(Counter.SPENT)].numpy()
    column = {name: steps.target[:, k].numpy() for k, name in enumerate(steps.names)}
    rest = np.stack([column[name] for name in codec.rest_fields], 1)
    none = np.zeros((len(rest), len(codec.value_fields)), dtype=np.int64)
    first = np.isin(np.arange(len(level)), steps.offsets[:-1])
    begins = first | (column["gap"] >= codec.clock.within.size)
    purchase = [codec.events.values.index(e) + 1 for e, r in codec.roles.items() if r == "purchase"]
    bought = np.isin(column["event"], purchase)
    effects = codec.effects()
    found = spent_before(
        np.hstack([none, rest]), steps.items.numpy(), begins, bought, effects.spending
    )
    assert bought.sum() > 50
    assert (level[first] == 0).all()
    assert (level[~first] == found[~first]).all()
    assert 0 < level.max() < COUNTER_SIZES[Counter.SPENT]


@pytest.mark.parametrize("price", [np.full(3, np.nan), np.zeros(3)])
def test_a_log_without_prices_has_no_costs(price: np.ndarray) -> None:
    spending = Spending.of({}, {}, price)
    assert spending.unit == 1.0
    none = np.zeros((4, 0), dtype=np.int64)
    flags = np.zeros(4, dtype=bool)
    assert not spent_before(none, np.zeros(4, dtype=np.int64), flags, ~flags, spending).any()
