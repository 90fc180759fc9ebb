"""HSTU: its attention is what a loop over heads, rows and earlier rows gives."""

import numpy as np
import torch

from baselines.models.sequence.hstu import HSTUBlock
from baselines.nn.embedding import age_bins


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def norm(x: np.ndarray, layer: torch.nn.LayerNorm) -> np.ndarray:
    standard = (x - x.mean()) / np.sqrt(x.var() + layer.eps)
    return standard * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def linear(x: np.ndarray, layer: torch.nn.Linear) -> np.ndarray:
    return layer.weight.detach().double().numpy() @ x + layer.bias.detach().double().numpy()


def test_a_block_is_what_a_plain_loop_computes() -> None:
    torch.manual_seed(0)
    dim, heads, t = 8, 2, 6
    block = HSTUBlock(dim, heads, dropout=0.3, max_length=t).eval()
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.5)
    x = torch.randn(1, t, dim)
    seconds = np.array([0, 1, 30, 4_000, 4_000, 900_000])
    ms = torch.from_numpy(seconds * 1000)[None]
    with torch.no_grad():
        got = block(x, age_bins(ms[:, :, None] - ms[:, None]))[0].numpy()
    rows = x[0].double().numpy()
    parts = [np.split(silu(linear(norm(r, block.norm), block.uvqk)), 4) for r in rows]  # u v q k
    for i in range(t):
        attended = np.zeros(dim)
        for head in range(heads):
            at = slice(head * dim // heads, (head + 1) * dim // heads)
            for j in range(i + 1):
                elapsed = 1 + int(np.floor(np.log2(1 + seconds[i] - seconds[j])))
                bias = block.by_distance[i - j].item() + block.by_time[elapsed].item()
                weight = silu(parts[i][2][at] @ parts[j][3][at] + bias) / (i + 1)
                attended[at] += weight * parts[j][1][at]
        out = linear(norm(attended, block.inner_norm) * parts[i][0], block.out)
        np.testing.assert_allclose(got[i], rows[i] + out, rtol=1e-4, atol=1e-4)
