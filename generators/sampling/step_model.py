"""StepModel: what a generator gives to the sampler, which draws rows from its logits."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

BELOW_ONE = 1 - 1e-6  # so that rounding at the upper end never points beyond the last possible code


class StepModel(Protocol):
    """A model of the next row of n users that are still active; `rows` (m,) int64 picks of them."""

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Start `users` users; return the codes of their attributes, (users, n_attributes) int64.

        `allowed` has for each attribute the codes to choose from, (users, size) bool.
        """
        ...

    def step(self, features: np.ndarray) -> None:
        """Take in `features` (n, F) int64 before a new row."""
        ...

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return logits of a field for `rows`, (m, size) float32.

        They are given the fields of the row that were chosen before.
        """
        ...

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return weights proportional to the shares of the items of `category` (m,).

        They are (m, width) float32; column j is the category's j-th item, and what lies beyond its
        items is not read. `rows` are sorted by category.
        """
        ...

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """Take note of the codes (n,) of a field, for the `rows` that had a choice.

        'clock' comes after 'gap' with its levels (n, 3); 'flags' comes before 'event' with those
        that any recent item carries (n,); 'recent items' comes before 'pick' with the items
        (n, N_COPY_RANKS) that each copy would be; 'item' has the items of all rows, and 'moves'
        after it, where categories are reduced for days, whether their prices are (n,).
        """
        ...

    def keep(self, index: np.ndarray) -> None:
        """Keep the users of `index` only."""
        ...


def draw(
    logits: torch.Tensor, can: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """Draw codes (n,) from softmax(logits) over what `can` (n, size) allows.

    Takes one uniform number a row from `generator`.
    """
    if can is not None:
        logits = logits.masked_fill(~can, -torch.inf)
    total = torch.softmax(logits, 1).cumsum(1)
    u = torch.rand((len(logits), 1), generator=generator, dtype=logits.dtype) * BELOW_ONE
    # a masked code adds nothing to the total, and is passed over
    return (total <= u * total[:, -1:]).sum(1)
