"""gan: a Wasserstein GAN over users' latents, and a recurrent decoder of their rows.

Events are discrete, and a critic cannot send a gradient through a draw. So the adversarial training
happens where users are points: an autoencoder (that of `vae`) gives every user a latent, a
generator network learns to make latents that a critic cannot tell from those of real users, and the
decoder turns them into rows (latent space: Zhao et al. 2018, arXiv:1706.04223). Where `vae` fits a
mixture of Gaussians to the latents, nothing is assumed about their distribution here. Under a
privacy budget the autoencoder and the critic, which see users, are trained with DP-SGD.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn

from eventlog._runtime.settings import Range
from generators.neural_generator import NeuralGenerator
from generators.nn.adversarial import (
    AdversarialPlan,
    mlp,
    train_adversarially,
    train_adversarially_privately,
)
from generators.nn.dp_sgd import noise_left, private_steps, sampling_rate
from generators.nn.posterior import posterior_draws
from generators.nn.recurrent import RecurrentLayer
from generators.privacy.accounting import PrivacyLedger
from generators.sequences.encode import EncodedSequences
from generators.validation import array, weights_of


class Gan(NeuralGenerator):
    """A latent-space Wasserstein GAN with gradient penalty.

    Args:
        latent: numbers of a user's latent.
        free_bits: nats of each latent dimension that cost nothing in the autoencoder's loss.
        generator_steps: steps of the generator network.
        critic_steps: steps of the critic for each step of the generator network.
        adversarial_width, adversarial_batch, adversarial_rate: hidden units, latents of a batch and
            learning rate of both networks.
        private_generator_steps: steps of the generator network under a privacy budget. The critic
            then has `private_generator_steps * critic_steps` steps, each of which costs budget.
        network: see `NeuralGenerator`.
    """

    budget_entry = "autoencoder"
    calibration_stream = 9

    def __init__(
        self,
        *,
        latent: Annotated[int, Range(1, 8192)] = 24,
        free_bits: Annotated[float, Range(0, 100)] = 0.1,
        generator_steps: Annotated[int, Range(1, 10_000_000)] = 800,
        critic_steps: Annotated[int, Range(1, 1000)] = 4,
        adversarial_width: Annotated[int, Range(1, 8192)] = 128,
        adversarial_batch: Annotated[int, Range(1, 10_000_000)] = 256,
        adversarial_rate: Annotated[float, Range(1e-9, 1)] = 3e-4,
        private_generator_steps: Annotated[int, Range(1, 10_000_000)] = 100,
        **network: Any,
    ) -> None:
        super().__init__(**network)
        self.latent = latent
        self.plan = replace(self.plan, free_bits=free_bits)
        self.adversarial = AdversarialPlan(
            latent=latent,
            generator_steps=generator_steps,
            private_generator_steps=private_generator_steps,
            critic_steps=critic_steps,
            width=adversarial_width,
            batch=adversarial_batch,
            rate=adversarial_rate,
        )

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        plan = self.adversarial
        return {
            **super().settings(),
            "latent": self.latent,
            "free_bits": self.plan.free_bits,
            "generator_steps": plan.generator_steps,
            "critic_steps": plan.critic_steps,
            "adversarial_width": plan.width,
            "adversarial_batch": plan.batch,
            "adversarial_rate": plan.rate,
            "private_generator_steps": plan.private_generator_steps,
        }

    def _layers(self) -> nn.ModuleList:
        return nn.ModuleList(RecurrentLayer(self.width) for _ in range(self.layers))

    def _learn_latents(self, latents: torch.Tensor, *, seed: int) -> None:
        self.generator_network_, self.distances_ = train_adversarially(
            latents, self.adversarial, seed=seed
        )

    def _learn_privately(
        self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger
    ) -> None:
        """Train autoencoder and critic with one noise multiplier, so that both together use up the
        budget.
        """
        rate = sampling_rate(self.plan, ledger.users)
        n_steps = self.adversarial.private_generator_steps * self.adversarial.critic_steps
        phases = [(rate, private_steps(self.plan, ledger.users)), (rate, n_steps)]
        sigma = noise_left(ledger, phases)
        self._train_privately(steps, sigma=sigma, ledger=ledger)
        own = ledger.streams(steps.ids, "latents")

        def noise(users: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(own.normal(users, 0, self.latent)).float()

        # A user's latent depends on that user's rows and secret numbers only.
        latents = torch.from_numpy(posterior_draws(self.net_, steps, self.plan, noise))
        self.generator_network_ = train_adversarially_privately(
            latents,
            steps.ids,
            self.adversarial,
            sigma=sigma,
            clip=self.plan.clip,
            rate=rate,
            seed=seed,
            ledger=ledger,
        )
        ledger.spend(
            "DP-SGD, Poisson sampling of users", "critic", sigma=sigma, rate=rate, steps=n_steps
        )

    @torch.no_grad()
    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """Return latents (users, Z) that the generator network makes of noise."""
        noise = torch.randn((users, self.latent), generator=generator)
        made: torch.Tensor = self.generator_network_(noise)
        return made

    def _own_arrays(self) -> dict[str, np.ndarray]:
        weights = self.generator_network_.state_dict()
        return {f"generator/{name}": values.numpy() for name, values in weights.items()}

    def _restore_own(self, arrays: dict[str, np.ndarray]) -> None:
        width = self.adversarial.width
        # A network is built only where `arrays` fill it.
        array(arrays, "generator/0.weight", dtype="float32", shape=(width, self.latent))
        self.generator_network_ = mlp(self.latent, width, self.latent)
        self.generator_network_.load_state_dict(
            weights_of(arrays, "generator/", self.generator_network_)
        )
        self.generator_network_.eval()
