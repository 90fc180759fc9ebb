from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from generators.evaluation.align import align_logs
from generators.evaluation.attacks import similarity


def test_windows_equal_a_loop(real):
    (flat,) = align_logs(real)
    flat = flat.take(np.arange(8))
    code, user = similarity.windows(flat, 4)
    rows = list(zip(flat.codes["event"].tolist(), flat.codes["item_id"].tolist(), strict=True))
    expected = [
        (u, tuple(rows[i : i + 4]))
        for u in range(8)
        for i in range(flat.offsets[u], flat.offsets[u + 1] - 3)
        if len({r[1] for r in rows[i : i + 4]} - {-1}) >= 2
    ]
    assert user.tolist() == [u for u, _ in expected]
    assert len(np.unique(code)) == len({run for _, run in expected})
    near = similarity.windows(flat, 4, near=True)[0].reshape(4, -1)
    i, j = 0, 1
    differ = sum(a != b for a, b in zip(expected[i][1], expected[j][1], strict=True))
    assert (near[:, i] == near[:, j]).any() == (differ <= 1)


def test_closest_is_one_for_a_copy_whatever_the_order(real, holdout):
    a, c = align_logs(real, holdout)
    shuffled = a.take(np.random.default_rng(0).permutation(a.n_users))
    assert similarity.closest(a, shuffled) == pytest.approx(np.ones(a.n_users), abs=1e-6)
    assert similarity.closest(c, a).max() < 0.9


def test_closest_equals_scikit_learns_nearest_neighbours(real, holdout, monkeypatch):
    """scikit-learn normalises the rows again; their length is the share inside the vocabulary."""
    matrices, plain = [], similarity._unit_rows
    monkeypatch.setattr(
        similarity, "_unit_rows", lambda *given: matrices.append(plain(*given)) or matrices[-1]
    )
    a, b = align_logs(real, holdout)
    users = a.take(np.arange(20))
    found = similarity.closest(users, b.join(a.take(np.arange(10))))
    theirs, ours = matrices
    nearest = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(theirs)
    length = np.sqrt(ours.multiply(ours).sum(axis=1)).A1
    assert found == pytest.approx((1 - nearest.kneighbors(ours)[0][:, 0]) * length, abs=1e-9)
