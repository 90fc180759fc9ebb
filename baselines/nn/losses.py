"""Log-probabilities of the true item, exact or sampled, and the losses of items and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SHARED_NEGATIVES = 256  # of a batch, from which each row draws


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
    """Return `softmax_log_probability` with its normaliser estimated from `n` shared negatives.

    Negatives are drawn from `proposal` (V,), which sums to 1, and their logits are corrected by
    log(n proposal) (Bengio and Senecal 2008), so the estimate is consistent as n grows. A negative
    that is a row's target does not count for that row.
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
    """Return the binary cross-entropy of the true item and `n` uniform negatives, (p,).

    n = 1 with calibration 0 is the loss of SASRec. A `calibration` t above 0 gives gBCE (Petrov and
    Macdonald 2023, arXiv:2308.07192): the true item's probability is raised to the power
    beta = alpha (t (1 - 1 / alpha) + 1 / alpha) with alpha = n / (V - 1), which removes the
    overconfidence that sampling causes. Codes below `first` are not items.
    """
    v = len(items) - first
    shared = first + torch.randperm(v, device=items.device)[: max(n, min(v, SHARED_NEGATIVES))]
    own, logits = _own_and_sampled(hidden, items, bias, repeats, target, shared)  # (p,), (p, m)
    if n < logits.shape[1]:  # each row draws its own among the shared ones
        logits = logits.gather(
            1, torch.randint(logits.shape[1], (len(logits), n), device=logits.device)
        )
    alpha = min(1.0, n / max(v - 1, 1))
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    return -beta * F.logsigmoid(own) - F.logsigmoid(-logits).sum(-1)


def _own_and_sampled(
    hidden: Tensor, items: Tensor, bias: Tensor, repeats: Repeats, target: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the logits of the targets (p,) and of sampled items (p, n), -inf for a target."""
    n = len(negative)
    logits = hidden @ items[negative].T + bias[negative]  # (p, n)
    place = torch.full_like(bias, n, dtype=torch.int64).scatter_(
        0, negative, torch.arange(n, device=negative.device)
    )
    # Items that were not sampled share an extra column, which is cut off.
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


def gated_log_probability(network: Tensor, counted: Sequence[Tensor], gate: Tensor) -> Tensor:
    """Return the log-probability of a mixture of a network and of counts, (...).

    Args:
        network: (...) log-probability by the network.
        counted: k probabilities (...) by counts.
        gate: (..., 1 + k) log weights.
    """
    by_counts = sum(
        (p * gate[..., k].exp() for k, p in enumerate(counted, start=1)),
        torch.full_like(network, 1e-9),
    )
    return torch.logaddexp(network + gate[..., 0], by_counts.log())
