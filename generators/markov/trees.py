"""Boosted regression trees over codes: learnt by LightGBM, kept as arrays, summed up compiled.

Ke et al. (2017), LightGBM: a highly efficient gradient boosting decision tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit

from generators.validation import StateError, array

ROUNDS = 80  # trees, at most
LEAVES = 31  # of a tree, at most
LEAF_ROWS = 100  # at the least
PATIENCE = 8  # trees that do not help before boosting ends
TRIAL_ROUNDS = 20  # after which the columns are chosen
MOST_COLUMNS = 12
HELD_OUT = 4  # one block in four says when boosting ends
BLOCK = 256  # adjacent rows, so that most users are on one side
LEAST_SHARE = 5e-3  # of the variance of rows held out, which must be explained
TOGETHER = 256  # rows that go down a tree one after another, so that it stays at hand
MOST_BOUND, MOST_VALUE = 10**6, 1e9  # of a file
SETTINGS: dict[str, Any] = {
    "objective": "l2",
    "learning_rate": 0.1,
    "num_leaves": LEAVES,
    "min_data_in_leaf": LEAF_ROWS,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "use_missing": False,
    "verbose": -1,
}


@dataclass(frozen=True)
class Trees:
    """Trees as arrays over all their nodes; a row goes left where its code is at most the bound.

    The sum of the values of the leaves that a row reaches is its prediction.
    """

    roots: np.ndarray  # (trees,) int64
    column: np.ndarray  # (nodes,) int64: of the codes, -1 = a leaf
    bound: np.ndarray  # (nodes,) int64
    left: np.ndarray  # (nodes,) int64, above the node; of a leaf the node itself
    right: np.ndarray
    value: np.ndarray  # (nodes,) float32: of a leaf

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Return what is expected of rows with `codes` (n, columns) int64, (n,) float32."""
        out: np.ndarray = _sum(
            codes, self.roots, self.column, self.bound, self.left, self.right, self.value
        )
        return out


def learn_trees(codes: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, Trees] | None:
    """Learn `wanted` (n,) from `codes` (n, columns); return the columns chosen, and trees on them.

    None where rows that are held out show that nothing can be learnt.
    """
    held = np.arange(len(wanted)) // BLOCK % HELD_OUT == 0
    if held.all() or np.var(wanted[held]) == 0:
        return None
    trial = _boosted(codes, wanted, held, TRIAL_ROUNDS)
    gain = trial.feature_importance("gain")
    columns = np.sort(np.argsort(-gain, kind="stable")[:MOST_COLUMNS])
    columns = columns[gain[columns] > 0]
    if len(columns) == 0:
        return None
    booster = _boosted(codes[:, columns], wanted, held, ROUNDS)
    left = wanted - booster.predict(codes[:, columns])
    if np.mean(left[held] ** 2) > (1 - LEAST_SHARE) * np.var(wanted[held]):
        return None
    return columns, _as_arrays(booster)


def _boosted(codes: np.ndarray, wanted: np.ndarray, held: np.ndarray, rounds: int) -> Any:
    import lightgbm

    data = lightgbm.Dataset(codes[~held], wanted[~held], free_raw_data=False)
    return lightgbm.train(
        SETTINGS,
        data,
        num_boost_round=rounds,
        valid_sets=[lightgbm.Dataset(codes[held], wanted[held], reference=data)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )


def _as_arrays(booster: Any) -> Trees:
    table: pd.DataFrame = booster.trees_to_dataframe()
    table = table[table["tree_index"] < booster.best_iteration]
    node = pd.Index(table["node_index"])
    own = np.arange(len(table))
    is_leaf = table["left_child"].isna().to_numpy()
    names = pd.Index(booster.feature_name())
    return Trees(
        roots=np.flatnonzero((table["node_depth"] == 1).to_numpy()),
        column=names.get_indexer(table["split_feature"]).astype(np.int64),
        bound=np.where(is_leaf, 0, np.floor(table["threshold"].fillna(0))).astype(np.int64),
        left=np.where(is_leaf, own, node.get_indexer(table["left_child"])),
        right=np.where(is_leaf, own, node.get_indexer(table["right_child"])),
        value=np.where(is_leaf, table["value"], 0).astype(np.float32),
    )


def restored_trees(arrays: Mapping[str, np.ndarray], prefix: str, *, columns: int) -> Trees:
    """Return the trees whose arrays have the `prefix`; they read that many columns.

    Raises StateError where they are no trees, so that summing them up would not end.
    """

    def part(name: str, high: int, *, low: int = 0, size: int | None = None) -> np.ndarray:
        return array(arrays, prefix + name, dtype="int64", shape=(size,), low=low, high=high)

    column = part("column", columns - 1, low=-1)
    n = len(column)
    trees = Trees(
        roots=part("roots", n - 1),
        column=column,
        bound=part("bound", MOST_BOUND, size=n),
        left=part("left", n - 1, size=n),
        right=part("right", n - 1, size=n),
        value=array(
            arrays, prefix + "value", dtype="float32", shape=(n,), low=-MOST_VALUE, high=MOST_VALUE
        ),
    )
    inner = np.flatnonzero(column >= 0)
    if not n or (np.minimum(trees.left, trees.right)[inner] <= inner).any():
        raise StateError(f"model.safetensors: {prefix}left and right lead to no leaf.")
    return trees


@njit(cache=True)
def _sum(codes, roots, column, bound, left, right, value):
    out = np.zeros(len(codes), dtype=np.float32)
    for begin in range(0, len(codes), TOGETHER):
        for root in roots:
            for i in range(begin, min(begin + TOGETHER, len(codes))):
                node = root
                while column[node] >= 0:
                    node = left[node] if codes[i, column[node]] <= bound[node] else right[node]
                out[i] += value[node]
    return out
