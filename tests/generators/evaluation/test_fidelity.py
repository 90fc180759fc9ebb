from __future__ import annotations

import numpy as np
import pytest
from fixtures.shop_logs import renamed, shop_log
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, spearmanr

from eventlog import EventLog, InputError
from generators.evaluation import fidelity
from generators.evaluation.align import align_logs, ngrams
from generators.evaluation.detection import detect
from generators.evaluation.distances import js, ks
from generators.evaluation.measures import MEASURES
from generators.evaluation.sdmetrics_scores import by_column

counts = hnp.arrays(np.int64, st.integers(2, 12), elements=st.integers(0, 50))
samples = hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-5, 5).map(float))


@pytest.fixture(scope="module")
def real() -> EventLog:
    return shop_log(seed=0)


@pytest.fixture(scope="module")
def other() -> EventLog:
    return shop_log(seed=1, prefix="v")


@given(counts, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_js_equals_scipy_and_is_symmetric(p, random):
    q = np.array(random.sample(p.tolist(), len(p)))
    if p.sum() == 0:
        assert js(p, q) == 0.0
        return
    assert js(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert js(p, q) == pytest.approx(js(q, p), abs=1e-12)
    assert js(p, 7 * p) == pytest.approx(0.0, abs=1e-12)


def test_js_of_disjoint_and_of_empty_is_one():
    assert js(np.array([3, 0]), np.array([0, 5])) == pytest.approx(1.0)
    assert js(np.array([0, 0]), np.array([0, 5])) == 1.0


@given(samples, samples)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:ks_2samp")
def test_ks_equals_scipy_and_ignores_monotone_changes(x, y):
    assert ks(x, y) == pytest.approx(ks_2samp(x, y).statistic, abs=1e-12)
    assert ks(np.exp(x), np.exp(y)) == pytest.approx(ks(x, y), abs=1e-12)


def test_ks_leaves_missing_out():
    assert ks(np.array([1.0, np.nan]), np.array([1.0])) == 0.0
    assert ks(np.array([np.nan]), np.array([1.0])) == 1.0
    assert np.isnan(ks(np.array([np.nan]), np.array([np.nan])))


def test_a_log_is_at_no_distance_from_itself(real):
    real = real.only_users(real.events["user_id"].cat.categories[:100])
    found = fidelity.measure(real, renamed(real, "x"), seed=3)
    assert set(found) <= set(MEASURES)
    for name, value in found.items():
        # sdmetrics scores two samples of rows
        slack = 0.05 if MEASURES[name].section == "columns" else 0.02
        assert MEASURES[name].distance(value) <= slack, name


def test_against_pandas_and_scipy(real, other):
    """The sequence measures, written again with groupby."""
    found = fidelity.measure(real, other, columns=False)

    def grams(log, n):
        event = log.events["event"].astype(str)
        parts = [event.groupby(log.events["user_id"].astype(str)).shift(-i) for i in range(n)]
        whole = np.all([p.notna() for p in parts], axis=0)
        return (
            parts[0][whole].str.cat([p[whole] for p in parts[1:]], sep=">") if n > 1 else event
        ).value_counts()

    for name, n in (("event_js", 1), ("bigram_js", 2), ("trigram_js", 3)):
        a, b = grams(real, n), grams(other, n)
        union = a.index.union(b.index)
        expected = (
            jensenshannon(a.reindex(union, fill_value=0), b.reindex(union, fill_value=0), base=2)
            ** 2
        )
        assert found[name] == pytest.approx(expected, abs=1e-9)

    def gaps(log):
        return (
            log.events["timestamp"]
            .groupby(log.events["user_id"].astype(str))
            .diff()
            .dt.total_seconds()
            .dropna()
        )

    assert found["gap_ks"] == pytest.approx(ks_2samp(gaps(real), gaps(other)).statistic)
    assert found["length_ks"] == pytest.approx(
        ks_2samp(
            *(log.events.groupby(log.events["user_id"].astype(str)).size() for log in (real, other))
        ).statistic
    )
    items = [log.events["item_id"].astype(object).dropna().value_counts() for log in (real, other)]
    union = items[0].index.union(items[1].index)
    assert found["item_spearman"] == pytest.approx(
        spearmanr(*(i.reindex(union, fill_value=0) for i in items)).statistic
    )
    fraud = [log.labels["event_id"].nunique() / len(log) for log in (real, other)]
    assert found["label_rate_gap"] == pytest.approx(abs(fraud[0] - fraud[1]) / max(fraud))


def test_the_order_of_users_does_not_matter(real, other):
    a, b = align_logs(real, other)
    shuffled = b.take(np.random.default_rng(0).permutation(b.n_users))
    rng = np.random.default_rng(0)
    one, two = (fidelity.measure_aligned(a, x, rng=rng, detect=False) for x in (b, shuffled))
    assert one == pytest.approx(two)


def test_each_measure_sees_what_it_is_for(real, other):
    """One thing is broken in an independent sample: the measure for it fails, and would have
    passed.
    """

    def broken(**columns):
        return EventLog(
            events=other.events.assign(**columns), labels=other.labels, manifest=other.manifest
        )

    rng = np.random.default_rng(0)
    n = len(other)
    day = other.events["timestamp"].dt.floor("D")
    cases = {
        "event_js": broken(event=other.events["event"].cat.rename_categories({"search": "login"})),
        "novel_transitions": broken(
            event=other.events["event"].cat.rename_categories({"search": "login"})
        ),
        "hour_js": broken(timestamp=day + (other.events["timestamp"] - day) / 3),
        "item_category_mismatch": broken(
            category=other.events["category"].to_numpy()[rng.permutation(n)]
        ),
        "item_price_mismatch": broken(price=other.events["price"] * 5),
        "price_ks": broken(price=other.events["price"] * 5),
        "label_rate_gap": EventLog(
            events=other.events, labels=other.labels.iloc[:3], manifest=other.manifest
        ),
        "repeat_rate_gap": broken(item_id=other.events["item_id"].to_numpy()[rng.permutation(n)]),
    }
    good = fidelity.measure(real, other, columns=False)
    base = fidelity.floor(real, shop_log(seed=2, prefix="w"), columns=False)
    for name, log in cases.items():
        rule = MEASURES[name]
        assert rule.distance(good[name]) <= rule.limit(base[name]), name
        assert rule.distance(fidelity.measure(real, log, columns=False)[name]) > rule.limit(
            base[name]
        ), name


def test_detection_by_a_classifier(real, other):
    swapped = other.events["event"].cat.rename_categories(
        {"refund": "purchase", "purchase": "refund"}
    )
    shifted = EventLog(events=other.events.assign(event=swapped))
    a, b, c = align_logs(real, other, shifted)
    assert fidelity.detection_auc(a, b, seed=0) < 0.65
    assert fidelity.detection_auc(a, c, seed=0) > 0.9
    assert fidelity.detection_auc(a, a, seed=0) == pytest.approx(0.5)


def test_detection_says_by_what_and_in_which_direction(real, other):
    many = other.events["event"].eq("refund").to_numpy()
    events = other.events.assign(
        event=other.events["event"].where(~many, "purchase"), price=-other.events["price"]
    )
    auc, by = detect(*align_logs(real, EventLog(events=events)), seed=0)
    assert auc > 0.9
    found = {t.name: t for t in by}
    assert sum(t.gain for t in by) == pytest.approx(1.0)
    assert [t.gain for t in by] == sorted((t.gain for t in by), reverse=True)
    first = by[0]
    assert first.name == "mean log price"  # a price below zero counts by its size and its sign
    assert first.auc == 0.0
    assert first.real == pytest.approx(-first.synthetic, rel=0.05)
    purchases = detect(
        *align_logs(real, EventLog(events=events.assign(price=other.events["price"]))), seed=0
    )[1]
    found = {t.name: t for t in purchases}
    assert found["share of purchase"].auc > 0.6
    assert found["share of purchase"].synthetic > found["share of purchase"].real


def test_compare_holds_an_independent_sample_to_its_floor(real, other):
    rows = fidelity.compare(real, other, shop_log(seed=2, prefix="w"), seed=1)
    failed = [r.name for r in rows if r.verdict == "fail"]
    assert len(failed) <= 2, failed  # 24 measures at 1.5 to 2 times a noisy floor
    assert {r.name for r in rows} == set(MEASURES)
    assert rows == fidelity.compare(real, other, shop_log(seed=2, prefix="w"), seed=1)


def test_where_nothing_could_fail_nothing_passes():
    rule = MEASURES["label_rate_gap"]
    assert rule.verdict(0.1, rule.limit(0.05)) == "pass"
    # twice that floor is more than there is
    assert rule.verdict(1.0, rule.limit(0.7, 0.8)) == "unsettled"
    assert MEASURES["detection_auc"].verdict(0.9, 0.5) == "unsettled"


def test_shapes_column_by_column(real, other):
    changed = other.events.assign(country="DE", price=other.events["price"] * 3, category=None)
    a, b, c = align_logs(real, EventLog(events=changed), other)
    found = {row["name"]: row for row in by_column(a, b, c)}
    present = real.events["country"].value_counts(normalize=True)
    assert found["country"]["shape"] == pytest.approx(present["DE"])
    assert found["price"]["shape"] == pytest.approx(
        1 - ks_2samp(real.events["price"].dropna(), changed["price"].dropna()).statistic
    )
    assert found["category"]["shape"] is None
    assert found["category"]["missing"][1] == 1.0
    assert all(row["floor"] > 0.8 for name, row in found.items() if name != "item_id")


def test_compare_without_holdout_uses_two_halves(real):
    rows = {
        r.name: r
        for r in fidelity.compare(
            real, shop_log(seed=1, prefix="v", rows=60), seed=1, columns=False
        )
    }
    assert rows["length_ks"].verdict == "fail"
    assert 0 < rows["length_ks"].floor < 0.5 < rows["length_ks"].value


def test_a_log_without_items_prices_sessions_labels():
    def bare(seed):
        log = shop_log(seed=seed, users=40)
        return EventLog(events=log.events[["event_id", "user_id", "timestamp", "event"]])

    found = fidelity.measure(bare(0), bare(1), columns=False)
    assert "bigram_js" in found
    assert not {"item_js", "price_ks", "label_rate_gap"} & set(found)


def test_one_user_of_one_row():
    log = shop_log(users=1, rows=0, seed=3)
    one = EventLog(events=log.events.iloc[:1])
    found = fidelity.measure(one, one, columns=False)
    assert found["event_js"] == 0.0
    assert all(np.isfinite(v) for v in found.values())


def test_ngrams_never_cross_users():
    (flat,) = align_logs(shop_log(users=30, rows=3, seed=5))
    for n in (1, 2, 3):
        assert len(ngrams(flat, n)[0]) == np.maximum(flat.lengths - n + 1, 0).sum()


def test_bad_input(real):
    empty = EventLog(events=real.events.iloc[:0])
    with pytest.raises(InputError, match="no events"):
        fidelity.measure(real, empty)
    twice = EventLog(events=real.events.assign(event_id=0))
    with pytest.raises(InputError, match="have the event_id of an earlier row, such as 0; give"):
        fidelity.measure(real, twice)


def test_rows_in_any_order_are_the_same_log(real, other):
    unique = EventLog(events=real.events.drop_duplicates(["user_id", "timestamp"]))
    mixed = EventLog(events=unique.events.sample(frac=1, random_state=0))
    (a, b), (c, d) = align_logs(unique, other), align_logs(mixed, other)
    for one, two in ((a, c), (b, d)):
        np.testing.assert_array_equal(one.offsets, two.offsets)
        np.testing.assert_array_equal(one.time, two.time)
        for name, codes in one.codes.items():
            np.testing.assert_array_equal(codes, two.codes[name], err_msg=name)
