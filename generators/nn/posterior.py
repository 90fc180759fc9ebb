"""Latents of users, drawn from the encoder's posteriors.

Kingma and Welling 2014, arXiv:1312.6114; free bits: Kingma et al. 2016, arXiv:1606.04934.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from generators.nn.batches import Batch, PackedBatch, TrainingPlan, batches, pack
from generators.nn.network import RowNet
from generators.sequences.encode import EncodedSequences

BATCH_SEED = 6  # of the order of batches, which decides which user gets which noise
Noise = Callable[[np.ndarray], torch.Tensor]  # users (B,) -> standard normal numbers (B, Z)


def latents_of(
    net: RowNet, batch: PackedBatch, plan: TrainingPlan, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the latents of a batch's users and return them with their cost.

    Args:
        noise: (B, Z) standard normal numbers.

    Returns:
        The latents (B, Z), and their divergence from the prior () in nats; what a dimension costs
        for free it costs for free on average over the users.
    """
    n = len(batch.user_attributes)
    if not net.latent:
        return torch.zeros((n, 0)), torch.zeros(())
    center, spread = net.packed_posterior(
        batch.seen.index_select(0, batch.encoded),
        batch.encoded_starts,
        batch.user_attributes,
        batch.length,
    )
    cost = _divergence(center, spread).mean(0).clamp(min=plan.free_bits).sum() * n
    return center + (0.5 * spread).exp() * noise, cost


def latents_by_user(
    net: RowNet, batch: Batch, plan: TrainingPlan, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `latents_of` returns with a cost (B,) of each user, for gradients user by user.

    A mean over users would mix their gradients.
    """
    n = len(batch.user_attributes)
    if not net.latent:
        return torch.zeros((n, 0)), torch.zeros(n)
    center, spread = net.posterior(
        batch.features[:, 1:], batch.user_attributes, batch.mask[:, 1:], batch.length
    )
    cost = _divergence(center, spread).clamp(min=plan.free_bits).sum(1)
    return center + (0.5 * spread).exp() * noise, cost


def _divergence(center: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Return the divergence (B, Z) of normal distributions from the standard normal one."""
    return 0.5 * (center**2 + spread.exp() - 1 - spread)


def posterior_draws(
    net: RowNet, steps: EncodedSequences, plan: TrainingPlan, noise: Noise
) -> np.ndarray:
    """Return a draw from the posterior of each user, (n_users, Z) float32 in the order of `steps`.

    Args:
        noise: users (B,) -> standard normal numbers (B, Z). Under a privacy budget the numbers of
            a user must depend on that user alone.
    """
    out = np.zeros((len(steps), net.latent), dtype=np.float32)
    if not net.latent:
        return out
    with torch.no_grad():
        for users in batches(steps, plan, np.random.default_rng(BATCH_SEED)):
            batch = pack(steps, users, plan.window)
            out[users] = latents_of(net, batch, plan, noise(users))[0].numpy()
    return out


def normal_of(latent: int, seed: int) -> Noise:
    """Return noise that is drawn batch by batch from one stream: for training without a budget."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 6)
    return lambda users: torch.randn((len(users), latent), generator=generator)
