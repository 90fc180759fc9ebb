"""How prices end: most in 9, 5, 0 or 7 cents (Levy et al. 2011; Schindler and Kirby 1997)."""

from __future__ import annotations

import numpy as np

ENDINGS = np.array([9, 0, 5, 7])  # last digits, and how often each is chosen
ENDING_SHARE = np.array([0.58, 0.2, 0.17, 0.05])
AS_IT_COMES = -1


def draw_endings(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """Return (n,) int8: the digit that each item's prices end in, AS_IT_COMES for 1 - `share`."""
    digit = rng.choice(ENDINGS, n, p=ENDING_SHARE)
    return np.where(rng.random(n) < share, digit, AS_IT_COMES).astype(np.int8)


def rounded(price: np.ndarray, ending: np.ndarray) -> np.ndarray:
    """Return prices (n,) float64 in whole cents, each with its `ending` (n,); 0.01 at least."""
    cents = np.rint(price * 100.0)
    nearest = 10.0 * np.rint((cents - ending) / 10.0) + ending
    chosen = np.where(ending == AS_IT_COMES, cents, np.where(nearest > 0, nearest, cents))
    return np.maximum(chosen, 1.0) / 100.0  # type: ignore[no-any-return]
