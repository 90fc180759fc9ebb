"""Affinity bias: codes gain that share a group with recent rows or with the user's favourites.

The group of a category is itself, that of a search the category that it usually leads to, that of a
country the user's usual country. Each place where a group is found (a recent item, a favourite)
adds to the logits of the codes of that group. How much it adds follows from the row's state: it is
an additional output of the field's head, so it is learnt once and not code by code.
`RowNet.affinity_logits` does the same for items. Not available under a privacy budget.

In training what a bias adds to which logit is a list (`..._additions`), since a few codes gain; of
a field with many codes it is a tensor with gradients (`AffinityTensors`). In sampling it is added
to all logits of a batch (`add_...`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from generators.codec.codec import Codec
from generators.codec.parts import FAVOURITES, LEVELS, PRICE_LEVEL
from generators.nn.fused.call import run
from generators.sequences import codes
from generators.sequences import feature_layout as layout

RECENT = layout.N_LAST_ITEMS  # last items in the features


class Affinity(NamedTuple):
    """The groups of a field's codes, and the K columns in which groups are found."""

    group: np.ndarray  # (codes,) int64: group of each code, 0 = none
    columns: np.ndarray  # (K,) int64: columns of the features, then of the users' attributes
    n_features: int  # how many of `columns` are features
    first: np.ndarray  # (K,) int64: where the levels of each column begin in `table`
    table: np.ndarray  # (levels,) int64: group of each level, 0 = none
    excluded: int  # column of the features whose group gains nothing; -1 = none


def affinities(codec: Codec) -> dict[str, Affinity]:
    """Return the affinity of each field that has one, by the field's name."""
    if codec.private:
        return {}
    names, out = list(codec.user_attributes), {}
    size = codec.categories.size
    # a feature is a code + 1
    of_features = [(layout.LAST_CATEGORY, np.maximum(np.arange(size + 1) - 1, 0))]
    of_features += [(layout.LAST_ITEMS + r, codec.items.category) for r in range(RECENT)]
    of_features += [
        (codec.value_column(n), np.array(table)) for n, table in codec.rules.usual_category.items()
    ]
    of_attributes = [
        (names.index(p + "category"), np.arange(size))
        for p in FAVOURITES
        if p + "category" in names
    ]
    if size > 2:
        out["category"] = _affinity(np.arange(size), of_features, of_attributes)
    for n in codec.value_fields:  # codes: missing, the same as before, the values
        if n in codec.rules.usual_category:
            out[n] = _affinity(
                np.append([0] * codes.SAME, codec.rules.usual_category[n]),
                of_features,
                of_attributes,
            )
        elif n in names and codec.user_attributes[n].size == codec.values[n].size:
            own = np.arange(codec.values[n].size)
            out[n] = _affinity(
                np.append([0] * codes.SAME, own),
                [],
                [(names.index(n), own)],
                excluded=codec.value_column(n),
            )
    return out


def _affinity(
    group: np.ndarray,
    of_features: list[tuple[int, np.ndarray]],
    of_attributes: list[tuple[int, np.ndarray]],
    excluded: int = -1,
) -> Affinity:
    """Lay out pairs of a column and the groups of its levels."""
    columns, tables = zip(*of_features, *of_attributes, strict=True)
    first = np.append(0, np.cumsum([len(t) for t in tables]))[:-1]
    return Affinity(
        group.astype(np.int64),
        np.array(columns),
        len(of_features),
        first,
        np.concatenate(tables).astype(np.int64),
        excluded,
    )


class RecentItemAffinity(NamedTuple):
    """What a recent item gains as the item to copy: by its levels of A attributes and by category.

    The head of the copy action has W more outputs: a weight per level, then one per place where
    a category is found.
    """

    levels: np.ndarray  # (n_items, A) int64: 1 + place among the weights of levels, 0 = unknown
    n_level_weights: int
    category: np.ndarray  # (n_items,) int64
    categories: Affinity  # K places where categories are found


def recent_item_affinity(codec: Codec, categories: Affinity | None) -> RecentItemAffinity | None:
    """Return the affinity of recent items; None where the codec knows no levels of items.

    `categories` is the affinity of the field 'category'.
    """
    names = [
        n
        for n in (*codec.items.levels, PRICE_LEVEL)
        if n != PRICE_LEVEL or np.isfinite(codec.items.price).any()
    ]
    if codec.private or categories is None or not names:
        return None
    levels = [
        np.where(table > 0, table + k * len(LEVELS), 0)
        for k, table in enumerate(map(codec.item_table, names))
    ]
    return RecentItemAffinity(
        np.stack(levels, 1), len(names) * len(LEVELS), codec.items.category, categories
    )


def recent_item_additions(
    recent: torch.Tensor,
    features: torch.Tensor,
    user_attributes: torch.Tensor,
    rows: torch.Tensor,
    affinity: RecentItemAffinity,
) -> torch.Tensor:
    """Return what the affinities add to the logits of copies, (E, 3) int32; see `FieldSpec`.

    Args:
        recent: (n, N_COPY_RANKS) items that each copy would be.
        features, user_attributes: (n, F) and (n, S).
        rows: (m,) rows that are asked for a copy action, ascending.
    """
    found = run(_recent_item_additions, recent, features, user_attributes, rows, affinity)
    return torch.from_numpy(found)


@njit(cache=True)
def _recent_item_additions(recent, features, user_attributes, rows, affinity):
    categories = affinity.categories
    first_category = codes.N_COPY_ACTIONS + affinity.n_level_weights
    n_levels, n_places = affinity.levels.shape[1], len(categories.columns)
    groups = np.empty(n_places, dtype=np.int64)
    out = np.empty((len(rows) * codes.N_COPY_RANKS * (n_levels + n_places), 3), dtype=np.int32)
    n = 0
    for i in rows:
        _groups_found(features[i], user_attributes[i], categories, groups)
        for rank in range(codes.N_COPY_RANKS):
            item = recent[i, rank]
            for a in range(n_levels):
                level = affinity.levels[item, a]
                if level > 0:
                    out[n, 0], out[n, 1] = i, codes.FIRST_COPY + rank
                    out[n, 2] = codes.N_COPY_ACTIONS + level - 1
                    n += 1
            for k in range(n_places):
                if groups[k] > 0 and affinity.category[item] == groups[k]:
                    out[n, 0], out[n, 1] = i, codes.FIRST_COPY + rank
                    out[n, 2] = first_category + k
                    n += 1
    return out[:n].copy()


@njit(cache=True)
def add_recent_item_affinity(logits, rows, recent, features, user_attributes, affinity):
    """Return what RecentItemAffinityTensors.added returns, for the users `rows` (m,).

    Args:
        logits: (m, N_COPY_ACTIONS + W).
        recent, features, user_attributes: of all users.
    """
    out = logits[:, : codes.N_COPY_ACTIONS].copy()
    categories = affinity.categories
    first_level = codes.N_COPY_ACTIONS
    first_category = codes.N_COPY_ACTIONS + affinity.n_level_weights
    groups = np.empty(len(categories.columns), dtype=np.int64)
    for r in range(len(rows)):
        user = rows[r]
        for rank in range(codes.N_COPY_RANKS):
            item = recent[user, rank]
            for a in range(affinity.levels.shape[1]):
                level = affinity.levels[item, a]
                if level > 0:
                    out[r, codes.FIRST_COPY + rank] += logits[r, first_level + level - 1]
        _groups_found(features[user], user_attributes[user], categories, groups)
        for k in range(len(groups)):
            for rank in range(codes.N_COPY_RANKS):
                if groups[k] > 0 and affinity.category[recent[user, rank]] == groups[k]:
                    out[r, codes.FIRST_COPY + rank] += logits[r, first_category + k]
    return out


def affinity_additions(
    features: torch.Tensor, user_attributes: torch.Tensor, rows: torch.Tensor, affinity: Affinity
) -> torch.Tensor:
    """Return what an affinity adds to the logits of a field, (E, 3) int32; see `FieldSpec`.

    Args:
        features, user_attributes: (n, F) and (n, S).
        rows: (m,) rows that are asked the field, ascending.
    """
    return torch.from_numpy(run(_affinity_additions, features, user_attributes, rows, affinity))


@njit(cache=True)
def _affinity_additions(features, user_attributes, rows, affinity):
    size, groups = len(affinity.group), np.empty(len(affinity.columns), dtype=np.int64)
    most = np.bincount(affinity.group)[1:].max() if affinity.group.max() > 0 else 0
    out = np.empty((len(rows) * len(groups) * most, 3), dtype=np.int32)
    n = 0
    for i in rows:
        _groups_found(features[i], user_attributes[i], affinity, groups)
        for k in range(len(groups)):
            if groups[k] > 0:
                for code in range(size):
                    if affinity.group[code] == groups[k]:
                        out[n, 0], out[n, 1], out[n, 2] = i, code, size + k
                        n += 1
    return out[:n].copy()


@njit(cache=True)
def _groups_found(features, user_attributes, affinity, out):
    """Write the group that is found in each place to `out` (K,); 0 = none."""
    for k in range(len(out)):
        column = affinity.columns[k]
        level = features[column] if k < affinity.n_features else user_attributes[column]
        out[k] = affinity.table[affinity.first[k] + level]
        if affinity.excluded >= 0 and out[k] == features[affinity.excluded]:
            out[k] = 0


class AffinityTensors:
    """An Affinity for whole batches, with gradients."""

    def __init__(self, affinity: Affinity) -> None:
        split = affinity.n_features
        self.feature_columns = torch.from_numpy(affinity.columns[:split])
        self.attribute_columns = torch.from_numpy(affinity.columns[split:])
        self.group, self.first, self.table = (
            torch.from_numpy(x) for x in (affinity.group, affinity.first, affinity.table)
        )
        self.excluded = affinity.excluded
        self.n_groups = 1 + int(max(affinity.group.max(), affinity.table.max()))

    def groups_found(self, features: torch.Tensor, user_attributes: torch.Tensor) -> torch.Tensor:
        """Return the group found in each place, (n, K); 0 = none."""
        level = torch.cat(
            [features[:, self.feature_columns], user_attributes[:, self.attribute_columns]], 1
        )
        group = self.table[level + self.first]
        if self.excluded < 0:
            return group
        return group.masked_fill(group == features[:, self.excluded, None], 0)

    def added(
        self,
        logits: torch.Tensor,
        features: torch.Tensor,
        user_attributes: torch.Tensor,
        codes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits (n, codes) with the affinities added.

        Args:
            logits: (n, codes + K), the weight of each place last.
            features: (n, F).
            user_attributes: (n, S) codes.
            codes: (m,) those that the logits are of; None = all.
        """
        of = self.group if codes is None else self.group.index_select(0, codes)
        size, group = len(of), self.groups_found(features, user_attributes)
        gain = logits.new_zeros((len(logits), self.n_groups)).scatter_add(
            1, group, logits[:, size:] * (group > 0)
        )
        return logits[:, :size] + gain.index_select(1, of)


@njit(cache=True)
def add_affinity(logits, rows, features, user_attributes, affinity):
    """Return what AffinityTensors.added returns, for the users `rows` (m,).

    Args:
        logits: (m, codes + K).
        features, user_attributes: of all users.
    """
    size = len(affinity.group)
    out = np.empty((len(rows), size), dtype=np.float32)
    gain = np.zeros(1 + max(affinity.group.max(), affinity.table.max()), dtype=np.float32)
    groups = np.empty(len(affinity.columns), dtype=np.int64)
    for r in range(len(rows)):
        user = rows[r]
        _groups_found(features[user], user_attributes[user], affinity, groups)
        for k in range(len(groups)):
            if groups[k] > 0:
                gain[groups[k]] += logits[r, size + k]
        for code in range(size):
            out[r, code] = logits[r, code] + gain[affinity.group[code]]
        for k in range(len(groups)):
            gain[groups[k]] = 0
    return out
