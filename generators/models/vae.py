"""vae: a variational autoencoder of users: one latent a user, an autoregressive decoder that is told it at every step.

Kingma and Welling 2014; the decoder cannot ignore the latent: word dropout, free bits, and the latent enters every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from eventlog.errors import InputError
from generators.codec import Codec
from generators.encoding import Steps
from generators.network import NetRows, RowNet
from generators.privacy import Ledger
from generators.sequence_model import SequenceGenerator
from generators.training import Plan, train


class Vae(SequenceGenerator):
    """A latent per user and a recurrent decoder over mixed rows. Settings: see training.Plan; `width` and `latent` are sizes."""

    supports_epsilon = False

    def __init__(
        self, *, width: int = 128, latent: int = 24, layers: int = 2, epochs: int = 6, rate: float = 4e-3, batch_steps: int = 4096, window: int = 128,
        word_dropout: float = 0.1, free_bits: float = 0.1, private_epochs: int = 12, private_rows: int = 64, batch_users: int = 192, clip: float = 1.0,
        private_rate: float = 2e-3, min_users: int = 5, intervals: int = 32, max_rows: int = 1024,
    ) -> None:
        super().__init__(min_users=min_users, intervals=intervals, max_rows=max_rows)
        if min(width, latent, layers, epochs, private_epochs) < 1:
            raise InputError("width, latent, layers and epochs must be at least 1.")
        self.width, self.latent, self.layers = width, latent, layers
        self.plan = Plan(epochs=epochs, rate=rate, batch_steps=batch_steps, window=window, word_dropout=word_dropout, free_bits=free_bits,
                         private_epochs=private_epochs, private_rows=private_rows, batch_users=batch_users, clip=clip, private_rate=private_rate)

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        plan = {k: v for k, v in vars(self.plan).items() if k != "kl"}
        return {**super().settings(), "width": self.width, "latent": self.latent, "layers": self.layers, **plan}

    def _rows_of_a_user(self, private: bool) -> int:
        return min(self.plan.private_rows, self.max_rows) if private else self.max_rows

    def _learn(self, steps: Steps, *, seed: int, ledger: Ledger) -> None:
        self.net_ = self._build(seed)
        self.history_ = train(self.net_, self.codec_, steps, self.plan, seed=seed)

    def _build(self, seed: int) -> RowNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return RowNet(self.codec_, width=self.width, latent=self.latent, layers=self.layers)

    def _row_model(self) -> NetRows:
        return NetRows(self.codec_, self.net_, lambda users, generator: torch.randn((users, self.latent), generator=generator))

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        return {k: v.detach().numpy() for k, v in self.net_.state_dict().items()}, {"codec": self.codec_.to_json()}

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        self.codec_ = Codec.from_json(data["codec"])
        self.net_ = self._build(0)
        self.net_.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
        self.net_.eval()
