"""A budget buys steps: more for a cheaper network, and as many on any machine."""

import torch

from baselines.nn.budget import cost


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
