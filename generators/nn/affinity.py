"""Like after like: codes of a field that gain because they are like what came before, or like what
the user is known for.

A category is like itself, a search is like the category that it usually leads to, a country is like
the one that the user usually is in. This need not be found out code by code: each likeness adds to
the logits of the codes that have it as much as the row's state says (the last rows of the field's
head), in the manner of `RowNet.kinship` for items. Not under a budget.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from generators.codec.codec import Codec
from generators.codec.parts import FAVOURITES, LEVELS, PRICE_LEVEL
from generators.sequences import codes
from generators.sequences import feature_layout as layout

RECENT = 3  # items that a row is told of


class Affinity(NamedTuple):
    """What the codes of a field are like, and K places where it is looked for."""

    group: np.ndarray  # (codes,) int64: what each code is like, 0 = nothing
    columns: np.ndarray  # (K,) int64: of the features; then, from `told` on, of the static codes
    told: int  # how many of `columns` are features
    first: np.ndarray  # (K,) int64: where the levels of each column begin in `table`
    table: np.ndarray  # (levels,) int64: what each level is like, 0 = nothing
    but: int  # column of the features: what stands there gains nothing; -1 = none


def affinities(codec: Codec) -> dict[str, Affinity]:
    """Field -> what its codes are like; for fields without, nothing."""
    if codec.private:
        return {}
    names, out = list(codec.user_attributes), {}
    size = codec.categories.size
    told = [
        (layout.LAST_CATEGORY, np.maximum(np.arange(size + 1) - 1, 0))
    ]  # a feature is a code + 1
    told += [(layout.LAST_ITEMS + r, codec.items.category) for r in range(RECENT)]
    told += [
        (codec.value_column(n), np.array(table)) for n, table in codec.rules.usual_category.items()
    ]
    known = [
        (names.index(p + "category"), np.arange(size))
        for p in FAVOURITES
        if p + "category" in names
    ]
    if size > 2:
        out["category"] = _affinity(np.arange(size), told, known)
    for n in codec.value_fields:  # codes: missing, the same as before, the values
        if n in codec.rules.usual_category:
            out[n] = _affinity(
                np.append([0] * codes.SAME, codec.rules.usual_category[n]), told, known
            )
        elif n in names and codec.user_attributes[n].size == codec.values[n].size:
            own = np.arange(codec.values[n].size)
            out[n] = _affinity(
                np.append([0] * codes.SAME, own),
                [],
                [(names.index(n), own)],
                but=codec.value_column(n),
            )
    return out


def _affinity(
    group: np.ndarray,
    told: list[tuple[int, np.ndarray]],
    known: list[tuple[int, np.ndarray]],
    but: int = -1,
) -> Affinity:
    columns, tables = zip(*told, *known, strict=True)
    first = np.append(0, np.cumsum([len(t) for t in tables]))[:-1]
    return Affinity(
        group.astype(np.int64),
        np.array(columns),
        len(told),
        first,
        np.concatenate(tables).astype(np.int64),
        but,
    )


class RecentItemAffinity(NamedTuple):
    """What the items of a user's pool are like, which a row may copy: W weights, of their levels
    and then of the topics.
    """

    levels: np.ndarray  # (n_items, A) int64: place among the weights of levels + 1, 0 = unknown
    weights: int  # of levels
    category: np.ndarray  # (n_items,) int64
    topics: Affinity  # K places where categories are looked for


def recent_item_affinity(codec: Codec, topics: Affinity | None) -> RecentItemAffinity | None:
    """Of `codec`, whose categories are like `topics`; None where nothing is known of its items."""
    names = [
        n
        for n in (*codec.items.levels, PRICE_LEVEL)
        if n != PRICE_LEVEL or np.isfinite(codec.items.price).any()
    ]
    if codec.private or topics is None or not names:
        return None
    levels = [
        np.where(table > 0, table + k * len(LEVELS), 0)
        for k, table in enumerate(map(codec.item_table, names))
    ]
    return RecentItemAffinity(
        np.stack(levels, 1), len(names) * len(LEVELS), codec.items.category, topics
    )


class RecentItemAffinityTensors:
    """A PoolLikeness for whole batches, with gradients."""

    def __init__(self, like: RecentItemAffinity) -> None:
        self.levels, self.category = torch.from_numpy(like.levels), torch.from_numpy(like.category)
        self.weights, self.topics = like.weights, AffinityTensors(like.topics)

    def added(
        self, logits: torch.Tensor, pool: torch.Tensor, features: torch.Tensor, static: torch.Tensor
    ) -> torch.Tensor:
        """(n, PICKS) logits of (n, PICKS + W), whose last columns say what each likeness counts;
        `pool` (n, RANKS) items.
        """
        by_level = torch.cat(
            [
                logits.new_zeros((len(logits), 1)),
                logits[:, codes.N_COPY_ACTIONS : codes.N_COPY_ACTIONS + self.weights],
            ],
            1,
        )
        pool = pool.long()
        # (n, RANKS)
        gain = (
            by_level.gather(1, self.levels[pool].flatten(1))
            .unflatten(1, (codes.N_COPY_RANKS, -1))
            .sum(2)
        )
        # (n, 1, K)
        place = self.topics.places(features, static)[:, None]
        same = (self.category[pool][:, :, None] == place) & (place > 0)
        gain = gain + (same * logits[:, None, codes.N_COPY_ACTIONS + self.weights :]).sum(2)
        return torch.cat(
            [
                logits[:, : codes.FIRST_COPY],
                logits[:, codes.FIRST_COPY : codes.N_COPY_ACTIONS] + gain,
            ],
            1,
        )


@njit(cache=True)
def add_recent_item_affinity(logits, rows, pool, features, static, like):
    """What PoolTensors.added gives, for `rows` (m,): logits (m, PICKS + W); pool, features and
    static of all users.
    """
    out = logits[:, : codes.N_COPY_ACTIONS].copy()
    topics = like.topics
    for r in range(len(rows)):
        user = rows[r]
        for rank in range(codes.N_COPY_RANKS):
            item = pool[user, rank]
            for a in range(like.levels.shape[1]):
                if like.levels[item, a] > 0:
                    out[r, codes.FIRST_COPY + rank] += logits[
                        r, codes.N_COPY_ACTIONS + like.levels[item, a] - 1
                    ]
        for k in range(len(topics.columns)):
            level = (
                features[user, topics.columns[k]]
                if k < topics.told
                else static[user, topics.columns[k]]
            )
            place = topics.table[topics.first[k] + level]
            for rank in range(codes.N_COPY_RANKS):
                if place > 0 and like.category[pool[user, rank]] == place:
                    out[r, codes.FIRST_COPY + rank] += logits[
                        r, codes.N_COPY_ACTIONS + like.weights + k
                    ]
    return out


class AffinityTensors:
    """A Likeness for whole batches, with gradients."""

    def __init__(self, like: Affinity) -> None:
        self.columns, self.static = (
            torch.from_numpy(c) for c in (like.columns[: like.told], like.columns[like.told :])
        )
        self.group, self.first, self.table = (
            torch.from_numpy(x) for x in (like.group, like.first, like.table)
        )
        self.but, self.groups = like.but, 1 + int(max(like.group.max(), like.table.max()))

    def places(self, features: torch.Tensor, static: torch.Tensor) -> torch.Tensor:
        """(n, K): what is found in each place, 0 = nothing."""
        level = torch.cat([features[:, self.columns], static[:, self.static]], 1)
        place = self.table[level + self.first]
        return (
            place.masked_fill(place == features[:, self.but, None], 0) if self.but >= 0 else place
        )

    def added(
        self, logits: torch.Tensor, features: torch.Tensor, static: torch.Tensor
    ) -> torch.Tensor:
        """(n, codes) logits of (n, codes + K), whose last columns say what each likeness counts;
        features (n, F), static (n, S).
        """
        size, place = len(self.group), self.places(features, static)
        gain = logits.new_zeros((len(logits), self.groups)).scatter_add(
            1, place, logits[:, size:] * (place > 0)
        )
        return logits[:, :size] + gain[:, self.group]


@njit(cache=True)
def add_affinity(logits, rows, features, static, like):
    """What LikenessTensors.added gives, for `rows` (m,): logits (m, codes + K); features and static
    of all users.
    """
    size = len(like.group)
    out = np.empty((len(rows), size), dtype=np.float32)
    gain = np.zeros(1 + max(like.group.max(), like.table.max()), dtype=np.float32)
    places = np.empty(len(like.columns), dtype=np.int64)
    for r in range(len(rows)):
        user = rows[r]
        for k in range(len(places)):
            level = (
                features[user, like.columns[k]] if k < like.told else static[user, like.columns[k]]
            )
            places[k] = like.table[like.first[k] + level]
            if like.but >= 0 and places[k] == features[user, like.but]:
                places[k] = 0
            if places[k] > 0:
                gain[places[k]] += logits[r, size + k]
        for code in range(size):
            out[r, code] = logits[r, code] + gain[like.group[code]]
        for k in range(len(places)):
            gain[places[k]] = 0
    return out
