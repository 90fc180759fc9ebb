"""What a field is expected to be: many small hints, as one level of its context.

A user who orders by the dozen, an item that comes in packs and the quantity of the line before each
say a little about a quantity, and together more: a wholesaler follows the size of the pack, others
do not. As levels of one context they would leave few rows in each. What boosted trees make of them
all (`generators.markov.trees`) is one level, however many they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from generators.codec.codec import COPY_ACTION, Codec
from generators.codec.coders import Bins
from generators.codec.regularities import LOOKS
from generators.markov.conditions import Condition, ContextFeatures
from generators.markov.contexts import conditions, is_open
from generators.markov.tables import BEGINS, table_sizes
from generators.markov.trees import Trees, learn_trees, restored_trees
from generators.sequences import codes
from generators.validation import StateError, array

LEVELS, COARSE_LEVELS = 32, 8  # of the expected number, with equally many rows
FEWEST_ROWS = 400  # with a magnitude, before anything is expected
MOST_COUNTED_ROWS = 40_000  # from which it is learnt what to expect
_NONE = np.zeros(0, dtype=np.int64)
NO_TREES = Trees(_NONE, _NONE, _NONE, _NONE, _NONE, np.zeros(0, dtype=np.float32))


@dataclass(frozen=True)
class Expectation:
    """What is expected of a field, by conditions that its trees read."""

    columns: np.ndarray  # (m,) int64: places of the conditions among the known ones
    trees: Trees
    edges: np.ndarray  # (levels - 1,) float32 between the levels of what is expected

    def state(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of the field `name`, from which `restored_expectations` makes it."""
        parts = {**vars(self.trees), "columns": self.columns, "edges": self.edges}
        return {_key(name, part): values for part, values in parts.items()}


@dataclass(frozen=True)
class Expected(Condition):
    """What the field `own` is expected to be, in levels."""

    hints: tuple[Condition, ...] = ()  # what the trees read, column by column
    trees: Trees = NO_TREES
    # (size - 1,) float32 between the levels
    edges: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def made(cls, own: str, known: Sequence[Condition], of: Expectation) -> list[Condition]:
        """Return the conditions of what is expected by `known` ones: in coarse levels, in fine."""
        steps = {"coarse ": max(LEVELS // COARSE_LEVELS, 1), "": 1}
        return [
            cls(
                f"{which}expected {own}",
                len(of.edges[step - 1 :: step]) + 1,
                own=own,
                hints=tuple(known[k] for k in of.columns.tolist()),
                trees=of.trees,
                edges=np.ascontiguousarray(of.edges[step - 1 :: step]),
            )
            for which, step in steps.items()
        ]

    def reads(self) -> Collection[str]:
        """See Condition."""
        return {part for condition in self.hints for part in condition.reads()}

    def of(self, seen: ContextFeatures) -> np.ndarray:
        """See Condition."""
        columns = [condition.of(seen) for condition in self.hints]
        codes = np.empty((len(columns[0]), len(columns)), dtype=np.int64)
        for k, column in enumerate(columns):  # of few rows a stack costs as much as its columns
            codes[:, k] = column
        level: np.ndarray = np.searchsorted(self.edges, self.trees.predict(codes))
        return level


def expected_fields(codec: Codec) -> list[str]:
    """Return the fields of which something is expected.

    Those are sessions' begins, more than looks, fresh items, and numbers.
    """
    tables = table_sizes(codec)
    return [name for name in (BEGINS, "event", COPY_ACTION, *codec.numbers) if name in tables]


def learn_expected(
    codec: Codec,
    name: str,
    code: np.ndarray,
    seen: ContextFeatures,
    known: Sequence[Condition],
) -> Expectation | None:
    """Learn what is expected of a field, by the `known` conditions; None where nothing is.

    `code` (n,) are the codes of the field, -1 = not asked.
    """
    values = _values(codec, name)
    rows = np.flatnonzero(np.append(np.isfinite(values), False)[code])
    rows = rows[:: max(len(rows) // MOST_COUNTED_ROWS, 1)]
    open_ = [k for k, condition in enumerate(known) if is_open(codec, name, condition)]
    if len(rows) < FEWEST_ROWS or not open_:
        return None
    mine = seen.only(rows)
    codes = np.stack([known[k].of(mine) for k in open_], 1)
    learnt = learn_trees(codes, values[code[rows]])
    if learnt is None:
        return None
    columns, trees = learnt
    total = trees.predict(np.ascontiguousarray(codes[:, columns]))
    edges = np.unique(np.quantile(total, np.linspace(0, 1, LEVELS + 1)[1:-1]))
    return Expectation(np.array(open_)[columns], trees, edges.astype(np.float32))


def restored_expectations(codec: Codec, arrays: Mapping[str, np.ndarray]) -> dict[str, Expectation]:
    """Return what is expected of fields, by the arrays of a generator's file.

    Raises StateError where an array is not what `Expectation.state` gives.
    """
    known, found = conditions(codec), {}
    for name in expected_fields(codec):
        what = _key(name, "columns")
        if what not in arrays:
            continue
        columns = array(arrays, what, dtype="int64", shape=(None,), low=0, high=len(known) - 1)
        if not len(columns) or not all(is_open(codec, name, known[k]) for k in columns.tolist()):
            raise StateError(f"model.safetensors: {what} has what {name!r} cannot be given.")
        what = _key(name, "edges")
        edges = array(arrays, what, dtype="float32", shape=(None,), low=-1e9, high=1e9)
        if len(edges) >= LEVELS or (np.diff(edges) <= 0).any():
            raise StateError(f"model.safetensors: {what} are no edges of levels.")
        trees = restored_trees(arrays, _key(name, ""), columns=len(columns))
        found[name] = Expectation(columns, trees, edges)
    return found


def _key(name: str, part: str) -> str:
    """Return the name of an array of what is expected of a field."""
    return f"expected {name}/{part}"


def _values(codec: Codec, name: str) -> np.ndarray:
    """Return what is expected of a field, by its codes, (size,) float64; NaN where nothing is.

    That is the magnitude of a number, that of a price being its ratio to the item's price where
    items have prices; and whether an item is fresh, or whether a session begins.
    """
    if name == BEGINS:
        return np.array([0.0, 1.0])
    if name == "event":
        return np.array([0.0] + [codec.roles[e] not in LOOKS for e in codec.events.values], float)
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
