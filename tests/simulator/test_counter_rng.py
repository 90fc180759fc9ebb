"""Keyed draws against splitmix64 as it is written down."""

import numpy as np

from simulator.counter_rng import GAMMA, mixed, normal, uniform, uniforms

MASK = 2**64 - 1


def splitmix64(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_first_numbers_of_splitmix64():
    # of the reference implementation with seed 1234567 (Vigna, https://prng.di.unimi.it)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    values = np.array([1234567] * 3, dtype=np.uint64)
    steps = values + GAMMA * np.arange(1, 4, dtype=np.uint64)
    assert mixed(steps, np.uint64(0)).tolist() == expected


def test_arrays_of_draws_are_the_draws_one_by_one():
    key, numbers = np.uint64(2**63 + 5), np.array([0, 1, 7, 2**40])
    expected = [splitmix64((int(key) + int(GAMMA) * n) & MASK) for n in numbers.tolist()]
    found = uniforms(key, numbers)
    assert found.tolist() == [(z >> 11) * 2.0**-53 for z in expected]
    assert found.tolist() == [uniform(key, n) for n in numbers]


def test_normal_deviates_have_mean_0_and_sd_1():
    values = np.array([normal(np.uint64(9), 2 * k) for k in range(20_000)])
    assert abs(values.mean()) < 0.03
    assert abs(values.std() - 1) < 0.03
