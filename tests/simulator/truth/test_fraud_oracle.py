"""The fraud oracle, against what a model can know."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog._runtime.errors import InputError
from simulator.fraud.fraudsters import NAMES
from simulator.realism.audit import auc, average_precision
from simulator.truth import fraud_oracle, oracles
from simulator.truth.fraud_features import VISIBLE, traces
from simulator.truth.running_counts import Earlier


@pytest.fixture(scope="module")
def evidence(fraud_log):
    return traces(fraud_log)


def guilty(evidence, *names):
    return np.isin(evidence.kind, [NAMES.index(n) for n in names])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 3)), max_size=30))
def test_earlier_sums_what_came_before(rows):
    entity, time, value = (
        (np.array(c, dtype=np.int64) for c in zip(*rows, strict=True))
        if rows
        else (np.zeros(0, np.int64),) * 3
    )
    expected = [
        sum(v for j, (e, t, v) in enumerate(rows) if e == rows[i][0] and (t, j) < (rows[i][1], i))
        for i in range(len(rows))
    ]
    assert Earlier(entity, time).total(value).tolist() == expected


def test_the_oracle_is_calibrated_and_far_above_amount(fraud_log, evidence):
    target = guilty(evidence, "stolen_card", "account_takeover", "card_testing")
    p = oracles.oracle_fraud(fraud_log, evidence.event_id)
    assert auc(target, p) > 0.93
    assert (
        average_precision(target, p)
        > average_precision(target, evidence.table["value"].to_numpy()) + 0.5
    )
    assert abs(p.mean() - target.mean()) < 0.02
    high = p > 0.5
    assert abs(p[high].mean() - target[high].mean()) < 0.12


def test_every_line_of_an_order_gets_the_same_answer(fraud_log):
    lines = fraud_log.events[fraud_log.events["event"].astype(str) == "purchase"]
    p = oracles.oracle_fraud(fraud_log, lines["event_id"].to_numpy())
    spread = (
        lines.assign(p=p).groupby("order_id", observed=True)["p"].agg(lambda x: x.max() - x.min())
    )
    assert spread.max() == 0


def test_other_kinds_have_oracles_too(fraud_log, evidence):
    for kind in ("coupon_abuse", "refund_abuse"):
        p = oracles.oracle_fraud(fraud_log, evidence.event_id, kind=kind)
        assert auc(guilty(evidence, kind), p) > 0.8, kind
    with pytest.raises(InputError, match="coupon_abuse, fraud, refund_abuse"):
        oracles.oracle_fraud(fraud_log, evidence.event_id, kind="bot")


def test_the_likelihood_ratios_alone_know_much(fraud_log, evidence):
    """The generative posterior, which a log with few frauds gets."""
    ratio = fraud_oracle._ratios(evidence, fraud_oracle._scenario(fraud_log))
    bad = [NAMES.index(n) for n in ("stolen_card", "account_takeover", "card_testing")]
    p = fraud_oracle._mixture(ratio, evidence.kind, bad)
    assert ((p >= 0) & (p <= 1)).all()
    assert auc(np.isin(evidence.kind, bad), p) > 0.85


def test_the_future_does_not_move_the_evidence(fraud_log, evidence):
    """Traces of an order are the same when the log ends soon after it."""
    cut = fraud_log.time_at(0.5)
    early = fraud_log.before(cut)
    kept = fraud_log.truth["events"]["event_id"].isin(early.events["event_id"]).to_numpy()
    truth_then = {
        **fraud_log.truth,
        "events": fraud_log.truth["events"][kept].reset_index(drop=True),
    }
    then = traces(type(fraud_log)(**{**vars(early), "truth": truth_then}))
    place = {e: i for i, e in enumerate(evidence.event_id.tolist())}
    rows = [place[e] for e in then.event_id.tolist()]
    # codes, and a share of the whole log
    columns = [c for c in then.table if c not in ("country", "channel", "user_category")]
    whole = then.time < then.time.max() - 86_400_000  # sessions that the cut does not cut through
    assert np.allclose(then.table[columns][whole], evidence.table[columns].iloc[rows][whole])


def test_visible_traces_need_no_truth(fraud_log, evidence):
    """They stay the same when the truth says that nobody is guilty."""
    blank = fraud_log.truth["events"].assign(fraud=None)
    blind = traces(
        type(fraud_log)(**{**vars(fraud_log), "truth": {**fraud_log.truth, "events": blank}})
    )
    assert np.allclose(blind.table[list(VISIBLE)], evidence.table[list(VISIBLE)])
