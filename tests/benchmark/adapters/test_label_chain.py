"""What follows what is learnt of users, exactly and with noise, and redrawn in rows of others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.adapters.label_chain import learn_chain, ledger_after, redraw, rounds
from generators.markov.label_chain import LabelChain, Visits
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import Tables
from generators.privacy.pairs import Facts

LABELS, TASTES = 40, 4
GROUP = np.repeat([0, 1], LABELS // 2)


def visits(users: int, seed: int = 0) -> Visits:
    """Users of a taste each, who come to labels of that taste (label % TASTES) in both groups."""
    rng = np.random.default_rng(seed)
    taste = np.repeat(rng.integers(0, TASTES, users), 12)
    label = rng.integers(0, LABELS // TASTES, len(taste)) * TASTES + taste
    return Visits.of(np.repeat(np.arange(users), 12), label)


def learnt(seen: Visits, tables: Tables | None = None) -> LabelChain:
    return learn_chain(seen, GROUP, Facts(), tables, "items")


def of_one_taste(chain: LabelChain, users: int = 400) -> float:
    """Share of pairs of consecutive new labels of a group that are of one taste."""
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(users), 3)
    drawn = redraw(chain, user, np.tile([7, 8, 9], users), np.ones_like(user), rng)
    assert (GROUP[drawn] == 1).all()
    drawn = drawn.reshape(-1, 3)
    return float((drawn[:, 1] % TASTES == drawn[:, 2] % TASTES).mean())


def private_tables(epsilon: float, users: int) -> Tables:
    ledger = PrivacyLedger.open(epsilon, None, users, noise_seed=3)
    return Tables(ledger, rounds("items", 1.0), n_users=users)


def test_what_users_come_to_after_a_label_is_redrawn() -> None:
    assert of_one_taste(learnt(visits(2_000))) > 0.9


def test_tastes_are_found_where_every_count_is_below_the_noise() -> None:
    """Four tastes in twenty labels are a matrix of rank four, whose noise is mostly removed."""
    users = 4_000
    tables = private_tables(1.0, users)
    private = learnt(visits(users), tables)
    assert of_one_taste(private) > 0.6  # .25 by chance
    assert tables.ledger.spent() <= 1.0
    assert [e["what"] for e in tables.ledger.entries[1:]] == list(rounds("items", 1.0))


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 30))
@settings(deadline=None, max_examples=40)
def test_a_label_of_a_user_becomes_one_label_and_different_ones_stay_different(
    seed: int, rows: int, labels: int
) -> None:
    rng = np.random.default_rng(seed)
    chain = learnt(visits(50))
    user, label = np.sort(rng.integers(0, 4, rows)), rng.integers(0, labels, rows)
    drawn = redraw(chain, user, label, label % 2, rng)
    assert (GROUP[drawn] == label % 2).all()
    pairs = np.unique(np.stack([user, label, drawn]), axis=1)
    assert pairs.shape[1] == len(np.unique(user * labels + label))
    for one in np.unique(user):
        for group in (0, 1):
            mine = pairs[2, (pairs[0] == one) & (pairs[1] % 2 == group)]
            assert len(np.unique(mine)) == min(len(mine), LABELS // 2)


def test_a_pair_that_one_user_alone_made_is_forgotten_without_a_budget() -> None:
    group = np.zeros(4, dtype=np.int64)
    user, label = np.array([0, 0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 2, 3, 2, 3])
    chain = learn_chain(Visits.of(user, label), group, Facts(), None, "items")
    place, pairs = chain.place, chain.lifts[0]
    assert pairs[place[0], place[1]] == pytest.approx(pairs[place[0], place[2]])
    assert pairs[place[2], place[3]] > 1.5 * pairs[place[2], place[0]]


def in_both_worlds(
    monkeypatch: pytest.MonkeyPatch, facts: Callable[[Visits], Facts]
) -> tuple[list[float], list[LabelChain]]:
    """Learn chains with and without a user of many rows, from the answers that the first one got.

    Returns by how much each exact answer moved before the noise, and the two chains.
    """
    exact: list[np.ndarray] = []
    first: list[np.ndarray] = []

    def kept(self: Tables, what: str, sums: np.ndarray, sd: float) -> np.ndarray:
        exact.append(sums)
        return np.asarray(first[len(exact) - 1] if first else sums * 1_000.0)

    monkeypatch.setattr(Tables, "_answer", kept)
    seen, odd = visits(200), 77
    rng = np.random.default_rng(1)
    user = np.append(seen.user, np.full(5_000, odd))
    label = np.append(seen.label, rng.integers(0, LABELS, 5_000))
    order = np.argsort(user, kind="stable")
    user, label = user[order], label[order]
    worlds, chains, answers = (np.ones(len(user), dtype=bool), user != odd), [], []
    for there in worlds:
        of = Visits.of(user[there], label[there])
        chains.append(learn_chain(of, GROUP, facts(of), private_tables(3.0, 200), "items"))
        answers.append([*exact])
        first, exact = [sums * 1_000.0 for sums in exact], []
    moved = [float(np.linalg.norm(a - b)) for a, b in zip(*answers, strict=True)]
    return moved, chains


def same(chains: list[LabelChain]) -> bool:
    one, two = (chain.state("items") for chain in chains)
    return all(np.array_equal(one[name], two[name]) for name in one)


def test_a_user_moves_the_answers_by_no_more_than_is_paid_for_and_the_chain_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given the same answers, both worlds have the same chain, whatever is publicly known."""
    brand = np.arange(LABELS) % TASTES
    for facts in (Facts(), Facts(texts=[brand], numbers=[np.sqrt(np.arange(LABELS))])):
        moved, chains = in_both_worlds(monkeypatch, lambda of, facts=facts: facts)  # type: ignore[misc]
        assert len(moved) == 4 and max(moved) <= 1 + 1e-9
        assert min(moved) > 0.9
        assert same(chains)


def test_facts_that_come_from_the_rows_of_users_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken on purpose: a "fact" of a label is how often users came to it."""

    def popularity(of: Visits) -> Facts:
        return Facts(numbers=[np.bincount(of.label, minlength=LABELS).astype(np.float64)])

    assert not same(in_both_worlds(monkeypatch, popularity)[1])


def test_a_ledger_goes_on_from_what_another_has_spent() -> None:
    ledger = PrivacyLedger.open(3.0, 1e-6, 1_000, noise_seed=1)
    ledger.spend("gaussian sums", "a", sigma=4.0)
    ledger.spend("gaussian sums with threshold", "b", sigma=6.0, delta=1e-7)
    privacy = ledger.statement({}, []).to_json()
    after = ledger_after(privacy, 3.0, 1)
    assert after.spent() == pytest.approx(ledger.spent(), rel=1e-5)
    assert after.spent() >= ledger.spent() - 1e-9
    assert after.left == pytest.approx(ledger.left, abs=1e-6)
