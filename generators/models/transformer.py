"""transformer: p(row | all rows before it), a causal Transformer over mixed rows; no latent, the
rows tell of the user.

Vaswani et al. 2017; per field as in `vae`, with attention over the last 128 rows in place of the
recurrence. Sampling keeps keys and values of thousands of users at once
(generators/nn/attention.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from eventlog._runtime.errors import InputError
from generators.models.vae import Vae, check_finite
from generators.nn.attention import WINDOW, AttentionLayer
from generators.nn.dp_sgd import noise_left, private_steps, sampling_rate, train_privately
from generators.nn.network import RowNet
from generators.nn.training import train, train_statics
from generators.privacy.queries import PrivacyLedger
from generators.sequences.encode import EncodedSequences


class Transformer(Vae):
    """A causal Transformer. Settings: `heads` of attention; others as in `vae`, but that it has no
    latent.
    """

    def __init__(self, *, heads: int = 4, rate: float = 2e-3, **others: Any) -> None:
        for name in ("latent", "components", "free_bits"):
            others.pop(name, None)
        super().__init__(latent=0, rate=rate, **others)
        if heads < 1 or self.width % (2 * heads):
            raise InputError(
                f"width is {self.width} and heads is {heads}; width must be a multiple of 2 * "
                "heads."
            )
        if self.plan.window > WINDOW:
            raise InputError(
                f"window is {self.plan.window}; the transformer looks back on at most {WINDOW} "
                "rows."
            )
        self.heads = heads

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {**super().settings(), "heads": self.heads}

    def _learn(self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger) -> None:
        self.net_ = self._build(seed)
        self.net_.start_from(self.field_marginals_)
        self.prior_ = {}
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
                what="transformer",
            )
        else:
            train(self.net_, self.codec_, steps, self.plan, seed=seed)
            check_finite(self.net_)
            train_statics(self.net_, steps.user_attributes, torch.zeros((len(steps), 0)), seed=seed)
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
            layers = nn.ModuleList(
                AttentionLayer(self.width, self.heads) for _ in range(self.layers)
            )
            return RowNet(self.codec_, width=self.width, latent=0, layers=layers)

    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """(users, 0): there is none."""
        return torch.zeros((users, 0))

    def _prior_of(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """There is none, for there is no latent."""
        return {}
