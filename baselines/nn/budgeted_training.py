"""Training within a budget of CPU seconds: how many steps it buys, and what it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from baselines.nn.budget import Cost, cost
from baselines.nn.training import MEASURES, History, Schedule, forever, train
from baselines.nn.windows import Batch, Windows, batches, n_batches
from eventlog.arrays import Examples

LEAST_EPOCHS = 2  # before training may stop
UNWATCHED_EPOCHS = 20  # without a validation part, which would tell when to stop
MEASURED_SHARE = 0.2  # of the budget, at most, is spent on measuring validation
FEWEST_MEASURED = 800  # questions, if there are as many
FEWEST_ANSWERS = 20  # of either kind among them, if there are as many


@dataclass(frozen=True)
class BudgetedTrainer:
    """Train a module for as many steps as a budget buys, or until validation stops improving."""

    module: nn.Module
    dim: int  # channels
    batch_rows: int  # padded rows in a batch
    weight_decay: float
    patience: int  # measurements without improvement after which the learning rate falls
    outputs: float  # logits computed per row in training

    def price(self, every: Windows) -> Cost:
        """Return the cost of a step, and of a question in windows as long as these."""
        window = float(np.maximum(every.length, 1).mean()) if len(every) else 1.0
        return cost(
            self.module, dim=self.dim, rows=self.batch_rows, outputs=self.outputs, window=window
        )

    def train(
        self,
        loss: Callable[[Batch], Tensor],
        windows: Callable[[np.random.Generator | None], Windows],
        rng: np.random.Generator,
        *,
        lr: float,
        seconds: float,
        some: Examples | None = None,
        measure: Callable[[], float] | None = None,
        unwatched_epochs: int | None = None,
    ) -> History:
        """Train, and return what happened.

        Args:
            loss: of a batch.
            windows: of an epoch, drawn where a generator is given.
            rng: of the windows, and of their order.
            lr: learning rate.
            seconds: CPU seconds of the reference machine.
            some: questions that `measure` asks.
            measure: validation; without it, all steps are made.
            unwatched_epochs: at most, without validation.
        """
        every = windows(None)
        price, epoch = self.price(every), n_batches(every, self.batch_rows)
        if some is None or measure is None:
            measure = None
            steps = int(seconds / price.step)
            if unwatched_epochs is not None:
                steps = min(steps, unwatched_epochs * epoch)
        else:
            steps = int((seconds - MEASURES * len(some) * price.question) / price.step)

        def epochs() -> Iterator[Batch]:
            return forever(lambda: batches(windows(rng), self.batch_rows, rng))

        schedule = Schedule(
            steps=max(steps, 1),
            lr=lr,
            weight_decay=self.weight_decay,
            patience=self.patience,
            least=LEAST_EPOCHS * epoch,
        )
        return train(self.module, epochs(), loss, schedule, measure)


def judged_by(
    valid: Examples | None, price: Cost, seconds: float, rng: np.random.Generator, *, most: int
) -> Examples | None:
    """Return the questions that training of `seconds` is judged by: at most `most`, drawn.

    Of a yes-or-no question FEWEST_ANSWERS of either answer are among them, if there are as many
    and they fit: without a fraud nothing would be measured.
    """
    if valid is None or len(valid) == 0:
        return None
    affordable = int(MEASURED_SHARE * seconds / MEASURES / price.question)
    fewest = min(FEWEST_MEASURED, 2 * affordable)
    n = max(1, min(max(affordable, fewest), most))
    drawn = rng.permutation(len(valid))
    if not np.issubdtype(valid.target.dtype, np.integer):
        drawn = _with_few_of_each(drawn, valid.target > 0, n)
    some = np.sort(drawn[:n])
    treatment = None if valid.treatment is None else valid.treatment[some]
    return Examples(valid.sequences, valid.queries[some], valid.target[some], treatment)


def _with_few_of_each(drawn: np.ndarray, answer: np.ndarray, n: int) -> np.ndarray:
    """Return places with the first FEWEST_ANSWERS of the rarer answer among the first `n`."""
    rare = answer[drawn] == (answer.mean() < 0.5)
    few = min(int(rare.sum()), FEWEST_ANSWERS, n // 2)
    if rare[:n].sum() >= few:
        return drawn
    first = np.zeros(len(drawn), dtype=bool)
    first[np.flatnonzero(rare)[:few]] = True
    return np.concatenate([drawn[first], drawn[~first]])
