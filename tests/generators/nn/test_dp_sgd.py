"""Our noise in opacus' optimiser: a step without noise is opacus' own, and the noise is right."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer

from generators.nn.batches import TrainingPlan
from generators.nn.dp_sgd import (
    BETAS,
    GRID_BITS,
    MARGIN,
    noisy_sums,
    optimizer_of,
    private_epochs_of,
    private_steps,
    sampling_rate,
)

CLIP, EXPECTED = 0.5, 8.0


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 2))


def stepped(module: GradSampleModule, optimizer: DPOptimizer, steps: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for last in (False, True):  # a batch in two parts
            optimizer.signal_skip_step(do_skip=not last)
            optimizer.zero_grad(set_to_none=True)
            module(torch.randn((4, 5), generator=generator)).square().sum().backward()
            optimizer.step()
    return [p.detach().clone() for p in module.parameters()]


def test_without_noise_a_step_is_that_of_opacus() -> None:
    ours, theirs = (GradSampleModule(copy.deepcopy(net()), loss_reduction="sum") for _ in "ab")
    rate, no_noise = 1e-2, np.random.default_rng(0)
    mine = optimizer_of(ours, rate=rate, sigma=0.0, clip=CLIP, expected=EXPECTED, noise=no_noise)
    other = DPOptimizer(
        torch.optim.Adam(theirs.parameters(), lr=rate, betas=BETAS),
        noise_multiplier=0.0,
        max_grad_norm=CLIP * (1 - MARGIN),
        expected_batch_size=EXPECTED,
        loss_reduction="mean",
    )
    for a, b in zip(stepped(ours, mine, 5), stepped(theirs, other, 5), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_the_noise_of_a_step_has_the_standard_deviation_that_is_paid_for(sigma: float) -> None:
    wide = torch.nn.Linear(100, 400)
    module = GradSampleModule(wide, loss_reduction="sum")
    optimizer = optimizer_of(
        module,
        rate=1e-2,
        sigma=sigma,
        clip=CLIP,
        expected=EXPECTED,
        noise=np.random.default_rng(0),
    )
    stepped_sum = []
    optimizer.attach_step_hook(lambda o: stepped_sum.append(wide.weight.grad * EXPECTED))
    module(torch.zeros((3, 100))).sum().backward()  # the weights' gradients are zero
    optimizer.step()
    (noise,) = stepped_sum
    assert float(noise.std()) == pytest.approx(sigma * CLIP, rel=0.02)
    assert abs(float(noise.mean())) < 5 * sigma * CLIP / noise.numel() ** 0.5


def test_noisy_sums_lie_on_a_grid_finer_than_the_noise() -> None:
    sd = 0.3
    (noisy,) = noisy_sums([torch.linspace(-1, 1, 50)], sd=sd, noise=np.random.default_rng(0))
    grid = 2.0 ** (np.floor(np.log2(sd)) - GRID_BITS)
    assert grid < sd / 1000
    assert torch.equal(noisy, torch.round(noisy / grid) * grid)


@pytest.mark.parametrize(("users", "passes"), [(20, 6), (1_500, 6), (2_000, 8), (3_000, 12)])
def test_few_users_are_passed_over_fewer_times_than_many(users: int, passes: int) -> None:
    plan = TrainingPlan()
    assert private_epochs_of(plan, users) == passes
    assert private_steps(plan, users) == round(passes / sampling_rate(plan, users))
    assert private_epochs_of(replace(plan, private_epochs=9), users) == 9
    assert private_epochs_of(plan, 10**6) == 12
