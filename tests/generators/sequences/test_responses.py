"""The regression of arms and responses, against scikit-learn; joining the offers of parts."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from generators.sequences.responses import fit_logistic
from generators.sequences.sampled import Row, Sampled, joined


def test_weights_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 3))
    y = (rng.random(2000) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, 0.0] - 1)))).astype(float)
    weights, own = fit_logistic(x, y, ridge=np.full(3, 2.0))
    theirs = LogisticRegression(C=0.5, tol=1e-10).fit(x, y)
    np.testing.assert_allclose(weights, theirs.coef_[0], atol=1e-4)
    np.testing.assert_allclose(own, theirs.intercept_, atol=1e-4)


def test_groups_have_their_own_level() -> None:
    rng = np.random.default_rng(2)
    group, x = rng.integers(0, 2, 20_000), rng.normal(size=(20_000, 1))
    y = (rng.random(20_000) < np.where(group == 1, 0.4, 0.1)).astype(float)
    _, own = fit_logistic(x, y, group=group, groups=2)
    np.testing.assert_allclose(1 / (1 + np.exp(-own)), [0.1, 0.4], atol=0.02)


def test_offers_stay_with_their_users_when_parts_are_joined() -> None:
    def part(users: int, times: list[int]) -> Sampled:
        none, code = torch.zeros((users, 0), dtype=torch.int64), torch.arange(users)
        row = dict.fromkeys(Row.__dataclass_fields__, code) | {"values": none, "rest": none}
        offers = torch.tensor([[u, 0, time, 0, 1] for u, time in enumerate(times)])
        return Sampled(code, Row(**row), none, code, offers)

    parts = [part(2, [10, 11]), part(3, [20, 21, 22])]
    assert joined(parts).offers[:, :3].tolist() == [
        [0, 0, 10],
        [1, 0, 11],
        [2, 0, 20],
        [3, 0, 21],
        [4, 0, 22],
    ]
    shuffled = joined(parts, torch.tensor([4, 0, 1, 3, 2]))
    assert shuffled.offers[:, [0, 2]].tolist() == [[0, 11], [1, 20], [2, 22], [3, 21], [4, 10]]
