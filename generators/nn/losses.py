"""Negative log likelihood of users' rows, field by field.

Each field is given the fields before it in the row. Without a privacy budget a field is computed
only on the rows that have a choice in it. With one, every field is computed on every row, since
opacus needs each layer to see the users along its first dimension.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from generators.codec.codec import SESSION_LABEL
from generators.nn.batches import Batch
from generators.nn.network import RowNet
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label

# share of the loss that rows of labelled sessions have at least: they are few, and they matter
MIN_LABELLED_LOSS_SHARE = 0.1
LARGEST_LABEL_WEIGHT = 30.0
IMPOSSIBLE = -1e9  # logit of an item that cannot be drawn


def losses(
    net: RowNet,
    batch: Batch,
    z: torch.Tensor,
    fields: dict[str, torch.Tensor],
    names: tuple[str, ...],
    start: np.ndarray,
    keep: torch.Tensor | None,
    label_weight: float = 1.0,
) -> torch.Tensor:
    """Return the summed negative log likelihood of each window, (R,) in nats.

    Where gradients are wanted user by user, the attributes of a user count with the user's first
    window, and `label_weight` is not used. Otherwise attributes have a training of their own.

    Args:
        z: (B, Z) latents.
        fields: see `open_fields`.
        names: of the fields, in the order of `batch.target`.
        start: (n_categories + 1,) where the items of each category begin.
        keep: (R, T), see `RowNet.states`.
        label_weight: weight of what is drawn given a session label, or given that a labelled
            session is to come; see `label_weight_of`.
    """
    condition = net.condition(z, batch.user_attributes)[batch.owner]
    states = net.states(batch.features, condition, keep)  # (R, T, D)
    if not net.per_user:
        return _open_rows(net, states, batch, fields, names, start, label_weight)
    rows = _whole_rows(net, states, batch, names, start)
    return _attribute_loss(net, batch.user_attributes, z) + rows


def label_weight_of(steps: EncodedSequences) -> float:
    """Return the weight of rows of labelled sessions, 1 to LARGEST_LABEL_WEIGHT.

    With it they make up at least MIN_LABELLED_LOSS_SHARE of the loss. It is 1.0 without labels.
    """
    if SESSION_LABEL not in steps.names:
        return 1.0
    share = float((steps.features[:, layout.LAST_SESSION_LABEL] > 1).float().mean())
    if share == 0:
        return 1.0
    return float(np.clip(MIN_LABELLED_LOSS_SHARE / share, 1.0, LARGEST_LABEL_WEIGHT))


def _weighted(labelled: torch.Tensor, weight: float) -> torch.Tensor:
    """Return (n,) float: `weight` where `labelled`, otherwise 1."""
    return 1.0 + (weight - 1.0) * labelled


# --- without a privacy budget ---------------------------------------------------------------------


def _open_rows(
    net: RowNet,
    states: torch.Tensor,
    batch: Batch,
    fields: dict[str, torch.Tensor],
    names: tuple[str, ...],
    start: np.ndarray,
    label_weight: float,
) -> torch.Tensor:
    """Return the loss (R,), each field computed on the rows that have a choice in it."""
    window = torch.nonzero(batch.mask)[:, 0]  # (n,) window of each step
    u, target, clock, features, known = (
        x[batch.mask] for x in (states, batch.target, batch.clock, batch.features, batch.known)
    )
    attributes = batch.user_attributes[batch.owner][window]
    event = target[:, names.index("event")].clamp(min=0)
    # the step that asks whether the user ends is no row
    is_row = target[:, names.index("event")] >= 0
    total = torch.zeros(len(batch.owner))
    # until a session's label is drawn, that of the row before counts
    weight = _weighted(features[:, layout.LAST_SESSION_LABEL] > 1, label_weight)
    # of the label itself; where no labelled session is to come it is never drawn
    to_come = _weighted(features[:, net.labels_left_column] > 0, label_weight)
    for k, name in enumerate(names):
        code = target[:, k]
        if name == "item":
            if net.n_items > 1:
                total = total + _item_loss(
                    net,
                    u,
                    code,
                    features,
                    attributes,
                    known,
                    window,
                    len(batch.owner),
                    start,
                    weight,
                )
            continue
        asked = code >= 0
        if name in fields:
            asked = asked & (fields[name][event] > 0)
        rows = torch.nonzero(asked)[:, 0]
        logits = net.logits(name, u, features, attributes, known, rows)
        loss = F.cross_entropy(logits, code[rows], reduction="none")
        of_rows = (to_come if name == SESSION_LABEL else weight)[rows]
        total = total.index_add(0, window[rows], loss * of_rows)
        if name == "gap":
            added = net.chosen_embedding(name, code.clamp(min=0))
            assert added is not None
            u = u + (added + net.clock_embedding(clock)) * is_row[:, None]
        elif name == SESSION_LABEL:  # it holds for the whole session, so every row sees it
            label = current_session_label(code, features)
            added = net.chosen_embedding(name, label)
            u = u + added * is_row[:, None] if added is not None else u
            weight = _weighted(label > 0, label_weight)
        elif name == "category":  # that of a copied item is known, and is seen as well
            rows = torch.nonzero(is_row & (fields[name][event] > 0))[:, 0]
            category = batch_category(batch, names)[batch.mask][rows]
            added = net.chosen_embedding(name, category)
            u = u.index_add(0, rows, added) if added is not None else u
        else:
            added = net.chosen_embedding(name, code[rows])
            u = u.index_add(0, rows, added) if added is not None else u
    return total


def _item_loss(
    net: RowNet,
    u: torch.Tensor,
    code: torch.Tensor,
    features: torch.Tensor,
    attributes: torch.Tensor,
    known: torch.Tensor,
    window: torch.Tensor,
    n_windows: int,
    start: np.ndarray,
    weight: torch.Tensor,
) -> torch.Tensor:
    """Return the loss (n_windows,) of fresh items within their categories.

    Items that would be copies (`known`) are left out of the choice. There is one matrix product per
    category.
    """
    rows = torch.nonzero(code > 0)[:, 0]
    total = torch.zeros(n_windows)
    if len(rows) == 0:
        return total
    category = torch.from_numpy(np.searchsorted(start, code[rows].numpy(), side="right") - 1)
    order = torch.argsort(category, stable=True)
    rows, category = rows[order], category[order]
    query, item_weight = net.item_query(u[rows]), net.item_weight()
    of_traits = None
    if net.traits.shape[1]:
        of_traits = net.affinity_logits(u[rows], features[rows], attributes[rows])
    present, counts = torch.unique_consecutive(category, return_counts=True)
    known = known[rows]
    parts, at = [], 0
    for c, size in zip(present.tolist(), counts.tolist(), strict=True):
        first, stop, mine = int(start[c]), int(start[c + 1]), slice(at, at + size)
        logits = net.item_logits(
            query[mine], None if of_traits is None else of_traits[mine], item_weight, first, stop
        )
        row, rank = torch.nonzero((known[mine] >= first) & (known[mine] < stop), as_tuple=True)
        copies = known[mine][row, rank].long() - first
        logits = logits.index_put((row, copies), logits.new_tensor(IMPOSSIBLE))
        parts.append(F.cross_entropy(logits, code[rows[mine]] - first, reduction="none"))
        at += size
    return total.index_add(0, window[rows], torch.cat(parts) * weight[rows])


# --- with a privacy budget ------------------------------------------------------------------------


def _attribute_loss(net: RowNet, codes: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return the loss (B,) of users' attributes `codes` (B, S), one attribute after another."""
    hidden, total = None, torch.zeros(len(codes))
    for k in range(codes.shape[1]):
        logits, hidden = net.attribute_logits(z, k, hidden)
        total = total + F.cross_entropy(logits, codes[:, k], reduction="none")
        hidden = net.with_attribute(hidden, k, codes[:, k])
    return total


def _whole_rows(
    net: RowNet, states: torch.Tensor, batch: Batch, names: tuple[str, ...], start: np.ndarray
) -> torch.Tensor:
    """Return the loss (B,), every field computed on every row."""
    u, total = states, torch.zeros(len(states))
    is_row = (batch.target[..., names.index("event")] >= 0)[..., None]
    category = batch_category(batch, names)
    for k, name in enumerate(names):
        code = batch.target[..., k]
        if name == "item":
            if net.n_items > 1:
                total = total + _whole_item_loss(net, u, code, category, start)
            continue
        logits = net.head(name, u)
        if name == "gap":
            logits = logits + net.cycle_of(batch.features)
        total = total + _sum_loss(logits, code)
        chosen = code.clamp(min=0)
        if name == "category":
            chosen = category
        elif name == SESSION_LABEL:
            chosen = current_session_label(code, batch.features)
        added = net.chosen_embedding(name, chosen)
        if added is not None:
            u = u + added * is_row
        if name == "gap":
            u = u + net.clock_embedding(batch.clock) * is_row
    return total


def _whole_item_loss(
    net: RowNet, u: torch.Tensor, code: torch.Tensor, category: torch.Tensor, start: np.ndarray
) -> torch.Tensor:
    """Return the loss (B,) of fresh items within their categories, of row states (B, T, D)."""
    logits = net.item_head(net.item_query(u))  # (B, T, n_items)
    of = torch.from_numpy(np.searchsorted(start, np.arange(net.n_items), side="right") - 1)
    other = (of != category[..., None]) & (code > 0)[..., None]
    return _sum_loss(logits.masked_fill(other, IMPOSSIBLE), torch.where(code > 0, code, -1))


def _sum_loss(logits: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """Return the loss (B,) of codes (B, T), -1 = not asked, with logits (B, T, size)."""
    return F.cross_entropy(logits.transpose(1, 2), code, ignore_index=-1, reduction="none").sum(1)


def batch_category(batch: Batch, names: tuple[str, ...]) -> torch.Tensor:
    """Return the category (R, T) of each row, copied or drawn.

    The features of the step after hold it.
    """
    after = torch.cat(
        [
            batch.features[:, 1:, layout.LAST_CATEGORY] - 1,
            batch.target[:, -1:, names.index("category")],
        ],
        1,
    )
    return after.clamp(min=0)
