"""transformer: p(row | all rows before it) by a causal Transformer, without a latent.

Vaswani et al. 2017, arXiv:1706.03762. As `vae`, with attention over the last 128 rows instead of
the recurrence. Sampling keeps the keys and values of thousands of users at once, see
`generators/nn/attention.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import nn

from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Range
from generators.neural_generator import NeuralGenerator
from generators.nn.attention import WINDOW, AttentionLayer


class Transformer(NeuralGenerator):
    """A causal Transformer.

    Args:
        heads: attention heads; `width` must be a multiple of twice as many.
        layers: of the decoder.
        rate: learning rate.
        network: see `NeuralGenerator`; `window` is at most 128 here.
    """

    budget_entry = "transformer"
    open_pace = 3.0e-5
    # accepted and ignored by earlier versions, so saved models hold them
    retired_settings = frozenset({"latent", "components", "free_bits"})

    def __init__(
        self,
        *,
        heads: Annotated[int, Range(1, 1024)] = 4,
        layers: Annotated[int, Range(1, 64)] = 2,
        rate: Annotated[float, Range(1e-9, 1)] = 2e-3,
        **network: Any,
    ) -> None:
        super().__init__(layers=layers, rate=rate, **network)
        if self.width % (2 * heads):
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

    def _layers(self) -> nn.ModuleList:
        return nn.ModuleList(AttentionLayer(self.width, self.heads) for _ in range(self.layers))

    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros((users, 0))
