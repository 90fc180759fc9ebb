"""A recurrent layer whose gates depend on the input alone.

A minimal gated unit (Feng et al. 2024, "Were RNNs all we needed?", arXiv:2410.01201)::

    h_t = (1 - g_t) * h_{t-1} + g_t * c_t

All matrix products of a sequence are done at once. Only Linear and LayerNorm hold parameters, for
which opacus knows the gradients of single users.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from generators.nn.fused.recurrence import recurrent_layer, scan


class RecurrentLayer(nn.Module):
    """A recurrence and a feed-forward part, both residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.norm_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gates = nn.Linear(width, 2 * width)
        self.mix = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        # gates from fast to slow, as in chrono initialisation (Tallec and Ollivier 2018)
        with torch.no_grad():
            self.gates.bias[:width] = -torch.log(torch.linspace(1.0, 50.0, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (B, T, D) of a sequence `x` (B, T, D)."""
        projected = self.gates(self.norm(x))
        starts = torch.arange(len(x) + 1) * x.shape[1]
        x = x + self.mix(scan(projected.flatten(0, 1), starts).reshape(x.shape))
        return x + self.down(torch.relu(self.up(self.norm_inner(x))))

    def rows(self, x: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Return what `forward` returns for sequences of several lengths one after another, fused.

        Args:
            x: (N, D) rows of all sequences.
            starts: (W + 1,) int64, where each begins; the last is N.
        """
        return recurrent_layer(x, starts, tuple(self.parameters()))

    def start(self, users: int) -> RecurrentState:
        """Return the state of `users` users who are sampled, before their first row."""
        return RecurrentState(self, users)


class RecurrentState:
    """The state of a layer while users are sampled, (n, D).

    It holds the weights themselves, since calling a module costs as much as its product.
    """

    def __init__(self, layer: RecurrentLayer, users: int) -> None:
        self.state, self.weights = (
            torch.zeros((users, layer.mix.in_features)),
            tuple(p.detach() for p in layer.parameters()),
        )

    def step(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (n, D) of the next row `x` (n, D)."""
        (
            norm,
            norm_bias,
            inner,
            inner_bias,
            gates,
            gates_bias,
            mix,
            mix_bias,
            up,
            up_bias,
            down,
            down_bias,
        ) = self.weights
        width = x.shape[1]
        gate, candidate = F.linear(
            F.layer_norm(x, (width,), norm, norm_bias), gates, gates_bias
        ).chunk(2, -1)
        self.state = torch.lerp(self.state, candidate, gate.sigmoid())
        x = x + F.linear(self.state, mix, mix_bias)
        return x + F.linear(
            F.linear(F.layer_norm(x, (width,), inner, inner_bias), up, up_bias).relu_(),
            down,
            down_bias,
        )

    def keep(self, index: torch.Tensor) -> None:
        """Go on with the users at `index` only."""
        self.state = self.state.index_select(0, index)
