"""A mean of the answers over the whole log is told from one of earlier answers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation.leakage.answers import encoded_answers, revealing_columns
from eventlog.arrays import FIRST, Examples, Queries, Sequences


def orders(
    *, groups: int, mean_size: float, spread: float, seed: int
) -> tuple[Examples, np.ndarray, np.ndarray]:
    """One row and question a user, whose shop has a fraud rate of its own; later = after the cut.

    Returns the questions, each one's group, and each group's true rate.
    """
    rng = np.random.default_rng(seed)
    size = 1 + rng.poisson(mean_size - 1, groups)
    group = rng.permutation(np.repeat(np.arange(groups), size))
    rate = rng.beta(0.1 / spread, 0.9 / spread, groups)
    n = len(group)
    sequences = Sequences(
        offsets=np.arange(n + 1),
        users=np.arange(n).astype(object),
        time=np.arange(n) * 1000,
        event_id=np.arange(n),
        role=np.full(n, "purchase", dtype=object),
        columns={"shop": (group + FIRST).astype(np.int32)},
    )
    queries = Queries(np.arange(n), np.arange(n) + 1, sequences.time)
    answer = (rng.random(n) < rate[group]).astype(np.float32)
    return Examples(sequences, queries, answer), group, rate


def with_number(examples: Examples, values: np.ndarray) -> Examples:
    examples.sequences.raw["risk"] = values.astype(np.float64)
    examples.sequences.columns["risk"] = values.astype(np.float32)
    return examples


def found(examples: Examples) -> list[str]:
    return list(encoded_answers([examples], rng=np.random.default_rng(0)))


def mean_of(answer: np.ndarray, group: np.ndarray, use: np.ndarray, prior: float) -> np.ndarray:
    yes = np.bincount(group, weights=answer * use) + prior * answer.mean()
    return (yes / np.maximum(np.bincount(group, weights=use) + prior, 1e-9))[group]


@pytest.mark.parametrize("mean_size", [4, 10, 25])
@pytest.mark.parametrize("spread", [0.01, 0.1])
@pytest.mark.parametrize("prior", [0.0, 10.0])
@pytest.mark.parametrize("sign", [1, -3])
def test_a_mean_over_the_whole_log_is_suspected(
    mean_size: float, spread: float, prior: float, sign: float
) -> None:
    examples, group, _ = orders(groups=800, mean_size=mean_size, spread=spread, seed=1)
    encoded = mean_of(examples.target, group, np.ones(len(group)), prior)
    (text,) = found(with_number(examples, sign * encoded))
    assert "risk" in text
    assert "values of shop" in text
    assert "includes later ones" in text


@pytest.mark.parametrize("mean_size", [4, 10, 25, 100])
@pytest.mark.parametrize("spread", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_may_be_known_of_a_group_is_not_suspected(
    mean_size: float, spread: float, seed: int
) -> None:
    """The true rate itself, and what one finds in other orders of the same groups."""
    examples, group, rate = orders(groups=800, mean_size=mean_size, spread=spread, seed=seed)
    assert found(with_number(examples, rate[group])) == []
    rng = np.random.default_rng(seed)
    earlier = rng.binomial(20, rate) / 20
    assert found(with_number(examples, earlier[group])) == []
    assert found(with_number(examples, rng.random(800)[group])) == []


def test_few_answers_are_not_judged() -> None:
    examples, _, _ = orders(groups=10, mean_size=5, spread=0.1, seed=0)
    assert list(revealing_columns(examples, rng=np.random.default_rng(0))) == []
    assert found(examples) == []
