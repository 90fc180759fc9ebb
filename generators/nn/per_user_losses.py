"""Negative log likelihood of users' rows, user by user, for training with a privacy budget.

Every field is computed on every row, since opacus needs each layer to see the users along its first
dimension.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from generators.codec.codec import SESSION_LABEL
from generators.nn.batches import Batch
from generators.nn.network import RowNet
from generators.sequences import feature_layout as layout
from generators.sequences.session_labels import current_session_label

IMPOSSIBLE = -1e9  # logit of an item that cannot be drawn


def per_user_losses(
    net: RowNet,
    batch: Batch,
    z: torch.Tensor,
    names: tuple[str, ...],
    start: np.ndarray,
    keep: torch.Tensor,
) -> torch.Tensor:
    """Return the summed negative log likelihood of each user, (B,) in nats: one window each.

    It is for gradients user by user; the users' attributes are part of it.

    Args:
        z: (B, Z) latents.
        names: of the fields, in the order of `batch.target`.
        start: (n_categories + 1,) where the items of each category begin.
        keep: (B, T), see `RowNet.states`.
    """
    states = net.states(batch.features, net.condition(z, batch.user_attributes), keep)
    rows = _whole_rows(net, states, batch, names, start)
    return _attribute_loss(net, batch.user_attributes, z) + rows


def _attribute_loss(net: RowNet, codes: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return the loss (B,) of users' attributes `codes` (B, S), one attribute after another."""
    hidden, total = None, torch.zeros(len(codes))
    for k in range(codes.shape[1]):
        logits, hidden = net.attribute_logits(z, k, hidden, codes[:, :k])
        total = total + F.cross_entropy(logits, codes[:, k], reduction="none")
        hidden = net.with_attribute(hidden, k, codes[:, k])
    return total


def _whole_rows(
    net: RowNet, states: torch.Tensor, batch: Batch, names: tuple[str, ...], start: np.ndarray
) -> torch.Tensor:
    """Return the loss (B,), every field computed on every row."""
    u, total = states, torch.zeros(len(states))
    is_row = (batch.target[..., names.index("event")] >= 0)[..., None]
    category = _category(batch, names)
    for k, name in enumerate(names):
        code = batch.target[..., k]
        if name == "item":
            if net.n_items > 1:
                total = total + _whole_item_loss(net, u, code, category, start)
            continue
        logits = net.head(name, u)
        if name == "gap":
            logits = logits + net.cycle_of(batch.features, batch.user_attributes[:, None])
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


def _category(batch: Batch, names: tuple[str, ...]) -> torch.Tensor:
    """Return the category (B, T) of each row, copied or drawn.

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
