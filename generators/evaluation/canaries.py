"""Privacy audit with planted canaries: random users, half of whom go into the training data.

Auditing in one run (Steinke, Nasr and Jagielski 2023, arXiv:2305.08846): a coin decides for each
canary whether it goes in. The auditor guesses in the canaries that look most like members and out
those that look least, and the number of right guesses bounds epsilon from below with 95 %
confidence. A bound above the claimed epsilon shows that the claim, or the code behind it, is wrong.

Example::

    train, canaries = plant(log, 100, rng=rng)
    synthetic = ...                                  # fit on train, sample
    audit(canaries, synthetic, delta=1e-5).epsilon   # at least this much was spent
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, inf

import numpy as np
import pandas as pd

from eventlog import EventLog, InputError
from eventlog.log import sort_events, tidy
from generators.evaluation.align import align_logs
from generators.evaluation.attacks.common import clopper_pearson_low
from generators.evaluation.attacks.similarity import closest, surprise, windows

RUN = 4  # rows of a canary in a row that count as a repetition
# Shares of the canaries that are guessed in and out. Which is best depends on how many of them a
# generator repeats, so all are tried and share the confidence.
GUESSED = ((0.05, 0.0), (0.25, 0.25), (0.4, 0.4))
EPSILON_MOST = 50.0  # where the search for a bound ends


@dataclass(frozen=True)
class Canaries:
    """All canaries as a log of their own, and which of them went in."""

    log: EventLog
    included: np.ndarray  # (n,) bool, in the order of the users of `log`


@dataclass(frozen=True)
class CanaryAudit:
    """The lower bound of epsilon, which holds with `confidence`.

    `reachable` is the bound that the same number of guesses gives if all are right.
    """

    epsilon: float
    reachable: float
    canaries: int
    guesses: int
    correct: int
    delta: float
    confidence: float


def plant(
    log: EventLog, n: int, *, rng: np.random.Generator, length: int = 20
) -> tuple[EventLog, Canaries]:
    """Return `log` with about half of `n` canaries added, and all the canaries.

    A canary is `length` rows of the log, each of an item drawn uniformly from all items, at uniform
    times within the span: each row is possible, and nobody has them in that order.

    Raises InputError where `n` < 2 or the log is empty, and as `EventLog.ordered` does.
    """
    if n < 2 or len(log) == 0:
        raise InputError(
            f"Planting needs at least 2 canaries and a log with events; given {n} canaries and "
            f"{len(log)} events."
        )
    log = log.ordered()
    events = log.events
    column = "item_id" if "item_id" in events and events["item_id"].notna().any() else "event"
    # Sorted by name, so that a log read from disk gets the same canaries.
    codes = pd.factorize(events[column].astype(object), sort=True)[0]
    order = np.argsort(codes, kind="stable")
    present = np.unique(codes[codes >= 0])
    start, stop = (np.searchsorted(codes[order], present, side=s) for s in ("left", "right"))
    pick = rng.integers(len(present), size=n * length)
    rows = order[start[pick] + (rng.random(n * length) * (stop - start)[pick]).astype(np.int64)]
    made = events.iloc[rows].reset_index(drop=True)
    owner = np.repeat(np.arange(n), length)
    first, last = (t.value // 1_000_000 for t in log.span)
    made["user_id"] = np.array([f"canary-{i:06d}" for i in range(n)], dtype=object)[owner]
    made["timestamp"] = pd.to_datetime(
        rng.integers(first, last + 1, size=len(made)), unit="ms", utc=True
    )
    made["event_id"] = int(events["event_id"].max()) + 1 + np.arange(len(made), dtype=np.int64)
    for name in ("session_id", "order_id", "coupon_id"):
        if name in made:
            fresh = pd.Series([f"canary-{name}-{i:07d}" for i in range(len(made))], dtype=object)
            made[name] = fresh.where(made[name].notna(), None)
    made = sort_events(tidy(made))
    users = None
    if log.users is not None and len(log.users):
        users = log.users.iloc[rng.integers(len(log.users), size=n)].assign(
            user_id=[f"canary-{i:06d}" for i in range(n)]
        )
    included = rng.random(n) < 0.5
    alone = replace(
        log, events=made, users=users, labels=None, truth={}, manifest=dict(log.manifest)
    )
    inside = [f"canary-{i:06d}" for i in np.flatnonzero(included)]
    chosen = made[made["user_id"].isin(inside)]
    joined = pd.concat([_plain(events), _plain(chosen)], ignore_index=True)
    both = (
        users
        if users is None
        else pd.concat([log.users, users[users["user_id"].isin(inside)]], ignore_index=True)
    )
    train = replace(log, events=sort_events(tidy(joined)), users=both, truth={})
    return train, Canaries(alone, included)


def _plain(events: pd.DataFrame) -> pd.DataFrame:
    """Return categories as plain objects: frames with different categories do not concatenate."""
    return events.astype(
        {str(c): object for c in events if isinstance(events[c].dtype, pd.CategoricalDtype)}
    )


def audit(
    canaries: Canaries, synthetic: EventLog, *, delta: float = 0.0, confidence: float = 0.95
) -> CanaryAudit:
    """Return the lower bound of epsilon that `synthetic` reveals.

    `synthetic` comes from a generator that was fitted on the log from `plant`; the more users it
    has, the more it reveals. Canaries with the highest scores are guessed in, those with the lowest
    out.
    """
    return guess(canaries.included, scores(canaries, synthetic), delta=delta, confidence=confidence)


def scores(canaries: Canaries, synthetic: EventLog) -> np.ndarray:
    """Return (n,) float64, higher for canaries that look like training users.

    The sum of the similarity to the closest synthetic user, the number of the canary's runs that
    occur in the synthetic log, and how much more often than by chance its pairs of items do.
    """
    ours, made = align_logs(canaries.log, synthetic)
    code, user = windows(ours, RUN)
    seen = np.isin(code, windows(made, RUN)[0])
    return (
        closest(ours, made) + np.bincount(user[seen], minlength=ours.n_users) + surprise(ours, made)
    )


def guess(
    included: np.ndarray, score: np.ndarray, *, delta: float = 0.0, confidence: float = 0.95
) -> CanaryAudit:
    """Return the best of the bounds that the shares in GUESSED give.

    `score` (n,) are the canaries' scores and `included` (n,) bool says which were in. Each bound
    has its part of the confidence, and the shares are fixed in advance, so the best bound holds.
    """
    n = len(score)
    order = np.argsort(score, kind="stable")
    each = 1 - (1 - confidence) / len(GUESSED)
    found = []
    for share_in, share_out in GUESSED:
        many, few = max(int(share_in * n), 1), int(share_out * n)
        correct = int(included[order[n - many :]].sum() + (~included[order[:few]]).sum())
        bound, reachable = (
            epsilon_lower_bound(c, many + few, canaries=n, delta=delta, confidence=each)
            for c in (correct, many + few)
        )
        found.append(
            CanaryAudit(
                epsilon=bound,
                reachable=reachable,
                canaries=n,
                guesses=many + few,
                correct=correct,
                delta=delta,
                confidence=confidence,
            )
        )
    return max(found, key=lambda a: (a.epsilon, a.guesses))


def epsilon_lower_bound(
    correct: int, guesses: int, *, canaries: int, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """Return the smallest epsilon under which `correct` right guesses are not improbably many.

    Without delta a right guess has probability at most e^eps / (1 + e^eps), so the bound is the
    log-odds of the Clopper-Pearson lower bound. With delta it follows theorem 5.2 of Steinke et al.
    """
    if delta == 0:
        share = clopper_pearson_low(correct, guesses, confidence=confidence)
        if share == 1:
            return inf
        return 0.0 if share == 0 else max(0.0, float(np.log(share / (1 - share))))

    from scipy.optimize import brentq

    def excess(epsilon: float) -> float:
        return _luck(correct, guesses, epsilon, canaries, delta) - (1 - confidence)

    if excess(0.0) > 0:
        return 0.0
    return EPSILON_MOST if excess(EPSILON_MOST) <= 0 else float(brentq(excess, 0.0, EPSILON_MOST))


def _luck(correct: int, guesses: int, epsilon: float, canaries: int, delta: float) -> float:
    """Return an upper bound of the probability of `correct` or more right guesses.

    Under (epsilon, delta)-differential privacy, for `guesses` about `canaries`.
    """
    from scipy.stats import binom

    share = 1 / (1 + exp(-epsilon))
    tail = float(binom.sf(correct - 1, guesses, share))
    steps = np.arange(1, correct + 1)
    near = np.cumsum(binom.pmf(correct - steps, guesses, share))  # P[correct > W >= correct - i]
    alpha = float((near / steps).max(initial=0.0))
    return min(1.0, tail + 2 * alpha * delta * canaries)
