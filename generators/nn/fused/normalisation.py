"""Layer normalisation (Ba et al. 2016, arXiv:1607.06450) in one pass over the rows."""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import run

EPSILON = 1e-5  # that of torch


def normalise(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, add: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the normalised rows (n, D), and what `normalise_backward` needs of them.

    Args:
        x: (n, D), contiguous.
        weight, bias: (D,).
        add: (n, D); it is added to `x` in place first.
    """
    added = x.new_empty((0, x.shape[1])) if add is None else add
    out, plain, scale = torch.empty_like(x), torch.empty_like(x), x.new_empty(len(x))
    run(_normalise, weight, bias, added, x, plain, scale, out)
    return out, plain, scale


def normalise_backward(
    grad: torch.Tensor,
    residual: torch.Tensor,
    plain: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of the rows (n, D), of `weight` and of `bias` (D,).

    Args:
        grad: (n, D) of the normalised rows.
        residual: (n, D) of the rows themselves, by other ways.
        plain, scale: see `normalise`.
    """
    out, of_weight, of_bias = (torch.zeros_like(x) for x in (grad, weight, weight))
    run(_normalise_backward, grad, residual, plain, scale, weight, out, of_weight, of_bias)
    return out, of_weight, of_bias


@njit(cache=True, fastmath=True)
def _normalise(weight, bias, added, x, plain, scale, out):
    width = x.shape[1]
    for i in range(len(x)):
        row, plain_row, out_row = x[i], plain[i], out[i]
        if len(added):
            more = added[i]
            for j in range(width):
                row[j] += more[j]
        mean, square = np.float32(0), np.float32(0)
        for j in range(width):
            mean += row[j]
        mean /= np.float32(width)
        for j in range(width):
            plain_row[j] = row[j] - mean
            square += plain_row[j] * plain_row[j]
        factor = np.float32(1 / math.sqrt(square / width + EPSILON))
        scale[i] = factor
        for j in range(width):
            plain_row[j] *= factor
            out_row[j] = plain_row[j] * weight[j] + bias[j]


@njit(cache=True, fastmath=True)
def _normalise_backward(grad, residual, plain, scale, weight, out, of_weight, of_bias):
    width = grad.shape[1]
    for i in range(len(grad)):
        row, plain_row, more, out_row = grad[i], plain[i], residual[i], out[i]
        mean, along = np.float32(0), np.float32(0)
        for j in range(width):
            slope = row[j] * weight[j]
            mean += slope
            along += slope * plain_row[j]
            of_weight[j] += row[j] * plain_row[j]
            of_bias[j] += row[j]
        mean /= np.float32(width)
        along /= np.float32(width)
        for j in range(width):
            slope = row[j] * weight[j] - mean - along * plain_row[j]
            out_row[j] = more[j] + scale[i] * slope
