from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from benchmark.evaluation import metrics, statistics
from benchmark.evaluation.metrics import BINARY, Curve, Weighted, rank_of


def naive_rank(scores: np.ndarray, target: int) -> float:
    """The mean place of the target over all orders of the tied items."""
    own = scores[target]
    return 1 + np.sum(scores > own) + (np.sum(scores == own) - 1) / 2


@given(st.integers(0, 10_000), st.integers(2, 12))
def test_rank_is_the_mean_over_ties(seed: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, size=(5, items)).astype(np.float32)
    target = rng.integers(0, items, size=5)
    assert rank_of(scores, target).tolist() == [
        naive_rank(s, t) for s, t in zip(scores, target, strict=True)
    ]


def test_an_unknown_target_or_a_nan_is_a_miss() -> None:
    rank = rank_of(np.array([[1.0, 2.0], [np.nan, 2.0]]), np.array([-1, 0]))
    assert np.isnan(rank).all()
    assert metrics.next_item_metrics(rank, np.array([0, 1])).values == {
        "ndcg@10": 0.0,
        "hr@10": 0.0,
        "mrr@10": 0.0,
    }


def test_constant_perfect_and_random_next_item() -> None:
    rng = np.random.default_rng(0)
    n, items = 2_000, 400
    target = rng.integers(0, items, n)
    constant = rank_of(np.zeros((n, items)), target)
    perfect = rank_of(np.eye(items)[target], target)
    chance = rank_of(rng.random((n, items)), target)
    user = np.arange(n)
    assert metrics.next_item_metrics(constant, user).values == {
        "ndcg@10": 0.0,
        "hr@10": 0.0,
        "mrr@10": 0.0,
    }
    assert metrics.next_item_metrics(perfect, user).values == {
        "ndcg@10": 1.0,
        "hr@10": 1.0,
        "mrr@10": 1.0,
    }
    place = np.arange(1, 11)
    assert metrics.next_item_metrics(chance, user).values == pytest.approx(
        {
            "hr@10": 10 / items,
            "ndcg@10": (1 / np.log2(1 + place)).sum() / items,
            "mrr@10": (1 / place).sum() / items,
        },
        abs=0.01,
    )


def test_ndcg_equals_sklearn() -> None:
    rng = np.random.default_rng(1)
    scores, target = rng.random((40, 30)), rng.integers(0, 30, 40)
    found = metrics.next_item_metrics(rank_of(scores, target), np.arange(40)).values["ndcg@10"]
    assert found == pytest.approx(sk.ndcg_score(np.eye(30)[target], scores, k=10))


def test_coverage_counts_the_items_that_are_shown() -> None:
    rng = np.random.default_rng(0)
    n, items = 50, 40
    target = np.full(n, 2, dtype=np.int32)
    constant, same, random = (
        np.zeros((n, items + 2)),
        np.tile(np.arange(items + 2.0), (n, 1)),
        rng.random((n, items + 2)),
    )
    for scores, shown in ((constant, 10), (same, 10), (random, items)):
        assert len(metrics.ranks(scores, target, items + 2)[1]) == shown


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_binary_metrics_equal_sklearn_with_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 80))
    score = np.round(rng.random(n), int(rng.integers(1, 4)))  # with ties
    label = (rng.random(n) < 0.4).astype(float)
    label[:2] = 0, 1
    w = rng.integers(0, 4, size=(3, n)).astype(float)
    w[:, :2] = 1
    on = Weighted(Curve.of(score, label), w)
    for row in range(3):
        fpr, tpr, _ = sk.roc_curve(label, score, sample_weight=w[row], drop_intermediate=False)
        expected = {
            "roc_auc": sk.roc_auc_score(label, score, sample_weight=w[row]),
            "pr_auc": sk.average_precision_score(label, score, sample_weight=w[row]),
            "pr_auc_returning": sk.average_precision_score(
                1 - label, 1 - score, sample_weight=w[row]
            ),
            "brier": sk.brier_score_loss(label, score, sample_weight=w[row]),
            "recall@1%fpr": tpr[fpr <= 0.01 + 1e-12].max(),
        }
        for name, value in expected.items():
            assert BINARY[name](on)[row] == pytest.approx(value, abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_lift_and_ece_equal_naive_forms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 10 * int(rng.integers(2, 8))
    # no ties: the top tenth is a set
    score, label = rng.permutation(n) / n, (rng.random(n) < 0.5).astype(float)
    label[0] = 1
    on = Weighted(Curve.of(score, label), np.ones((1, n)))
    top = np.argsort(-score)[: n // 10]
    assert BINARY["lift@10%"](on)[0] == pytest.approx(label[top].mean() / label.mean())
    bins = np.minimum((score * 10).astype(int), 9)
    gap = sum(
        abs(score[bins == b].mean() - label[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    )
    assert BINARY["ece"](on)[0] == pytest.approx(gap)


def test_constant_perfect_and_random_binary() -> None:
    rng = np.random.default_rng(1)
    label = (rng.random(4_000) < 0.1).astype(float)
    user = np.arange(len(label))
    names = tuple(BINARY)
    constant = metrics.binary_metrics(np.full(len(label), 0.3), label, user, names=names).values
    assert constant["roc_auc"] == 0.5
    assert constant["pr_auc"] == pytest.approx(label.mean())
    assert constant["recall@1%fpr"] == 0.0
    assert constant["lift@10%"] == pytest.approx(1.0)
    assert constant["pr_auc_returning"] == pytest.approx(1 - label.mean())
    assert constant["brier"] == pytest.approx(np.mean((0.3 - label) ** 2))
    assert constant["ece"] == pytest.approx(0.3 - label.mean())
    perfect = metrics.binary_metrics(label, label, user, names=names).values
    assert {
        n: round(perfect[n], 6)
        for n in ("roc_auc", "pr_auc", "pr_auc_returning", "recall@1%fpr", "brier", "ece")
    } == {
        "roc_auc": 1.0,
        "pr_auc": 1.0,
        "pr_auc_returning": 1.0,
        "recall@1%fpr": 1.0,
        "brier": 0.0,
        "ece": 0.0,
    }
    assert perfect["lift@10%"] == pytest.approx(min(10, 1 / label.mean()), rel=1e-6)
    chance = metrics.binary_metrics(
        np.random.default_rng(2).random(len(label)), label, user, names=names
    ).values
    assert chance["roc_auc"] == pytest.approx(0.5, abs=0.045)  # three standard errors
    assert chance["pr_auc"] == pytest.approx(label.mean(), abs=0.04)
    assert chance["pr_auc_returning"] == pytest.approx(1 - label.mean(), abs=0.04)
    assert chance["recall@1%fpr"] == pytest.approx(0.01, abs=0.02)
    assert chance["lift@10%"] == pytest.approx(1.0, abs=0.45)
    # E (u - y)^2 of a uniform u, whatever y
    assert chance["brier"] == pytest.approx(1 / 3, abs=0.03)
    assert set(names) == set(constant) == set(perfect) == set(chance)


def test_replicates_cover_the_value_and_keep_users_together() -> None:
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(50), 20)
    rank = np.where(rng.random(50) < 0.5, 1.0, np.nan)[user]  # a user's questions share their fate
    measured = metrics.next_item_metrics(rank, user)
    spread = measured.replicates["hr@10"].std()
    # that of 50 users, not of 1,000 questions
    assert spread == pytest.approx(0.5 / np.sqrt(50), rel=0.15)
    low, high = np.quantile(measured.replicates["hr@10"], (0.025, 0.975))
    assert low < measured.values["hr@10"] < high


@pytest.mark.parametrize("name", ["hr@10", "roc_auc"])
def test_intervals_cover_the_truth_as_often_as_they_say(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 logs of 120 users with one to seven questions each, correlated within a user: 95 %
    intervals hold the value of all users.
    """
    monkeypatch.setattr(metrics, "RESAMPLES", 200)

    def drawn(rng: np.random.Generator, users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        user = np.repeat(np.arange(users), rng.integers(1, 8, users))
        skill = rng.normal(0, 1, users)[user]
        label = (rng.random(len(user)) < 0.3).astype(float)
        return user, label, 1 / (1 + np.exp(-(label + skill + rng.normal(0, 1, len(user)))))

    user, label, score = drawn(np.random.default_rng(0), 40_000)
    truth = (score > 0.5).mean() if name == "hr@10" else sk.roc_auc_score(label, score)
    held = 0
    for seed in range(300):
        user, label, score = drawn(np.random.default_rng(1 + seed), 120)
        measured = (
            metrics.next_item_metrics(np.where(score > 0.5, 1.0, np.nan), user)
            if name == "hr@10"
            else metrics.binary_metrics(score, label, user, names=(name,))
        )
        low, high = statistics.interval(measured.replicates[name])
        held += low <= truth <= high
    assert 0.91 <= held / 300 <= 0.98


def test_resamples_do_not_depend_on_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(metrics.resamples(7)))
    monkeypatch.setattr("benchmark.evaluation.metrics.resampling.CHUNK", 7 * 13)
    assert np.array_equal(np.concatenate(list(metrics.resamples(7))), whole)
    assert whole.shape == (metrics.RESAMPLES, 7)
    assert (whole.sum(axis=1) == 7).all()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(3), "shape"),
        (np.array([0.1, np.nan]), "NaN"),
        (np.array([0.5, 1.5]), "0..1"),
        (np.zeros((2, 1)), "shape"),
    ],
)
def test_bad_scores_are_refused(scores: np.ndarray, message: str) -> None:
    with pytest.raises(metrics.BadScores, match=message):
        metrics.probabilities(scores, 2)


def naive_uplift(effect: np.ndarray, label: np.ndarray, treated: np.ndarray) -> tuple[float, float]:
    """Qini and AUUC threshold by threshold, in loops."""
    qini, auuc, x = [0.0], [0.0], [0.0]
    for threshold in sorted(set(effect.tolist()), reverse=True):
        best = effect >= threshold
        t, c = best & (treated == 1), best & (treated == 0)
        brought = label[t].sum() - (label[c].sum() * t.sum() / c.sum() if c.any() else 0.0)
        qini.append(brought / (treated == 1).sum())
        rate = (label[t].mean() - label[c].mean()) if t.any() and c.any() else 0.0
        x.append(best.mean())
        auuc.append(best.mean() * rate)

    def area(y: list[float]) -> float:
        return sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1))

    return area(qini) - qini[-1] / 2, area(auuc)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_qini_and_auuc_equal_naive_forms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 60))
    effect = np.round(rng.uniform(-1, 1, n), int(rng.integers(1, 3)))  # with ties
    label, treated = (rng.random(n) < 0.4).astype(float), (rng.random(n) < 0.5).astype(float)
    treated[:2] = 0, 1
    measured = metrics.uplift_metrics(effect, label, treated, np.arange(n))
    expected = naive_uplift(effect, label, treated)
    assert (measured.values["qini"], measured.values["auuc"]) == pytest.approx(expected, abs=1e-9)
    for name, values in measured.replicates.items():  # few users: they reach far
        low, high = metrics.RANGES[name]
        assert ((low <= values) & (values <= high) | np.isnan(values)).all()


def test_constant_perfect_and_random_uplift() -> None:
    rng = np.random.default_rng(0)
    n = 4_000
    # these buy if and only if treated; of the others one in five buys anyway
    moved = rng.random(n) < 0.3
    y0 = ~moved & (rng.random(n) < 0.2)
    treated = (rng.random(n) < 0.5).astype(float)
    label = np.where(treated == 1, moved | y0, y0).astype(float)
    user = np.arange(n)

    def values(effect: np.ndarray) -> dict[str, float]:
        return metrics.uplift_metrics(
            effect, label, treated, user, true_effect=moved.astype(float)
        ).values

    constant = values(np.full(n, 0.1))
    average = label[treated == 1].mean() - label[treated == 0].mean()
    assert constant == pytest.approx(
        {"qini": 0.0, "auuc": average / 2, metrics.TRUE_UPLIFT: moved.mean()}
    )
    perfect = values(moved.astype(float))
    assert perfect["qini"] == pytest.approx(0.3 * 0.7 / 2, abs=0.015)
    assert perfect[metrics.TRUE_UPLIFT] == pytest.approx(1.0)
    chance = values(rng.uniform(-1, 1, n))
    assert chance["qini"] == pytest.approx(0.0, abs=0.02)
    assert values(-moved.astype(float))["qini"] == pytest.approx(-perfect["qini"], abs=0.02)


def test_effects_beyond_one_are_refused() -> None:
    with pytest.raises(metrics.BadScores, match="differences of probabilities"):
        metrics.effects(np.array([0.5, 1.5]), 2)
