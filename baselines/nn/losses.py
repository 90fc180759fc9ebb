"""Log-probabilities of the true item, exact or sampled, and the losses of items and labels.

The exact loss over a catalogue is fused: logits of a few rows at a time are made, turned into
gradients and dropped while they are in the cache. Written out, the logits of 1,600 rows and 2,000
items are 13 MB, and six passes over them cost more time than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 1 << 18  # logits at a time: 1 MiB


@dataclass(frozen=True)
class Repeats:
    """What is added to the logits of items that the user had before; repeated items add up."""

    item: Tensor  # (p, k) int64 item codes
    bonus: Tensor  # (p, k)


def item_logits(hidden: Tensor, items: Tensor, bias: Tensor, repeats: Repeats) -> Tensor:
    """Return hidden items^T + bias + repeats, (p, V).

    hidden is (p, dim), items (V, dim), bias (V,).
    """
    return torch.addmm(bias, hidden, items.T).scatter_add_(1, repeats.item, repeats.bonus)


def softmax_log_probability(
    hidden: Tensor, items: Tensor, bias: Tensor, repeats: Repeats, target: Tensor
) -> Tensor:
    """Return the log softmax of the `item_logits` at `target` (p,) int64, (p,)."""
    return -F.cross_entropy(item_logits(hidden, items, bias, repeats), target, reduction="none")


def softmax_loss(
    hidden: Tensor, items: Tensor, bias: Tensor, repeats: Repeats, target: Tensor
) -> Tensor:
    """Return minus the mean of `softmax_log_probability`, without a (p, V) array in memory."""
    loss: Tensor = _FusedSoftmax.apply(hidden, items, bias, repeats.item, repeats.bonus, target)
    return loss


class _FusedSoftmax(torch.autograd.Function):
    """Mean cross-entropy whose gradients are made in the forward pass, some rows at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        items: Tensor,
        bias: Tensor,
        repeated: Tensor,
        bonus: Tensor,
        target: Tensor,
    ) -> Tensor:
        p, v = len(hidden), len(items)
        loss = hidden.new_zeros(())
        to_hidden, to_bonus = torch.empty_like(hidden), torch.empty_like(bonus)
        to_items, to_bias = torch.zeros_like(items), torch.zeros_like(bias)
        for part in torch.arange(p, device=hidden.device).split(max(CHUNK // v, 16)):
            rows = slice(int(part[0]), int(part[-1]) + 1)
            own = target[rows, None]
            logits = torch.addmm(bias, hidden[rows], items.T)  # (r, V)
            logits.scatter_add_(1, repeated[rows], bonus[rows])
            logits -= logits.amax(1, keepdim=True)
            loss -= logits.gather(1, own).sum()
            share = logits.exp_()
            total = share.sum(1, keepdim=True)
            loss += total.log().sum()
            share /= total * p
            share.scatter_add_(1, own, share.new_full(own.shape, -1 / p))  # d loss / d logits
            torch.mm(share, items, out=to_hidden[rows])
            to_items.addmm_(share.T, hidden[rows])
            to_bias += share.sum(0)
            to_bonus[rows] = share.gather(1, repeated[rows])
        ctx.save_for_backward(to_hidden, to_items, to_bias, to_bonus)
        return loss / max(p, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_items, to_bias, to_bonus = (g * grads[0] for g in ctx.saved_tensors)
        return to_hidden, to_items, to_bias, None, to_bonus, None


def sampled_log_probability(
    hidden: Tensor,
    own_item: Tensor,
    sampled_items: Tensor,
    bias: Tensor,
    repeats: Repeats,
    target: Tensor,
    negative: Tensor,
    *,
    log_expected: Tensor,
) -> Tensor:
    """Return `softmax_log_probability` with its normaliser estimated from shared negatives.

    The logit of a negative is corrected by the log of how often it is expected in the sample
    (Bengio and Senecal 2008), so the estimate is consistent as the sample grows. A negative that is
    a row's target does not count for that row.

    Args:
        hidden: (p, dim).
        own_item: (p, dim) vectors of the targets.
        sampled_items: (n, dim) vectors of the negatives.
        bias: (V,).
        repeats: additions for past items.
        target: (p,) int64.
        negative: (n,) int64 different items.
        log_expected: (n,) log of the expected number of occurrences of each negative.
    """
    n = len(negative)
    place = torch.full_like(bias, n, dtype=torch.int64).scatter_(
        0, negative, torch.arange(n, device=negative.device)
    )
    # Items that were not sampled share an extra column, which is cut off.
    added = hidden.new_zeros(len(hidden), n + 1).scatter_add(1, place[repeats.item], repeats.bonus)
    logits = torch.addmm(bias[negative] - log_expected, hidden, sampled_items.T) + added[:, :n]
    logits = logits.masked_fill(negative == target[:, None], float("-inf"))
    own = (
        (hidden * own_item).sum(-1)
        + bias[target]
        + (repeats.bonus * (repeats.item == target[:, None])).sum(-1)
    )
    return own - torch.logaddexp(own, torch.logsumexp(logits, dim=-1))


def binary_loss(logit: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy without class weights, which would distort the probabilities."""
    return F.binary_cross_entropy_with_logits(logit, target)


def arm_logit(logits: Tensor, arm: Tensor | float) -> Tensor:
    """Return the logit under an arm (0 control, 1 treated), (p,).

    `logits` (p, 2) hold what the arms share and what separates them; half of the latter goes to
    each side. Most parameters are shared by both arms, as in TARNet (Shalit, Johansson and Sontag
    2017, arXiv:1606.03976). The difference is an output of its own, so that it can begin nearly
    equal for all.
    """
    return logits[:, 0] + (arm - 0.5) * logits[:, 1]
