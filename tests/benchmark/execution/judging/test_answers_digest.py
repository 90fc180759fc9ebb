"""The hash in a record is equal where the answers rank alike, and only there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark.execution.judging.judge import _Answers


def digest(kind: str, value: np.ndarray) -> str:
    data: Any = SimpleNamespace(test=np.zeros(len(value)), encoder=SimpleNamespace(n_items=5))
    task: Any = SimpleNamespace(kind=kind)
    answers = _Answers(task, data)
    answers.value[:] = value
    return answers.digest()


@pytest.mark.parametrize("kind", ["binary", "uplift"])
def test_an_order_is_what_counts_of_probabilities(kind: str) -> None:
    value = np.array([0.1, 0.5, 0.5, 0.3])
    assert digest(kind, value) == digest(kind, value**2)
    assert digest(kind, value) != digest(kind, np.array([0.1, 0.5, 0.6, 0.3]))
    assert digest(kind, value) != digest(kind, value[::-1])


def test_the_rank_itself_counts_of_next_items() -> None:
    rank = np.array([1.0, 3.0, np.nan])
    assert digest("next_item", rank) == digest("next_item", rank.copy())
    assert digest("next_item", rank) != digest("next_item", np.array([1.0, 2.0, np.nan]))
