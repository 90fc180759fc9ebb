"""The training loop: AdamW, warm-up and cosine decay, clipped gradients, early stopping.

The number of steps is fixed in advance, never by the clock, so that the same seed gives the same
weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

B = TypeVar("B")
FINAL_RATE = 0.02  # of the learning rate, at the end


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    steps: int
    lr: float
    weight_decay: float = 0.01
    warmup: float = 0.05  # share of the steps in which the learning rate rises
    clip: float = 1.0  # norm of the gradient
    evaluations: int = 8  # how many times the validation measure is taken, evenly spaced
    patience: int = 3  # evaluations without improvement after which training ends


@dataclass
class History:
    """What happened in training."""

    loss: list[float] = field(default_factory=list)  # mean between evaluations
    measure: list[float] = field(default_factory=list)  # before training and at each evaluation
    best_step: int = 0  # whose weights were kept
    steps: int = 0  # that were made


def forever(epoch: Callable[[], Iterable[B]]) -> Iterator[B]:
    """Yield the batches of one epoch after another until an epoch is empty.

    `epoch` is called for each, and may cut and shuffle differently each time.
    """
    while True:
        empty = True
        for batch in epoch():
            empty = False
            yield batch
        if empty:
            return


def train(
    module: nn.Module,
    batches: Iterator[B],
    loss: Callable[[B], Tensor],
    schedule: Schedule,
    measure: Callable[[], float] | None = None,
) -> History:
    """Train a module in place and leave it in evaluation mode.

    Args:
        module: what to train.
        batches: training ends early if there are no more.
        loss: the loss of a batch; a loss without gradient is skipped.
        schedule: how long and how fast.
        measure: validation measure, higher is better. With it training may stop early, and the
            best weights are restored at the end.
    """
    decay = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim <= 1]
    groups = [
        {"params": decay, "weight_decay": schedule.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98))
    warm = max(1, round(schedule.warmup * schedule.steps))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, warm, schedule.steps)
    )
    every = max(1, -(-schedule.steps // max(schedule.evaluations, 1)))
    history, running = History(), []
    best, kept = -math.inf, None
    if measure is not None:  # the initial weights may be the best
        module.eval()
        best = measure()
        history.measure.append(best)
        kept = _copy(module)
    module.train()
    for step, batch in zip(range(1, schedule.steps + 1), batches, strict=False):
        value = loss(batch)
        if value.requires_grad:
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(module.parameters(), schedule.clip)
            optimizer.step()
            running.append(value.detach())
        scheduler.step()
        history.steps = step
        if step % every == 0 or step == schedule.steps:
            history.loss.append(float(torch.stack(running).mean()) if running else math.nan)
            running = []
            if measure is None:
                continue
            module.eval()
            history.measure.append(measure())
            module.train()
            if history.measure[-1] > best:
                best, history.best_step = history.measure[-1], step
                kept = _copy(module)
            elif len(history.measure) - 1 - history.measure.index(best) >= schedule.patience:
                break
    if kept is not None:
        module.load_state_dict(kept)
    module.eval()
    return history


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in module.state_dict().items()}


def _rate(step: int, warm: int, steps: int) -> float:
    """Return the factor of the learning rate: linear up to `warm`, then half a cosine to 2 %."""
    if step < warm:
        return (step + 1) / warm
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (
        1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm)))
    )
