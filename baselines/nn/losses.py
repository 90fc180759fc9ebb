"""Log-probabilities of the true item (full softmax, sampled for large catalogues), and the losses
they are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Repeats:
    """What is added to the logits of items that the user had before: `bonus` (p, k) to items `item`
    (p, k) int64; repeats add up.
    """

    item: Tensor
    bonus: Tensor


def item_logits(hidden: Tensor, items: Tensor, bias: Tensor, repeats: Repeats) -> Tensor:
    """(p, V) hidden items^T + bias + repeats. hidden (p, dim), items (V, dim), bias (V,)."""
    return torch.addmm(bias, hidden, items.T).scatter_add_(1, repeats.item, repeats.bonus)


def softmax_log_probability(
    hidden: Tensor, items: Tensor, bias: Tensor, repeats: Repeats, target: Tensor
) -> Tensor:
    """(p,) log softmax of the `item_logits` at `target` (p,) int64."""
    return -F.cross_entropy(item_logits(hidden, items, bias, repeats), target, reduction="none")


def sampled_log_probability(
    hidden: Tensor,
    items: Tensor,
    bias: Tensor,
    repeats: Repeats,
    target: Tensor,
    *,
    proposal: Tensor,
    n: int,
) -> Tensor:
    """As `softmax_log_probability`, the normaliser estimated from `n` negatives that the batch
    shares.

    Negatives are drawn from `proposal` (V,), which sums to 1, and logits corrected by log(n
    proposal) (Bengio and Senecal 2008): the estimate is consistent as n grows. A negative that is
    the target of a row is not counted for that row.
    """
    negative = torch.multinomial(proposal, n, replacement=False)
    own, logits = _own_and_sampled(hidden, items, bias, repeats, target, negative)
    return own - torch.logaddexp(
        own, torch.logsumexp(logits - torch.log(n * proposal[negative]), dim=-1)
    )


def binary_item_loss(
    hidden: Tensor,
    items: Tensor,
    bias: Tensor,
    repeats: Repeats,
    target: Tensor,
    *,
    n: int,
    calibration: float = 0.0,
    first: int = 2,
) -> Tensor:
    """(p,) binary cross-entropy of the true item and `n` uniform negatives; n = 1 and calibration =
    0 is SASRec's own loss.

    `calibration` t > 0 is gBCE (Petrov and Macdonald 2023, arXiv:2308.07192): the true item's
    probability to the power beta = alpha (t (1 - 1 / alpha) + 1 / alpha), alpha = n / (V - 1),
    takes back the overconfidence that sampling brings.
    """
    v = len(items) - first  # codes below `first` are no items
    shared = first + torch.randperm(v, device=items.device)[: max(n, min(v, 256))]
    own, logits = _own_and_sampled(hidden, items, bias, repeats, target, shared)  # (p,), (p, m)
    if n < logits.shape[1]:  # every row draws its own among the shared ones
        logits = logits.gather(
            1, torch.randint(logits.shape[1], (len(logits), n), device=logits.device)
        )
    alpha = min(1.0, n / max(v - 1, 1))
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    return -beta * F.logsigmoid(own) - F.logsigmoid(-logits).sum(-1)


def _own_and_sampled(
    hidden: Tensor, items: Tensor, bias: Tensor, repeats: Repeats, target: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits of the targets (p,) and of the drawn items (p, n), -inf where a drawn one is the row's
    target.
    """
    n = len(negative)
    logits = hidden @ items[negative].T + bias[negative]  # (p, n)
    place = torch.full_like(bias, n, dtype=torch.int64).scatter_(
        0, negative, torch.arange(n, device=negative.device)
    )
    # An item that was not drawn lands in a column of its own, which is cut off.
    added = torch.zeros(len(logits), n + 1, device=logits.device).scatter_add(
        1, place[repeats.item], repeats.bonus
    )
    logits = (logits + added[:, :n]).masked_fill(negative == target[:, None], float("-inf"))
    own = (
        (hidden * items[target]).sum(-1)
        + bias[target]
        + (repeats.bonus * (repeats.item == target[:, None])).sum(-1)
    )
    return own, logits


def binary_loss(logit: Tensor, target: Tensor) -> Tensor:
    """Plain cross-entropy, no class weights: weights would move the probabilities away from the
    frequencies.
    """
    return F.binary_cross_entropy_with_logits(logit, target)


def arm_logit(logits: Tensor, arm: Tensor | float) -> Tensor:
    """(p,) logit under `arm` (0 control, 1 treated) of (p, 2): what the arms share, and what
    divides them, half to each side.

    Shared parameters carry what both arms teach, as in TARNet (Shalit, Johansson and Sontag 2017,
    arXiv:1606.03976); the difference is an output of its own, so that it can begin near the same
    for all.
    """
    return logits[:, 0] + (arm - 0.5) * logits[:, 1]


def gated_log_probability(network: Tensor, counted: Sequence[Tensor], gate: Tensor) -> Tensor:
    """(...) log of the mixture of a network's log-probability (...) and k counted probabilities
    (...) under log gates (..., 1 + k).
    """
    by_counts = sum(
        (p * gate[..., k].exp() for k, p in enumerate(counted, start=1)),
        torch.full_like(network, 1e-9),
    )
    return torch.logaddexp(network + gate[..., 0], by_counts.log())
