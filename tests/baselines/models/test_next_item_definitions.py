"""The counting models for next items, each against its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.models.ease import EASE
from baselines.models.itemknn import ItemKNN
from baselines.models.markov import Markov
from baselines.models.popularity import Popularity
from baselines.models.session_knn import SessionKNN
from eventlog.arrays import FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder


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
