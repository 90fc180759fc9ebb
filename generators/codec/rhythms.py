"""Rhythms: classes of users by the hours and weekdays at which their sessions start.

Office hours and evenings at weekends make a mean that nobody follows. The starts of a user's
sessions are taken as draws from the rhythm of the user's class, an hour times a weekday, so the
classes are a mixture of multinomials, fitted by expectation maximisation (Dempster, Laird and Rubin
1977); how many there are is decided by the Bayesian information criterion.
"""

from __future__ import annotations

import numpy as np

from generators.codec.timing_params import WEEK_HOURS

MOST_RHYTHMS = 4
MOST_USERS = 20_000  # from whom rhythms are learnt
ROUNDS, RESTARTS = 60, 3
PRIOR = 2.0  # starts added to each class, spread as those of all users
FEWEST_STARTS = 3.0  # of sessions a user, in the mean: with fewer there is nothing to tell apart


def learn_rhythms(
    user: np.ndarray, hour: np.ndarray, *, daily: bool, min_users: int, seed: int = 0
) -> np.ndarray:
    """Return the intensity of session starts in each class, (classes, WEEK_HOURS), each of mean 1.

    There are none where one rhythm fits all as well. `user` and `hour` (of the week) are (n,), of
    all session starts. `daily`: times have no hours.
    """
    counts = _counts(user, hour)
    counts = counts[counts.sum(1) > 0]
    if len(counts) < 4 * min_users or counts.sum() < FEWEST_STARTS * len(counts):
        return np.zeros((0, WEEK_HOURS))
    rng = np.random.default_rng(seed)
    if len(counts) > MOST_USERS:
        counts = counts[rng.choice(len(counts), MOST_USERS, replace=False)]
    days = counts.reshape(-1, 7, 24).sum(2)
    hours = counts.reshape(-1, 7, 24).sum(1)
    best, chosen = np.inf, np.zeros((0, WEEK_HOURS))
    for classes in range(1, MOST_RHYTHMS + 1):
        fits = [_fit(days, hours, classes, rng) for _ in range(RESTARTS if classes > 1 else 1)]
        likelihood, share, of_day, of_hour = max(fits, key=lambda fit: fit[0])
        free = classes * (6 + (0 if daily else 23)) + classes - 1
        cost = free * np.log(counts.sum()) - 2 * likelihood
        if cost >= best or share.min() * len(counts) < min_users:
            break
        best = cost
        if classes > 1:
            within = np.full_like(of_hour, 1 / 24) if daily else of_hour
            chosen = WEEK_HOURS * (of_day[:, :, None] * within[:, None, :]).reshape(classes, -1)
    return chosen


def rhythm_codes(rhythms: np.ndarray, user: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """Return the code of each user's likeliest rhythm, (n_users,) int64: 1 + its place."""
    counts = _counts(user, hour)
    found: np.ndarray = 1 + (counts @ np.log(rhythms.T + 1e-9)).argmax(1)
    return found


def _counts(user: np.ndarray, hour: np.ndarray) -> np.ndarray:
    n_users = int(user.max(initial=-1)) + 1
    cells = np.bincount(user * WEEK_HOURS + hour, minlength=n_users * WEEK_HOURS)
    return cells.reshape(n_users, WEEK_HOURS).astype(np.float64)


def _fit(
    days: np.ndarray, hours: np.ndarray, classes: int, rng: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Fit `classes` to the counts of users (n, 7) and (n, 24).

    Returns the log likelihood, the shares of the classes, and of days and hours in each.
    """
    usual_day, usual_hour = (x.sum(0) / x.sum() for x in (days, hours))
    part = rng.dirichlet(np.full(classes, 0.3), len(days))
    likelihood = -np.inf
    for _ in range(ROUNDS):
        share = part.mean(0)
        of_day, of_hour = (
            _shares(part.T @ x, PRIOR * usual)
            for x, usual in ((days, usual_day), (hours, usual_hour))
        )
        joint = days @ np.log(of_day.T) + hours @ np.log(of_hour.T) + np.log(share + 1e-12)
        top = joint.max(1, keepdims=True)
        total = top[:, 0] + np.log(np.exp(joint - top).sum(1))
        part = np.exp(joint - total[:, None])
        before, likelihood = likelihood, float(total.sum())
        if likelihood - before < 1e-4 * abs(likelihood) / len(days):
            break
    return likelihood, share, of_day, of_hour


def _shares(counts: np.ndarray, prior: np.ndarray) -> np.ndarray:
    smooth = counts + prior + 1e-6
    return smooth / smooth.sum(1, keepdims=True)
