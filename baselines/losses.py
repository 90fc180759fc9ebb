"""Log-probabilities of the true item: full softmax, and sampled softmax for large catalogues."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def softmax_log_probability(hidden: Tensor, items: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    """(p,) log softmax(hidden items^T + bias) at `target` (p,) int64. hidden (p, dim), items (V, dim), bias (V,)."""
    return -F.cross_entropy(torch.addmm(bias, hidden, items.T), target, reduction="none")


def sampled_log_probability(hidden: Tensor, items: Tensor, bias: Tensor, target: Tensor, *, proposal: Tensor, n: int) -> Tensor:
    """As `softmax_log_probability`, the normaliser estimated from `n` negatives that the batch shares.

    Negatives are drawn from `proposal` (V,), which sums to 1, and logits corrected by log(n proposal) (Bengio & Senecal
    2008): the estimate is consistent as n grows. A negative that is the target of a row is not counted for that row.
    """
    negative = torch.multinomial(proposal, n, replacement=True)
    logits = hidden @ items[negative].T + (bias[negative] - torch.log(n * proposal[negative]))  # (p, n)
    logits = logits.masked_fill(negative == target[:, None], float("-inf"))
    own = (hidden * items[target]).sum(-1) + bias[target]
    return own - torch.logaddexp(own, torch.logsumexp(logits, dim=-1))


def binary_loss(logit: Tensor, target: Tensor) -> Tensor:
    """Plain cross-entropy, no class weights: weights would move the probabilities away from the frequencies."""
    return F.binary_cross_entropy_with_logits(logit, target)


def mixed_log_probability(network: Tensor, experts: Tensor, gate: Tensor) -> Tensor:
    """(...) log of the gated mixture of network (...) and experts (..., k) log-probabilities under log gates (..., 1 + k)."""
    return torch.logsumexp(gate + torch.cat([network[..., None], experts], dim=-1), dim=-1)
