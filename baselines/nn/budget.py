"""What training costs in CPU seconds of a reference machine, so that a budget gives steps.

A clock would make the weights depend on who else uses the machine. So the steps that a budget buys
are computed from the arithmetic and the memory traffic of a step: the same log, settings and seed
give the same number of steps, and the same bytes, everywhere. Another machine needs more or fewer
seconds for them.

The reference is one core of an AMD EPYC (Milan, 2.45 GHz): 73 GFLOP/s in large matrix products, of
which small ones reach about a third, and 5 to 10 GB/s outside its caches.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

FLOPS = 25e9  # per second, in the matrix products of a network of this size
BYTES = 6e9  # per second, from memory
STEP_SECONDS = 4e-3  # of a step without rows: calls of several hundred small operations
ROW_CHANNEL_BYTES = 300.0  # moved per row and channel, embedding and activations, both passes
OPTIMISER_BYTES = 40.0  # per weight: weight, gradient, two moments and the average, read or written
BACKWARD = 3.0  # forward and backward pass cost this many forward passes


@dataclass(frozen=True)
class Cost:
    """Seconds of a training step and of answering a question, on the reference machine."""

    step: float
    question: float


def cost(network: nn.Module, *, dim: int, rows: int, outputs: float, window: float) -> Cost:
    """Estimate the cost of a network.

    Args:
        network: its matrices are applied to every row, except those of an `nn.Embedding`.
        dim: channels.
        rows: padded rows of a batch.
        outputs: logits computed per row in training, such as the items of a full softmax.
        window: mean rows of a window.
    """
    tables = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    weights = [p for p in network.parameters() if p.ndim > 1 and id(p) not in tables]
    per_row = sum(p.numel() for p in weights) + 2 * dim * window  # multiply-adds, with attention
    row = 2 * per_row / FLOPS + dim * ROW_CHANNEL_BYTES / BACKWARD / BYTES
    answer = 2 * dim * outputs / FLOPS
    moved = sum(p.numel() for p in network.parameters()) * OPTIMISER_BYTES / BYTES
    # Training answers at every row of a window, a question at the last one.
    return Cost(STEP_SECONDS + BACKWARD * rows * (row + answer) + moved, window * row + answer)
