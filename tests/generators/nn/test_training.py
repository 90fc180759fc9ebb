"""How often a log is passed over, what is hidden from the network, and how fast it learns."""

from __future__ import annotations

import numpy as np
import pytest

from generators.nn.batches import TrainingPlan
from generators.nn.training import epochs_of, rate_at, shares_hidden


@pytest.mark.parametrize(("rows", "passes"), [(10_000_000, 2), (840_000, 2), (140_000, 6), (9, 60)])
def test_small_logs_are_passed_over_more_often(rows: int, passes: int) -> None:
    assert epochs_of(TrainingPlan(), rows) == passes
    assert epochs_of(TrainingPlan(epochs=4), rows) == 4


def test_more_is_hidden_the_more_often_a_log_is_passed_over() -> None:
    plan = TrainingPlan(word_dropout=0.1, item_dropout=0.9)
    rows, items = np.transpose([shares_hidden(plan, epochs) for epochs in (1, 3, 6, 60)])
    assert rows == pytest.approx([0.1 / 3, 0.1, 0.1, 0.1])
    assert items == pytest.approx([0, 0, 0.45, 0.855])


@pytest.mark.parametrize("epochs", [1, 2, 3, 60])
def test_the_rate_rises_and_falls_to_nothing(epochs: int) -> None:
    rates = [rate_at(done / 1000, epochs) for done in range(1000)]
    top = int(np.argmax(rates))
    assert rates[0] > 0 and max(rates) == pytest.approx(1, abs=0.07)
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) <= 0).all()
    assert top <= 100 and rates[-1] < 0.011
