"""Models that know what an expert knows: repeats, the order of events, waiting times, rings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from baselines.models.label_propagation import LabelPropagation
from baselines.models.lightgbm import LightGBM
from baselines.models.lightgbm_order import LightGBMOrder
from baselines.models.markov_repeats import MarkovRepeats, _mixture
from baselines.models.survival import Survival, _next_purchase
from eventlog import EventLog
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences
from eventlog.encode import Encoder
from eventlog.log import tidy

BEGIN = pd.Timestamp("2026-01-01", tz="UTC")


def encoded(events: pd.DataFrame) -> tuple[Encoder, Sequences]:
    log = EventLog(events=tidy(events.assign(event_id=np.arange(len(events)))))
    encoder = Encoder.fit(log)
    return encoder, encoder.encode(log)


# --- markov_repeats -------------------------------------------------------------------------------


def loyal_log(n_users: int = 60, rows: int = 30) -> tuple[Encoder, Sequences]:
    """Everybody has four items of their own and takes them in any order, and others seldom."""
    rng = np.random.default_rng(0)
    own = rng.integers(0, 200, (n_users, 4))
    choice = own[np.arange(n_users)[:, None], rng.integers(0, 4, (n_users, rows))]
    item = np.where(
        rng.random((n_users, rows)) < 0.8, choice, rng.integers(0, 200, (n_users, rows))
    )
    return encoded(
        pd.DataFrame(
            {
                "user_id": np.repeat([f"u{u:02d}" for u in range(n_users)], rows),
                "timestamp": BEGIN + pd.to_timedelta(np.tile(np.arange(rows), n_users), unit="h"),
                "event": "view_item",
                "item_id": [f"i{k}" for k in item.ravel()],
            }
        )
    )


def steps(sequences: Sequences, low: int, high: int) -> Examples:
    place = np.arange(sequences.n_rows) - sequences.offsets[sequences.row_user()]
    row = np.flatnonzero((place >= low) & (place < high))
    queries = Queries(sequences.row_user()[row], row, sequences.time[row])
    return Examples(sequences, queries, sequences.columns["item"][row])


@pytest.mark.parametrize("with_valid", [False, True])
def test_own_items_come_first_where_people_repeat(with_valid: bool) -> None:
    encoder, sequences = loyal_log()
    train, valid, test = (steps(sequences, *r) for r in ((1, 20), (20, 25), (25, 30)))
    model = MarkovRepeats()
    model.fit(train, valid if with_valid else None, encoder=encoder, seed=0)
    scores = model.score(test.sequences, test.queries)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-3)  # a distribution
    rank = (scores > scores[np.arange(len(test)), test.target][:, None]).sum(axis=1)
    assert (rank < 4).mean() > 0.7
    assert model.weights_[-1, 3:].sum() > 0.5  # own items


def test_mixture_weights_maximise_the_likelihood() -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(5), 2_000) ** 2
    found = _mixture(probability, np.full(5, 0.2), prior=1e-9)
    best = np.log(probability @ found).sum()
    others = rng.dirichlet(np.ones(5), 200)
    assert best > np.log(probability @ others.T).sum(axis=0).max() - 0.5


# --- lightgbm_order -------------------------------------------------------------------------------


def test_only_features_of_order_tell_what_came_first() -> None:
    """Everybody searches once and looks at their wishlist once; who searches first comes back."""
    rng = np.random.default_rng(0)
    n = 1_200
    first = rng.random(n) < 0.5
    names = np.where(first[:, None], ["search", "add_to_wishlist"], ["add_to_wishlist", "search"])
    rows = np.column_stack([np.full(n, "login"), names, np.full(n, "view_item")])
    encoder, sequences = encoded(
        pd.DataFrame(
            {
                "user_id": np.repeat([f"u{u:04d}" for u in range(n)], 4),
                # all at one time, so that times since a role say nothing
                "timestamp": BEGIN,
                "event": rows.ravel(),
            }
        )
    )
    time = np.full(n, sequences.time[0] + DAY_MS)
    asked = Queries(np.arange(n), sequences.offsets[1:], time)
    target = first.astype(np.float32)
    train, test = np.arange(n) < 800, np.arange(n) >= 800
    auc = {}
    for model in (LightGBM(), LightGBMOrder()):
        model.fit(Examples(sequences, asked[train], target[train]), encoder=encoder, seed=0)
        auc[type(model)] = roc_auc_score(target[test], model.score(sequences, asked[test]))
    assert auc[LightGBMOrder] > 0.99
    assert auc[LightGBM] < 0.6


# --- survival -------------------------------------------------------------------------------------


def renewal(n: int, horizon_days: float) -> tuple[Encoder, Examples]:
    """Customers who buy at a rate of their own; asked on the days 30, 40, 50 and 60."""
    rng = np.random.default_rng(0)
    rate = rng.choice([0.02, 0.2], n)
    rows = [
        (f"u{u:04d}", day)
        for u in range(n)
        for day in np.cumsum(rng.exponential(1 / rate[u], 60)).tolist()
        if day < 80
    ]
    rows += [(f"u{u:04d}", 0.0) for u in range(n)]
    rows.sort()
    encoder, sequences = encoded(
        pd.DataFrame(
            {
                "user_id": [u for u, _ in rows],
                "timestamp": BEGIN + pd.to_timedelta([d for _, d in rows], unit="D"),
                "event": "purchase",
            }
        )
    )
    users = np.arange(len(sequences))
    user = np.tile(users, 4)
    time = np.repeat([BEGIN.value // 10**6 + d * DAY_MS for d in (30, 40, 50, 60)], len(users))
    end = sequences.rows_before(user, time)
    later = sequences.rows_before(user, time + int(horizon_days * DAY_MS))
    return encoder, Examples(sequences, Queries(user, end, time), (later == end).astype(np.float32))


def test_survival_is_calibrated_and_knows_when_people_buy() -> None:
    encoder, orders = renewal(400, horizon_days=20)
    model = Survival(periods=4)
    model.fit(orders, encoder=encoder, seed=0)
    p = model.score(orders.sequences, orders.queries)
    assert p.mean() == pytest.approx(orders.target.mean(), abs=0.02)
    assert roc_auc_score(orders.target, p) > 0.9
    when = model._periods_of(orders)
    one = when.sum(axis=1) == 1
    gap, _ = _next_purchase(orders)
    known = (gap < 10**12) & (orders.target == 0)
    assert (one >= known).all()  # a purchase that is seen has one period
    period = np.minimum(gap[known] // (5 * DAY_MS), 3)
    assert (when[known].argmax(axis=1) == period).mean() > 0.95  # the horizon was found
    assert not when[orders.target > 0].any()


# --- label_propagation ----------------------------------------------------------------------------


def ring_log() -> tuple[Encoder, Examples]:
    """Rings of four accounts: the first two share a device, the next two a card, and so on."""
    rng = np.random.default_rng(0)
    n = 240
    ring, member = np.arange(n) // 4, np.arange(n) % 4
    bad = np.repeat(rng.random(n // 4) < 0.3, 4)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{k:03d}" for k in range(n)],
            # members act one week after another
            "timestamp": BEGIN + pd.to_timedelta(member * 7 + rng.random(n) + (ring % 5), unit="D"),
            "event": "purchase",
            "device": [f"d{r}-{m // 2}" for r, m in zip(ring, member, strict=True)],
            "payment_method": [f"c{r}-{(m + 1) // 2}" for r, m in zip(ring, member, strict=True)],
        }
    )
    encoder, sequences = encoded(frame)
    queries = Queries(np.arange(n), sequences.offsets[1:], sequences.time)
    # The first two accounts of a bad ring are caught, two days later; the others are not.
    target = (bad & (member < 2)).astype(np.float32)
    known_at = sequences.time + 2 * DAY_MS
    return encoder, Examples(sequences, queries, target, known_at=known_at)


def test_suspicion_spreads_through_a_ring() -> None:
    encoder, orders = ring_log()
    model = LabelPropagation(windows_days=(60.0,))
    model.fit(orders, encoder=encoder, seed=0)
    suspicion = model._suspicions(orders.sequences, orders.queries)[:, -2]  # the mean
    ring, member = np.arange(len(orders)) // 4, np.arange(len(orders)) % 4
    bad = np.isin(ring, ring[orders.target > 0])
    third = member == 2  # shares a card with a caught one
    assert roc_auc_score(bad[third], suspicion[third]) > 0.99
    last = member == 3  # shares a device with the third, which is called honest
    assert roc_auc_score(bad[last], suspicion[last]) > 0.9
    without = LabelPropagation(windows_days=(60.0,), passed_on=0.0)
    without.fit(orders, encoder=encoder, seed=0)
    direct = without._suspicions(orders.sequences, orders.queries)[:, -2]
    assert roc_auc_score(bad[last], direct[last]) == pytest.approx(0.5, abs=0.15)


def test_suspicion_knows_no_later_label_and_counts_each_once() -> None:
    encoder, orders = ring_log()
    at = 100
    now = orders.queries.time[at]
    secret = orders.known_at > now
    rows = []
    for target in (orders.target, np.where(secret, 1 - orders.target, orders.target)):
        model = LabelPropagation()
        model.fit(replace(orders, target=target), encoder=encoder, seed=0)
        n = model.n_parameters()
        model.observe(replace(orders, target=target))
        assert model.n_parameters() == n
        rows.append(model._suspicions(orders.sequences, orders.queries[at : at + 1]))
    assert np.array_equal(*rows)
