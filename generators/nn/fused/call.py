"""Calling compiled functions with tensors, and what such functions share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from eventlog._runtime.compiled import inner

# Compiles a function that adds up in whatever order is fastest and that compiled functions call. It
# is always a part of its caller: a function of its own would be one of several, rounded
# differently, and what the process has loaded would decide which of them is called.
fast_part = njit(cache=True, fastmath=True, forceinline=True)


def as_array(x: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array, which shares its memory where that is contiguous."""
    out: np.ndarray = x.detach().contiguous().numpy()
    return out


def run(kernel: Any, *arguments: Any) -> Any:
    """Call a compiled function, with tensors as arrays; it writes to the last, contiguous ones."""
    return kernel(*(as_array(x) if isinstance(x, torch.Tensor) else x for x in arguments))


@inner
def add(total, more):
    """Add the numbers `more` (D,) to `total`; rows by themselves let the compiler use vectors."""
    for j in range(len(total)):
        total[j] += more[j]
