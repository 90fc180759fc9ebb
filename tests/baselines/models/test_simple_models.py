"""The models without sequences of gradients: what every one must hold, and each against its
definition.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.base import Model
from baselines.models.bgnbd import BGNBD, expected_purchases, log_likelihood
from baselines.models.ease import EASE
from baselines.models.itemknn import ItemKNN
from baselines.models.markov import Markov
from baselines.models.popularity import Popularity
from baselines.models.recency import Recency
from baselines.models.session_knn import SessionKNN
from eventlog import EventLog
from eventlog._runtime.plugins import load
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder
from eventlog.split import leave_one_out

NEXT_ITEM = (
    "popularity",
    "recent_popularity",
    "markov",
    "markov_repeats",
    "itemknn",
    "ease",
    "session_knn",
)
BINARY = (
    "base_rate",
    "recency",
    "amount",
    "bgnbd",
    "survival",
    "logistic",
    "mlp",
    "lightgbm",
    "lightgbm_order",
    "label_propagation",
)


def make(name: str) -> Model:
    model = load("baselines.models", name, Model, kind="model")()
    assert ("next_item" in model.kinds) == (name in NEXT_ITEM)
    return model


def items_of(log: EventLog) -> tuple[Encoder, Examples, Queries]:
    """Next-item: the last but one row of each user to learn from, the last to ask for."""
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    known = leave_one_out(sequences, back=2)
    return (
        encoder,
        Examples(sequences, known, sequences.columns["item"][known.end]),
        leave_one_out(sequences),
    )


def churn_of(log: EventLog, share: float = 0.6) -> tuple[Encoder, Examples, Queries]:
    """Who does not buy in the days after an instant; asked again later."""
    encoder = Encoder.fit(log)
    sequences = encoder.encode(log)
    horizon = 10 * DAY_MS
    user = np.arange(len(sequences))
    bought = sequences.role == "purchase"
    asked = []
    for at in (share, share + 0.2):
        time = np.full(len(user), log.time_at(at).value // 1_000_000)
        end = sequences.rows_before(user, time)
        until = sequences.rows_before(user, time + horizon)
        target = np.array(
            [0.0 if bought[a:b].any() else 1.0 for a, b in zip(end, until, strict=True)],
            dtype=np.float32,
        )
        asked.append(Examples(sequences, Queries(user, end, time), target))
    return encoder, asked[0], asked[1].queries


def fitted(name: str, log: EventLog, seed: int = 0) -> tuple[Model, Sequences, Queries]:
    encoder, train, queries = (items_of if name in NEXT_ITEM else churn_of)(log)
    model = make(name)
    model.fit(train, None, encoder=encoder, seed=seed)
    return model, train.sequences, queries


@pytest.mark.parametrize("name", [*NEXT_ITEM, *BINARY])
class TestEveryModel:
    def test_scores_have_the_promised_shape_and_are_finite(
        self, name: str, small_log: EventLog
    ) -> None:
        model, sequences, queries = fitted(name, small_log)
        scores = model.score(sequences, queries)
        assert np.isfinite(scores).all()
        if name in NEXT_ITEM:
            assert scores.shape == (len(queries), small_log.events["item_id"].nunique() + FIRST)
            assert scores.dtype == np.float32
        else:
            assert scores.shape == (len(queries),)
            assert ((scores >= 0) & (scores <= 1)).all()
        assert model.n_parameters() >= 0
        assert model.score(sequences, queries[:0]).shape[0] == 0

    def test_same_seed_same_scores(self, name: str, small_log: EventLog) -> None:
        (a, sequences, queries), (b, _, _) = fitted(name, small_log), fitted(name, small_log)
        assert np.array_equal(a.score(sequences, queries), b.score(sequences, queries))

    def test_a_model_that_says_so_draws_nothing(self, name: str, small_log: EventLog) -> None:
        (a, sequences, queries), (b, _, _) = fitted(name, small_log), fitted(name, small_log, 9)
        if not a.seeded:
            assert np.array_equal(a.score(sequences, queries), b.score(sequences, queries))

    def test_batches_change_nothing(self, name: str, small_log: EventLog) -> None:
        model, sequences, queries = fitted(name, small_log)
        order = np.random.default_rng(0).permutation(len(queries))
        parts = np.concatenate(
            [model.score(sequences, queries[part]) for part in np.array_split(order, 4)]
        )
        assert np.allclose(parts, model.score(sequences, queries)[order], atol=1e-6)

    def test_later_rows_are_not_read(self, name: str, small_log: EventLog) -> None:
        encoder, train, queries = (items_of if name in NEXT_ITEM else churn_of)(small_log)
        model = make(name)
        model.fit(train, None, encoder=encoder, seed=0)
        expected = model.score(train.sequences, queries)
        assert np.array_equal(model.score(spoilt(train.sequences, queries), queries), expected)
        model.fit(
            replace(train, sequences=spoilt(train.sequences, train.queries)),
            None,
            encoder=encoder,
            seed=0,
        )
        assert np.array_equal(model.score(train.sequences, queries), expected)

    def test_users_without_history_get_a_score(self, name: str, small_log: EventLog) -> None:
        model, sequences, queries = fitted(name, small_log)
        nothing = Queries(queries.user, sequences.offsets[queries.user], queries.time)
        scores = model.score(sequences, nothing)
        assert np.isfinite(scores).all()
        assert np.allclose(scores, scores[:1], atol=1e-6)

    def test_no_training_examples_and_a_log_without_rows(
        self, name: str, small_log: EventLog
    ) -> None:
        encoder, train, queries = (items_of if name in NEXT_ITEM else churn_of)(small_log)
        model = make(name)
        model.fit(
            Examples(train.sequences, train.queries[:0], train.target[:0]),
            None,
            encoder=encoder,
            seed=0,
        )
        assert np.isfinite(model.score(train.sequences, queries)).all()
        empty = train.sequences.select(np.zeros(train.sequences.n_rows, dtype=bool))
        fitted_model, _, _ = fitted(name, small_log)
        zero = np.zeros(3, dtype=np.int64)
        assert np.isfinite(
            fitted_model.score(empty, Queries(np.arange(3), zero, zero + queries.time[0]))
        ).all()


def spoilt(sequences: Sequences, queries: Queries) -> Sequences:
    """At and after each user's latest question: other items, prices and roles, and a much later
    time.
    """
    end = sequences.offsets[:-1].copy()
    np.maximum.at(end, queries.user, queries.end)
    later = np.arange(sequences.n_rows) >= end[sequences.row_user()]
    assert later.any()
    return replace(
        sequences,
        columns={k: np.where(later, v[::-1], v) for k, v in sequences.columns.items()},
        raw={k: np.where(later, v[::-1], v) for k, v in sequences.raw.items()},
        ids={k: np.where(later, -1, v) for k, v in sequences.ids.items()},
        role=np.where(later, "purchase", sequences.role).astype(object),
        time=np.where(later, sequences.time + 10_000 * DAY_MS, sequences.time),
    )


@pytest.mark.parametrize("answer", [0.0, 1.0])
@pytest.mark.parametrize("name", BINARY)
def test_one_class_only_gives_its_base_rate(name: str, answer: float, small_log: EventLog) -> None:
    encoder, train, queries = churn_of(small_log)
    model = make(name)
    model.fit(
        replace(train, target=np.full(len(train), answer, dtype=np.float32)),
        train,
        encoder=encoder,
        seed=0,
    )
    scores = model.score(train.sequences, queries)
    assert np.allclose(scores, scores[0])
    assert abs(scores[0] - answer) < 0.02


@pytest.mark.parametrize("name", ["logistic", "mlp", "lightgbm"])
def test_feature_models_find_a_strong_signal(name: str, small_log: EventLog) -> None:
    """Fraud where the order's device is new to the shop's user: half of the users to learn from,
    half to be tested on.
    """
    from sklearn.metrics import roc_auc_score

    encoder = Encoder.fit(small_log)
    sequences = encoder.encode(small_log)
    end = np.flatnonzero(sequences.role == "purchase") + 1
    queries = Queries(sequences.row_user()[end - 1], end, sequences.time[end - 1])
    target = (sequences.columns["new_device"][end - 1] > 0).astype(np.float32)
    learn = queries.user % 2 == 0
    train = Examples(sequences, queries[learn], target[learn])
    model = make(name)
    model.fit(train, None, encoder=encoder, seed=0)
    assert roc_auc_score(target[~learn], model.score(sequences, queries[~learn])) > 0.95
    # stops by itself
    model.fit(train, Examples(sequences, queries[~learn], target[~learn]), encoder=encoder, seed=0)
    assert roc_auc_score(target[~learn], model.score(sequences, queries[~learn])) > 0.95


# --- next item, against definitions ---------------------------------------------------------------


def next_item_data(lists: list[list[int]], n_items: int) -> tuple[Encoder, Examples, Queries]:
    """Users with these item codes; the last item is the answer to learn, and the question comes
    after it.
    """
    lengths = np.array([len(x) for x in lists])
    offsets = np.append(0, np.cumsum(lengths))
    flat = np.concatenate([np.array(x, dtype=np.int32) for x in lists])
    time = np.arange(len(flat), dtype=np.int64) * 60_000
    sequences = Sequences(
        offsets=offsets,
        users=np.array([f"u{k}" for k in range(len(lists))], dtype=object),
        time=time,
        event_id=np.arange(len(flat)),
        role=np.full(len(flat), "view", dtype=object),
        columns={"item": flat},
    )
    user = np.arange(len(lists))
    last = offsets[1:] - 1
    encoder = Encoder(vocabularies={"item_id": [str(k) for k in range(n_items)]})
    ask = Queries(user, offsets[1:], time[last] + 1)
    return encoder, Examples(sequences, Queries(user, last, time[last]), flat[last]), ask


LISTS = st.lists(
    st.lists(st.integers(FIRST, FIRST + 6), min_size=1, max_size=12), min_size=1, max_size=8
)


@settings(max_examples=40, deadline=None)
@given(lists=LISTS)
def test_markov_equals_its_definition(lists: list[list[int]]) -> None:
    encoder, train, ask = next_item_data(lists, 7)
    model = Markov()
    model.fit(train, encoder=encoder, seed=0)
    count = np.zeros((9, 9))
    for items in lists:
        for distance, weight in enumerate((1.0, 0.5, 0.33, 0.25), start=1):
            for a, b in zip(items, items[distance:], strict=False):
                count[a, b] += weight
    moves = count / np.maximum(count.sum(axis=1, keepdims=True), 1e-12)
    popular = np.bincount(np.concatenate(lists), minlength=9)
    expected = [
        sum(0.8**j * moves[i] for j, i in enumerate(items[::-1][:5]))
        + 1e-3 * popular / popular.max()
        for items in lists
    ]
    assert np.allclose(model.score(train.sequences, ask), np.array(expected), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(lists=LISTS)
def test_itemknn_and_ease_equal_their_definitions(lists: list[list[int]]) -> None:
    encoder, train, ask = next_item_data(lists, 7)
    taken = np.zeros((len(lists), 9))
    history = np.zeros((len(lists), 9))
    for u, items in enumerate(lists):
        taken[u, items] = 1
        for j, i in enumerate(items[::-1][:10]):
            history[u, i] += 0.8**j
    together = taken.T @ taken
    size = np.diag(together)
    cosine = together / (np.sqrt(np.outer(size, size)) + 10)
    np.fill_diagonal(cosine, 0)
    knn = ItemKNN(backoff=0)
    knn.fit(train, encoder=encoder, seed=0)
    assert np.allclose(knn.score(train.sequences, ask), history @ cosine, atol=1e-5)

    inverse = np.linalg.inv(together + 3 * np.eye(9))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    ease = EASE(penalty=3, backoff=0)
    ease.fit(train, encoder=encoder, seed=0)
    assert np.allclose(ease.score(train.sequences, ask), history @ weights, atol=1e-4)


def test_itemknn_keeps_only_the_nearest() -> None:
    encoder, train, _ = next_item_data([[2, 3, 4], [2, 3, 5], [2, 3]], 4)
    model = ItemKNN(neighbours=1, backoff=0)
    model.fit(train, encoder=encoder, seed=0)
    assert model.similar_[2].indices.tolist() == [3]
    assert (np.diff(model.similar_.indptr) <= 1).all()


def test_session_knn_votes_with_others_histories_only() -> None:
    encoder, train, ask = next_item_data([[2, 3, 4], [2, 3, 5], [6, 7]], 6)
    model = SessionKNN(backoff=0)
    model.fit(train, encoder=encoder, seed=0)
    scores = model.score(train.sequences, ask)
    assert scores[0, 5] > 0  # from the user with the same beginning
    assert scores[0, 4] == 0  # only in the user's own history
    assert (scores[2] == 0).all()


def test_popularity_counts_known_rows_and_forgets_old_ones() -> None:
    encoder, train, ask = next_item_data([[2, 2, 2, 3, 3]], 2)
    # rows are a minute apart
    plain, recent = Popularity(), Popularity(half_life_days=1 / (24 * 60))
    plain.fit(train, encoder=encoder, seed=0)
    recent.fit(train, encoder=encoder, seed=0)
    assert np.allclose(plain.score(train.sequences, ask)[0], [0, 0, 0.6, 0.4])
    old, new = 1 / 4 + 1 / 8 + 1 / 16, 1 + 1 / 2
    assert np.allclose(
        recent.score(train.sequences, ask)[0, 2:], np.array([old, new]) / (old + new)
    )


# --- churn ----------------------------------------------------------------------------------------


def test_recency_ranks_by_time_since_the_last_purchase(small_log: EventLog) -> None:
    encoder, train, queries = churn_of(small_log)
    last = {}
    for u in range(len(train.sequences)):
        rows = np.arange(train.sequences.offsets[u], queries.end[u])
        bought = rows[train.sequences.role[rows] == "purchase"]
        if len(bought):
            last[u] = train.sequences.time[bought[-1]]
    model = Recency()
    model.fit(train, encoder=encoder, seed=0)
    users = np.array(sorted(last))
    scores = model.score(train.sequences, queries[users])
    order = np.argsort([-last[u] for u in users], kind="stable")
    assert (np.diff(scores[order]) >= -1e-12).all() or (np.diff(scores[order]) <= 1e-12).all()


def simulate_bgnbd(
    n: int, parameters: tuple[float, float, float, float], age: float, horizon: float, seed: int
) -> pd.DataFrame:
    """Customers by the model's own story."""
    r, alpha, a, b = parameters
    rng = np.random.default_rng(seed)
    rows = []
    for rate, drop in zip(rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), strict=True):
        time, last, x, future = 0.0, 0.0, 0, 0
        while rng.random() >= (drop if time > 0 else 0):
            time += rng.exponential(1 / rate)
            if time > age + horizon:
                break
            if time <= age:
                x, last = x + 1, time
            else:
                future += 1
        rows.append((x, last, age, future))
    return pd.DataFrame(rows, columns=["x", "recency", "age", "future"])


def test_bgnbd_finds_the_parameters_of_its_own_story_and_expects_what_comes() -> None:
    truth = (0.8, 20.0, 0.9, 2.5)
    data = simulate_bgnbd(8_000, truth, age=200, horizon=60, seed=1)
    x, recency, age = (data[k].to_numpy(dtype=float) for k in ("x", "recency", "age"))
    found = BGNBD()._maximise(x, recency, age)
    assert np.allclose(found[0] / found[1], truth[0] / truth[1], rtol=0.1)
    assert np.allclose(
        found[2] / (found[2] + found[3]), truth[2] / (truth[2] + truth[3]), rtol=0.15
    )
    best, true = (log_likelihood(np.array(p), x, recency, age).sum() for p in (found, truth))
    assert best > true - 10  # the penalty costs next to nothing
    expected = expected_purchases(found, x, recency, age, horizon=60)
    assert expected.sum() == pytest.approx(data["future"].sum(), rel=0.08)
    for low, high in ((0, 0), (1, 3), (4, 99)):
        chosen = (x >= low) & (x <= high)
        assert expected[chosen].mean() == pytest.approx(data["future"][chosen].mean(), rel=0.2)


def test_bgnbd_likelihood_integrates_to_the_probability_of_no_repeat_order() -> None:
    """x = 0: the rate is gamma, so the chance of no order within T is (alpha / (alpha + T))^r."""
    got = log_likelihood(
        np.array([0.5, 10.0, 1.2, 2.0]), np.zeros(1), np.zeros(1), np.full(1, 30.0)
    )
    assert got[0] == pytest.approx(0.5 * np.log(10 / 40))
