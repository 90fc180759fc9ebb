"""Dropout that draws a byte per value: an eighth of the random numbers of `nn.Dropout`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 256  # the share that is dropped is rounded to a multiple of 1 / LEVELS


class Dropout(nn.Module):
    """Set a share `p` of the values to 0 in training, and scale the others by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.level = round(p * LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with some values dropped; unchanged in evaluation mode."""
        if not self.training or self.level == 0:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        bits = words.random_(-(2**63), None).view(torch.uint8)[: x.numel()].view(x.shape)
        return x * ((bits >= self.level) * (LEVELS / (LEVELS - self.level)))
