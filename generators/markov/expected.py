"""What a field is expected to be: many small hints added up, as one level of its context.

A user who orders by the dozen, an item that comes in packs and the quantity of the line before each
say a little about a quantity. As levels of one context they would leave few rows in each; their sum
is one level, however many they are. The sum is found by least-squares boosting (Friedman, 2001):
the condition that explains most of what is left adds a shrunken effect of each of its codes, again
and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from generators.codec.codec import COPY_ACTION, Codec
from generators.codec.coders import Bins
from generators.markov.contexts import Condition, ContextFeatures, is_open
from generators.markov.tables import BEGINS, table_sizes
from generators.sequences import codes

ROUNDS = 16  # of boosting, at most
LEAST_SHARE = 2e-3  # of the variance, which a round must explain
PRIOR_ROWS = 20.0  # without an effect, added to those of each code
LEVELS, COARSE_LEVELS = 32, 8  # of the expected number, with equally many rows
FEWEST_ROWS = 400  # with a magnitude, before anything is expected
_NOTHING = torch.zeros(0)


@dataclass(frozen=True)
class Expected(Condition):
    """What the field `own` is expected to be, in levels."""

    effects: torch.Tensor = _NOTHING  # (codes of all conditions,) float32: what each adds
    edges: torch.Tensor = _NOTHING  # (size - 1,) float32 between the levels
    # the conditions that have an effect, and where theirs begin
    hints: tuple[tuple[int, Condition], ...] = ()

    @classmethod
    def made(
        cls, own: str, known: Sequence[Condition], effects: np.ndarray, edges: np.ndarray
    ) -> list[Condition]:
        """Return the conditions of `effects` over the codes of all `known`: coarse, and fine."""
        begins = np.append(0, np.cumsum([c.size for c in known]))
        hints = tuple(
            (int(begin), condition)
            for begin, end, condition in zip(begins[:-1], begins[1:], known, strict=True)
            if effects[begin:end].any()
        )
        steps = {"coarse ": max(LEVELS // COARSE_LEVELS, 1), "": 1}
        return [
            cls(
                f"{which}expected {own}",
                len(edges[step - 1 :: step]) + 1,
                own=own,
                effects=torch.from_numpy(effects),
                edges=torch.from_numpy(np.ascontiguousarray(edges[step - 1 :: step])),
                hints=hints,
            )
            for which, step in steps.items()
        ]

    def reads(self) -> set[str]:
        """See Condition."""
        return {field for _, condition in self.hints for field in condition.reads()}

    def of(self, seen: ContextFeatures) -> torch.Tensor:
        """See Condition."""
        total = torch.zeros(len(seen.event))
        for begin, condition in self.hints:
            total += self.effects[begin + condition.of(seen)]
        return torch.searchsorted(self.edges, total)


def n_effects(known: Sequence[Condition]) -> int:
    """Return the number of codes of all conditions."""
    return sum(condition.size for condition in known)


def expected_fields(codec: Codec) -> list[str]:
    """Return the fields of which something is expected: numbers, fresh items, sessions' begins."""
    numbers = [name for name in codec.rest_fields if name in codec.bins]
    tables = table_sizes(codec)
    return [name for name in (BEGINS, COPY_ACTION, *numbers) if name in tables]


def learn_expected(
    codec: Codec,
    name: str,
    code: torch.Tensor,
    seen: ContextFeatures,
    known: Sequence[Condition],
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the effects and edges of `Expected` for a field; None where nothing is expected.

    `code` (n,) are the codes of the field, -1 = not asked.
    """
    values = _values(codec, name)
    has = torch.from_numpy(np.append(np.isfinite(values), False))[code]
    rows = torch.nonzero(has)[:, 0]
    if len(rows) < FEWEST_ROWS:
        return None
    mine = seen.only(rows, list(seen.drawn))
    left = values[code[rows].numpy()]
    left = left - left.mean()
    enough = LEAST_SHARE * float(left @ left)
    begins = np.append(0, np.cumsum([c.size for c in known]))
    found = {
        k: condition.of(mine).numpy()
        for k, condition in enumerate(known)
        if is_open(codec, name, condition)
    }
    counts = {k: np.bincount(of, minlength=known[k].size) for k, of in found.items()}
    effects = np.zeros(int(begins[-1]))
    for _ in range(ROUNDS if enough > 0 else 0):
        sums = {k: np.bincount(of, left, minlength=known[k].size) for k, of in found.items()}
        told = {k: float((sums[k] ** 2 / (counts[k] + PRIOR_ROWS)).sum()) for k in found}
        best = max(told, key=lambda k: told[k], default=-1)
        if best < 0 or told[best] < enough:
            break
        effect = sums[best] / (counts[best] + PRIOR_ROWS)
        effects[begins[best] : begins[best + 1]] += effect
        left = left - effect[found[best]]
    if not effects.any():
        return None
    total = np.zeros(len(rows))
    for k, of in found.items():
        total += effects[begins[k] + of]
    edges = np.unique(np.quantile(total, np.linspace(0, 1, LEVELS + 1)[1:-1]))
    return effects.astype(np.float32), edges.astype(np.float32)


def _values(codec: Codec, name: str) -> np.ndarray:
    """Return what is expected of a field, by its codes, (size,) float64; NaN where nothing is.

    That is the magnitude of a number, that of a price being its ratio to the item's price where
    items have prices; and whether an item is fresh, or whether a session begins.
    """
    if name == BEGINS:
        return np.array([0.0, 1.0])
    if name == COPY_ACTION:
        fresh = np.zeros(codes.N_COPY_ACTIONS)
        fresh[codes.NO_ITEM], fresh[codes.FRESH] = np.nan, 1.0
        return fresh
    if name != "price":
        return _middles(codec.bins[name])
    ratio, plain = codec.bins["price_ratio"], _middles(codec.bins["price"])
    if ratio.size == 1:
        return plain
    log_ratio = np.mean(ratio.ends(), axis=0)
    return np.concatenate([log_ratio, np.full(len(plain) - 1, np.nan)])


def _middles(bins: Bins) -> np.ndarray:
    """Return the middle of each code on a log scale, with its sign; NaN for 'missing'."""
    low, high = (np.sign(end) * np.log1p(np.abs(end)) for end in bins.ends())
    middle: np.ndarray = (low + high) / 2
    return middle
