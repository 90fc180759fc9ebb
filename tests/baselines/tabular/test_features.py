"""Features against a naive reading of each question's history with pandas, and the rule that
nothing later is read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures.order_logs import T0, orders_as_examples, random_log
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.tabular.features import WINDOWS_MS, Features, _of_event, _of_user
from baselines.tabular.history import ROLE_ORDER, history_of
from baselines.tabular.order_features import OrderFeatures
from eventlog import EventLog
from eventlog.arrays import DAY_MS, Queries, Sequences
from eventlog.encode import Encoder


def ask(sequences: Sequences, rng: np.random.Generator, n: int = 25) -> Queries:
    """Random users at random instants; `end` may lie earlier than the instant allows, never
    later.
    """
    user = rng.integers(0, len(sequences), n)
    time = T0 + rng.integers(-5 * DAY_MS, 120 * DAY_MS, n)
    most = sequences.rows_before(user, time)
    end = np.where(rng.random(n) < 0.8, most, np.maximum(sequences.offsets[user], most - 1))
    return Queries(user, end, time)


def orders_of(rows: pd.DataFrame) -> pd.DataFrame:
    """One row an order (purchase rows that follow each other at the same time): first row's place,
    time, amount.
    """
    orders: list[dict[str, float]] = []
    for place, row in enumerate(rows.itertuples()):
        if row.role != "purchase":
            continue
        follows = (
            place > 0
            and rows["role"].iloc[place - 1] == "purchase"
            and rows["time"].iloc[place - 1] == row.time
        )
        if not follows:
            orders.append({"place": place, "time": row.time, "amount": 0.0})
        orders[-1]["amount"] += row.money
    return pd.DataFrame(orders, columns=["place", "time", "amount"])


def minutes(ms: float) -> float:
    return float(np.log1p(max(ms, 0) / 60_000))


def naive_of_user(rows: pd.DataFrame, now: int) -> dict[str, float]:
    """The aggregates of one question, read row by row. `rows`: everything known, at least one
    row.
    """
    out: dict[str, float] = {}
    tenure = now - rows["time"].iloc[0]
    for window, since in {"all": -(2**60), **{k: now - v for k, v in WINDOWS_MS.items()}}.items():
        inside = rows[rows["time"] >= since]
        for role in ROLE_ORDER:
            out[f"count_{role}_{window}"] = np.log1p((inside["role"] == role).sum())
        out[f"spent_{window}"] = np.log1p(inside.loc[inside["role"] == "purchase", "money"].sum())
    for role in ROLE_ORDER:
        times = rows.loc[rows["role"] == role, "time"]
        out[f"since_{role}"] = minutes(now - times.iloc[-1] if len(times) else tenure)
    gaps, orders = rows["time"].diff().dropna(), orders_of(rows)
    order_gaps = orders["time"].diff().dropna()
    sessions = 1 + (gaps > 30 * 60_000).sum()
    since_order = now - orders["time"].iloc[-1] if len(orders) else tenure
    lines = rows[(rows["role"] == "purchase") & (rows["item"] >= 2)]
    span = minutes(orders["time"].iloc[-1] - orders["time"].iloc[0]) if len(orders) else 0.0
    out |= {
        "tenure": minutes(tenure),
        "since_event": minutes(now - rows["time"].iloc[-1]),
        "events": np.log1p(len(rows)),
        "sessions": np.log1p(sessions),
        "events_per_session": np.log1p(len(rows) / sessions),
        "active_days": np.log1p((rows["time"] // DAY_MS).nunique()),
        "gap_mean": minutes(gaps.mean()) if len(gaps) else 0.0,
        "gap_std": minutes(gaps.std(ddof=0)) if len(gaps) else 0.0,
        "gap_last": minutes(gaps.iloc[-1]) if len(gaps) else 0.0,
        "orders": np.log1p(len(orders)),
        "orders_per_day": np.log1p(len(orders) / max(tenure / DAY_MS, 1)),
        "order_mean": np.log1p(orders["amount"].mean()) if len(orders) else 0.0,
        "order_gap_mean": minutes(order_gaps.mean()) if len(order_gaps) else 0.0,
        "order_gap_std": minutes(order_gaps.std(ddof=0)) if len(order_gaps) else 0.0,
        "order_gap_last": minutes(order_gaps.iloc[-1]) if len(order_gaps) else 0.0,
        "since_order_to_gap": minutes(since_order) - minutes(order_gaps.mean())
        if len(orders) > 1
        else 0.0,
        "order_span": span,
        "orders_x_since_order": np.log1p(len(orders)) * minutes(since_order),
        "since_order_x_order_span": minutes(since_order) * span,
        "distinct_item": np.log1p(rows.loc[rows["item"] >= 2, "item"].nunique()),
        "distinct_category": np.log1p(rows.loc[rows["category"] >= 2, "category"].nunique()),
        "distinct_device": np.log1p(rows.loc[rows["device"] >= 0, "device"].nunique()),
        "repeat_ratio": 1 - lines["item"].nunique() / len(lines) if len(lines) else 0.0,
        "hour_sin": np.sin(2 * np.pi * (now % DAY_MS) / DAY_MS),
        "weekday_cos": np.cos(2 * np.pi * (now % (7 * DAY_MS)) / (7 * DAY_MS)),
    }
    return out


def naive_of_event(rows: pd.DataFrame, now: int) -> dict[str, float]:
    """The last order, against what came before it."""
    orders = orders_of(rows)
    is_order = rows["role"].iloc[-1] == "purchase"
    first = int(orders["place"].iloc[-1]) if is_order else len(rows) - 1
    amount, before = np.log1p(rows["money"].iloc[first:].sum()), orders[orders["place"] < first]
    gaps = rows["time"].diff().fillna(0)
    session = int(np.flatnonzero((gaps > 30 * 60_000) | (np.arange(len(rows)) == 0))[-1])
    device = rows["device"].iloc[-1]
    same = rows[rows["device"] == device] if device >= 0 else rows[:0]
    day = rows[
        (rows["time"] >= now - DAY_MS) & (rows["device"] >= 0) & ~rows["device"].duplicated()
    ]
    return {
        "amount": amount,
        "amount_to_past": amount - np.log1p(before["amount"].mean()) if len(before) else 0.0,
        "lines": np.log1p(len(rows) - first),
        "quantity": np.log1p(rows["quantity"].iloc[first:].sum()),
        "gap_before": minutes(gaps.iloc[first]),
        "order_gap_before": minutes(orders["time"].iloc[-1] - before["time"].iloc[-1])
        if is_order and len(before)
        else 0.0,
        "session_events": np.log1p(len(rows) - session),
        "session_length": minutes(now_last(rows) - rows["time"].iloc[session]),
        "is_new_device": float(len(same) == 1),
        "earlier_device": np.log1p(max(len(same) - 1, 0)),
        "age_device": minutes(now_last(rows) - same["time"].iloc[0]) if len(same) else 0.0,
        "new_device_1d": np.log1p(len(day)),
        "country=GB": float(rows["country"].iloc[-1] == 2),
        "country=DE": float(rows["country"].iloc[-1] == 3),
    }


def now_last(rows: pd.DataFrame) -> int:
    return int(rows["time"].iloc[-1])


def frame_of(sequences: Sequences) -> pd.DataFrame:
    quantity = np.nan_to_num(sequences.raw["quantity"], nan=1.0)
    return pd.DataFrame(
        {
            "time": sequences.time,
            "role": sequences.role,
            "item": sequences.columns["item"],
            "category": sequences.columns["category"],
            "device": sequences.ids["device"],
            "country": sequences.columns["country"],
            "quantity": quantity,
            "money": np.nan_to_num(sequences.raw["price"]) * quantity,
        }
    )


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_aggregates_equal_a_naive_reading_of_the_known_rows(seed: int) -> None:
    log = random_log(seed)
    encoder = Encoder.fit(log)
    encoder.vocabularies["country"] = ["GB", "DE"]
    sequences = encoder.encode(log)
    queries = ask(sequences, np.random.default_rng(seed))
    queries = queries[queries.end > sequences.offsets[queries.user]]
    history, frame = history_of(sequences, encoder), frame_of(sequences)
    columns = dict(_of_user(history, queries)) | dict(_of_event(history, queries, encoder))
    for i in range(len(queries)):
        rows = frame.iloc[sequences.offsets[queries.user[i]] : queries.end[i]].reset_index(
            drop=True
        )
        now = int(queries.time[i])
        for name, expected in (naive_of_user(rows, now) | naive_of_event(rows, now)).items():
            assert columns[name][i] == pytest.approx(expected, abs=2e-3), name


@pytest.mark.parametrize("kind", [Features, OrderFeatures])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_happens_later_changes_no_feature(kind: type[Features], seed: int) -> None:
    log = random_log(seed, rows=120)
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    train = orders_as_examples(sequences, np.random.default_rng(seed))
    features = kind(encoder)
    features.fit(train)
    rng = np.random.default_rng(seed)
    queries = ask(sequences, rng)
    first = np.argsort(queries.user, kind="stable")
    # one question a user
    queries = queries[first[np.unique(queries.user[first], return_index=True)[1]]]
    changed = spoil_later_rows(sequences, queries, rng)
    assert np.array_equal(
        features.transform(sequences, queries), features.transform(changed, queries)
    )


def spoil_later_rows(sequences: Sequences, queries: Queries, rng: np.random.Generator) -> Sequences:
    """Every row at or after its user's question gets random content and a later time."""
    end = sequences.offsets[1:].copy()
    end[queries.user] = queries.end
    later = np.arange(sequences.n_rows) >= end[sequences.row_user()]
    n = sequences.n_rows
    columns = {k: np.where(later, rng.permutation(v), v) for k, v in sequences.columns.items()}
    raw = {k: np.where(later, rng.permutation(v), v) for k, v in sequences.raw.items()}
    ids = {k: np.where(later, rng.permutation(v), v) for k, v in sequences.ids.items()}
    role = np.where(later, rng.choice(["purchase", "view", "login"], n), sequences.role).astype(
        object
    )
    time = np.where(later, sequences.time + 5_000 * DAY_MS, sequences.time)
    return replace(sequences, columns=columns, raw=raw, ids=ids, role=role, time=time)


def test_names_match_the_columns_and_empty_histories_are_zero(small_log: EventLog) -> None:
    encoder = Encoder.fit(small_log)
    sequences = encoder.encode(small_log)
    features = Features(encoder)
    table = features.fit(orders_as_examples(sequences, np.random.default_rng(0)))
    assert table.shape[1] == len(features.names) == len(set(features.names))
    assert features.at_event_
    assert np.isfinite(table).all()
    user = np.arange(5)
    nothing = Queries(user, sequences.offsets[user], np.full(5, T0))
    assert (features.transform(sequences, nothing) == 0).all()


def test_a_log_without_prices_items_or_devices_has_features() -> None:
    log = random_log(3)
    bare = EventLog(events=log.events[["event_id", "user_id", "timestamp", "event"]])
    encoder = Encoder.fit(bare)
    sequences = encoder.encode(bare)
    table = Features(encoder).fit(orders_as_examples(sequences, np.random.default_rng(0)))
    assert table.shape[1] > 10
    assert np.isfinite(table).all()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_shops_own_numbers_are_features(seed: int) -> None:
    """Last value, mean and change of a column that the schema lacks, missing values left out."""
    log, rng = random_log(seed), np.random.default_rng(seed)
    values = np.where(rng.random(len(log)) < 0.7, rng.normal(50, 10, len(log)), np.nan)
    log.events["points"] = values
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    queries = ask(sequences, rng)
    queries = queries[queries.end > sequences.offsets[queries.user]]
    columns = dict(_of_user(history_of(sequences, encoder), queries))
    _, centre, deviation = encoder.scales["points"]
    for i in range(len(queries)):
        known = values[sequences.offsets[queries.user[i]] : queries.end[i]]
        known = (known[~np.isnan(known)] - centre) / deviation
        last, mean = (known[-1], known.mean()) if len(known) else (0.0, 0.0)
        assert columns["last_points"][i] == pytest.approx(last, abs=1e-5)
        assert columns["mean_points"][i] == pytest.approx(mean, abs=1e-5)
        assert columns["change_points"][i] == pytest.approx(last - mean, abs=1e-5)
