"""States at one position of each window are those that a whole pass gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.models.sequence.esasrec import LiGRBlock
from baselines.nn.backbones import Attention, Block, Recurrent, states_at

DIM, ROWS = 16, 9
LENGTH = torch.tensor([1, 4, 9, 6])


def attention(layers: int, *, causal: bool, block: type[nn.Module] = Block) -> Attention:
    return Attention(
        DIM,
        layers=layers,
        heads=2,
        dropout=0.3,
        causal=causal,
        max_length=ROWS,
        block=block,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: attention(1, causal=True),
        lambda: attention(2, causal=True),
        lambda: attention(1, causal=False),
        lambda: attention(3, causal=False),
        lambda: attention(2, causal=True, block=LiGRBlock),
        lambda: Recurrent(DIM, layers=2, dropout=0.3, cell="gru"),
    ],
)
def test_states_at_a_position_are_those_of_the_whole_pass(make) -> None:
    torch.manual_seed(0)
    backbone = make().eval()
    x, ms = torch.randn(len(LENGTH), ROWS, DIM), torch.zeros(len(LENGTH), ROWS, dtype=torch.int64)
    for position in (LENGTH - 1, torch.zeros_like(LENGTH), LENGTH // 2):
        whole = backbone(x, LENGTH, ms)[torch.arange(len(LENGTH)), position]
        torch.testing.assert_close(states_at(backbone, x, LENGTH, ms, position), whole)
