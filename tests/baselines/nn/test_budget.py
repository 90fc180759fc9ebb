"""A budget buys steps: more for a cheaper network, and as many on any machine."""

import numpy as np
import pytest
import torch

from baselines.nn.budget import Cost, cost
from baselines.nn.budgeted_training import FEWEST_ANSWERS, judged_by
from eventlog.arrays import Examples, Queries, Sequences


def network(dim: int, items: int) -> torch.nn.Module:
    return torch.nn.ModuleList([torch.nn.Embedding(items, dim), torch.nn.LSTM(dim, dim)])


def test_cost_grows_with_what_is_computed_and_moved() -> None:
    base = {"dim": 32, "rows": 800, "outputs": 100.0, "window": 20.0}
    step = cost(network(32, 100), **base).step
    assert step == cost(network(32, 100), **base).step
    assert cost(network(64, 100), **{**base, "dim": 64}).step > step
    assert cost(network(32, 1_000_000), **base).step > step  # the optimiser moves every weight
    assert cost(network(32, 100), **{**base, "outputs": 5_000.0}).step > 2 * step
    assert 1.2 < cost(network(32, 100), **{**base, "rows": 1_600}).step / step < 2
    long = cost(network(32, 100), **{**base, "window": 40.0})
    assert long.question > 2 * cost(network(32, 100), **base).question


@pytest.mark.parametrize(("ones", "expected"), [(6, 6), (40, FEWEST_ANSWERS), (5_000, 150)])
def test_training_is_judged_by_both_answers(ones: int, expected: int) -> None:
    n = 10_000
    target = np.zeros(n, dtype=np.float32)
    target[np.random.default_rng(0).permutation(n)[:ones]] = 1
    time, no_rows = np.arange(n), np.zeros(n, dtype=np.int64)
    nobody = Sequences(np.zeros(n + 1, dtype=np.int64), no_rows, no_rows, no_rows, no_rows, {})
    valid = Examples(nobody, Queries(no_rows, no_rows, time), target)
    some = judged_by(valid, Cost(1e-6, 1e-6), 1.0, np.random.default_rng(1), most=300)
    assert some is not None
    assert some.target.sum() == pytest.approx(expected, abs=0 if expected < 100 else 30)
    assert len(np.unique(some.queries.time)) == len(some.target)
