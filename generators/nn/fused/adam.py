"""Steps of Adam for a tensor, and for the rows of a table that have a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import run


class AdamStep(NamedTuple):
    """The numbers of a step."""

    rate: float  # learning rate
    scale: float  # factor of the gradient
    betas: tuple[float, float]  # decay of the moments
    epsilon: float  # added to the root of the second moment
    step: int  # number of this step, from 1

    def factors(self) -> np.ndarray:
        """Return what compiled code needs."""
        first, second = (1 - beta**self.step for beta in self.betas)
        root = 1 / math.sqrt(second)
        numbers = [self.rate / first, root, self.scale, *self.betas, self.epsilon]
        return np.array(numbers, dtype=np.float32)


@torch.no_grad()
def adam(
    values: torch.Tensor, moments: Sequence[torch.Tensor], grad: torch.Tensor, how: AdamStep
) -> None:
    """Take a step of Adam with contiguous `values`, `grad` and its two `moments`, (...) each."""
    rows = [x.view(1, -1) for x in (values, *moments)]
    run(_adam_rows, *rows, np.zeros(1, dtype=np.int64), grad.reshape(1, -1), how.factors())


@torch.no_grad()
def adam_rows(
    table: torch.Tensor, moments: Sequence[torch.Tensor], grad: torch.Tensor, how: AdamStep
) -> None:
    """Take a step of Adam with a sparse gradient: the rows that it lacks keep their moments.

    All of them are (size, D).
    """
    run(_adam_rows, table, *moments, grad._indices()[0], grad._values(), how.factors())


@njit(cache=True, fastmath=True, error_model="numpy")
def _adam_rows(table, first, second, rows, grad, factors):
    rate, root, scale, beta, gamma, epsilon = factors
    one = np.float32(1)
    for i in range(len(rows)):
        # a row by itself lets the compiler use vectors, two indices do not
        values, mean, square, slope = table[rows[i]], first[rows[i]], second[rows[i]], grad[i]
        for j in range(len(values)):
            g = scale * slope[j]
            m = mean[j] + (one - beta) * (g - mean[j])
            s = square[j] + (one - gamma) * (g * g - square[j])
            mean[j], square[j] = m, s
            values[j] -= rate * m / (math.sqrt(s) * root + epsilon)
