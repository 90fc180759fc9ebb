"""The training loop: as long as validation improves, within a fixed number of steps.

Warm-up, then a constant learning rate until the validation measure stops improving or three
quarters of the steps are spent, then a linear fall to nothing from the best weights so far
("warm-up, stable, decay": Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392).
So the length of training follows the data, and need not be known when it begins. What is measured,
and kept, is a running average of the weights over the last tenth of the steps.

Nothing depends on the clock: the same seed gives the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

B = TypeVar("B")
DECAY = 0.25  # share of all steps in which the learning rate falls
AVERAGED = 0.1  # share of the steps so far over which weights are averaged
FIRST_MEASURE = 1 / 30  # of the steps, after which validation is first measured
GROWTH = 1.3  # from one measurement to the next, so that short training is watched closely, too
MEASURES = 2 + round(math.log(1 / FIRST_MEASURE) / math.log(GROWTH))  # about, in all
WARM_STEPS = 100  # at most, and a twentieth of the steps


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    steps: int  # at most
    lr: float
    weight_decay: float = 0.01
    clip: float = 1.0  # norm of the gradient
    patience: int = 3  # measurements without improvement after which the learning rate falls
    least: int = 0  # steps before that can happen: a small validation part is noisy


@dataclass
class History:
    """What happened in training."""

    loss: list[float] = field(default_factory=list)  # mean between measurements
    measure: list[float] = field(default_factory=list)  # before training and at each measurement
    at: list[int] = field(default_factory=list)  # the steps of these
    best: int = 0  # position of the measurement whose weights were kept
    steps: int = 0  # that were made

    def add(self, step: int, value: float) -> bool:
        """Note a measurement and return whether it is the best."""
        better = not self.measure or value > self.measure[self.best]
        self.at.append(step)
        self.measure.append(value)
        if better:
            self.best = len(self.measure) - 1
        return better

    def follows(self, steps: int, start: float | None) -> None:
        """Put `steps` of pre-training, and the measure before them, in front."""
        if start is not None:
            self.at = [0, *(max(steps, 1) + step for step in self.at)]
            self.measure = [start, *self.measure]
            self.best = int(np.argmax(self.measure))
        self.steps += steps

    @property
    def best_step(self) -> int:
        """The step whose weights were kept."""
        return self.at[self.best] if self.at else self.steps


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


class _Average:
    """The running average of a module's weights, which can change places with them."""

    def __init__(self, module: nn.Module) -> None:
        self.weights = [p.data for p in module.parameters()]
        self.mean = [w.clone() for w in self.weights]

    def update(self, step: int) -> None:
        torch._foreach_lerp_(self.mean, self.weights, 1 / (1 + AVERAGED * step))

    def swap(self) -> None:
        for weight, mean in zip(self.weights, self.mean, strict=True):
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)

    def restore(self, kept: list[Tensor]) -> None:
        """Set the weights and their average to `kept`."""
        for into in (self.weights, self.mean):
            torch._foreach_copy_(into, kept)


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
    optimizer = _optimizer(module, schedule)
    average, history, running = _Average(module), History(), []
    kept: list[Tensor] = []

    def measured(step: int) -> None:
        nonlocal kept
        if measure is None:
            return
        average.swap()
        module.eval()
        if history.add(step, measure()):
            kept = [w.clone() for w in average.weights]
        module.train()
        average.swap()

    measured(0)
    module.train()
    phases = _Phases(schedule.steps)
    for step, batch in zip(range(1, schedule.steps + 1), batches, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr * phases.rate(step)
        value = loss(batch)
        if value.requires_grad:
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(module.parameters(), schedule.clip)
            optimizer.step()
            average.update(step)
            running.append(value.detach())
        history.steps = step
        if phases.is_due(step):
            history.loss.append(float(torch.stack(running).mean()) if running else math.nan)
            running = []
            measured(step)
            waited = len(history.measure) - 1 - history.best
            tired = waited >= schedule.patience and step >= schedule.least
            if measure is not None and tired and phases.stable(step):
                average.restore(kept)
                phases.fall(step, best=history.best_step)
        if step == phases.end:
            break
    average.restore(kept or [w.clone() for w in average.mean])
    module.eval()
    return history


class _Phases:
    """When the learning rate rises, stays and falls, and when to measure."""

    def __init__(self, steps: int) -> None:
        self.end = steps
        self.fall_begins = steps - round(DECAY * steps)
        self.warm = min(WARM_STEPS, max(1, steps // 20))
        self.next = max(1, round(FIRST_MEASURE * steps))

    def stable(self, step: int) -> bool:
        return step < self.fall_begins

    def fall(self, step: int, *, best: int) -> None:
        """Let the learning rate fall from now on, for a third of the steps that led to the best."""
        self.fall_begins = step
        self.end = min(self.end, step + max(1, best // 3))
        self.next = step + max(1, (self.end - step) // 2)

    def rate(self, step: int) -> float:
        """Return the factor of the learning rate."""
        if step <= self.warm:
            return step / self.warm
        if step <= self.fall_begins:
            return 1.0
        return (self.end - step + 1) / (self.end - self.fall_begins + 1)

    def is_due(self, step: int) -> bool:
        """Return whether to measure now."""
        if step < self.next and step < self.end:
            return False
        self.next = max(step + 1, math.ceil(step * GROWTH))
        return True


def _optimizer(module: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    decay = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim <= 1]
    groups = [
        {"params": decay, "weight_decay": schedule.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98), fused=True)
