"""Parts of a sample, each with a random stream of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

CHUNK = 4_096  # users that are sampled at a time, which bounds memory
# Last numbers of the keys of random streams, after the seed.
PART_STREAM, LABEL_STREAM, PILOT_STREAM, ORDER_STREAM, CONTINUED_STREAM = 2, 3, 4, 5, 11
FIELDS_STREAM = 12  # of samples by which fields are calibrated


def part_sizes(users: int) -> list[int]:
    """Return the number of users of each part of a sample.

    Each part has a random stream of its own, so parts can be drawn anywhere and in any order.
    """
    return [min(CHUNK, users - k) for k in range(0, users, CHUNK)]


def stream(*key: int) -> torch.Generator:
    """Return the random stream of a key: a seed, one of the numbers above, and places in it."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread: float sums in another order may lead to other rows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
