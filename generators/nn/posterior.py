"""Latents of users, drawn from the encoder's posteriors.

Kingma and Welling 2014, arXiv:1312.6114; free bits: Kingma et al. 2016, arXiv:1606.04934.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from generators.nn.batches import Batch, TrainingPlan, batches, make_batch
from generators.nn.network import RowNet
from generators.sequences.encode import EncodedSequences

BATCH_SEED = 6  # of the order of batches, which decides which user gets which noise
Noise = Callable[[np.ndarray], torch.Tensor]  # users (B,) -> standard normal numbers (B, Z)


def latent_of(
    net: RowNet, batch: Batch, plan: TrainingPlan, noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw each user's latent and return it with its cost.

    Args:
        noise: (B, Z) standard normal numbers.

    Returns:
        The latents (B, Z), and their divergence from the prior (B,) in nats.
    """
    n = len(batch.user_attributes)
    if not net.latent:
        return torch.zeros((n, 0)), torch.zeros(n)
    center, spread = net.posterior(
        batch.features[:n, 1:], batch.user_attributes, batch.mask[:n, 1:], batch.length
    )
    cost = 0.5 * (center**2 + spread.exp() - 1 - spread)  # (B, Z)
    if net.per_user:
        # a mean over users would mix their gradients
        kl = cost.clamp(min=plan.free_bits).sum(1)
    else:
        kl = cost.mean(0).clamp(min=plan.free_bits).sum().expand(n)
    return center + (0.5 * spread).exp() * noise, kl


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
            batch = make_batch(steps, users, plan.window)
            out[users] = latent_of(net, batch, plan, noise(users))[0].numpy()
    return out


def normal_of(latent: int, seed: int) -> Noise:
    """Return noise that is drawn batch by batch from one stream: for training without a budget."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 6)
    return lambda users: torch.randn((len(users), latent), generator=generator)
