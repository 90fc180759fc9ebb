"""Fits settings to facts: Levenberg's damped least squares with a Jacobian that is learnt.

Each trial of the simulator is expensive, so the search starts from a guess of which setting moves
which fact (nearly one to one, which makes the first steps those of Robbins and Monro 1951),
corrects it with every trial (Broyden 1965), and takes finite differences once the guess is used up.
Steps are bounded least squares (scipy) inside the ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Residuals beyond this many tolerances count linearly: one fact out of reach must not spoil the
# others.
HUBER = 3.0
NOISE = 0.5  # changes of a residual below this are taken for chance: the guess is kept
# What a tolerance costs by which a fact is farther off than at the start, chance aside: more than
# all others can gain by it.
WORSE = 300.0
GUESSES = 8  # trials with the guessed Jacobian before differences are taken


@dataclass(frozen=True)
class Trial:
    """One trial."""

    x: np.ndarray  # (p,) settings in search coordinates
    residual: np.ndarray  # (f,) in tolerances
    loss: float  # what is minimised


def loss_of(residual: np.ndarray, most: np.ndarray) -> float:
    """Return the mean Huber loss of residuals (f,), and a penalty for those beyond `most` (f,)."""
    size = np.abs(residual)
    huber = np.where(size <= HUBER, size**2 / 2, HUBER * (size - HUBER / 2))
    return float((huber + WORSE * np.maximum(size - most, 0.0)).mean())


def most_allowed(default: np.ndarray) -> np.ndarray:
    """Return (f,) how far off a fact may end that the default shop misses by `default` (f,).

    As far as there, or by one tolerance. The search keeps to this; of simulations that it has not
    seen, some more is taken for chance (`result.CHANCE`).
    """
    return np.maximum(np.abs(default), 1.0)


def minimize(
    residuals: Callable[[np.ndarray], np.ndarray],
    *,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    step: np.ndarray,
    jacobian: np.ndarray,
    most: np.ndarray,
    trials: int,
) -> Iterator[Trial]:
    """Yield each trial as it is made; the best has the least loss.

    A fact that is farther off than `most` is paid for in the loss with more than all others can
    gain by it.

    Deterministic: the same residuals give the same trials, so a search whose answers are kept
    continues where it stopped.

    Args:
        residuals: x (p,) -> (f,), in tolerances.
        start: (p,) where the search starts.
        low: (p,) lowest coordinates.
        high: (p,) highest coordinates.
        step: (p,) a typical step of each coordinate.
        jacobian: (f, p) the guess: changes of residuals per coordinate.
        most: (f,) how far off each fact may be, see `most_allowed`.
        trials: most trials to make.
    """

    def trial(x: np.ndarray) -> Trial:
        residual = residuals(x)
        return Trial(x, residual, loss_of(residual, most))

    here = trial(start)
    yield here
    used, damping, failures, differenced = 1, 0.3, 0, False
    guess, jacobian = jacobian, jacobian.copy()
    while used < trials:
        enough = trials - used >= len(start) + 3  # for finite differences
        if not differenced and (used > GUESSES or failures >= 2) and enough:
            best = here
            for p in range(len(start)):
                x = here.x.copy()
                x[p] += step[p] if x[p] + step[p] <= high[p] else -step[p]
                there = trial(np.clip(x, low, high))
                used += 1
                yield there
                if there.x[p] != here.x[p]:
                    change = there.residual - here.residual
                    jacobian[:, p] = np.where(
                        np.abs(change) > NOISE, change / (there.x[p] - here.x[p]), guess[:, p]
                    )
                best = min(best, there, key=lambda found: found.loss)
            here, differenced, damping, failures = best, True, 0.3, 0
            continue
        if failures == 4:  # what was learnt leads nowhere: one more attempt with the guess
            jacobian, damping = guess.copy(), 1.0
        if failures == 7:  # differences again, if enough trials are left
            if not enough:
                return
            differenced = False
            continue
        move = _step(here, jacobian, damping, low, high, step)
        if np.abs(move / step).max() < 1e-3:
            return
        there = trial(here.x + move)
        used += 1
        yield there
        # Broyden's update in coordinates in which each step has length one.
        scaled = move / step
        wrong = there.residual - here.residual - jacobian @ move
        jacobian += np.outer(wrong, scaled / step) / (scaled @ scaled)
        if there.loss < here.loss:
            here, damping, failures = there, max(damping / 3, 1e-3), 0
        else:
            damping, failures = damping * 4, failures + 1


def _step(
    here: Trial,
    jacobian: np.ndarray,
    damping: float,
    low: np.ndarray,
    high: np.ndarray,
    step: np.ndarray,
) -> np.ndarray:
    """(p,) the damped step: least squares with Huber weights, within the ranges.

    At most two typical steps long in each coordinate.
    """
    from scipy.optimize import lsq_linear

    weight = np.sqrt(np.minimum(1.0, HUBER / np.maximum(np.abs(here.residual), 1e-9)))
    matrix = np.vstack([weight[:, None] * jacobian * step, np.sqrt(damping) * np.eye(len(step))])
    aim = np.append(-weight * here.residual, np.zeros(len(step)))
    least = np.maximum((low - here.x) / step, -2.0)
    most = np.minimum((high - here.x) / step, 2.0)
    most = np.maximum(most, least + 1e-12)
    solved: np.ndarray = lsq_linear(matrix, aim, bounds=(least, most)).x
    return solved * step
