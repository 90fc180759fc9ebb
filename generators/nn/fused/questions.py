"""What rows are asked in training without a privacy budget, in one pass over them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from generators.sequences import feature_layout as layout


class Places(NamedTuple):
    """Columns of the targets (fields) and of the embeddings of a row; -1 = there is none."""

    event: int
    gap: int
    item: int
    category: int
    label: int
    labels_left: int  # column of the features
    clock: int  # the first of the embeddings of the row's time
    traits: int  # the first of the embeddings of the row's item
    moves: int  # that of whether its price is reduced


@njit(cache=True)
def ask(
    target,
    features,
    clock,
    items,
    moves,
    open_,
    column,
    places,
    traits,
    offset,
    label_weight,
    code,
    weight,
    added,
):
    """Write what n rows are asked to `code`, `weight` (K, n) and `added` (n, A), see `FieldSpec`.

    Args:
        target, features, clock, items, moves: see `PackedBatch`.
        open_, column, traits, offset, label_weight: see `FieldPlan`.
    """
    one, n_fields = np.float32(1), target.shape[1]
    for i in range(len(target)):
        event = target[i, places.event]
        can = open_[max(event, 0)]
        last_label = features[i, layout.LAST_SESSION_LABEL] - 1
        label = max(last_label, 0)  # it holds for the whole session, so every row sees it
        if places.label >= 0 and target[i, places.label] >= 0:
            label = target[i, places.label]
        # until a session's label is drawn, that of the row before counts
        row_weight = label_weight if last_label > 0 else one
        for k in range(n_fields):
            least = 1 if k == places.item else 0
            code[k, i] = target[i, k] if can[k] and target[i, k] >= least else -1
            if places.label >= 0 and k > places.label:
                row_weight = label_weight if label > 0 else one
            weight[k, i] = row_weight
            if k == places.label:  # where no labelled session is to come it is never drawn
                weight[k, i] = label_weight if features[i, places.labels_left] > 0 else one
        if event < 0:
            continue  # the step that asks whether the user ends is no row
        for k in range(n_fields):
            chosen = code[k, i]
            if k == places.gap:
                chosen = max(target[i, k], 0)
            elif k == places.label:
                chosen = label
            elif k == places.category:  # that of a copied item is known, and is seen as well
                chosen = _category(features, i) if can[k] else -1
            if column[k] >= 0 and chosen >= 0:
                added[i, column[k]] = chosen + offset[column[k]]
        for a in range(clock.shape[1]):
            added[i, places.clock + a] = clock[i, a] + offset[places.clock + a]
        for a in range(traits.shape[1]):
            added[i, places.traits + a] = traits[items[i], a] + offset[places.traits + a]
        if places.moves >= 0:
            added[i, places.moves] = moves[i] + offset[places.moves]


@njit(cache=True)
def _category(features, i):
    """Return the category of row i, copied or drawn: the features of the step after hold it."""
    return max(features[i + 1, layout.LAST_CATEGORY] - 1, 0) if i + 1 < len(features) else 0
