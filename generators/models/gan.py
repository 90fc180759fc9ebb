"""gan: a Wasserstein GAN over the latents of users, and the recurrent decoder that turns a latent into a user's rows.

Events are discrete, and a critic cannot send a gradient through a draw. So the adversarial game is played where users are
points: an autoencoder (that of `vae`) gives every user a latent, a generator network learns to make latents that a critic
cannot tell from those of real users, and the decoder writes them out. The critic is kept 1-Lipschitz by a gradient
penalty (Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028; latent space: Zhao et al. 2018,
arXiv:1706.04223). Where `vae` fits a mixture of Gaussians to the latents, here nothing is assumed of their shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from eventlog.errors import InputError
from generators.encoding import Steps
from generators.models.vae import Vae, posterior_draws
from generators.privacy import Ledger
from generators.training import train

PENALTY = 10.0  # weight of the gradient penalty, as in Gulrajani et al.


class Gan(Vae):
    """A latent-space Wasserstein GAN. Settings: `turns` of the generator, each after `critic_steps` of the critic; others as in `vae`."""

    supports_epsilon = False

    def __init__(
        self, *, turns: int = 1_500, critic_steps: int = 4, players_width: int = 128, players_batch: int = 256, players_rate: float = 3e-4,
        **autoencoder: Any,
    ) -> None:
        super().__init__(**autoencoder)
        if min(turns, critic_steps, players_width, players_batch) < 1:
            raise InputError("turns, critic_steps, players_width and players_batch must be at least 1.")
        self.turns, self.critic_steps, self.players_rate = turns, critic_steps, players_rate
        self.players_width, self.players_batch = players_width, players_batch

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        own = ("turns", "critic_steps", "players_width", "players_batch", "players_rate")
        return {**super().settings(), **{name: getattr(self, name) for name in own}}

    def _learn(self, steps: Steps, *, seed: int, ledger: Ledger) -> None:
        self.net_ = self._build(seed)
        self.history_ = train(self.net_, self.codec_, steps, self.plan, seed=seed)
        real = torch.from_numpy(posterior_draws(self.net_, steps, self.plan, seed=seed))
        self.maker_, self.distances_ = self._play(real, seed=seed)

    def _play(self, real: torch.Tensor, *, seed: int) -> tuple[nn.Module, list[float]]:
        """The generator network after the game, and the critic's estimate of the Wasserstein distance at each turn.

        real (n_users, Z). The weights that sample are a running mean of the generator's: a game circles around its
        equilibrium, and the mean lies nearer to it than any one turn (Yazıcı et al. 2019, arXiv:1806.04498).
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            maker, critic = self._player(self.latent), self._player(1)
        mean = self._player(self.latent)
        mean.load_state_dict(maker.state_dict())
        noise = torch.Generator().manual_seed(seed * 1_000_003 + 7)
        # No momentum: the other player moves too (Gulrajani et al., section 4).
        tune_maker = torch.optim.Adam(maker.parameters(), self.players_rate, betas=(0.0, 0.9))
        tune_critic = torch.optim.Adam(critic.parameters(), self.players_rate, betas=(0.0, 0.9))
        distances = []
        for turn in range(self.turns):
            for _ in range(self.critic_steps):
                true = real[torch.randint(len(real), (self.players_batch,), generator=noise)]       # (B, Z)
                made = maker(self._noise(self.players_batch, noise)).detach()                       # (B, Z)
                distance = critic(true).mean() - critic(made).mean()
                loss = PENALTY * _steepness(critic, true, made, noise) - distance
                tune_critic.zero_grad(set_to_none=True)
                loss.backward()
                tune_critic.step()
            distances.append(float(distance.detach()))
            loss = -critic(maker(self._noise(self.players_batch, noise))).mean()
            tune_maker.zero_grad(set_to_none=True)
            loss.backward()
            tune_maker.step()
            keep = min(0.995, turn / (turn + 10))
            with torch.no_grad():
                for slow, fast in zip(mean.parameters(), maker.parameters(), strict=True):
                    slow.lerp_(fast, 1 - keep)
        return mean.eval(), distances

    def _player(self, out: int) -> nn.Module:
        width = self.players_width
        return nn.Sequential(nn.Linear(self.latent, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out))

    def _noise(self, n: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn((n, self.latent), generator=generator)

    @torch.no_grad()
    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """(users, Z) latents made by the generator network."""
        made: torch.Tensor = self.maker_(self._noise(users, generator))
        return made

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        self.prior_: dict[str, np.ndarray] = {}
        arrays, data = super().state()
        return arrays | {f"maker/{k}": v.numpy() for k, v in self.maker_.state_dict().items()}, data

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        super().restore(arrays, data)
        self.maker_ = self._player(self.latent)
        self.maker_.load_state_dict({k.removeprefix("maker/"): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("maker/")})
        self.maker_.eval()


def _steepness(critic: nn.Module, true: torch.Tensor, made: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mean of (|gradient| - 1)^2 at points between real (B, Z) and made (B, Z) latents."""
    share = torch.rand((len(true), 1), generator=generator)
    between = (share * true + (1 - share) * made).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return ((gradient.norm(dim=1) - 1) ** 2).mean()
