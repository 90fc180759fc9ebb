"""What codes say of numbers is learnt, and the rest is as large as it is for new users."""

from __future__ import annotations

import numpy as np
import torch

from generators.ridge import CodeRidge

SIZES = [3, 40, 500]  # the last has too many codes to count


def users(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return attributes (n, 3) and numbers (n, 2), of which the first attribute decides a part."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(size, size=n) for size in SIZES], 1)
    numbers = np.array([[4.0, 0.0], [5.0, 1.0], [6.0, -1.0]])[codes[:, 0]]
    return codes, numbers + rng.normal(0, 0.5, numbers.shape)


def test_means_are_those_of_new_users() -> None:
    means, _ = CodeRidge.learn(*_sized(users(600, 0)), seed=0)
    codes, numbers = users(600, 1)
    error = numbers - means.of(torch.from_numpy(codes)).numpy()
    assert np.abs(error.mean(0)).max() < 0.1
    assert np.allclose(error.std(0), 0.5, atol=0.05)


def test_the_rest_is_as_large_as_that_of_new_users() -> None:
    """Of 60 users 43 codes would explain most of what is chance."""
    _, rest = CodeRidge.learn(*_sized(users(60, 2)), seed=0)
    assert (rest.std(0) > 0.45).all()


def test_few_users_and_no_numbers_are_no_special_case() -> None:
    codes, numbers = users(2, 3)
    means, rest = CodeRidge.learn(codes, SIZES, numbers, seed=0)
    assert rest.shape == (2, 2)
    assert means.of(torch.from_numpy(codes)).shape == (2, 2)
    means, rest = CodeRidge.learn(codes, SIZES, numbers[:, :0], seed=0)
    assert means.of(torch.from_numpy(codes)).shape == rest.shape == (2, 0)


def test_means_are_the_same_after_saving() -> None:
    means, _ = CodeRidge.learn(*_sized(users(60, 4)), seed=0)
    again = CodeRidge.restored(means.state("m"), "m", SIZES, 2)
    codes = torch.from_numpy(users(10, 5)[0])
    assert torch.equal(means.of(codes), again.of(codes))


def _sized(made: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, list[int], np.ndarray]:
    return made[0], SIZES, made[1]
