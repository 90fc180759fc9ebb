"""AttributeTables: what is drawn once a user, each attribute given those that tell most about it.

Attributes are arrival, observation span, number of rows, country, favourite category and the like.
Each is drawn given up to four of those before it: a Bayesian network whose parents are chosen
greedily (Chow and Liu 1968, doi:10.1109/TIT.1968.1054142, with several parents), and whose tables
back off to fewer parents where users are few. What all attributes before it together say of one
whose codes have an order, by a ridge regression, is a parent like any other: a table of three
parents has too few users to tell of each what it adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from generators.codec.codec import Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    ARRIVAL,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    PRICE_LEVEL,
    USUAL,
)
from generators.markov.backoff import BackoffTable, restored_table
from generators.markov.choice import choose_parents
from generators.markov.contexts import Level, parent_levels
from generators.privacy.counts import raked
from generators.ridge import CodeRidge
from generators.sampling.step_model import draw
from generators.validation import Record, StateError, array

LEVELS = 6  # of what is expected of an attribute
STRENGTH = 2.0  # pseudo-counts of a table with fewer parents, at the least
FOLDS = 4  # of users, each told of by the others
LEAST = 1e-12  # share of a code
# Where one of two attributes decides the other: pseudo-counts of what is so without the first, and
# the fewest values that decide, and users of each on average.
TIED, FEWEST_KEYS, USERS_OF_KEY = 1e-6, 3, 5


@dataclass(frozen=True)
class ExpectedLevel:
    """Level of the rank that is expected of an attribute, by those before it."""

    ridge: CodeRidge
    edges: np.ndarray  # (below LEVELS,) float32: of the levels, ascending

    @classmethod
    def learn(
        cls, codes: np.ndarray, sizes: Sequence[int], rank: np.ndarray
    ) -> tuple[ExpectedLevel, Level]:
        """Return what is learnt, and the levels of the users, as of users not learnt from.

        `codes` (n_users, k) are those of the attributes before, `rank` (n_users,) is the place of
        the attribute's own among all of its codes.
        """
        ridge, rest = CodeRidge.learn(codes, sizes, rank[:, None], seed=0)
        expected = (rank - rest[:, 0]).astype(np.float32)
        edges = np.unique(np.quantile(expected, np.linspace(0, 1, LEVELS + 1)[1:-1]))
        learnt = cls(ridge, edges.astype(np.float32))
        return learnt, learnt._level(expected)

    def of(self, codes: torch.Tensor) -> Level:
        """Return the levels of users with the attributes `codes` (n, k)."""
        return self._level(self.ridge.of(codes)[:, 0].numpy())

    def _level(self, expected: np.ndarray) -> Level:
        return np.searchsorted(self.edges, expected, side="right"), LEVELS


@dataclass(frozen=True)
class HeldOut:
    """What users of other folds say of the codes that each user's attribute may have."""

    log_share: torch.Tensor  # (m, size) float32: rows of the tables of all folds
    rows: torch.Tensor  # (n_users,) int64: the user's

    @classmethod
    def learn(
        cls,
        code: np.ndarray,
        levels: Sequence[Level],
        size: int,
        strengths: Sequence[float],
        folds: int,
    ) -> HeldOut:
        """Learn from the codes (n_users,) of an attribute; see `BackoffTable.learn`."""
        fold, rows = np.arange(len(code)) % folds, np.zeros(len(code), dtype=np.int64)
        shares, n = list[np.ndarray](), 0
        for k in range(folds):
            others, mine = (np.flatnonzero(x) for x in (fold != k, fold == k))
            learnt = BackoffTable.learn(code[others], _of(levels, others), size, strengths)
            rows[mine] = n + learnt.rows(_of(levels, mine), len(mine))
            shares.append(learnt.share)
            n += len(learnt.share)
        log_share = torch.log(torch.from_numpy(np.concatenate(shares)) + LEAST)
        return cls(log_share, torch.from_numpy(rows))

    def of(self, users: torch.Tensor) -> torch.Tensor:
        """Return the log shares (n, size) for the users (n,)."""
        return self.log_share[self.rows[users]]


def _of(levels: Sequence[Level], users: np.ndarray) -> list[Level]:
    return [(level[users], width) for level, width in levels]


@dataclass(frozen=True)
class AttributeTables:
    """Shares of the codes of each of the S attributes, given others before it."""

    codec: Codec
    # places among the `parent_levels` of the attributes before, two of each, then what is expected
    parents: list[list[int]]
    shares: list[BackoffTable]
    expected: dict[int, ExpectedLevel]  # by the attribute's place; of those that are a parent

    @classmethod
    def learn(
        cls, codec: Codec, attributes: np.ndarray, *, strength: float = STRENGTH
    ) -> AttributeTables:
        """Learn from the `attributes` (n_users, S) of users, without a privacy budget."""
        return cls.learn_with_folds(codec, attributes, strength=strength, folds=0)[0]

    @classmethod
    def learn_with_folds(
        cls,
        codec: Codec,
        attributes: np.ndarray,
        *,
        strength: float = STRENGTH,
        folds: int = FOLDS,
    ) -> tuple[AttributeTables, list[HeldOut]]:
        """Learn as `learn` does; return also what the users of other folds say of each user.

        What the tables say of users whom they were learnt from is too sure of itself.
        """
        sizes = codec.user_attribute_sizes()
        coarse_length = 2 * list(sizes).index(LENGTH) + 1
        earlier, parents, shares = list[Level](), list[list[int]](), list[BackoffTable]()
        expected, held_out = dict[int, ExpectedLevel](), list[HeldOut]()
        for k, (name, size) in enumerate(sizes.items()):
            code, candidates = attributes[:, k], earlier
            rank = _ranks(codec, name)
            if k > 0 and rank is not None:
                before = list(sizes.values())[:k]
                expected[k], level = ExpectedLevel.learn(attributes[:, :k], before, rank[code])
                candidates = [*earlier, level]
            # so that rows and sessions, not only users, are as they are in the log
            of_rows = name.startswith(USUAL) or name == N_LABELLED_SESSIONS
            first = [coarse_length] if of_rows else []
            tied = _tied(codec, name, code, earlier)
            first = first if tied is None else [tied]
            choice = choose_parents(code, size, candidates, first, strength=strength)
            if tied is not None:
                choice.strengths[0] = TIED
            if len(earlier) not in choice.levels:
                expected.pop(k, None)
            levels = [candidates[j] for j in choice.levels]
            parents.append(choice.levels)
            shares.append(BackoffTable.learn(code, levels, size, choice.strengths))
            if folds:
                held_out.append(HeldOut.learn(code, levels, size, choice.strengths, folds))
            if name == OBSERVATION_SPAN:
                parents[-1], shares[-1] = _that_fit(codec, parents[-1], shares[-1], attributes)
            earlier += parent_levels(codec, name, np.ascontiguousarray(code))
        return cls(codec, parents, shares, expected), held_out

    def log_shares(self, k: int, codes: torch.Tensor) -> torch.Tensor:
        """Return the log shares (n, size) of the k-th attribute, given those before, (n, k)."""
        names, of, table = list(self.codec.user_attributes), codes.T.numpy(), self.shares[k]
        levels = [
            self.expected[k].of(codes)
            if j == 2 * k
            else parent_levels(self.codec, names[j // 2], of[j // 2])[j % 2]
            for j in self.parents[k]
        ]
        return torch.log(torch.from_numpy(table.share[table.rows(levels, len(codes))]) + LEAST)

    def draw(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Return the attributes of `users` users, (users, S) int64; see `StepModel.begin`."""
        codes = torch.zeros((users, 0), dtype=torch.int64)
        for k in range(len(self.shares)):
            code = draw(
                self.log_shares(k, codes), None if allowed is None else allowed[k], generator
            )
            codes = torch.cat([codes, code[:, None]], 1)
        return codes

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays from which `restored` makes the tables, with `parents_by_name`."""
        arrays = {
            f"static {part}/{k}": values
            for k, table in enumerate(self.shares)
            for part, values in vars(table).items()
        }
        for k, of in self.expected.items():
            arrays |= of.ridge.state(_expected(k)) | {_edges(k): of.edges}
        return arrays

    def parents_by_name(self) -> dict[str, list[int]]:
        """Return the parents of each attribute, by its name."""
        return dict(zip(self.codec.user_attributes, self.parents, strict=True))

    @classmethod
    def restored(
        cls, codec: Codec, arrays: Mapping[str, np.ndarray], record: Record
    ) -> AttributeTables:
        """Return what `state` and `parents_by_name` gave.

        Raises StateError where they are anything else.
        """
        sizes = codec.user_attribute_sizes()
        record.only(sizes)
        parents = [
            record.integers(name, low=0, high=2 * k).tolist() for k, name in enumerate(sizes)
        ]
        nothing = np.zeros(0, dtype=np.int64)
        wide = [w for name in sizes for _, w in parent_levels(codec, name, nothing)]
        shares, expected = list[BackoffTable](), dict[int, ExpectedLevel]()
        for k, size in enumerate(sizes.values()):
            if 2 * k in parents[k]:
                expected[k] = _restored_level(arrays, k, list(sizes.values())[:k])
            widths = [*wide[: 2 * k], LEVELS]
            own = [widths[j] for j in parents[k]]
            shares.append(restored_table(arrays, "static ", str(k), own, size))
        return cls(codec, parents, shares, expected)


def _expected(k: int) -> str:
    """Return the prefix, in a file, of what is expected of the k-th attribute."""
    return f"expected attribute {k}"


def _edges(k: int) -> str:
    return f"{_expected(k)}/edges"


def _restored_level(
    arrays: Mapping[str, np.ndarray], k: int, sizes: Sequence[int]
) -> ExpectedLevel:
    """Return what is expected of the k-th attribute; `sizes` are those of the attributes before.

    Raises StateError where it is not what `AttributeTables.state` gave.
    """
    if k == 0:
        raise StateError("model.safetensors: nothing comes before a user's first attribute.")
    edges = array(arrays, _edges(k), dtype="float32", shape=(None,), low=-1e9, high=1e9)
    if len(edges) >= LEVELS or (np.diff(edges) <= 0).any():
        raise StateError(f"model.safetensors: {_edges(k)} are no edges of levels.")
    return ExpectedLevel(CodeRidge.restored(arrays, _expected(k), sizes, 1), edges)


def _ranks(codec: Codec, name: str) -> np.ndarray | None:
    """Return the places of an attribute's codes in their order, (size,); None if they have none."""
    coder, favourite = codec.user_attributes[name], codec.favourite_of(name)
    if isinstance(coder, Bins):
        return coder.ranks().astype(np.float64)
    if favourite is not None and favourite[0] in (PRICE_LEVEL, *codec.items.levels):
        return np.arange(coder.size, dtype=np.float64)
    return None


def _tied(codec: Codec, name: str, code: np.ndarray, earlier: Sequence[Level]) -> int | None:
    """Return the place of the level that decides an attribute (n_users,), or that it decides.

    As a city decides its country: what no user has together is then never drawn. Both are columns
    of users in the log, and no user is an exception. `earlier` are the levels of the attributes
    before, two of each; the one with fewest values is taken.
    """
    if name not in codec.users.columns:
        return None
    best, fewest = None, len(code)
    for j, before in enumerate(list(codec.user_attributes)[: len(earlier) // 2]):
        level, width = earlier[2 * j]
        known = (level > 0) & (code > 0)
        pairs = np.unique(code[known] * width + level[known])
        sizes = [len(np.unique(x[known])) for x in (level, code)]
        shared = min(sizes) > 1 and FEWEST_KEYS <= max(sizes) <= known.sum() // USERS_OF_KEY
        if before in codec.users.columns and shared and len(pairs) == max(sizes) < fewest:
            best, fewest = 2 * j, max(sizes)
    return best


def _that_fit(
    codec: Codec, parents: list[int], table: BackoffTable, attributes: np.ndarray
) -> tuple[list[int], BackoffTable]:
    """Return the parents and the table of the observation span, which ends before the log does.

    All spans are as frequent as in `attributes` (n_users, S), and so are all arrivals, the
    attribute before. `parents` and `table` say how they go together.
    """
    arrival, span = attributes[:, 0], attributes[:, 1]
    every = np.arange(codec.user_attributes[ARRIVAL].size)
    levels = parent_levels(codec, ARRIVAL, every)
    share = table.share[table.rows([levels[j] for j in parents], len(every))]
    share = share * codec.spans_that_fit(torch.from_numpy(every)).numpy()
    share /= np.maximum(share.sum(1, keepdims=True), 1e-300)
    before = np.bincount(arrival, minlength=len(every)) / len(arrival)
    wanted = np.bincount(span, minlength=share.shape[1]) / len(span)
    return [0], BackoffTable.dense(raked(share, before, wanted), 1)
