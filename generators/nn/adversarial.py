"""Wasserstein GAN with gradient penalty over points (users' latents), plainly or with DP-SGD.

A critic learns to tell latents of real users from those that a generator network makes of noise;
the generator network learns to make latents that the critic scores as real. Arjovsky et al. 2017,
arXiv:1701.07875; gradient penalty: Gulrajani et al. 2017, arXiv:1704.00028. What is returned is the
running mean of the generator network's weights, since an adversarial game circles around its
equilibrium (Yazıcı et al. 2019, arXiv:1806.04498).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr
from torch import nn

from eventlog._runtime.console import track
from eventlog.privacy.noise import UserStreams
from generators.nn.dp_sgd import optimizer_of
from generators.privacy.accounting import PrivacyLedger

PENALTY = 10.0  # weight of the gradient penalty (Gulrajani et al.)
# of Adam: no momentum, since the other network moves too (Gulrajani et al., section 4)
BETAS = (0.0, 0.9)


@dataclass(frozen=True)
class AdversarialPlan:
    """How a critic and a generator network are trained."""

    latent: int  # Z: size of a point, and of the noise that it is made of
    generator_steps: int
    private_generator_steps: int
    critic_steps: int  # for each step of the generator network
    width: int  # hidden units of either network
    batch: int  # points of a step
    rate: float  # learning rate of either network


def mlp(latent: int, width: int, out: int) -> nn.Sequential:
    """Return a network (B, Z) -> (B, out) with two hidden layers."""
    return nn.Sequential(
        nn.Linear(latent, width),
        nn.SiLU(),
        nn.Linear(width, width),
        nn.SiLU(),
        nn.Linear(width, out),
    )


class AdversarialNetworks:
    """A generator network, the running mean of its weights, and a critic, during training."""

    def __init__(self, plan: AdversarialPlan, seed: int) -> None:
        self.plan = plan
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.generator = mlp(plan.latent, plan.width, plan.latent)
            self.critic = mlp(plan.latent, plan.width, 1)
        self.mean = copy.deepcopy(self.generator)
        self.noise = torch.Generator().manual_seed(seed * 1_000_003 + 7)  # it sees no user
        self.optimizer = torch.optim.Adam(self.generator.parameters(), plan.rate, betas=BETAS)

    def made(self) -> torch.Tensor:
        """Return a batch of made points (B, Z)."""
        noise = torch.randn((self.plan.batch, self.plan.latent), generator=self.noise)
        made: torch.Tensor = self.generator(noise)
        return made

    def step_generator(self, *, keep: float) -> None:
        """Take one step of the generator network; its running mean keeps the share `keep`."""
        loss = -self.critic(self.made()).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.mean.parameters(), self.generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)


def train_adversarially(
    real: torch.Tensor, plan: AdversarialPlan, *, seed: int
) -> tuple[nn.Module, list[float]]:
    """Train on the points `real` (n_users, Z).

    Returns:
        The generator network, and the critic's estimate of the Wasserstein distance before each of
        its steps.
    """
    networks = AdversarialNetworks(plan, seed)
    critic, noise = networks.critic, networks.noise
    optimizer = torch.optim.Adam(critic.parameters(), plan.rate, betas=BETAS)
    distances = []
    for turn in range(plan.generator_steps):
        for _ in range(plan.critic_steps):
            # (B, Z)
            true = real[torch.randint(len(real), (plan.batch,), generator=noise)]
            made = networks.made().detach()  # (B, Z)
            distance = critic(true).mean() - critic(made).mean()
            loss = PENALTY * gradient_penalty(critic, true, made, noise) - distance
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        distances.append(float(distance.detach()))
        networks.step_generator(keep=min(0.995, turn / (turn + 10)))
    return networks.mean.eval(), distances


def train_adversarially_privately(
    real: torch.Tensor,
    ids: np.ndarray,
    plan: AdversarialPlan,
    *,
    sigma: float,
    clip: float,
    rate: float,
    seed: int,
    ledger: PrivacyLedger,
) -> nn.Module:
    """Train with DP-SGD for the critic; return the generator network, which sees the critic only.

    A step of the critic sees a Poisson sample of users, each with a clipped gradient. What a user
    draws (the made point and where the penalty is taken) comes from the user's own secret stream.

    Args:
        real: (n_users, Z) points of the users `ids` (n_users,).
        sigma: noise multiplier.
        clip: largest norm of a user's gradient.
        rate: probability with which a user is in a batch.
    """
    networks = AdversarialNetworks(plan, seed)
    critic = networks.critic
    optimizer = optimizer_of(
        critic,
        rate=plan.rate,
        sigma=sigma,
        clip=clip,
        expected=rate * ledger.users,
        noise=ledger.rng("noise on the critic's gradients"),
    )
    n_steps = plan.private_generator_steps * plan.critic_steps
    batches = ledger.streams(ids, "critic").poisson_batches(rate, n_steps)
    own = ledger.streams(ids, "made latents")
    for step, users in enumerate(track(batches, "critic", total=len(batches))):
        found = critic_gradients(networks.generator, critic, real, users, own, step)
        optimizer.zero_grad(set_to_none=True)
        for name, parameter in critic.named_parameters():
            parameter.grad_sample = found[name]  # type: ignore[attr-defined]
        optimizer.step()
        if step % plan.critic_steps == plan.critic_steps - 1:
            turn = step // plan.critic_steps
            networks.step_generator(keep=min(0.98, turn / (turn + 10)))
    return networks.mean.eval()


def critic_gradients(
    generator: nn.Module,
    critic: nn.Module,
    real: torch.Tensor,
    users: np.ndarray,
    own: UserStreams,
    step: int,
) -> dict[str, torch.Tensor]:
    """Return the gradients (len(users), *shape) of each user's loss, by the critic's parameters.

    The loss of a user is the critic's score of a made point, less that of the user's own point,
    plus the gradient penalty at a point between the two.
    """
    from torch.func import functional_call, grad, vmap

    def loss_of_user(
        weights: dict[str, torch.Tensor],
        true: torch.Tensor,
        made: torch.Tensor,
        share: torch.Tensor,
    ) -> torch.Tensor:
        def score(x: torch.Tensor) -> torch.Tensor:
            return functional_call(critic, weights, (x,))[0]

        slope = grad(score)(share * true + (1 - share) * made)
        return (
            score(made) - score(true) + PENALTY * ((slope.square().sum() + 1e-12).sqrt() - 1) ** 2
        )

    weights = {k: v.detach() for k, v in critic.named_parameters()}
    if len(users) == 0:
        return {k: v.new_zeros((0, *v.shape)) for k, v in weights.items()}
    drawn = own.normal(users, step, real.shape[1] + 1)
    with torch.no_grad():
        made = generator(torch.from_numpy(drawn[:, :-1]).float())
    # uniform: the distribution function of a normal number
    share = torch.from_numpy(ndtr(drawn[:, -1:])).float()
    return vmap(grad(loss_of_user), in_dims=(None, 0, 0, 0))(
        weights, real[torch.from_numpy(users)], made, share
    )


def gradient_penalty(
    critic: nn.Module, true: torch.Tensor, made: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Return the mean of (|gradient| - 1)^2 at points between real (B, Z) and made (B, Z) ones."""
    share = torch.rand((len(true), 1), generator=generator)
    between = (share * true + (1 - share) * made).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return ((gradient.norm(dim=1) - 1) ** 2).mean()
