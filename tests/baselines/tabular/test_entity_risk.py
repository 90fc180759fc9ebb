"""Entity risk against a count label by label, and the rule that a label counts once it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures.order_logs import orders_as_examples, random_log
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.tabular.entity_risk import WINDOWS_DAYS, EntityRisk
from baselines.tabular.features import Features
from eventlog import EventLog
from eventlog.arrays import DAY_MS, Examples
from eventlog.encode import Encoder


def labelled(seed: int) -> tuple[Encoder, Examples]:
    """Orders of a random log by time; frauds are reported late, honest orders after 20 days."""
    rng = np.random.default_rng(seed)
    log = random_log(seed, rows=80)
    encoder = Encoder.fit(log, high_cardinality=4)
    orders = orders_as_examples(encoder.encode(log), rng)
    orders = part(orders, np.argsort(orders.queries.time, kind="stable"))
    days = np.where(orders.target > 0, rng.choice([1, 5, 30], len(orders)), 20)
    return encoder, replace(orders, known_at=orders.queries.time + days * DAY_MS)


def part(examples: Examples, rows: np.ndarray) -> Examples:
    known_at = None if examples.known_at is None else examples.known_at[rows]
    return replace(
        examples,
        queries=examples.queries[rows],
        target=examples.target[rows],
        known_at=known_at,
    )


def entities(examples: Examples, i: int, column: str) -> set[int]:
    """The values of a column among the lines of an order."""
    s, user, end = examples.sequences, examples.queries.user[i], examples.queries.end[i]
    rows = [end - 1]
    while (
        rows[-1] - 1 >= s.offsets[user]
        and s.role[rows[-1] - 1] == s.role[end - 1] == "purchase"
        and s.time[rows[-1] - 1] == s.time[end - 1]
    ):
        rows.append(rows[-1] - 1)
    if column == "user":
        return {int(user)}
    values, least = (s.ids[column], 0) if column in s.ids else (s.columns[column], 2)
    return {int(values[r]) for r in rows if values[r] >= least}


def naive(labels: Examples, asked: Examples, i: int, column: str, usual: float) -> dict[str, float]:
    """All columns of one question, label by label."""
    now = asked.queries.time[i]
    known = [j for j in range(len(labels)) if labels.known_at[j] <= now]
    base = (sum(labels.target[j] for j in known) + 0.5) / (len(known) + 50)
    out: dict[str, float] = {}
    for entity in entities(asked, i, column):
        hits = [j for j in known if entity in entities(labels, j, column)]
        for name, days in [*((f"_{d}d", d) for d in WINDOWS_DAYS), ("", np.inf)]:
            young = [j for j in hits if labels.queries.time[j] + usual + days * DAY_MS > now]
            positive = sum(labels.target[j] for j in young)
            for key, value in (
                (f"risk_{column}{name}", np.log((positive / base + 20) / (len(young) + 20))),
                (f"positives_{column}{name}", np.log1p(positive)),
                (f"labels_{column}{name}", np.log1p(len(young))),
            ):
                out[key] = max(out.get(key, -np.inf), value)
    return out


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 5))
def test_columns_are_those_of_a_count_label_by_label(seed: int, parts: int) -> None:
    """However the labels came: with the fit, with the validation part, or observed later."""
    encoder, orders = labelled(seed)
    pieces = [part(orders, rows) for rows in np.array_split(np.arange(len(orders)), parts + 2)]
    risk = EntityRisk(encoder)
    risk.fit(pieces[0], pieces[1])
    for piece in pieces[1:]:  # the validation part again: it counts once
        risk.observe(piece)
    usual = float(np.median(pieces[0].known_at - pieces[0].queries.time))
    columns = risk.columns(orders.sequences, orders.queries)
    assert list(columns) == risk.names
    assert "device" in encoder.high_cardinality
    for i in range(len(orders)):
        for column in ("item", "device", "country", "user"):
            expected = naive(orders, orders, i, column, usual)
            for name in expected.keys() & columns.keys():
                assert columns[name][i] == pytest.approx(expected[name], abs=1e-6), name


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_label_known_after_a_question_changes_none_of_its_features(seed: int) -> None:
    encoder, orders = labelled(seed)
    at = len(orders) // 2
    now = orders.queries.time[at]
    secret = orders.known_at > now
    assert secret[at]
    other = replace(orders, target=np.where(secret, 1 - orders.target, orders.target))
    rows = []
    for examples in (orders, other):
        train, valid = (part(examples, np.flatnonzero(m)) for m in (~secret, secret))
        for given_to_fit in (True, False):
            features = Features(encoder)
            features.fit(train, valid if given_to_fit else None)
            features.names = list(features._columns(orders.sequences, orders.queries[:0]))
            features.observe(valid)
            asked = orders.queries[at : at + 1]
            rows.append(features.transform(orders.sequences, asked))
    assert all((row == rows[0]).all() for row in rows)


def test_labels_known_at_once_do_not_reach_their_own_order(small_log: EventLog) -> None:
    encoder = Encoder.fit(small_log)
    orders = orders_as_examples(encoder.encode(small_log), np.random.default_rng(0))
    at_once = replace(orders, known_at=orders.queries.time)
    flipped = replace(at_once, target=1 - at_once.target)
    first = np.argmin(orders.queries.time)
    found = []
    for examples in (at_once, flipped):
        risk = EntityRisk(encoder)
        risk.fit(examples)
        found.append(risk.columns(orders.sequences, orders.queries[first : first + 1]))
    assert found[0] == found[1]


def test_a_fraud_that_is_reported_late_is_corrected() -> None:
    encoder, orders = labelled(3)
    honest = replace(orders, target=np.zeros_like(orders.target))
    late = replace(orders, known_at=np.full(len(orders), 10**13))
    risk, expected = EntityRisk(encoder), EntityRisk(encoder)
    risk.fit(honest)
    risk.observe(late)
    expected.fit(orders)
    after = replace(orders.queries, time=np.full(len(orders), 2 * 10**13))
    one, two = (r.columns(orders.sequences, after) for r in (risk, expected))
    assert all(np.allclose(one[name], two[name]) for name in one if not name.endswith("d"))


def test_risk_of_an_id_carries_over_to_another_encoding_of_the_log(small_log: EventLog) -> None:
    encoder = Encoder.fit(small_log, high_cardinality=10)
    assert "device" in encoder.high_cardinality
    whole = encoder.encode(small_log)
    past = encoder.encode(small_log.before(small_log.time_at(0.7)))
    risk = EntityRisk(encoder)
    risk.fit(orders_as_examples(past, np.random.default_rng(0)))
    later = orders_as_examples(whole, np.random.default_rng(0)).queries
    columns = risk.columns(whole, later[later.time >= past.time.max()])
    assert columns["labels_device"].max() > 0
    assert columns["labels_user"].max() > 0
