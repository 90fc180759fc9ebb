"""Fused operations equal plain torch ones, in their values and in their gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.cached_code import said_twice
from numba import njit

from generators.nn import optimizer
from generators.nn.attention import AttentionLayer
from generators.nn.fused import losses
from generators.nn.fused.embeddings import embedding_sum
from generators.nn.fused.exponential import exponential
from generators.nn.fused.fields import FieldSpec, field_losses
from generators.nn.fused.losses import cross_entropy, item_loss
from generators.nn.fused.pooling import pooled
from generators.nn.fused.recurrence import scan
from generators.nn.optimizer import TABLE_RATE, Adam
from generators.nn.recurrent import RecurrentLayer


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
    index = torch.tensor([[0, 2], [1, -1], [1, 2], [-1, -1]])  # -1 adds nothing
    offset = torch.tensor([0, 4])
    known = (index >= 0)[..., None]
    assert_alike(
        lambda table: embedding_sum(table, index, offset, sparse=sparse),
        lambda table: (table[index + offset] * known).sum(1),
        drawn(9, 5),
    )


def test_a_recurrence() -> None:
    starts = torch.tensor([0, 5, 6, 13])

    def plain(projected: torch.Tensor) -> torch.Tensor:
        state, out = torch.zeros(4), []
        for t, row in enumerate(projected):
            state = torch.zeros(4) if t in starts else state
            state = torch.lerp(state, row[4:], row[:4].sigmoid())
            out.append(state)
        return torch.stack(out)

    assert_alike(lambda x: scan(x, starts), plain, drawn(13, 8))


LAYERS = [lambda: RecurrentLayer(8), lambda: AttentionLayer(8, 2)]


@pytest.mark.parametrize("make", LAYERS)
def test_sequences_one_after_another_are_those_that_a_layer_gets_one_by_one(
    make: Callable[[], RecurrentLayer | AttentionLayer],
) -> None:
    torch.manual_seed(0)
    layer, starts = make(), torch.tensor([0, 5, 6, 13, 18])
    for parameter in layer.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    weights, found = tuple(layer.parameters()), []
    for packed in (True, False):
        x = drawn(18, 8)
        if packed:
            out = layer.rows(x, starts)
        else:
            out = torch.cat([layer(part[None])[0] for part in x.split(starts.diff().tolist())])
        grads = torch.autograd.grad((out * drawn(18, 8, seed=1).detach()).sum(), (x, *weights))
        found.append([out, *grads])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_mean_and_maximum_of_the_rows_of_users() -> None:
    starts = torch.tensor([0, 2, 2, 7])

    def plain(rows: torch.Tensor) -> torch.Tensor:
        parts = rows.split(starts.diff().tolist())
        none = torch.zeros(6)
        return torch.stack([torch.cat([p.mean(0), p.amax(0)]) if len(p) else none for p in parts])

    positive = drawn(7, 3).detach().abs().requires_grad_()
    assert_alike(lambda rows: pooled(rows, starts), plain, positive)


def test_the_exponential_function() -> None:
    @njit
    def all_of(x: np.ndarray, out: np.ndarray) -> None:
        for i in range(len(x)):
            out[i] = exponential(x[i])

    x = np.linspace(-86, 88, 10_001, dtype=np.float32)
    out = np.empty_like(x)
    all_of(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=4e-7)


@pytest.mark.parametrize("dropout", [False, True])
def test_fields_of_rows_one_after_another(dropout: bool) -> None:
    """A field without outputs returns its states; the others their loss."""
    code = torch.tensor([[1, -1, 0], [0, 1, -1], [-1, 2, 1], [1, 1, 0]])
    weight = drawn(4, 3).detach().abs()
    # two embeddings after the first field, one after the second and the third, none after the last
    added = torch.tensor([[0, 3, -1, 2], [1, -1, 5, 0], [-1, 4, 6, -1]])
    first, sizes = torch.tensor([0, 2, 3, 4, 4]), [2, 3, 4, 2]
    outputs = [slice(0, 2), slice(2, 7), None, slice(7, 9)]
    # the second field has two outputs more, which are added to codes of rows 1 and 2
    plus = torch.tensor([[1, 0, 3], [1, 2, 4], [2, 0, 4]], dtype=torch.int32)
    none = torch.zeros((0, 3), dtype=torch.int32)
    constant = drawn(3, 2, seed=9).detach()
    constants = [constant, *[torch.zeros((0, 0))] * 3]
    keep = torch.tensor([[0.0, 2.0, 2.0, 0.0]] * 3) if dropout else torch.zeros((0, 0))

    def ours(*inputs: torch.Tensor) -> torch.Tensor:
        spec = FieldSpec(
            code, weight, added, first, outputs, sizes, [none, plus, none, none], constants, keep
        )
        loss, states = field_losses(*inputs, spec)
        return torch.cat([loss[None], states.flatten()])

    def plain(
        u: torch.Tensor, table: torch.Tensor, heads: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        loss, states = u.new_zeros(1), []
        for k, part in enumerate(outputs):
            asked = code[k] >= 0
            if part is None:
                states.append(u[asked].flatten())
            else:
                active = torch.relu(u) * (keep if dropout else 1)
                found = active @ heads[part].T + bias[part]
                logits = found[:, : sizes[k]] + (constants[k] if len(constants[k]) else 0)
                for row, to, by in plus.tolist() if k == 1 else []:
                    logits = (
                        logits
                        + F.one_hot(torch.tensor(row), 3)[:, None]
                        * F.one_hot(torch.tensor(to), sizes[k])
                        * found[:, by, None]
                    )
                losses = F.cross_entropy(logits, code[k].clamp(min=0), reduction="none")
                loss = loss + (losses * weight[k] * asked).sum()
            for a in range(int(first[k]), int(first[k + 1])):
                u = u + table[added[:, a].clamp(min=0)] * (added[:, a] >= 0)[:, None]
        return torch.cat([loss, *states])

    assert_alike(ours, plain, drawn(3, 4), drawn(7, 4), drawn(9, 4), drawn(9))


def test_a_weighted_cross_entropy() -> None:
    code, weight = torch.tensor([0, 2, 1, 2]), torch.tensor([1.0, 3.0, 0.5, 0.0])
    assert_alike(
        lambda logits: cross_entropy(logits, code, weight),
        lambda logits: (F.cross_entropy(logits, code, reduction="none") * weight).sum(),
        drawn(4, 3),
    )


def test_a_cross_entropy_in_which_some_codes_stand_for_others() -> None:
    code, weight = torch.tensor([0, 2, 1, 2]), torch.tensor([1.0, 3.0, 0.5, 0.0])
    others = torch.tensor([0.7, -1e9, 2.0])
    chosen = F.one_hot(code, 3).bool()
    assert_alike(
        lambda logits: cross_entropy(logits, code, weight, others),
        lambda logits: (
            F.cross_entropy(logits + others.masked_fill(chosen, 0), code, reduction="none") * weight
        ).sum(),
        drawn(4, 3),
    )


@pytest.mark.parametrize("most_pairs", [0, 4, 100])
def test_the_loss_of_items_within_their_categories(
    most_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "MOST_PAIRS", most_pairs)
    traits = torch.tensor([[0, 2], [1, 2], [0, 3], [1, 3], [1, 2]])
    parts = torch.tensor([[0, 2, 0, 3], [2, 3, 3, 5]])
    code, weight = torch.tensor([1, 2, 4]), torch.tensor([1.0, 2.0, 3.0])
    known = torch.tensor([[0, 4], [-9, -9], [2, 0]], dtype=torch.int32)

    def plain(
        query: torch.Tensor, table: torch.Tensor, bias: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        logits = query @ table.T + bias + gain[:, traits].sum(2)
        out = torch.zeros(())
        for first, end, item, stop in parts.tolist():
            for i in range(first, end):
                can = [j for j in range(item, stop) if j not in known[i].tolist()]
                out = out - weight[i] * torch.log_softmax(logits[i, can], 0)[can.index(code[i])]
        return out

    assert_alike(
        lambda *x: item_loss(*x, traits, (code, known, weight), parts),
        plain,
        *(drawn(3, 4), drawn(5, 4), drawn(5), drawn(3, 4, seed=7)),
    )


@pytest.mark.parametrize("large", [10, 100])
def test_steps_are_those_of_adam_with_clipped_gradients(
    large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer, "LARGE", large)
    ours, theirs = ([torch.nn.Parameter(drawn(6, 3)), torch.nn.Parameter(drawn(5))] for _ in "ab")
    table, plain = torch.nn.Parameter(drawn(4, 2)), torch.nn.Parameter(drawn(4, 2))
    head, plain_head = torch.nn.Parameter(drawn(3, 2)), torch.nn.Parameter(drawn(3, 2))
    adam = Adam(ours, [table], [head])
    groups = [
        {"params": [*theirs, plain_head], "lr": 0.1},
        {"params": [plain], "lr": 0.1 * TABLE_RATE},
    ]
    expected = torch.optim.Adam(groups, betas=(0.9, 0.98))
    for step in range(1, 4):
        for mine, other in zip([*ours, table, head], [*theirs, plain, plain_head], strict=True):
            other.grad = drawn(*other.shape, seed=step).detach() * step
            sparse = mine is table or mine is head
            mine.grad = other.grad.to_sparse(1) if sparse else other.grad.clone()
        torch.nn.utils.clip_grad_norm_([*theirs, plain, plain_head], 1.0)
        adam.step(0.1)
        expected.step()
    for mine, other in zip([*ours, table, head], [*theirs, plain, plain_head], strict=True):
        torch.testing.assert_close(mine, other)
        assert mine.grad is None


def test_a_step_leaves_rows_without_a_gradient_alone() -> None:
    table, before = torch.nn.Parameter(drawn(6, 3)), drawn(6, 3).detach()
    table.grad = torch.sparse_coo_tensor([[1, 4]], torch.ones(2, 3), (6, 3), is_coalesced=True)
    Adam([torch.nn.Parameter(drawn(2))], [table]).step(0.1)
    changed = (table != before).any(1)
    assert changed.nonzero()[:, 0].tolist() == [1, 4]


def test_functions_from_disk_round_as_compiled_ones(tmp_path: Path) -> None:
    """Of a sum in any order the first process on a machine, which compiles, has the same bytes."""
    first, second = said_twice(
        tmp_path,
        "import numpy as np\n"
        "from generators.nn.fused.fields import _softmax_slopes\n"
        "logits = np.random.default_rng(0).normal(size=(500, 37)).astype(np.float32)\n"
        "of_bias, bias = np.zeros((2, 37), dtype=np.float32)\n"
        "nothing = np.zeros((0, 3), dtype=np.int32), np.zeros((0, 0), dtype=np.float32)\n"
        "code, weight = np.arange(500) % 37, np.ones(500, dtype=np.float32)\n"
        "_softmax_slopes(code, weight, 37, *nothing, bias, logits, of_bias)\n"
        "print(logits.tobytes().hex())\n"
        "print(bool(_softmax_slopes.stats.cache_hits))\n",
    )
    assert (first[1], second[1]) == ("False", "True")
    assert first[0] == second[0]
