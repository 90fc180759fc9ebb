"""Seed every global source of randomness, so that a plug-in that draws from one is repeatable."""

from __future__ import annotations

import random
import sys

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and, where it is loaded, torch, which is kept to one thread."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - it takes no larger one
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.manual_seed(seed)
