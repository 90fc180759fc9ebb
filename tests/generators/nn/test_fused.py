"""Fused operations equal plain torch ones, in their values and in their gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from generators.nn.fused.adam import adam_rows
from generators.nn.fused.embeddings import embedding_sum
from generators.nn.fused.fields import field_states
from generators.nn.fused.losses import cross_entropy, item_loss
from generators.nn.fused.recurrence import scan


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, requires_grad=True)


def assert_alike(
    ours: Callable[..., torch.Tensor], theirs: Callable[..., torch.Tensor], *inputs: torch.Tensor
) -> None:
    """Both functions of `inputs` have one value and one gradient, for an uneven slope."""
    found = []
    for function in (ours, theirs):
        for x in inputs:
            x.grad = None
        out = function(*inputs)
        out.backward(torch.linspace(-1, 2, out.numel()).reshape(out.shape))
        found.append([out.detach(), *(x.grad.to_dense() for x in inputs if x.grad is not None)])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_sum_of_embeddings(sparse: bool) -> None:
    index = torch.tensor([[0, 2], [1, 0], [1, 2], [0, 0]])
    offset = torch.tensor([0, 4])
    assert_alike(
        lambda table: embedding_sum(table, index, offset, sparse=sparse),
        lambda table: table[index + offset].sum(1),
        drawn(9, 5),
    )


def test_a_recurrence() -> None:
    def plain(gate: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
        state, out = torch.zeros(3, 4), []
        for t in range(6):
            state = torch.lerp(state, candidate[:, t], gate[:, t].sigmoid())
            out.append(state)
        return torch.stack(out, 1)

    gate, candidate = drawn(3, 6, 4), drawn(3, 6, 4, seed=1)
    assert_alike(lambda g, c: scan(g.sigmoid(), c), plain, gate, candidate)


def test_states_of_fields_hold_what_was_chosen_before_them() -> None:
    asked = torch.tensor([[True, False, True], [True, True, False], [False, True, True]])
    # two embeddings after the first field, one after the second, none after the last
    added = torch.tensor([[0, 3, -1], [1, -1, 5], [-1, 4, 6]])
    first = torch.tensor([0, 2, 3, 3])

    def plain(u: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        out = []
        for k in range(3):
            out.append(u[asked[:, k]])
            for a in range(int(first[k]), int(first[k + 1])):
                known = added[:, a] >= 0
                u = u + table[added[:, a].clamp(min=0)] * known[:, None]
        return torch.cat(out)

    assert_alike(
        lambda u, table: field_states(u, table, asked, added, first),
        plain,
        drawn(3, 4),
        drawn(7, 4),
    )


def test_a_weighted_cross_entropy() -> None:
    code, weight = torch.tensor([0, 2, 1, 2]), torch.tensor([1.0, 3.0, 0.5, 0.0])
    assert_alike(
        lambda logits: cross_entropy(logits, code, weight),
        lambda logits: (F.cross_entropy(logits, code, reduction="none") * weight).sum(),
        drawn(4, 3),
    )


def test_the_loss_of_items_within_their_categories() -> None:
    traits = torch.tensor([[0, 2], [1, 2], [0, 3], [1, 3], [1, 2]])
    parts = [(slice(0, 2), slice(0, 3)), (slice(2, 3), slice(3, 5))]
    code, weight = torch.tensor([1, 2, 4]), torch.tensor([1.0, 2.0, 3.0])
    known = torch.tensor([[0, 4], [-9, -9], [2, 0]], dtype=torch.int32)

    def plain(
        query: torch.Tensor, table: torch.Tensor, bias: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        logits = query @ table.T + bias + gain[:, traits].sum(2)
        out = torch.zeros(())
        for rows, items in parts:
            for i in range(rows.start, rows.stop):
                can = [j for j in range(items.start, items.stop) if j not in known[i].tolist()]
                out = out - weight[i] * torch.log_softmax(logits[i, can], 0)[can.index(code[i])]
        return out

    assert_alike(
        lambda *x: item_loss(*x, traits, (code, known, weight), parts),
        plain,
        *(drawn(3, 4), drawn(5, 4), drawn(5), drawn(3, 4, seed=7)),
    )


def test_a_step_on_all_rows_of_a_table_is_that_of_adam() -> None:
    ours, theirs = drawn(6, 3), drawn(6, 3)
    moments = torch.zeros(6, 3), torch.zeros(6, 3)
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.98))
    for step in range(1, 4):
        theirs.grad = drawn(6, 3, seed=step).detach()
        adam_rows(ours, moments, theirs.grad.to_sparse(1), 0.1, (0.9, 0.98), 1e-8, step=step)
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_a_step_leaves_rows_without_a_gradient_alone() -> None:
    table, before = drawn(6, 3), drawn(6, 3).detach()
    rows = torch.sparse_coo_tensor([[1, 4]], torch.ones(2, 3), (6, 3), is_coalesced=True)
    adam_rows(table, (torch.zeros(6, 3), torch.zeros(6, 3)), rows, 0.1, (0.9, 0.98), 1e-8, step=1)
    changed = (table != before).any(1)
    assert changed.nonzero()[:, 0].tolist() == [1, 4]
