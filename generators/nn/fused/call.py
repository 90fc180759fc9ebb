"""Calling compiled functions with tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def as_array(x: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array, which shares its memory where that is contiguous."""
    out: np.ndarray = x.detach().contiguous().numpy()
    return out


def run(kernel: Any, *arguments: Any) -> Any:
    """Call a compiled function, with tensors as arrays; it writes to the last, contiguous ones."""
    return kernel(*(as_array(x) if isinstance(x, torch.Tensor) else x for x in arguments))
