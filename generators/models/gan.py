"""gan: a generator and a Wasserstein critic over the latents of an autoencoder of users, whose decoder draws discrete rows.

Adversarial training on discrete sequences in the manner of ARAE (Zhao et al. 2018): the autoencoder turns a user into a
point, the critic (WGAN-GP, Gulrajani et al. 2017) compares real users' points with the generator's, and the stochastic
decoder turns a point into rows, so that no gradient has to pass through a draw. Under a budget the autoencoder and the
critic, which see users, are trained with DP-SGD; the generator sees the critic only.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from generators.encoding import Steps
from generators.models.vae import Vae
from generators.privacy import Ledger
from generators.private_training import noise_left, optimizer_of, private_steps, sampling_rate, train_privately
from generators.training import batches, make_batch, train

BETAS = (0.0, 0.9)  # of Adam, as in WGAN-GP


@dataclass(frozen=True)
class Game:
    """How the two play. `private_rounds`: updates of the critic under a budget, one of the generator after every `critic_steps`."""

    rounds: int = 2_000
    critic_steps: int = 4
    batch: int = 256
    game_rate: float = 3e-4
    penalty: float = 10.0
    private_rounds: int = 400


class Gan(Vae):
    """WGAN-GP in the latent space of an autoencoder. Settings: those of vae (but `components`), and of Game."""

    def __init__(
        self, *, rounds: int = 2_000, critic_steps: int = 4, batch: int = 256, game_rate: float = 3e-4, penalty: float = 10.0,
        private_rounds: int = 400, width: int = 96, latent: int = 24, layers: int = 2, epochs: int = 0, rows: int = 1_300_000, rate: float = 4e-3,
        batch_steps: int = 2048, window: int = 128, word_dropout: float = 0.1, private_epochs: int = 12, private_rows: int = 64,
        batch_users: int = 192, clip: float = 1.0, private_rate: float = 2e-3, min_users: int = 5, intervals: int = 32, max_rows: int = 1024,
    ) -> None:
        super().__init__(width=width, latent=latent, layers=layers, epochs=epochs, rows=rows, rate=rate, batch_steps=batch_steps, window=window,
                         word_dropout=word_dropout, private_epochs=private_epochs, private_rows=private_rows, batch_users=batch_users,
                         clip=clip, private_rate=private_rate, min_users=min_users, intervals=intervals, max_rows=max_rows)
        self.plan = replace(self.plan, kl=False)
        self.game = Game(rounds, critic_steps, batch, game_rate, penalty, private_rounds)

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {k: v for k, v in {**super().settings(), **vars(self.game)}.items() if k not in ("components", "free_bits")}

    def _learn(self, steps: Steps, *, seed: int, ledger: Ledger) -> None:
        self.net_ = self._build(seed)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + 11)
        if ledger.epsilon is None:
            train(self.net_, self.codec_, steps, self.plan, seed=seed)
            self.maker_ = play(self._points(steps, seed), self._maker(seed), self._critic(seed), self.game, generator)
            self.net_.calibrate(self._latents(8192, generator), steps.static, generator)
            return
        rate = sampling_rate(self.plan, len(steps))
        sigma = noise_left(ledger, [(rate, private_steps(self.plan, len(steps))), (rate, self.game.private_rounds)])
        train_privately(self.net_, self.codec_, steps, self.plan, seed=seed, sigma=sigma, ledger=ledger, what="autoencoder")
        self.maker_ = play_privately(self._points(steps, seed), self._maker(seed), self._critic(seed), self.game, generator,
                                     sigma=sigma, rate=rate, clip=self.plan.clip, seed=seed)
        ledger.spend("DP-SGD, Poisson sampling of users", "critic", sigma=sigma, rate=rate, steps=self.game.private_rounds)

    @torch.no_grad()
    def _points(self, steps: Steps, seed: int) -> torch.Tensor:
        """(n_users, Z): the users as the autoencoder sees them, without jitter; each depends on its own user only."""
        out = torch.zeros((len(steps), self.latent))
        for users in batches(steps, self.plan, np.random.default_rng([seed, 6])):
            batch = make_batch(steps, users, self.plan.window)
            n = len(batch.static)
            center, _ = self.net_.posterior(batch.features[:n, 1:], batch.static, batch.mask[:n, 1:], batch.length)
            out[torch.from_numpy(users)] = F.layer_norm(center, center.shape[-1:])
        return out

    def _maker(self, seed: int) -> nn.Module:
        return _mlp([self.latent, self.width, self.width, self.latent], seed + 1, norm=True)

    def _critic(self, seed: int) -> nn.Module:
        return _mlp([self.latent, self.width, self.width, 1], seed + 2, norm=False)

    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """(users, Z) points of the generator, jittered as the decoder was trained."""
        with torch.no_grad():
            z: torch.Tensor = made(self.maker_, torch.randn((users, self.latent), generator=generator))
        return z + 0.2 * torch.randn(z.shape, generator=generator)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {f"net/{k}": v.detach().numpy() for k, v in self.net_.state_dict().items()}
        return arrays | {f"maker/{k}": v.detach().numpy() for k, v in self.maker_.state_dict().items()}, {"codec": self.codec_.to_json()}

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        super().restore(arrays, data)
        self.maker_ = self._maker(0)
        self.maker_.load_state_dict({k.removeprefix("maker/"): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("maker/")})


def _mlp(sizes: list[int], seed: int, *, norm: bool) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for a, b in zip(sizes[:-2], sizes[1:-1], strict=True):
            layers += [nn.Linear(a, b), *([nn.LayerNorm(b)] if norm else []), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def made(maker: nn.Module, noise: torch.Tensor) -> torch.Tensor:
    """(n, Z) points on the sphere on which the autoencoder puts users."""
    return F.layer_norm(maker(noise), noise.shape[-1:])


def play(points: torch.Tensor, maker: nn.Module, critic: nn.Module, game: Game, generator: torch.Generator) -> nn.Module:
    """Train `maker` against `critic` on `points` (n, Z); returns the running average of the maker (Yazici et al. 2019)."""
    of_maker = torch.optim.Adam(maker.parameters(), lr=game.game_rate, betas=BETAS)
    of_critic = torch.optim.Adam(critic.parameters(), lr=game.game_rate, betas=BETAS)
    average = copy.deepcopy(maker)
    size = min(game.batch, len(points))
    for turn in range(game.rounds):
        for _ in range(game.critic_steps):
            real = points[torch.randint(len(points), (size,), generator=generator)]
            with torch.no_grad():
                fake = made(maker, torch.randn(real.shape, generator=generator))
            loss = critic(fake).mean() - critic(real).mean() + game.penalty * _penalty(critic, real, fake, generator)
            of_critic.zero_grad(set_to_none=True)
            loss.backward()
            of_critic.step()
        _turn_of_maker(maker, critic, of_maker, size, points.shape[1], generator)
        _follow(average, maker, min(0.995, turn / (turn + 10)))
    return average


def _penalty(critic: nn.Module, real: torch.Tensor, fake: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mean of (|gradient| - 1)^2 on lines between real and made points."""
    share = torch.rand((len(real), 1), generator=generator)
    between = (share * real + (1 - share) * fake).requires_grad_(True)
    slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
    return ((slope.norm(dim=1) - 1) ** 2).mean()


def _turn_of_maker(maker: nn.Module, critic: nn.Module, optimizer: torch.optim.Optimizer, size: int, latent: int, generator: torch.Generator) -> None:
    loss = -critic(made(maker, torch.randn((size, latent), generator=generator))).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@torch.no_grad()
def _follow(average: nn.Module, maker: nn.Module, keep: float) -> None:
    for a, b in zip(average.parameters(), maker.parameters(), strict=True):
        a.lerp_(b, 1 - keep)


def play_privately(
    points: torch.Tensor, maker: nn.Module, critic: nn.Module, game: Game, generator: torch.Generator, *, sigma: float, rate: float, clip: float, seed: int
) -> nn.Module:
    """As `play`, with a Poisson sample of users a turn and the critic's gradient of each user clipped and noised.

    A user's loss is the critic on a made point less the critic on theirs, plus the penalty between the two.
    """
    from torch.func import functional_call, grad, vmap

    of_maker = torch.optim.Adam(maker.parameters(), lr=game.game_rate, betas=BETAS)
    of_critic = optimizer_of(critic, rate=game.game_rate, sigma=sigma, clip=clip, expected=rate * len(points), generator=generator)
    rng = np.random.default_rng([seed, 10])
    average = copy.deepcopy(maker)

    def user_loss(parameters: dict[str, torch.Tensor], real: torch.Tensor, fake: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        def score(x: torch.Tensor) -> torch.Tensor:
            return functional_call(critic, parameters, (x,))[0]

        slope = grad(score)(share * real + (1 - share) * fake)
        return score(fake) - score(real) + game.penalty * ((slope.square().sum() + 1e-12).sqrt() - 1) ** 2

    per_user = vmap(grad(user_loss), in_dims=(None, 0, 0, 0))
    for turn in range(game.private_rounds):
        real = points[torch.from_numpy(np.flatnonzero(rng.random(len(points)) < rate))]
        with torch.no_grad():
            fake = made(maker, torch.randn(real.shape, generator=generator))
        of_critic.zero_grad(set_to_none=True)
        share = torch.rand((len(real), 1), generator=generator)
        parameters = {k: v.detach() for k, v in critic.named_parameters()}
        grads = per_user(parameters, real, fake, share) if len(real) else {k: torch.zeros((0, *v.shape)) for k, v in parameters.items()}
        for name, parameter in critic.named_parameters():
            parameter.grad_sample = grads[name]  # type: ignore[attr-defined]
        of_critic.step()
        if turn % game.critic_steps == game.critic_steps - 1:
            _turn_of_maker(maker, critic, of_maker, game.batch, points.shape[1], generator)
            _follow(average, maker, min(0.98, turn / (turn + 10)))
    return average
