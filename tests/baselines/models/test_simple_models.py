"""What every model without sequences of gradients must hold, and what simple models find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from baselines.base import Model
from baselines.models.recency import Recency
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
