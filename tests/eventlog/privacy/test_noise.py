"""Noise for differential privacy: secret streams, the grid, what users draw alone, and what a
Gaussian costs.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from eventlog.privacy.noise import (
    UserStreams,
    add_gaussian,
    add_geometric,
    default_delta,
    gaussian_epsilon,
    grid_of,
    mu_of,
    new_secret,
    seeded_secret,
    stream,
)


def test_streams_differ_by_secret_and_purpose_and_repeat_by_both() -> None:
    one, two = seeded_secret(1), seeded_secret(2)
    draws = [
        stream(*key).random(4).tolist()
        for key in ((one, "a"), (one, "b"), (two, "a"), (one, "a", 1), (one, "a"))
    ]
    assert draws[0] == draws[4]
    assert len({tuple(d) for d in draws}) == 4
    assert new_secret() != new_secret()
    assert len(new_secret()) == 32
    assert type(stream(one, "a").bit_generator).__name__ == "ChaCha"


def test_noise_is_whole_on_counts_and_lies_on_a_grid_independent_of_the_numbers() -> None:
    rng = stream(seeded_secret(3), "test")
    counts = add_gaussian(np.arange(50_000) % 7, sd=12.0, rng=rng)
    assert (counts == np.rint(counts)).all()
    sd = 0.37
    grid = grid_of(sd)
    real = add_gaussian(np.full(50_000, np.pi), sd=sd, rng=rng)
    assert (real / grid == np.rint(real / grid)).all()
    assert sd / grid >= 2**20
    assert kstest((real - np.pi) / sd, norm.cdf).pvalue > 1e-3


@given(st.integers(1, 10_000), st.floats(0.01, 5))
@settings(max_examples=30, deadline=None)
def test_a_geometric_count_is_whole_and_near(count: int, epsilon: float) -> None:
    noisy = [
        add_geometric(count, epsilon=epsilon, rng=stream(seeded_secret(k), "n")) for k in range(20)
    ]
    assert all(isinstance(n, int) for n in noisy)
    assert abs(float(np.median(noisy)) - count) <= 8 / epsilon


def test_neighbouring_geometric_counts_have_odds_of_e_to_the_epsilon() -> None:
    rng, epsilon = stream(seeded_secret(5), "odds"), 0.7
    one, two = (
        np.array([add_geometric(n, epsilon=epsilon, rng=rng) for _ in range(40_000)])
        for n in (10, 11)
    )
    for value in (9, 10, 11, 12):
        assert abs(np.log((one == value).mean() / (two == value).mean())) < epsilon + 0.1


@given(
    st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=30, unique=True),
    st.integers(0, 2**31),
    st.floats(0.01, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_what_a_user_draws_depends_on_nobody_else(ids: list[str], seed: int, rate: float) -> None:
    secret, steps = seeded_secret(seed), 40
    everyone, others = UserStreams(secret, ids, "p"), UserStreams(secret, ids[1:], "p")
    rest = np.arange(len(ids) - 1)
    assert (everyone.normal(rest + 1, 3, 7) == others.normal(rest, 3, 7)).all()
    assert (everyone.uniform(rest + 1, 3, 5) == everyone.uniform(rest + 1, 3, 7)[:, :5]).all(), (
        "a longer draw begins like a shorter one"
    )
    with_, without = everyone.poisson_batches(rate, steps), others.poisson_batches(rate, steps)
    assert len(with_) == len(without) == steps
    for a, b in zip(with_, without, strict=True):
        assert (np.diff(a) > 0).all()
        assert set(a.tolist()) - {0} == {u + 1 for u in b.tolist()}


def test_poisson_batches_are_independent_coin_flips() -> None:
    streams = UserStreams(seeded_secret(1), [f"u{k}" for k in range(3_000)], "batches")
    for rate, steps in ((0.02, 400), (0.3, 50)):
        batches = streams.poisson_batches(rate, steps)
        sizes = np.array([len(b) for b in batches])
        assert sizes.mean() == pytest.approx(3_000 * rate, rel=0.03)
        assert sizes.std() == pytest.approx(np.sqrt(3_000 * rate * (1 - rate)), rel=0.25)
        often = np.bincount(np.concatenate(batches), minlength=3_000)
        assert often.var() == pytest.approx(steps * rate * (1 - rate), rel=0.1)
    assert all(len(b) == 3_000 for b in streams.poisson_batches(1.0, 3))


def test_users_numbers_are_uniform_and_uncorrelated() -> None:
    streams = UserStreams(seeded_secret(9), [f"u{k}" for k in range(2_000)], "p")
    drawn = streams.uniform(np.arange(2_000), 0, 10)
    assert kstest(drawn.ravel(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T) - np.eye(10)).max() < 0.1
    assert ((drawn > 0) & (drawn < 1)).all()


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-3])
def test_mu_is_the_inverse_of_epsilon_and_agrees_with_an_independent_accountant(
    epsilon: float, delta: float
) -> None:
    import dp_accounting as dp
    from dp_accounting.pld import PLDAccountant

    mu = mu_of(epsilon, delta)
    assert gaussian_epsilon(mu, delta) == pytest.approx(epsilon, rel=1e-4)
    assert gaussian_epsilon(mu, delta) <= epsilon
    accountant = PLDAccountant(
        dp.NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=1e-4
    )
    accountant.compose(dp.GaussianDpEvent(1 / mu))
    assert accountant.get_epsilon(delta) == pytest.approx(epsilon, rel=5e-3)


def test_the_default_delta_is_far_below_one_in_the_number_of_users() -> None:
    assert default_delta(150) == 1e-6
    assert default_delta(1_000_000) == pytest.approx(1e-9)
    for users in (1, 10, 10**4, 10**5, 10**8):
        assert users * default_delta(users) < 0.011
