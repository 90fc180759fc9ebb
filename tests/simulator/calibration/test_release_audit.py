"""What an attacker can show who knows everything but whether one user is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fixtures.dp_audit import epsilon_lower_bound
from fixtures.odd_user import IDS, with_odd_user
from fixtures.private_release import ask, bounded_sums, log_with

from eventlog.privacy.noise import seeded_secret
from simulator.calibration import private_release as released
from simulator.calibration.private_outline import DAYS, LABELS, NAMES
from simulator.calibration.statistics import BOUNDS


def test_the_bound_is_that_of_a_known_mechanism():
    """Randomised response with epsilon 2, and a mechanism that tells nothing."""
    rng, n = np.random.default_rng(0), 40_000
    honest = rng.random((2, n)) < 1 / (1 + math.exp(-2.0))
    found = epsilon_lower_bound(honest[0] * 1.0, 1.0 - honest[1], delta=0.0)
    assert 1.9 < found < 2.0
    assert epsilon_lower_bound(rng.random(n), rng.random(n), delta=0.0) < 0.2


class Fixed:
    """An answer whose bounded sum is known, drawn `times` over."""

    def __init__(self, sums, times):
        self.values, self.times = sums, times

    def sums(self, bound):
        return np.tile(self.values, self.times)


@pytest.mark.parametrize("at", list(IDS))
def test_the_audit_shows_less_than_is_claimed_and_more_where_the_noise_is_a_quarter(at):
    epsilon, delta, times = 1.0, 1e-6, 6_000
    log = log_with(users=400, orders="there", sessions="there", items=True)
    odd = with_odd_user(log, at=at, rows=1_000)
    items = log.items["item_id"].to_numpy()
    sd = {
        f"outline: {q}" if q == LABELS else q: v
        for q, v in ask(odd, epsilon=epsilon, delta=delta, items=items).sd.items()
        if q != NAMES
    }
    # Both steps at once: what the first one leads to, which decides the second, is equal in both.
    (before, _), (after, _) = (bounded_sums(x, set(log.roles.values()), items) for x in (log, odd))
    before[DAYS], after[DAYS] = before.pop("outline: days"), after.pop("outline: days")
    moved = {
        q: np.flatnonzero(after[q] != before[q]) for q in sd
    }  # elsewhere the worlds are the same
    reached = math.sqrt(sum((np.linalg.norm(after[q] - before[q]) / sd[q]) ** 2 for q in sd))
    most = math.sqrt(sum((({**BOUNDS, f"outline: {LABELS}": 1.0}[q]) / sd[q]) ** 2 for q in sd))
    assert (
        0.95 * most < reached <= most + 1e-9
    )  # a user as odd as can be: nearly every bound is reached

    def scores(sums, of_noise, of_world):
        noise = {q: s * of_noise for q, s in sd.items()}
        drawn = released.noisy_sums(
            {q: Fixed(sums[q][moved[q]], times) for q in sd},
            dict.fromkeys(sd, 1.0),
            noise,
            seeded_secret(of_world),
        )
        return sum(
            (drawn[q].reshape(times, -1) - before[q][moved[q]])
            @ (after[q] - before[q])[moved[q]]
            / noise[q] ** 2
            for q in sd
        )

    shown = [
        epsilon_lower_bound(scores(after, of, 1), scores(before, of, 2), delta=delta)
        for of in (1.0, 0.25)
    ]
    assert shown[0] < epsilon < shown[1]
