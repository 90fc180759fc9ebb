"""The numbers of the event that a question is about, in a form that a linear model can use."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from baselines.repeats import repeat_columns
from eventlog.arrays import Examples, Queries, Sequences

BINS = 6  # of a number, with about as many training questions in each


class LastRow:
    """Piecewise linear encoding of numbers (Gorishniy et al. 2022, arXiv:2203.05556).

    A number becomes one value for each bin between two quantiles of the training questions: how
    much of the bin lies below it, from 0 to 1. So a card that is two minutes old can differ from
    one of an hour as much as that one from an old one.

    The numbers are the numeric columns of the last row before a question, and what that row repeats
    of the user's earlier ones.
    """

    def __init__(self, train: Examples) -> None:
        """Learn the bins."""
        row = _last_rows(train.sequences, train.queries)[1]
        self.bins: list[tuple[str, float, float]] = []  # column, and where the bin begins and ends
        for name, values in numbers(train.sequences).items():
            if len(row):
                edges = np.unique(np.quantile(values[row], np.linspace(0, 1, BINS + 1)))
                self.bins += [(name, low, high) for low, high in pairwise(edges.tolist())]

    def __call__(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the encoded numbers, (n, bins) float32, zeros for a question without history."""
        asked, row = _last_rows(sequences, queries)
        columns = numbers(sequences)
        missing = np.zeros(sequences.n_rows)
        out = np.zeros((len(queries), len(self.bins)), dtype=np.float32)
        for k, (name, low, high) in enumerate(self.bins):
            out[asked, k] = np.clip((columns.get(name, missing)[row] - low) / (high - low), 0, 1)
        return out


def numbers(sequences: Sequences) -> dict[str, np.ndarray]:
    """Return the numeric columns and the repeats of all rows, (n_rows,) each."""
    numeric = {k: v for k, v in sequences.columns.items() if v.dtype == np.float32}
    return numeric | repeat_columns(sequences)


def _last_rows(sequences: Sequences, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
    """Return the questions with a history, and the last row of each."""
    asked = np.flatnonzero(queries.end > sequences.offsets[queries.user])
    return asked, queries.end[asked] - 1
