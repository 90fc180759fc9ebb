"""A row looks back only, and sampling with a cache says what the whole sequence at once says."""

from __future__ import annotations

import torch

from generators.nn.attention import WINDOW, AttentionLayer


def layer() -> AttentionLayer:
    torch.manual_seed(0)
    return AttentionLayer(16, 2).eval()


@torch.no_grad()
def test_the_cache_gives_what_the_whole_sequence_gives_while_users_leave() -> None:
    block, x = layer(), torch.randn((6, 40, 16), generator=torch.Generator().manual_seed(1))
    whole, state, users = block(x), block.start(6), torch.arange(6)
    for t in range(40):
        if t in (5, 20, 33):  # some are swept out, some only left behind
            stay = torch.arange(len(users) - 1)
            users = users[stay]
            state.keep(stay)
        out = state.step(x[users, t])
        torch.testing.assert_close(out, whole[users, t], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_what_comes_later_changes_nothing() -> None:
    block, x = layer(), torch.randn((2, 12, 16), generator=torch.Generator().manual_seed(2))
    other = x.clone()
    other[:, 7:] += 1.0
    torch.testing.assert_close(block(x)[:, :7], block(other)[:, :7])


@torch.no_grad()
def test_beyond_the_window_the_oldest_row_is_forgotten() -> None:
    block, x = layer(), torch.randn((1, WINDOW + 9, 16), generator=torch.Generator().manual_seed(3))
    state = block.start(1)
    for t in range(WINDOW + 9):
        out = state.step(x[:, t])
    # only distances matter
    torch.testing.assert_close(out, block(x[:, 9:])[:, -1], rtol=1e-4, atol=1e-5)
