"""Losses of codes and of items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import add, fast_part, run
from generators.nn.fused.exponential import exponential

MOST_PAIRS = 4096  # of a row and an item, for which a matrix product is not worth its call


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        code: torch.Tensor,
        weight: torch.Tensor,
        others: torch.Tensor,
    ) -> torch.Tensor:
        slope = torch.empty(logits.shape)
        loss = run(_cross_entropy, logits, code, weight, others, slope)
        ctx.slope = slope
        return logits.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        slope, ctx.slope = ctx.slope, None  # changed in place: gone back through once
        return slope.mul_(grads[0]), None, None, None


def cross_entropy(
    logits: torch.Tensor,
    code: torch.Tensor,
    weight: torch.Tensor,
    others: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the weighted sum () of the negative log likelihoods of codes (n,), in nats.

    Args:
        logits: (n, size).
        code: (n,) int64.
        weight: (n,) float.
        others: (size,) float, added to the logits of the codes that a row has not chosen.
    """
    if others is None:
        others = logits.new_zeros(0)
    out: torch.Tensor = _CrossEntropy.apply(logits, code, weight, others)
    return out


@njit(cache=True, fastmath=True)
def _cross_entropy(logits, code, weight, others, slope):
    loss = 0.0
    slope[:] = logits
    for i in range(len(logits)):
        mine = slope[i]
        if len(others):
            chosen = mine[code[i]]
            add(mine, others)
            mine[code[i]] = chosen
        loss += softmax_slope(mine, code[i], weight[i])
    return loss


@fast_part
def softmax_slope(logits, code, weight):
    """Turn the logits (size,) of a row into their gradient; return the weighted loss of `code`."""
    highest, total, chosen = logits[0], np.float32(0), logits[code]
    for k in range(len(logits)):
        highest = max(highest, logits[k])
    for k in range(len(logits)):
        logits[k] = exponential(logits[k] - highest)
        total += logits[k]
    scale = weight / total
    for k in range(len(logits)):
        logits[k] *= scale
    logits[code] -= weight
    return weight * (math.log(total) + highest - chosen)


class _ItemLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> torch.Tensor:
        query, weight, bias, gain, traits, asked, parts = inputs
        code, known, row_weight = asked
        of_query, of_weight = torch.zeros_like(query), torch.zeros_like(weight)
        of_bias, of_gain = torch.zeros_like(bias), torch.zeros_like(gain)
        pairs = (parts[:, 1] - parts[:, 0]) * (parts[:, 3] - parts[:, 2])
        loss = run(
            _small_parts,
            query,
            weight,
            bias,
            gain,
            traits,
            *asked,
            parts[pairs <= MOST_PAIRS],
            of_query,
            of_weight,
            of_bias,
            of_gain,
        )
        for first, end, item, stop in parts[pairs > MOST_PAIRS].tolist():
            rows, items = slice(first, end), slice(item, stop)
            logits = torch.addmm(bias[items], query[rows], weight[items].T)
            loss += run(
                _choose,
                logits,
                gain[rows],
                traits[items],
                code[rows],
                known[rows],
                item,
                row_weight[rows],
                of_gain[rows],
            )
            torch.mm(logits, weight[items], out=of_query[rows])
            torch.mm(logits.T, query[rows], out=of_weight[items])
            of_bias[items] = logits.sum(0)
        ctx.save_for_backward(of_query, of_weight, of_bias, of_gain)
        return query.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return *(slope * grads[0] for slope in ctx.saved_tensors), None, None, None


def item_loss(
    query: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    gain: torch.Tensor,
    traits: torch.Tensor,
    asked: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    parts: torch.Tensor,
) -> torch.Tensor:
    """Return the loss () of items drawn within their categories, one category after another.

    Args:
        query: (n, D).
        weight, bias: (n_items, D) and (n_items,).
        gain: (n, traits), what each trait adds to the logit of an item that has it.
        traits: (n_items, A).
        asked: codes (n,), items that cannot be drawn (n, k) int32, and weights of rows (n,).
        parts: (P, 4) int64: of each category its first row, the row after its last, and likewise
            its items.
    """
    out: torch.Tensor = _ItemLoss.apply(query, weight, bias, gain, traits, asked, parts)
    return out


@njit(cache=True, fastmath=True)
def _small_parts(
    query,
    weight,
    bias,
    gain,
    traits,
    code,
    known,
    row_weight,
    parts,
    of_query,
    of_weight,
    of_bias,
    of_gain,
):
    """Write the gradients of categories with few rows and items; return the loss."""
    loss = 0.0
    for p in range(len(parts)):
        row, end, item, stop = parts[p]
        logits = np.empty((end - row, stop - item), dtype=np.float32)
        for i in range(row, end):
            for k in range(item, stop):
                logits[i - row, k - item] = bias[k] + _dot(query[i], weight[k])
        loss += _choose(
            logits,
            gain[row:end],
            traits[item:stop],
            code[row:end],
            known[row:end],
            item,
            row_weight[row:end],
            of_gain[row:end],
        )
        for i in range(row, end):
            for k in range(item, stop):
                slope = logits[i - row, k - item]
                of_bias[k] += slope
                _add_times(of_weight[k], slope, query[i])
                _add_times(of_query[i], slope, weight[k])
    return loss


@fast_part
def _dot(left, right):
    total = np.float32(0)
    for j in range(len(left)):
        total += left[j] * right[j]
    return total


@fast_part
def _add_times(total, factor, more):
    for j in range(len(total)):
        total[j] += factor * more[j]


@fast_part
def _choose(logits, gain, traits, code, known, item, weight, of_gain):
    """Turn `logits` into their gradients, add those of `gain` to `of_gain`; return the loss.

    The items begin with `item`.
    """
    loss = 0.0
    size = logits.shape[1]
    for i in range(len(logits)):
        for k in range(size):
            for a in range(traits.shape[1]):
                logits[i, k] += gain[i, traits[k, a]]
        for r in range(known.shape[1]):
            if item <= known[i, r] < item + size:
                logits[i, known[i, r] - item] = np.float32(-1e30)
        loss += softmax_slope(logits[i], code[i] - item, weight[i])
        for k in range(size):
            for a in range(traits.shape[1]):
                of_gain[i, traits[k, a]] += logits[i, k]
    return loss
