"""The regression of arms and responses; joining the offers of parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generators.sequences.responses import fit_logistic
from generators.sequences.sampled import Row, Sampled, joined


def test_each_weight_is_drawn_to_nothing_as_strongly_as_was_asked() -> None:
    """Against Newton's method with a penalty of its own for each weight."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 3))
    y = (rng.random(2000) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, 0.0] - 1)))).astype(float)
    ridge = np.array([0.1, 500.0, 2.0])
    full, penalty = np.hstack([np.ones((2000, 1)), x]), np.append(0.0, ridge)
    expected = np.zeros(4)
    for _ in range(30):
        chance = 1 / (1 + np.exp(-(full @ expected)))
        curve = (full.T * (chance * (1 - chance))) @ full + np.diag(penalty)
        expected += np.linalg.solve(curve, full.T @ (y - chance) - penalty * expected)
    weights, own = fit_logistic(x, y, ridge=ridge)
    np.testing.assert_allclose(np.append(own, weights), expected, atol=1e-4)


@pytest.mark.parametrize("y", [np.zeros(0), np.zeros(8), np.ones(8)])
def test_what_never_differs_depends_on_nothing(y: np.ndarray) -> None:
    weights, own = fit_logistic(np.ones((len(y), 2)), y, group=np.zeros(len(y), int), groups=2)
    assert (weights == 0).all() and len(own) == 2 and np.isfinite(own).all()


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
