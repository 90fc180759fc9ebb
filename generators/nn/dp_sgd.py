"""DP-SGD with the user as the unit of privacy.

Abadi et al. 2016, arXiv:1607.00133, with Poisson sampling of users. One sample is the whole
(truncated) sequence of a user; opacus computes the gradient of each user's loss and clips it to
`clip`, and Gaussian noise is added to the sum.

What a user draws (which batches the user is in, hidden rows, the latent) comes from a secret stream
of that user, so the proof couples two logs user by user: with one more user, the sums of clipped
gradients differ by that user's clipped gradient and by nothing else.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from torch import nn

from eventlog._runtime.console import note, track
from eventlog._runtime.system import keep_freed_memory
from eventlog.privacy.noise import UserStreams
from generators.codec.codec import Codec
from generators.nn.batches import TrainingPlan, make_batch
from generators.nn.network import RowNet
from generators.nn.per_user_losses import per_user_losses
from generators.nn.posterior import latents_by_user
from generators.privacy.accounting import PrivacyLedger, noise_for
from generators.sequences.encode import EncodedSequences

PHYSICAL_BYTES = 600_000_000  # of the gradients of single users that are held at a time
MOST_USERS = 64  # whose gradients are held at a time
PRIVATE_EPOCHS = (6, 12)  # least and most expected passes, where the plan leaves them open
USERS_PER_EPOCH = 250  # that allow a pass more
BETAS = (0.9, 0.98)  # of Adam
# gradients are clipped this much below the clip, for what float32 sums lose to rounding
MARGIN = 1e-3
# the grid of noisy gradients is finer than the noise by this many powers of two
GRID_BITS = 12


def sampling_rate(plan: TrainingPlan, n_users: int) -> float:
    """Return the probability with which a user is in a batch."""
    return min(1.0, plan.batch_users / n_users)


def private_epochs_of(plan: TrainingPlan, n_users: int) -> int:
    """Return the expected passes over users: the plan's, or fewer over few users than over many.

    Each pass needs noise of its own, and with few users the noise drowns what a pass adds.
    """
    return plan.private_epochs or int(np.clip(n_users // USERS_PER_EPOCH, *PRIVATE_EPOCHS))


def private_steps(plan: TrainingPlan, n_users: int) -> int:
    """Return the updates of a private training."""
    return max(1, round(private_epochs_of(plan, n_users) / sampling_rate(plan, n_users)))


def noise_left(ledger: PrivacyLedger, phases: list[tuple[float, int]]) -> float:
    """Return the noise multiplier with which `phases` use up what the ledger has left.

    A phase is a pair of sampling rate and number of steps.
    """
    note("Looking for the least noise with which the training keeps within the budget.")
    return noise_for(
        phases,
        epsilon=ledger.left,
        delta=ledger.delta - ledger.delta_thresholds,
        history=ledger.history,
    )


def optimizer_of(
    net: nn.Module,
    *,
    rate: float,
    sigma: float,
    clip: float,
    expected: float,
    noise: np.random.Generator,
) -> Any:
    """Return opacus' DP optimizer around Adam, with our own noise.

    A step clips each user's gradient, adds noise of standard deviation `sigma * clip` to the sum,
    rounds it to a grid, so that its last digits do not reveal the sum, and divides by `expected`.

    Args:
        rate: learning rate.
        sigma: noise multiplier.
        clip: largest norm of a user's gradient.
        expected: expected number of users in a batch.
        noise: a secret stream.
    """
    from opacus.optimizers import DPOptimizer

    class Noisy(DPOptimizer):  # type: ignore[misc]
        def add_noise(self) -> None:
            noisy = noisy_sums([p.summed_grad for p in self.params], sd=sigma * clip, noise=noise)
            for p, gradient in zip(self.params, noisy, strict=True):
                p.grad = gradient.view_as(p)

    adam = torch.optim.Adam(net.parameters(), lr=rate, betas=BETAS)
    return Noisy(
        adam,
        noise_multiplier=sigma,
        max_grad_norm=clip * (1 - MARGIN),
        expected_batch_size=expected,
        loss_reduction="mean",
    )


def noisy_sums(
    totals: list[torch.Tensor], *, sd: float, noise: np.random.Generator
) -> list[torch.Tensor]:
    """Return the sums of a step with Gaussian noise of standard deviation `sd`, on a grid.

    This is the one place where noise is added in training. `totals` has one tensor per parameter;
    `sd` = 0 leaves the sums as they are.
    """
    if sd == 0:
        return totals
    grid = 2.0 ** (math.floor(math.log2(sd)) - GRID_BITS)

    def noisy(total: torch.Tensor) -> torch.Tensor:
        drawn = torch.from_numpy(noise.standard_normal(tuple(total.shape), dtype=np.float32))
        return torch.round((total + sd * drawn) / grid) * grid

    return [noisy(total) for total in totals]


def train_privately(
    net: RowNet,
    codec: Codec,
    steps: EncodedSequences,
    plan: TrainingPlan,
    *,
    sigma: float,
    ledger: PrivacyLedger,
    what: str,
) -> None:
    """Train `net` with DP-SGD and enter its cost into `ledger`.

    Nothing but the noisy sums leaves a batch.

    Args:
        sigma: noise multiplier.
        what: what is trained; it names the entry of the ledger and the streams of noise.
    """
    from opacus.grad_sample import GradSampleModule

    rate, n_steps = sampling_rate(plan, ledger.users), private_steps(plan, ledger.users)
    batches = ledger.streams(steps.ids, f"batches of {what}").poisson_batches(rate, n_steps)
    own = ledger.streams(steps.ids, f"noise within {what}")
    net.per_user = True
    net.train()
    with warnings.catch_warnings(), keep_freed_memory():
        # Full backward hooks warn about embeddings, whose inputs need no gradient.
        warnings.simplefilter("ignore")
        wrapped: Any = GradSampleModule(net, loss_reduction="sum")
        optimizer = optimizer_of(
            wrapped,
            rate=plan.private_rate,
            sigma=sigma,
            clip=plan.clip,
            expected=rate * ledger.users,
            noise=ledger.rng(f"noise on the gradients of {what}"),
        )
        bytes_of_user = 4 * sum(p.numel() for p in net.parameters())
        chunk = int(np.clip(PHYSICAL_BYTES // bytes_of_user, 1, MOST_USERS))
        for step, users in enumerate(track(batches, "private training", total=n_steps)):
            parts = np.split(users, np.arange(chunk, len(users), chunk))
            for k, part in enumerate(parts):
                optimizer.signal_skip_step(do_skip=k < len(parts) - 1)
                optimizer.zero_grad(set_to_none=True)
                if len(part):
                    user_losses(
                        net, steps, part, plan, codec.items.start, own, step
                    ).sum().backward()
                else:  # an empty batch still costs, and still gets its noise
                    for p in net.parameters():
                        p.grad_sample = torch.zeros((0, *p.shape))  # type: ignore[attr-defined]
                optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wrapped.remove_hooks()
    for p in net.parameters():
        for name in ("grad_sample", "summed_grad"):
            if hasattr(p, name):
                delattr(p, name)
    net.per_user = False
    net.eval()
    ledger.spend("DP-SGD, Poisson sampling of users", what, sigma=sigma, rate=rate, steps=n_steps)


def user_losses(
    net: RowNet,
    steps: EncodedSequences,
    users: np.ndarray,
    plan: TrainingPlan,
    start: np.ndarray,
    own: UserStreams,
    step: int,
) -> torch.Tensor:
    """Return the loss of each of `users` (B,), (B,).

    It is the negative log likelihood in nats, divided by the root of the user's number of steps
    and that of the largest number, so that long sequences do not outweigh short ones.

    Args:
        start: (n_categories + 1,) where the items of each category begin.
        own: secret streams of users; latents and hidden rows at `step` do not depend on the batch.
    """
    batch = make_batch(steps, users, plan.private_rows + 1)
    # a longer draw begins like a shorter one
    drawn = own.uniform(users, step, net.latent + batch.mask.shape[1])
    z, kl = latents_by_user(
        net, batch, plan, torch.from_numpy(ndtri(drawn[:, : net.latent])).float()
    )
    keep = torch.from_numpy(drawn[:, net.latent :] >= plan.word_dropout).float()
    total = per_user_losses(net, batch, z, steps.names, start, keep) + kl
    return total / (plan.private_rows + 1) ** 0.5 / batch.mask.sum(1).to(total.dtype) ** 0.5
