"""One clip over all tables: no user moves the whole vector of answers by more than 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import NORMS, Answers, Question, Tables, given_rows

USERS, ROWS = 12, 300
SIZES = (60, 7, 200)
ODD = 3  # the user who is there or not


def questions(seed: int, kept: Callable[[np.ndarray], np.ndarray]) -> list[Question]:
    """Tables of rows of users, of whom one may have far more rows than others."""
    rng = np.random.default_rng(seed)
    made = []
    for k, size in enumerate(SIZES):
        user = rng.choice([*range(USERS), *([ODD] * int(rng.integers(0, 200)))], ROWS)
        cell, weight = rng.integers(0, size, ROWS), rng.exponential(3.0, ROWS)
        if k == 2:
            cell[user == ODD] = 5
        there = kept(user)
        rows = user[there], cell[there], None if k == 1 else weight[there]
        scale, context = float(rng.uniform(0.1, 3.0)), 20 if k == 2 and rng.integers(2) else 0
        made.append(Question(f"rows {k}", size, given_rows(rows), scale, context))
    return made


def attributes(seed: int, kept: Callable[[np.ndarray], np.ndarray], scale: float) -> Question:
    user = np.arange(USERS)
    cell = np.random.default_rng(seed).integers(0, 4, USERS)
    there = kept(user)
    return Question("attribute", 4, lambda: (user[there], cell[there], None), scale)


def asked(tables: Tables, seed: int, clip: float, scale: float, *, without: bool) -> Answers:
    def kept(user: np.ndarray) -> np.ndarray:
        return user != ODD if without else np.ones(len(user), dtype=bool)

    whole = [attributes(seed, kept, scale)]
    return tables.ask("all", whole, questions(seed, kept), clip=clip)


def opened() -> Tables:
    """Tables whose noise is the same each time."""
    ledger = PrivacyLedger.open(2.0, 1e-3, 100, noise_seed=5)
    return Tables(ledger, {"all": 1.0}, n_users=USERS)


def distance(seed: int, clip: float, scale: float, make: Callable[[], Tables] = opened) -> float:
    """How far the odd user moves all answers together, in units of what the ledger pays for."""
    tables, other = make(), make()
    sigma = tables.sigma["all"]
    with_, without = (
        asked(t, seed, clip, scale, without=gone) for t, gone in ((tables, False), (other, True))
    )
    assert tables.ledger.history == other.ledger.history == [(sigma, 1.0, 1)]
    moved = [np.linalg.norm(with_[n][0] - without[n][0]) * sigma / with_[n][1] for n in with_]
    return float(np.linalg.norm(moved))


@given(st.integers(0, 2**31), st.floats(0.05, 50.0), st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=40)
def test_a_user_moves_all_tables_together_by_no_more_than_the_clip(
    seed: int, clip: float, scale: float
) -> None:
    found = distance(seed, clip, scale)
    assert 0 < found <= 1 + 1e-6  # the noisy answers of both are rounded to a grid


def test_scales_of_whole_tables_that_leave_no_room_are_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="no room"):
        distance(1, 1.0, 1.0)


class ClippedTableByTable(Tables):
    """Broken on purpose: the norm of the last table stands for that of all."""

    def norms(self, questions: list[Question]) -> np.ndarray:  # type: ignore[override]
        return super().norms(questions[-1:])


def test_tables_that_are_clipped_one_by_one_are_caught() -> None:
    def broken() -> Tables:
        right = opened()
        return ClippedTableByTable(
            PrivacyLedger.open(2.0, 1e-3, 100, noise_seed=5), {"all": 1.0}, n_users=right.n_users
        )

    assert max(distance(seed, 0.5, 0.5, broken) for seed in range(5)) > 1.1


def test_what_is_not_clipped_is_counted_as_it_is_on_average() -> None:
    """With a clip above all norms and a scale, the mean of many draws of noise is the exact count
    of weighted rows.
    """
    user, cell = np.repeat(np.arange(USERS), 3), np.tile([0, 0, 1], USERS)
    asked = Question("t", 2, lambda: (user, cell, np.full(len(user), 0.5)), scale=2.0)
    found = []
    for seed in range(200):
        ledger = PrivacyLedger.open(50.0, 1e-3, 100, noise_seed=seed)
        tables = Tables(ledger, {"all": 1.0}, n_users=USERS)
        counts, noise = tables.ask("all", [], [asked], clip=10.0)["t"]
        found.append(counts)
    off = np.mean(found, axis=0) - [USERS, USERS / 2]
    assert np.abs(off).max() < 4 * noise / np.sqrt(len(found))


@pytest.mark.parametrize("quantile", [0.25, 0.75])
def test_the_clip_is_about_the_quantile_of_the_norms(quantile: float) -> None:
    n = 4_000
    rows = np.random.default_rng(0).integers(1, 60, n)
    user = np.repeat(np.arange(n), rows)
    asked = Question("t", 1, lambda: (user, np.zeros(len(user), dtype=np.int64), None))
    tables = Tables(PrivacyLedger.open(3.0, None, n, noise_seed=2), {"norms": 1.0}, n_users=n)
    clip = tables.clip_for("norms", [asked], quantile)
    step = NORMS[1] / NORMS[0]
    assert clip / step**1.5 < np.quantile(rows, quantile) < clip * step**0.5
