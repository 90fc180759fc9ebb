"""CoLES: slices are pieces of one user's known rows, and the loss pulls them together."""

import numpy as np
import torch

from baselines.models.sequence.coles import SLICES, _slices, contrastive_loss


def test_slices_are_runs_of_one_users_rows() -> None:
    rng = np.random.default_rng(0)
    start, count = np.array([0, 40, 43, 90]), np.array([30, 3, 47, 1])
    for _ in range(20):
        batch = _slices(start, count, 12, 60, rng)
        for rows, size, user in zip(batch.rows, batch.length, batch.query, strict=True):
            assert (rows[size:] == -1).all() and size <= 12
            assert (np.diff(rows[:size]) == 1).all()
            assert start[user] <= rows[0] and rows[size - 1] < start[user] + count[user]
        assert (np.bincount(batch.query)[np.unique(batch.query)] == SLICES).all()


def test_the_loss_is_the_sum_over_pairs() -> None:
    torch.manual_seed(0)
    embedding = torch.nn.functional.normalize(torch.randn(6, 4), dim=-1)
    user = torch.tensor([0, 0, 1, 1, 2, 2])
    x = embedding.double().numpy()
    far = np.linalg.norm(x[:, None] - x[None], axis=-1)
    same = user.numpy()[:, None] == user.numpy()
    pulled = np.mean([far[i, j] ** 2 for i in range(6) for j in range(6) if same[i, j] and i != j])
    pushed = [max(0.5 - d, 0) ** 2 for i in range(6) for d in sorted([*far[i][~same[i]], 2.0])[:5]]
    expected = pulled + np.mean(pushed)
    np.testing.assert_allclose(float(contrastive_loss(embedding, user)), expected, rtol=1e-4)


def test_equal_users_and_different_strangers_cost_nothing() -> None:
    embedding = torch.eye(3).repeat_interleave(2, dim=0)
    user = torch.arange(3).repeat_interleave(2)
    assert float(contrastive_loss(embedding, user)) < 1e-6
