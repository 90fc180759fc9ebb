"""What a level tells of a field: as plain Python counts it, row by row."""

from __future__ import annotations

import math

import numpy as np

from generators.markov.choice import _Rows

STRENGTHS = np.array([0.5, 2.0, 32.0])


def plain_gain(rows: _Rows, level: np.ndarray, strength: float) -> float:
    """Return by how much a level raises the log likelihood, each row predicted by the others."""
    told = 0.0
    for i, own in enumerate(rows.code):
        others = (rows.at == rows.at[i]) & (level == level[i])
        others[i] = False
        same = (rows.code[others] == own).sum()
        share = (same + strength * rows.alone[i]) / (others.sum() + strength)
        told += math.log(share / rows.alone[i])
    return told


def test_rows_are_predicted_by_the_others_of_their_context() -> None:
    rng = np.random.default_rng(3)
    code, first, second = rng.integers(0, 4, 90), rng.integers(0, 5, 90), rng.integers(0, 12, 90)
    rows = _Rows(code, 4, STRENGTHS)
    for level, width in ((first, 5), (second, 12)):  # the second one in the contexts of the first
        plain = [plain_gain(rows, level, s) for s in STRENGTHS]
        np.testing.assert_allclose(rows.gains((level, width)), plain, atol=1e-9)
        finer, best = rows.given((level, width))
        assert best == STRENGTHS[int(np.argmax(plain))]
        rows = finer
