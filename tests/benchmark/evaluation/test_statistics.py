"""Tests and intervals hold on tables whose truth is known; `experiments/known_tables.py` has more.

Bounds are two standard errors of the simulation around what is claimed: 5 % false findings at most,
95 % coverage.
"""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.known_tables import known_table
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.evaluation import metrics, statistics
from benchmark.evaluation.statistics import Comparison, Fits

EQUAL = np.zeros(8)
UNEQUAL_SEEDS = np.array([0.03] * 4 + [0.15] * 4)


def compared(truth: np.ndarray, rng: np.random.Generator, **how: object) -> Comparison:
    return Comparison(known_table(truth, rng, **how), rng)  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("seed_sd", [0.08, UNEQUAL_SEEDS], ids=["like", "unlike"])
def test_eight_equal_models_are_seldom_told_apart_and_intervals_cover(
    seeds: int, seed_sd: np.ndarray | float
) -> None:
    rng = np.random.default_rng(seeds)
    tables, false, covered, difference = 300, 0, [], []
    for _ in range(tables):
        found = compared(EQUAL, rng, seeds=seeds, seed_sd=seed_sd)
        names = statistics.tiers(found.names, statistics.findings(found.p(found.pairs())))
        false += max(names.values()) > 1
        covered += [low <= 0 <= high for low, high in map(found.interval, found.names)]
        _, low, high = found.difference("0", "7")
        difference.append(low <= 0 <= high)
    assert false / tables <= 0.07
    assert 0.93 <= np.mean(covered) <= 0.97
    assert 0.93 <= np.mean(difference) <= 0.985


def test_users_alone_give_false_findings_where_seeds_matter() -> None:
    """What the correction is for: each seed taken as the model, a quarter of tables is wrong."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        fits = known_table(EQUAL, rng, seeds=1, seed_sd=0.15)
        found = Comparison({n: f._replace(fixed=True) for n, f in fits.items()}, rng)
        false += bool(statistics.findings(found.p(found.pairs())))
    assert false / 200 > 0.25


def test_of_one_fit_nothing_is_known_of_others() -> None:
    found = compared(EQUAL, np.random.default_rng(0), seeds=1, seed_sd=0.1)
    assert found.unknown.all()


def test_one_fit_has_the_variance_of_its_family() -> None:
    rng = np.random.default_rng(0)
    fits = known_table(EQUAL, rng, seeds=5, seed_sd=0.5)
    fits["one"] = Fits(fits["0"].values[:1], fits["0"].replicates[:1], "sequence")
    found = Comparison(fits, rng)
    assert not found.unknown.any()
    low, high = found.interval("one")
    narrow = found.interval("0")
    assert high - low > 1.3 * (narrow[1] - narrow[0])


def test_fits_that_agree_to_the_bit_have_no_variance_between_them() -> None:
    rng = np.random.default_rng(0)
    noisy = known_table(EQUAL[:3], rng, seeds=3, seed_sd=0.5)
    same = Fits(np.full(3, 0.2), np.repeat(noisy["0"].replicates[:1], 3, axis=0), "sequence")
    found = Comparison({**noisy, "same": same}, rng)
    assert found.between[found.at["same"]] == 0
    assert (found.between[:3] > 0).all()
    assert found.drawn("same") == pytest.approx(same.replicates[0])


def test_a_clearly_worse_model_is_found_and_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.0, 0.0, 0.0, -0.6])
    hits = 0
    for _ in range(50):
        found = compared(truth, rng, seeds=3, seed_sd=0.08)
        tiers = statistics.tiers(found.names, statistics.findings(found.p(found.pairs())))
        hits += tiers["3"] > 1
    assert hits >= 48
    fits = known_table(truth, rng, seeds=3, seed_sd=0.0)
    one, two = (
        Comparison(f, np.random.default_rng(0)) for f in (fits, dict(reversed(fits.items())))
    )
    assert statistics.findings(one.p(one.pairs())) == statistics.findings(two.p(two.pairs()))


def test_identical_models_tie() -> None:
    fit = known_table(EQUAL[:1], np.random.default_rng(0), seeds=3, seed_sd=0.1)["0"]
    found = Comparison({"a": fit, "b": fit._replace(family="other")}, np.random.default_rng(0))
    assert found.value[0] == found.value[1]
    assert found.p([("a", "b")]) == {("a", "b"): 1.0}


def test_with_few_positives_intervals_still_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """PR-AUC with 20 positives: plain percentiles cover 92 %."""
    monkeypatch.setattr(metrics, "RESAMPLES", 200)
    rng = np.random.default_rng(0)
    true = 0.194  # of 2,000,000 questions
    covered = []
    for _ in range(120):
        label = (rng.random(1_000) < 0.02).astype(float)
        score = rng.normal(size=1_000) + 1.5 * label
        made = metrics.binary_metrics(
            1 / (1 + np.exp(-score)), label, np.arange(1_000), names=["pr_auc"]
        )
        fits = Fits(np.array([made.values["pr_auc"]]), made.replicates["pr_auc"][None], fixed=True)
        low, high = Comparison({"a": fits}, rng, counts=int(label.sum())).interval("a")
        assert 0 <= low <= high <= 1
        covered.append(low <= true <= high)
    assert np.mean(covered) >= 0.93


def test_widening_is_that_of_a_t_distribution() -> None:
    assert statistics.widening(None) == 1
    assert statistics.widening(10_000) == pytest.approx(1, abs=1e-3)
    assert statistics.widening(20) == pytest.approx(2.093 / 1.96 * (20 / 19) ** 0.5, abs=1e-3)


@settings(max_examples=50)
@given(st.lists(st.floats(-6, 6), min_size=1, max_size=8), st.integers(0, 1000))
def test_step_down_keeps_the_order_and_is_no_smaller_than_one_test(
    t: list[float], seed: int
) -> None:
    drawn = np.abs(np.random.default_rng(seed).normal(size=(len(t), 200)))
    p = statistics.step_down(np.array(t), drawn)
    order = np.argsort(-np.abs(t), kind="stable")
    assert (np.diff(np.array(p)[order]) >= 0).all()
    alone = [(1 + (row >= abs(value)).sum()) / 201 for value, row in zip(t, drawn, strict=True)]
    assert all(corrected >= raw for corrected, raw in zip(p, alone, strict=True))
    assert min(p) >= 1 / 201


def test_step_down_equals_the_procedure_done_by_hand() -> None:
    """Step by step, each time against the largest of what is left."""
    rng = np.random.default_rng(0)
    drawn = np.abs(rng.normal(size=(5, 300)))
    t = np.array([3.5, 0.4, -2.2, 2.1, 1.0])
    left, expected, last = list(range(5)), {}, 0.0
    while left:
        top = max(left, key=lambda i: abs(t[i]))
        last = max(last, (1 + (drawn[left].max(axis=0) >= abs(t[top])).sum()) / 301)
        expected[top] = last
        left.remove(top)
    assert statistics.step_down(t, drawn) == pytest.approx([expected[i] for i in range(5)])
    assert statistics.step_down(np.zeros(0), np.zeros((0, 10))) == []


PAIRS = st.sets(
    st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] < pair[1])
)


@given(PAIRS)
def test_tiers_and_rank_intervals_never_contradict(found: set[tuple[int, int]]) -> None:
    """A row whose ranks are [8, 8] is not in tier 1: tier 1 is where rank 1 is open."""
    names = list("abcdefgh")
    shown = statistics.closed({(names[i], names[j]) for i, j in found})
    tiers, ranks = statistics.tiers(names, shown), statistics.rank_intervals(names, shown)
    assert set(tiers) == set(names)
    for name in names:
        low, high = ranks[name]
        assert 1 <= low <= high <= 8
        assert (tiers[name] == 1) == (low == 1)
        assert tiers[name] <= low
    assert all(tiers[better] < tiers[worse] for better, worse in shown)


def test_bars_join_neighbours_that_are_not_told_apart() -> None:
    shown = {("a", "c"), ("a", "d"), ("b", "d")}
    assert statistics.cliques(["a", "b", "c", "d"], shown) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert statistics.cliques(["a", "b"], {("a", "b")}) == []


def test_an_interval_of_nothing_is_nan() -> None:
    assert np.isnan(statistics.interval(np.array([np.nan, np.nan]))).all()
    assert Comparison({}, np.random.default_rng(0)).names == []


@pytest.mark.parametrize(
    ("p", "text"), [(0.000999, "< 0.001"), (1 / 1001, "< 0.001"), (0.001, "0.001"), (1.0, "1.000")]
)
def test_a_p_below_the_resolution_says_so(p: float, text: str) -> None:
    assert statistics.printed(p) == text
