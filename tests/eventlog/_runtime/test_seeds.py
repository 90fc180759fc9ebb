"""One range of seeds, on every command line and in every Python entry."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pytest
import torch
from fixtures.shop_logs import shop_log

import benchmark
import generators
import simulator
from eventlog import InputError
from eventlog._runtime import console
from eventlog._runtime.seeds import LARGEST_SEED, check_seed

WRONG = (-1, LARGEST_SEED + 1, 1.5, "1", True, None)


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), LARGEST_SEED])
def test_a_seed_is_a_whole_number_that_every_source_takes(seed: int) -> None:
    assert check_seed(seed) == int(seed)
    assert console.seed(str(seed)) == int(seed)
    np.random.default_rng(seed)
    torch.Generator().manual_seed(int(seed) * 1_000_003 + 13)


@pytest.mark.parametrize("seed", WRONG)
def test_anything_else_is_one_sentence(seed: object) -> None:
    with pytest.raises(InputError, match=r"^seed is .*; it must be a whole number from 0 to"):
        check_seed(seed)


@pytest.mark.parametrize("text", ["-1", str(LARGEST_SEED + 1), "1.5", "one", ""])
def test_a_command_line_refuses_it_too(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 0 to"):
        console.seed(text)


ENTRIES: dict[str, Callable[[int], object]] = {
    "simulate": lambda seed: simulator.simulate("small", users=2, days=1, seed=seed),
    "fit": lambda seed: generators.fit(shop_log(users=12), model="markov", seed=seed),
    "benchmark": lambda seed: benchmark.run("recommendation", seeds=[0, seed]),
}


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_every_python_entry_refuses_it(name: str, seed: int) -> None:
    with pytest.raises(InputError, match=f"seed is {seed}; it must be a whole number"):
        ENTRIES[name](seed)


def test_a_generator_refuses_it_when_it_samples() -> None:
    model = generators.fit(shop_log(users=30), model="markov", seed=1)
    for seed in (-1, LARGEST_SEED + 1):
        with pytest.raises(InputError, match=f"seed is {seed}; it must be a whole number"):
            model.sample(5, seed=seed)
