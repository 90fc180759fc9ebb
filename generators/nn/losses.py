"""Negative log likelihood of users' rows, field by field.

Each field is given the fields before it in the row. Without a privacy budget a field is computed
only on the rows that have a choice in it. With one, every field is computed on every row, since
opacus needs each layer to see the users along its first dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.nn.affinity import affinity_additions, recent_item_additions
from generators.nn.batches import Batch
from generators.nn.fused.fields import FieldSpec, field_losses
from generators.nn.fused.losses import cross_entropy, item_loss
from generators.nn.network import RowNet, key_of, open_fields
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences, current_session_label

# share of the loss that rows of labelled sessions have at least: they are few, and they matter
MIN_LABELLED_LOSS_SHARE = 0.1
LARGEST_LABEL_WEIGHT = 30.0
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


# --- without a privacy budget ---------------------------------------------------------------------


@dataclass(frozen=True)
class FieldPlan:
    """What the loss of a log's rows needs to know of its fields (K fields, A embeddings a row).

    Only the rows that have a choice in a field are asked it.
    """

    names: tuple[str, ...]
    open: torch.Tensor  # (n_events, K) bool: does the event leave more than one code?
    # of the fields' embeddings in `RowNet.chosen_table`; "clock" and "traits" have several
    columns: dict[str, int]
    traits: torch.Tensor  # (n_items, L) int64: see `RowNet.item_traits`
    offset: torch.Tensor  # (A,) int64: where the codes of each column begin in that table
    first: torch.Tensor  # (K + 1,) int64: see `field_losses`
    start: np.ndarray  # (n_categories + 1,): where the items of each category begin
    label_weight: float  # of what is drawn given a session label, see `label_weight_of`

    @classmethod
    def of(cls, net: RowNet, codec: Codec, steps: EncodedSequences) -> FieldPlan:
        """Return the plan of the log that `steps` hold."""
        fields, n_events = open_fields(codec), codec.events.size
        every = torch.ones(n_events)
        open_ = torch.stack([fields.get(name, every) > 0 for name in steps.names], 1)
        open_[:, steps.names.index("item")] &= net.n_items > 1
        sizes = [net.sizes[n] for n in steps.names if key_of(n) in net.chosen]
        columns, first = {}, [0]
        for name in steps.names:
            column = first[-1]
            if key_of(name) in net.chosen:
                columns[name] = column
                column += 1
            if name == "gap":  # the time of a row is known as soon as its gap is
                columns["clock"] = column
                column += len(net.clock_offset)
            if name == "item":  # copied or fresh, it is known here
                columns["traits"] = column
                column += len(net.trait_offset)
            first.append(column)
        of_fields = np.append(0, np.cumsum(sizes))
        offset = np.full(first[-1], -1)
        clock, traits = (slice(columns[n], None) for n in ("clock", "traits"))
        offset[clock][: len(net.clock_offset)] = of_fields[-1] + net.clock_offset.numpy()
        after_clock = of_fields[-1] + net.embed_clock.num_embeddings
        offset[traits][: len(net.trait_offset)] = after_clock + net.trait_offset.numpy()
        offset[offset < 0] = of_fields[:-1]
        return cls(
            steps.names,
            open_,
            columns,
            net.item_traits,
            torch.from_numpy(offset),
            torch.tensor(first),
            codec.items.start,
            label_weight_of(steps),
        )


def open_loss(
    net: RowNet, batch: Batch, z: torch.Tensor, plan: FieldPlan, keep: torch.Tensor | None
) -> torch.Tensor:
    """Return the summed negative log likelihood of all rows of a batch, () in nats.

    Users' attributes have a training of their own.

    Args:
        z: (B, Z) latents.
        keep: (R, T), see `RowNet.states`.
    """
    condition = net.condition(z, batch.user_attributes).index_select(0, batch.owner)
    states = net.states(batch.features, condition, keep).flatten(0, 1)
    at = torch.nonzero(batch.mask.flatten())[:, 0]  # (n,) places of the steps
    states = states.index_select(0, at)
    features, target, items, known, clock = (
        x.flatten(0, 1).index_select(0, at)
        for x in (batch.features, batch.target, batch.items, batch.known, batch.clock)
    )
    window = torch.div(at, batch.mask.shape[1], rounding_mode="floor")
    attributes = batch.user_attributes.index_select(0, batch.owner[window])
    category = batch_category(batch, plan.names).flatten().index_select(0, at)
    asked, added = _choices(target, features, clock, items, category, plan)
    weight = _row_weights(net, plan, target, features)
    choices = (torch.where(asked, target, -1), weight, added)
    head, bias, outputs = net.fused_heads()
    spec = _field_spec(net, plan, choices, outputs, (features, attributes, known))
    total, states = field_losses(states, net.chosen_table(), head, bias, spec)
    large = [k for k, part in enumerate(spec.outputs) if part is None]
    for k, mine in zip(large, states.split(asked[:, large].sum(0).tolist()), strict=True):
        if not len(mine):
            continue
        rows = torch.nonzero(asked[:, k])[:, 0]
        of_rows, code = weight[rows, k], target[rows, k]
        about, owner = features.index_select(0, rows), attributes.index_select(0, rows)
        if plan.names[k] == "item":
            copies = known.index_select(0, rows)
            loss = _item_loss(net, mine, code, about, owner, copies, plan.start, of_rows)
        else:
            loss = cross_entropy(net.logits(plan.names[k], mine, about, owner), code, of_rows)
        total = total + loss
    return total


def _row_weights(
    net: RowNet, plan: FieldPlan, target: torch.Tensor, features: torch.Tensor
) -> torch.Tensor:
    """Return the weights (n, K) of the losses of all fields."""
    # until a session's label is drawn, that of the row before counts
    out = _weighted(features[:, layout.LAST_SESSION_LABEL] > 1, plan.label_weight)
    out = out[:, None].repeat(1, len(plan.names))
    if SESSION_LABEL in plan.names:
        k = plan.names.index(SESSION_LABEL)
        # of the label itself; where no labelled session is to come it is never drawn
        out[:, k] = _weighted(features[:, net.labels_left_column] > 0, plan.label_weight)
        label = current_session_label(target[:, k], features)  # it holds for the whole session
        out[:, k + 1 :] = _weighted(label > 0, plan.label_weight)[:, None]
    return out


def _field_spec(
    net: RowNet,
    plan: FieldPlan,
    choices: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    outputs: dict[str, slice],
    seen: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> FieldSpec:
    """Return what the rows are asked.

    Args:
        choices: codes (n, K), -1 = not asked, weights (n, K), and embeddings (n, A) that are added.
        outputs: where those of the heads are that are computed row by row.
        seen: features (n, F), attributes (n, S) of the users and items (n, N_COPY_RANKS) that a row
            can copy.
    """
    code, weight = (x.T.contiguous() for x in choices[:2])
    features, attributes, known = seen
    additions = [torch.zeros((0, 3), dtype=torch.int32)] * len(plan.names)
    for k, name in enumerate(plan.names):
        rows = torch.nonzero(code[k] >= 0)[:, 0]
        if name == COPY_ACTION and net.recent_items is not None:
            additions[k] = recent_item_additions(
                known, features, attributes, rows, net.recent_items
            )
        elif name in net.affinities and name in outputs:
            additions[k] = affinity_additions(features, attributes, rows, net.affinities[name])
    constants = [torch.zeros((0, 0))] * len(plan.names)
    constants[plan.names.index("gap")] = net.cycle_of(features)
    return FieldSpec(
        code,
        weight,
        choices[2],
        plan.first,
        [outputs.get(name) for name in plan.names],
        [net.sizes[name] for name in plan.names],
        additions,
        constants,
        torch.zeros((0, 0)),
    )


def _weighted(labelled: torch.Tensor, weight: float) -> torch.Tensor:
    """Return (n,) float: `weight` where `labelled`, otherwise 1."""
    return 1.0 + (weight - 1.0) * labelled


def _choices(
    target: torch.Tensor,
    features: torch.Tensor,
    clock: torch.Tensor,
    items: torch.Tensor,
    category: torch.Tensor,
    plan: FieldPlan,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which fields the rows are asked, (n, K) bool, and the embeddings that their choices
    add, (n, A); see `field_losses`.

    Args:
        target: (n, K) codes.
        features: (n, F).
        clock: (n, 3).
        items: (n,).
        category: (n,), of the row's item, copied or fresh.
    """
    at, names = plan.columns, plan.names
    event = target[:, names.index("event")]
    is_row = event >= 0  # the step that asks whether the user ends is no row
    open_ = plan.open[event.clamp(min=0)]
    asked = (target >= 0) & open_
    asked[:, names.index("item")] &= target[:, names.index("item")] > 0
    code = torch.full((len(target), len(plan.offset)), -1)
    for name, column in at.items():
        if name not in ("clock", "traits"):
            code[:, column] = torch.where(asked, target, -1)[:, names.index(name)]
    code[:, at["gap"]] = target[:, names.index("gap")].clamp(min=0)
    code[:, at["clock"] : at["clock"] + clock.shape[1]] = clock
    code[:, at["traits"] : at["traits"] + plan.traits.shape[1]] = plan.traits[items]
    if SESSION_LABEL in at:  # it holds for the whole session, so every row sees it
        drawn = target[:, names.index(SESSION_LABEL)]
        code[:, at[SESSION_LABEL]] = current_session_label(drawn, features)
    if "category" in at:  # that of a copied item is known, and is seen as well
        has_category = open_[:, names.index("category")]
        code[:, at["category"]] = torch.where(has_category, category, -1)
    return asked, torch.where((code >= 0) & is_row[:, None], code + plan.offset, -1)


def _item_loss(
    net: RowNet,
    u: torch.Tensor,
    code: torch.Tensor,
    features: torch.Tensor,
    attributes: torch.Tensor,
    known: torch.Tensor,
    start: np.ndarray,
    weight: torch.Tensor,
) -> torch.Tensor:
    """Return the loss () of fresh items (n,) within their categories.

    Items that would be copies (`known`) are left out of the choice. There is one matrix product per
    category.
    """
    category = torch.from_numpy(np.searchsorted(start, code.numpy(), side="right") - 1)
    order = torch.argsort(category, stable=True)
    u, code, features, attributes, known, weight = (
        x.index_select(0, order) for x in (u, code, features, attributes, known, weight)
    )
    present, counts = np.unique(category.numpy(), return_counts=True)
    ends = np.cumsum(counts)
    parts = np.stack([ends - counts, ends, start[present], start[present + 1]], 1)
    return item_loss(
        net.item_query(u),
        net.item_weight(),
        net.item_head.bias,
        net.affinity_logits(u, features, attributes),
        net.traits,
        (code, known, weight),
        torch.from_numpy(parts),
    )


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
