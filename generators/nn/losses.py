"""Negative log likelihood of users' rows, field by field, for training without a privacy budget.

Each field is given the fields before it in the row, and is computed only on the rows that have a
choice in it.
"""

from __future__ import annotations

import numpy as np
import torch

from generators.codec.codec import COPY_ACTION
from generators.nn.affinity import affinity_additions, recent_item_additions
from generators.nn.batches import PackedBatch
from generators.nn.field_plan import FieldPlan
from generators.nn.fused.fields import FieldSpec, field_losses
from generators.nn.fused.losses import cross_entropy, item_loss
from generators.nn.network import RowNet


def open_loss(
    net: RowNet,
    batch: PackedBatch,
    z: torch.Tensor,
    plan: FieldPlan,
    rng: np.random.Generator | None = None,
) -> torch.Tensor:
    """Return the summed negative log likelihood of all rows of a batch, () in nats.

    Users' attributes have a training of their own.

    Args:
        z: (B, Z) latents.
        rng: draws codes of the fields of very many (see `sampled_codes`), of which the loss is an
            estimate then; None = all codes are compared.
    """
    condition = net.condition(z, batch.user_attributes).index_select(0, batch.owner)
    states = net.packed_states(batch.seen, condition, batch.starts)
    attributes = batch.user_attributes.index_select(0, batch.owner)
    features, known = batch.features, batch.known
    code, weight, added = plan.questions(batch)
    added, chosen = plan.rows_chosen(added)
    head, bias, outputs = net.fused_heads()
    spec = _field_spec(net, plan, (code, weight, added), outputs, (features, attributes, known))
    total, states = field_losses(states, net.chosen_table(chosen), head, bias, spec)
    large = [k for k, part in enumerate(spec.outputs) if part is None]
    asked = [_asked(code[k]) for k in large]
    for k, rows, mine in zip(large, asked, states.split([len(r) for r in asked]), strict=True):
        if not len(rows):
            continue
        of_rows, codes = weight[k].index_select(0, rows), code[k].index_select(0, rows)
        about, owner = features.index_select(0, rows), attributes.index_select(0, rows)
        if plan.names[k] == "item":
            copies = known.index_select(0, rows)
            loss = _item_loss(net, mine, codes, about, owner, copies, plan.start, of_rows)
        elif rng is not None and plan.names[k] in plan.samplers:
            drawn = plan.samplers[plan.names[k]].draw(codes, rng)
            logits = net.logits(plan.names[k], mine, about, owner, drawn.codes)
            loss = cross_entropy(logits, drawn.place, of_rows, drawn.others)
        else:
            loss = cross_entropy(net.logits(plan.names[k], mine, about, owner), codes, of_rows)
        total = total + loss
    return total


def _field_spec(
    net: RowNet,
    plan: FieldPlan,
    choices: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    outputs: dict[str, slice],
    seen: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> FieldSpec:
    """Return what the rows are asked.

    Args:
        choices: see `FieldPlan.questions`.
        outputs: where those of the heads are that are computed row by row.
        seen: features (n, F), attributes (n, S) of the users and items (n, N_COPY_RANKS) that a row
            can copy.
    """
    code, weight, added = choices
    features, attributes, known = seen
    additions = [torch.zeros((0, 3), dtype=torch.int32)] * len(plan.names)
    for k, name in enumerate(plan.names):
        if name == COPY_ACTION and net.recent_items is not None:
            additions[k] = recent_item_additions(
                known, features, attributes, _asked(code[k]), net.recent_items
            )
        elif name in net.affinities and name in outputs:
            affinity = net.affinities[name]
            additions[k] = affinity_additions(features, attributes, _asked(code[k]), affinity)
    constants = [torch.zeros((0, 0))] * len(plan.names)
    constants[plan.names.index("gap")] = net.cycle_of(features, attributes)
    return FieldSpec(
        code,
        weight,
        added,
        plan.first,
        [outputs.get(name) for name in plan.names],
        [net.sizes[name] for name in plan.names],
        additions,
        constants,
        torch.zeros((0, 0)),
    )


def _asked(code: torch.Tensor) -> torch.Tensor:
    """Return the rows (m,) that are asked a field, of its codes (n,), -1 = not asked."""
    return torch.nonzero(code >= 0)[:, 0]


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
