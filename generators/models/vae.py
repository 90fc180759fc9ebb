"""vae: a variational autoencoder of users, with an autoregressive decoder of their rows.

Each user has one latent, which the decoder sees at every step (Kingma and Welling 2014,
arXiv:1312.6114). Word dropout, free bits and the latent at every step keep the decoder from
ignoring it. New latents come from a mixture of Gaussians that is fitted to the posteriors (ex-post
density estimation, Ghosh et al. 2020, arXiv:1903.12436), or from the standard normal distribution
under a privacy budget.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn

from eventlog._runtime.settings import Range
from generators.neural_generator import NeuralGenerator
from generators.nn.recurrent import RecurrentLayer
from generators.privacy.accounting import PrivacyLedger
from generators.sequences.encode import EncodedSequences
from generators.validation import LARGEST_WEIGHT, array, shares

USERS_PER_COMPONENT = 50  # of the mixture, at least


class Vae(NeuralGenerator):
    """A latent per user and a recurrent decoder.

    Args:
        latent: numbers of a user's latent.
        free_bits: nats of each latent dimension that cost nothing in the loss.
        components: Gaussians in the mixture of latents, at most.
        network: see `NeuralGenerator`.
    """

    budget_entry = "encoder and decoder"
    private_pace = (2.8e-3, 2e-5)

    def __init__(
        self,
        *,
        latent: Annotated[int, Range(1, 8192)] = 24,
        free_bits: Annotated[float, Range(0, 100)] = 0.1,
        components: Annotated[int, Range(1, 1000)] = 12,
        **network: Any,
    ) -> None:
        super().__init__(**network)
        self.latent, self.components = latent, components
        self.plan = replace(self.plan, free_bits=free_bits)

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        own = {"latent": self.latent, "components": self.components}
        return {**super().settings(), **own, "free_bits": self.plan.free_bits}

    def _layers(self) -> nn.ModuleList:
        return nn.ModuleList(RecurrentLayer(self.width) for _ in range(self.layers))

    def _learn_latents(self, latents: torch.Tensor, *, seed: int) -> None:
        self.prior_ = fit_prior(latents.numpy(), self.components, seed=seed)

    def _learn_privately(
        self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger
    ) -> None:
        super()._learn_privately(steps, seed=seed, ledger=ledger)
        self.prior_ = standard_normal(self.latent)

    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """Draw latents (users, Z) from the mixture of Gaussians."""
        weight, center, factor = (
            torch.from_numpy(self.prior_[k]) for k in ("weight", "center", "factor")
        )
        part = torch.multinomial(weight, users, replacement=True, generator=generator)
        noise = torch.randn((users, self.latent), generator=generator)
        return center[part] + (factor[part] @ noise[:, :, None])[:, :, 0]

    def _own_arrays(self) -> dict[str, np.ndarray]:
        return {f"prior/{name}": values for name, values in self.prior_.items()}

    def _restore_own(self, arrays: dict[str, np.ndarray]) -> None:
        weight = shares(arrays, "prior/weight", dtype="float32", shape=(None,))
        k, z, most = len(weight), self.latent, LARGEST_WEIGHT
        self.prior_ = {"weight": weight}
        for name, shape in (("center", (k, z)), ("factor", (k, z, z))):
            self.prior_[name] = array(
                arrays, f"prior/{name}", dtype="float32", shape=shape, low=-most, high=most
            )


def standard_normal(latent: int) -> dict[str, np.ndarray]:
    """Return the standard normal distribution as a mixture of one; it looks at no user."""
    return {
        "weight": np.ones(1, np.float32),
        "center": np.zeros((1, latent), np.float32),
        "factor": np.eye(latent, dtype=np.float32)[None],
    }


def fit_prior(draws: np.ndarray, components: int, *, seed: int) -> dict[str, np.ndarray]:
    """Fit a mixture of K <= `components` Gaussians to `draws` (n_users, Z).

    Returns:
        weight (K,), center (K, Z) and factor (K, Z, Z), the Cholesky factors of the covariances.
    """
    from sklearn.mixture import GaussianMixture

    k = int(np.clip(len(draws) // USERS_PER_COMPONENT, 1, components))
    kind = "full" if len(draws) > 20 * draws.shape[1] else "diag"
    mixture = GaussianMixture(
        k, covariance_type=kind, reg_covar=1e-3, random_state=seed, max_iter=50
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged after 50 rounds is close enough
        mixture.fit(draws)
    covariance = (
        mixture.covariances_
        if kind == "full"
        else np.stack([np.diag(c) for c in mixture.covariances_])
    )
    return {
        "weight": mixture.weights_.astype(np.float32),
        "center": mixture.means_.astype(np.float32),
        "factor": np.linalg.cholesky(covariance).astype(np.float32),
    }
