"""vae: a variational autoencoder of users: one latent a user, an autoregressive decoder that is
told it at every step.

Kingma and Welling 2014; the decoder cannot ignore the latent: word dropout, free bits, and the
latent enters every step. Users are not spread like the standard normal even after training; latents
are drawn from a mixture of Gaussians fitted to the posteriors (ex-post density estimation, Ghosh et
al. 2020), or from the standard normal under a budget.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from eventlog._runtime.errors import WorkError
from generators.base import check_ranges
from generators.codec.restore import restored
from generators.nn.dp_sgd import noise_left, private_steps, sampling_rate, train_privately
from generators.nn.network import Layer, RowNet
from generators.nn.training import Plan, batches, latent_of, make_batch, train, train_statics
from generators.privacy.queries import PrivacyLedger
from generators.sampling.step_decoder import StepDecoder
from generators.sequence_model import SequenceGenerator
from generators.sequences.encode import EncodedSequences
from generators.validation import LARGEST_WEIGHT, array, no_others, shares, weights_of

Noise = Callable[[np.ndarray], torch.Tensor]


class Vae(SequenceGenerator):
    """A latent per user and a recurrent decoder over mixed rows. Settings: see training.Plan;
    `width` and `latent` are sizes.
    """

    supports_epsilon = True

    def __init__(
        self,
        *,
        width: int = 96,
        latent: int = 24,
        layers: int = 2,
        epochs: int = 0,
        rows: int = 1_300_000,
        rate: float = 4e-3,
        batch_steps: int = 768,
        window: int = 128,
        word_dropout: float = 0.1,
        free_bits: float = 0.1,
        private_epochs: int = 12,
        private_rows: int = 64,
        batch_users: int = 192,
        clip: float = 1.0,
        private_rate: float = 2e-3,
        components: int = 12,
        min_users: int = 5,
        intervals: int = 32,
        max_rows: int = 1024,
    ) -> None:
        super().__init__(min_users=min_users, intervals=intervals, max_rows=max_rows)
        check_ranges(
            width=(width, 1, 8192),
            latent=(latent, 0, 8192),
            layers=(layers, 1, 64),
            components=(components, 1, 1000),
            epochs=(epochs, 0, 1e6),
            rows=(rows, 1, 1e12),
            rate=(rate, 1e-9, 1),
            batch_steps=(batch_steps, 1, 1e9),
            window=(window, 2, 1e6),
            word_dropout=(word_dropout, 0, 0.99),
            free_bits=(free_bits, 0, 100),
            private_epochs=(private_epochs, 1, 1e6),
            private_rows=(private_rows, 1, 1e6),
            batch_users=(batch_users, 1, 1e9),
            clip=(clip, 1e-9, 1e9),
            private_rate=(private_rate, 1e-9, 1),
        )
        self.width, self.latent, self.layers, self.components = width, latent, layers, components
        self.plan = Plan(
            epochs=epochs,
            rows=rows,
            rate=rate,
            batch_steps=batch_steps,
            window=window,
            word_dropout=word_dropout,
            free_bits=free_bits,
            private_epochs=private_epochs,
            private_rows=private_rows,
            batch_users=batch_users,
            clip=clip,
            private_rate=private_rate,
        )

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        plan = {k: v for k, v in vars(self.plan).items() if k != "kl"}
        own = {n: getattr(self, n) for n in ("width", "latent", "layers", "components")}
        return {**super().settings(), **own, **plan}

    def _rows_of_a_user(self, private: bool) -> int:
        return min(self.plan.private_rows, self.max_rows) if private else self.max_rows

    def _learn(self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger) -> None:
        self.net_ = self._build(seed)
        self.net_.start_from(self.field_marginals_)
        if ledger.epsilon is not None:
            plan = [
                (sampling_rate(self.plan, ledger.users), private_steps(self.plan, ledger.users))
            ]
            train_privately(
                self.net_,
                self.codec_,
                steps,
                self.plan,
                sigma=noise_left(ledger, plan),
                ledger=ledger,
                what="encoder and decoder",
            )
            self.prior_ = standard_normal(self.latent)
        else:
            train(self.net_, self.codec_, steps, self.plan, seed=seed)
            check_finite(self.net_)
            draws = posterior_draws(self.net_, steps, self.plan, normal_of(self.latent, seed))
            train_statics(self.net_, steps.user_attributes, torch.from_numpy(draws), seed=seed)
            self.prior_ = fit_prior(draws, self.components, seed=seed)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + 7)
        self.net_.calibrate(
            self._latents(8192, generator),
            self.static_marginals_,
            generator,
            steps.user_attributes if ledger.epsilon is None else None,
        )

    def _build(self, seed: int) -> RowNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = nn.ModuleList(Layer(self.width) for _ in range(self.layers))
            return RowNet(self.codec_, width=self.width, latent=self.latent, layers=layers)

    def _row_model(self, past: EncodedSequences | None = None) -> StepDecoder:
        if past is None or not self.latent:
            return StepDecoder(self.codec_, self.net_, self._latents)
        z = torch.from_numpy(posterior_draws(self.net_, past, self.plan, normal_of(self.latent, 0)))
        return StepDecoder(self.codec_, self.net_, lambda users, generator: z)

    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """(users, Z) draws from the mixture of Gaussians."""
        weight, center, factor = (
            torch.from_numpy(self.prior_[k]) for k in ("weight", "center", "factor")
        )
        part = torch.multinomial(weight, users, replacement=True, generator=generator)
        noise = torch.randn((users, self.latent), generator=generator)
        return center[part] + (factor[part] @ noise[:, :, None])[:, :, 0]

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {f"net/{k}": v.detach().numpy() for k, v in self.net_.state_dict().items()}
        return arrays | {f"prior/{k}": v for k, v in self.prior_.items()}, {
            "codec": self.codec_.to_json()
        }

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        self.codec_ = restored(data, max_rows=self.max_rows)
        self._check_sizes(arrays)
        self.net_ = self._build(0)
        self.net_.load_state_dict(weights_of(arrays, "net/", self.net_))
        self.net_.eval()
        self.prior_ = self._prior_of(arrays)
        no_others(
            [n for n in arrays if not n.startswith("net/")],
            [f"{p}{n}" for p, names in self._beside_net().items() for n in names],
        )

    def _check_sizes(self, arrays: dict[str, np.ndarray]) -> None:
        """Raise StateError where settings and codec ask for a larger network than `arrays` fill,
        before one is built.
        """
        codec, width = self.codec_, self.width
        rows = {
            "embed": sum(codec.feature_sizes()),
            "embed_static": sum(codec.user_attribute_sizes().values()),
        }
        shapes = {"net/norm.weight": (width,)} | {
            f"net/{n}.weight": (size, width) for n, size in rows.items()
        }
        shapes |= {"net/from_latent.weight": (width, self.latent)} if self.latent else {}
        shapes |= (
            {"net/item_head.weight": (codec.items.size, width)} if codec.items.size > 1 else {}
        )
        shapes |= {f"net/layers.{k}.norm.weight": (width,) for k in range(self.layers)}
        for name, shape in shapes.items():
            array(arrays, name, dtype="float32", shape=shape)

    def _beside_net(self) -> dict[str, list[str]]:
        """Names of the arrays beside those of the network, by their prefix."""
        return {"prior/": list(self.prior_)}

    def _prior_of(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The mixture of Gaussians in `arrays`."""
        z, most = self.latent, LARGEST_WEIGHT
        weight = shares(arrays, "prior/weight", dtype="float32", shape=(None,))
        return {
            "weight": weight,
            "center": array(
                arrays,
                "prior/center",
                dtype="float32",
                shape=(len(weight), z),
                low=-most,
                high=most,
            ),
            "factor": array(
                arrays,
                "prior/factor",
                dtype="float32",
                shape=(len(weight), z, z),
                low=-most,
                high=most,
            ),
        }


def check_finite(net: nn.Module) -> None:
    """Raise WorkError where training ran away."""
    if not all(bool(torch.isfinite(p).all()) for p in net.parameters()):
        raise WorkError(
            "The training ran away: weights are no finite numbers any more. Choose a smaller rate."
        )


def standard_normal(latent: int) -> dict[str, np.ndarray]:
    """The prior that looks at no user."""
    one = np.float32
    return {
        "weight": np.ones(1, one),
        "center": np.zeros((1, latent), one),
        "factor": np.eye(latent, dtype=one)[None],
    }


def posterior_draws(net: RowNet, steps: EncodedSequences, plan: Plan, noise: Noise) -> np.ndarray:
    """Return (n_users, Z) float32: one draw from the posterior of each user, in the order of
    `steps`.

    `noise`: users (B,) -> standard normal (B, Z). Under a budget it must depend on the user alone.
    """
    out = np.zeros((len(steps), net.latent), dtype=np.float32)
    with torch.no_grad():
        for users in batches(steps, plan, np.random.default_rng(6)):
            out[users] = latent_of(net, make_batch(steps, users, plan.window), plan, noise(users))[
                0
            ].numpy()
    return out


def normal_of(latent: int, seed: int) -> Noise:
    """Standard normal numbers of users, one after another from one generator: for trainings without
    a budget.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 6)
    return lambda users: torch.randn((len(users), latent), generator=generator)


def fit_prior(draws: np.ndarray, components: int, *, seed: int) -> dict[str, np.ndarray]:
    """weight (K,), center (K, Z), factor (K, Z, Z): a mixture of Gaussians with Cholesky factors;
    at least 50 users a component.
    """
    from sklearn.mixture import GaussianMixture

    k = int(np.clip(len(draws) // 50, 1, components))
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
