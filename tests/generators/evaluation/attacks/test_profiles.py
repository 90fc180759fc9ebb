from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from generators.evaluation.align import align_logs
from generators.evaluation.attacks import profiles


def test_nearest_profile_equals_a_loop(real, holdout):
    a, b = (profiles.profiles(f) for f in align_logs(real, holdout))
    a, b = a.sample(12, np.random.default_rng(0)), b.sample(20, np.random.default_rng(1))
    (found,) = profiles.nearest(a, b, [np.ones(len(a.names), dtype=bool)])
    span = np.nanmax(b.values, axis=0) - np.nanmin(b.values, axis=0)

    def gower(x, y):
        total = 0.0
        for j, categorical in enumerate(a.categorical):
            missing = np.isnan(x[j]), np.isnan(y[j])
            if categorical or any(missing):
                total += float(x[j] != y[j]) if not all(missing) else 0.0
            else:
                total += abs(x[j] - y[j]) / (span[j] or 1.0)
        return total

    for i in range(12):
        distance = [gower(a.values[i], b.values[k]) for k in range(20)]
        assert distance[found[i]] == pytest.approx(min(distance), abs=1e-4)


def test_the_nearest_profile_equals_scikit_learns_on_one_hot_columns(real, holdout):
    a, b = (profiles.profiles(log) for log in align_logs(real, holdout))
    mask = ~np.isnan(np.concatenate([a.values, b.values])).any(axis=0)
    columns = [[], []]
    for j in np.flatnonzero(mask):
        levels = np.unique(np.concatenate([a.values[:, j], b.values[:, j]]))
        low, span = b.values[:, j].min(), np.ptp(b.values[:, j]) or 1.0
        for side, p in zip(columns, (a, b), strict=True):
            value = p.values[:, j, None]
            side.append((value == levels) / 2 if a.categorical[j] else (value - low) / span)
    ours, theirs = (np.concatenate(side, axis=1) for side in columns)
    search = NearestNeighbors(n_neighbors=1, metric="manhattan", algorithm="brute").fit(theirs)
    distance = np.empty(len(a), dtype=np.float32)
    profiles.nearest(a, b, [mask], distance)
    assert distance == pytest.approx(search.kneighbors(ours)[0][:, 0], abs=1e-4)
