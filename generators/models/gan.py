"""gan: a Wasserstein GAN over the latents of users, and the recurrent decoder that turns a latent
into a user's rows.

Events are discrete, and a critic cannot send a gradient through a draw. So the adversarial game is
played where users are points: an autoencoder (that of `vae`) gives every user a latent, a generator
network learns to make latents that a critic cannot tell from those of real users, and the decoder
writes them out. The critic is kept 1-Lipschitz by a gradient penalty (Arjovsky et al. 2017,
arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028; latent space: Zhao et al. 2018,
arXiv:1706.04223). Where `vae` fits a mixture of Gaussians to the latents, here nothing is assumed
of their shape. Under a budget the autoencoder and the critic, which see users, are trained with
DP-SGD; the generator network sees the critic only.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from scipy.special import ndtr
from torch import nn

from eventlog._runtime.console import track
from eventlog.privacy.noise import UserStreams
from generators.base import check_ranges
from generators.models.vae import Vae, check_finite, normal_of, posterior_draws
from generators.nn.dp_sgd import (
    noise_left,
    optimizer_of,
    private_steps,
    sampling_rate,
    train_privately,
)
from generators.nn.training import train, train_statics
from generators.privacy.queries import PrivacyLedger
from generators.sequences.encode import EncodedSequences
from generators.validation import array, weights_of

PENALTY = 10.0  # weight of the gradient penalty, as in Gulrajani et al.
# of Adam: no momentum, for the other player moves too (Gulrajani et al., section 4)
BETAS = (0.0, 0.9)


class Gan(Vae):
    """A latent-space Wasserstein GAN. Settings: `turns` of the generator, each after `critic_steps`
    of the critic; others as in `vae`.

    Under a budget the critic has `private_turns * critic_steps` steps, for each of them is paid.
    """

    def __init__(
        self,
        *,
        turns: int = 800,
        critic_steps: int = 4,
        players_width: int = 128,
        players_batch: int = 256,
        players_rate: float = 3e-4,
        private_turns: int = 100,
        **autoencoder: Any,
    ) -> None:
        super().__init__(**autoencoder)
        check_ranges(
            turns=(turns, 1, 1e7),
            private_turns=(private_turns, 1, 1e7),
            critic_steps=(critic_steps, 1, 1000),
            players_width=(players_width, 1, 8192),
            players_batch=(players_batch, 1, 1e7),
            players_rate=(players_rate, 1e-9, 1),
        )
        self.turns, self.private_turns, self.critic_steps, self.players_rate = (
            turns,
            private_turns,
            critic_steps,
            players_rate,
        )
        self.players_width, self.players_batch = players_width, players_batch

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        own = (
            "turns",
            "private_turns",
            "critic_steps",
            "players_width",
            "players_batch",
            "players_rate",
        )
        return {**super().settings(), **{name: getattr(self, name) for name in own}}

    def _learn(self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger) -> None:
        self.net_ = self._build(seed)
        self.net_.start_from(self.field_marginals_)
        if ledger.epsilon is not None:
            self._learn_privately(steps, seed=seed, ledger=ledger)
        else:
            train(self.net_, self.codec_, steps, self.plan, seed=seed)
            check_finite(self.net_)
            real = torch.from_numpy(
                posterior_draws(self.net_, steps, self.plan, normal_of(self.latent, seed))
            )
            train_statics(self.net_, steps.user_attributes, real, seed=seed)
            self.maker_, self.distances_ = self._play(real, seed=seed)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + 9)
        self.net_.calibrate(
            self._latents(8192, generator),
            self.static_marginals_,
            generator,
            steps.user_attributes if ledger.epsilon is None else None,
        )

    def _learn_privately(
        self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger
    ) -> None:
        """One noise multiplier for both trainings that see users, so that together they use up the
        budget.
        """
        rate, n_steps = (
            sampling_rate(self.plan, ledger.users),
            self.private_turns * self.critic_steps,
        )
        sigma = noise_left(
            ledger, [(rate, private_steps(self.plan, ledger.users)), (rate, n_steps)]
        )
        train_privately(
            self.net_, self.codec_, steps, self.plan, sigma=sigma, ledger=ledger, what="autoencoder"
        )
        own = ledger.streams(steps.ids, "latents")
        # A user's latent depends on that user's rows and secret numbers only.
        real = torch.from_numpy(
            posterior_draws(
                self.net_,
                steps,
                self.plan,
                lambda users: torch.from_numpy(own.normal(users, 0, self.latent)).float(),
            )
        )
        self.maker_ = self._play_privately(
            real, steps.ids, sigma=sigma, rate=rate, seed=seed, ledger=ledger
        )
        ledger.spend(
            "DP-SGD, Poisson sampling of users", "critic", sigma=sigma, rate=rate, steps=n_steps
        )

    def _play(self, real: torch.Tensor, *, seed: int) -> tuple[nn.Module, list[float]]:
        """The generator network after the game, and the critic's estimate of the Wasserstein
        distance at each turn.

        real (n_users, Z). The weights that sample are a running mean of the generator's: a game
        circles around its equilibrium, and the mean lies nearer to it than any one turn (Yazıcı et
        al. 2019, arXiv:1806.04498).
        """
        maker, critic = self._players(seed)
        mean = copy.deepcopy(maker)
        noise = torch.Generator().manual_seed(seed * 1_000_003 + 7)
        tune_maker, tune_critic = (
            torch.optim.Adam(p.parameters(), self.players_rate, betas=BETAS)
            for p in (maker, critic)
        )
        distances = []
        for turn in range(self.turns):
            for _ in range(self.critic_steps):
                # (B, Z)
                true = real[torch.randint(len(real), (self.players_batch,), generator=noise)]
                # (B, Z)
                made = maker(self._noise(self.players_batch, noise)).detach()
                distance = critic(true).mean() - critic(made).mean()
                loss = PENALTY * _gradient_penalty(critic, true, made, noise) - distance
                tune_critic.zero_grad(set_to_none=True)
                loss.backward()
                tune_critic.step()
            distances.append(float(distance.detach()))
            self._turn(maker, critic, tune_maker, mean, noise, keep=min(0.995, turn / (turn + 10)))
        return mean.eval(), distances

    def _play_privately(
        self,
        real: torch.Tensor,
        ids: np.ndarray,
        *,
        sigma: float,
        rate: float,
        seed: int,
        ledger: PrivacyLedger,
    ) -> nn.Module:
        """As `_play`, but a step of the critic sees a Poisson sample of users, each with a clipped
        gradient, and noise.

        real (n_users, Z), ids (n_users,). A user's loss: the critic on a made latent, less the
        critic on theirs, plus the penalty between the two. The made latent and the point between
        come from the user's own secret numbers.
        """
        maker, critic = self._players(seed)
        mean = copy.deepcopy(maker)
        # of the generator's own steps, which see no user
        noise = torch.Generator().manual_seed(seed * 1_000_003 + 7)
        own = ledger.streams(ids, "critic")
        tune_maker = torch.optim.Adam(maker.parameters(), self.players_rate, betas=BETAS)
        tune_critic = optimizer_of(
            critic,
            rate=self.players_rate,
            sigma=sigma,
            clip=self.plan.clip,
            expected=rate * ledger.users,
            noise=ledger.rng("noise on the critic's gradients"),
        )
        batches = own.poisson_batches(rate, self.private_turns * self.critic_steps)
        own = ledger.streams(ids, "made latents")
        for step, users in enumerate(track(batches, "critic", total=len(batches))):
            found = self.critic_gradients(maker, critic, real, users, own, step)
            tune_critic.zero_grad(set_to_none=True)
            for name, parameter in critic.named_parameters():
                parameter.grad_sample = found[name]  # type: ignore[attr-defined]
            tune_critic.step()
            if step % self.critic_steps == self.critic_steps - 1:
                turn = step // self.critic_steps
                self._turn(
                    maker, critic, tune_maker, mean, noise, keep=min(0.98, turn / (turn + 10))
                )
        return mean.eval()

    def critic_gradients(
        self,
        maker: nn.Module,
        critic: nn.Module,
        real: torch.Tensor,
        users: np.ndarray,
        own: UserStreams,
        step: int,
    ) -> dict[str, torch.Tensor]:
        """Return for each parameter of the critic the gradients (len(users), *shape) of the loss of
        each of `users`.
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
                score(made)
                - score(true)
                + PENALTY * ((slope.square().sum() + 1e-12).sqrt() - 1) ** 2
            )

        weights = {k: v.detach() for k, v in critic.named_parameters()}
        if len(users) == 0:
            return {k: v.new_zeros((0, *v.shape)) for k, v in weights.items()}
        drawn = own.normal(users, step, self.latent + 1)
        with torch.no_grad():
            made = maker(torch.from_numpy(drawn[:, :-1]).float())
        # uniform: the distribution function of a normal number
        share = torch.from_numpy(ndtr(drawn[:, -1:])).float()
        return vmap(grad(loss_of_user), in_dims=(None, 0, 0, 0))(
            weights, real[torch.from_numpy(users)], made, share
        )

    def _turn(
        self,
        maker: nn.Module,
        critic: nn.Module,
        tune: torch.optim.Optimizer,
        mean: nn.Module,
        noise: torch.Generator,
        *,
        keep: float,
    ) -> None:
        """One step of the generator network; its running mean follows."""
        loss = -critic(maker(self._noise(self.players_batch, noise))).mean()
        tune.zero_grad(set_to_none=True)
        loss.backward()
        tune.step()
        with torch.no_grad():
            for slow, fast in zip(mean.parameters(), maker.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)

    def _players(self, seed: int) -> tuple[nn.Module, nn.Module]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            return self._player(self.latent), self._player(1)

    def _player(self, out: int) -> nn.Module:
        width = self.players_width
        return nn.Sequential(
            nn.Linear(self.latent, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, out),
        )

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
        # before one is made so wide
        array(arrays, "maker/0.weight", dtype="float32", shape=(self.players_width, self.latent))
        self.maker_ = self._player(self.latent)
        self.maker_.load_state_dict(weights_of(arrays, "maker/", self.maker_))
        self.maker_.eval()

    def _prior_of(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """There is none: the generator network takes its place."""
        return {}

    def _beside_net(self) -> dict[str, list[str]]:
        """Names of the arrays beside those of the network, by their prefix."""
        return {"maker/": [f"{k}.{part}" for k in (0, 2, 4) for part in ("weight", "bias")]}


def _gradient_penalty(
    critic: nn.Module, true: torch.Tensor, made: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Mean of (|gradient| - 1)^2 at points between real (B, Z) and made (B, Z) latents."""
    share = torch.rand((len(true), 1), generator=generator)
    between = (share * true + (1 - share) * made).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return ((gradient.norm(dim=1) - 1) ** 2).mean()
