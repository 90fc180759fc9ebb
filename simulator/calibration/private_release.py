"""What calibration learns of a log under a privacy budget: noisy sums, released once.

Example::

    found = release(log, epsilon=3.0, delta=None, days=None, longest=120, items=None)
    found.outline, found.sums, found.sd, found.privacy

Only which columns and tables the log has is taken as known. The number of users comes from the
geometric mechanism. Everything else is a sum over users, each user's part scaled down to a fixed
length, plus Gaussian noise, asked in two steps: what there is (days, event names, label kinds; see
`private_outline`), then what `summary_statistics` asks of it. Together the sums are one Gaussian
mechanism (Dong, Roth and Su 2022, doi:10.1111/rssb.12454), whose epsilon is known exactly (Balle
and Wang 2018, arXiv:1805.06530).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from eventlog.check import EARLIEST
from eventlog.log import EventLog
from eventlog.privacy.noise import (
    NOISE_OF_SEED,
    NOISE_OF_SYSTEM,
    USERS_SHARE,
    add_gaussian,
    check_epsilon,
    delta_for,
    gaussian_epsilon,
    mu_of,
    new_secret,
    noisy_users,
    seeded_secret,
    stream,
)
from simulator.calibration.private_outline import (
    DAYS,
    NAMES,
    OUTLINE_BOUNDS,
    foreign_names,
    outline_answers,
    outline_from,
)
from simulator.calibration.statistics import (
    BOUNDS,
    ITEM_QUESTIONS,
    Answer,
    SummaryStatistics,
    summary_statistics,
)
from simulator.calibration.window import Outline, window_of

THRESHOLD_SHARE = 0.1  # of delta: the threshold of event names that are not in the schema
# Shares of the budget, where not 1: without the days nothing else can be asked.
WEIGHTS = {DAYS: 2.0}


@dataclass(frozen=True)
class Release:
    """What is released, all of it differentially private."""

    users: int
    outline: Outline
    sums: SummaryStatistics
    sd: dict[str, float]  # of the noise in each question's cells
    privacy: dict[str, Any]  # the statement, with the ledger

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `from_json`."""
        outline = self.outline
        return {
            "users": self.users,
            "first": str(outline.first),
            "last": str(outline.last),
            "events": outline.events,
            "kinds": outline.kinds,
            "sums": {name: values.tolist() for name, values in self.sums.items()},
            "sd": self.sd,
            "privacy": self.privacy,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the release that `to_json` described."""
        first, last = pd.Timestamp(data["first"]), pd.Timestamp(data["last"])
        sums = {name: np.array(values) for name, values in data["sums"].items()}
        outline = Outline(first, last, dict(data["events"]), list(data["kinds"]))
        return cls(data["users"], outline, sums, dict(data["sd"]), data["privacy"])


def release(
    log: EventLog,
    *,
    epsilon: float,
    delta: float | None,
    days: int | None,
    longest: int,
    items: np.ndarray | None,
    noise_seed: int | None = None,
) -> Release:
    """Ask the log everything once, (epsilon, delta)-differentially private for every user.

    Args:
        log: the log.
        epsilon: the budget.
        delta: None = `eventlog.privacy.noise.default_delta` of the noisy number of users.
        days: see `window.window_of`.
        longest: see `window.window_of`.
        items: (n,) ids of a catalogue that is public, or None.
        noise_seed: makes the noise repeatable and voids the guarantee against anyone who knows it.

    Raises InputError for an impossible budget, and where the noise hides what must be known.
    """
    check_epsilon(epsilon)
    secret = new_secret() if noise_seed is None else seeded_secret(noise_seed)
    pure = USERS_SHARE * epsilon
    there = log.events["user_id"].nunique()
    users = noisy_users(there, epsilon=pure, rng=stream(secret, "number of users"))
    delta = delta_for(users, delta)
    names = foreign_names(log)
    answers = outline_answers(log, names)
    asked = {name: OUTLINE_BOUNDS[name] for name in answers}
    asked |= {
        q: b
        for q, b in BOUNDS.items()
        if q != DAYS and (items is not None or q not in ITEM_QUESTIONS)
    }
    for_thresholds = THRESHOLD_SHARE * delta
    mu = mu_of(epsilon - pure, delta - for_thresholds)
    sd = noise_of(asked, mu)

    sums = noisy_sums(answers, asked, sd, secret)
    outline = outline_from(sums, sd, names, log.manifest.get("roles"), delta=for_thresholds)
    window = window_of(outline, days=days, longest=longest, items=items)
    begin = (window.start - EARLIEST).days
    sums = {DAYS: sums[DAYS][begin : begin + window.days]}
    rest = {
        name: answer
        for name, answer in summary_statistics(log, window).answers.items()
        if name != DAYS
    }
    sums |= noisy_sums(rest, asked, sd, secret)
    privacy = _statement(
        epsilon, delta, pure, mu, for_thresholds, asked, sd, seeded=noise_seed is not None
    ) | {"users": users}
    return Release(users, outline, sums, sd, privacy)


def noise_of(bounds: dict[str, float], mu: float) -> dict[str, float]:
    """Return each question's sd of noise: together they are `mu`-GDP, mu^2 shared by WEIGHTS."""
    shares = shares_of(bounds)
    return {name: bound / (mu * math.sqrt(shares[name])) for name, bound in bounds.items()}


def shares_of(questions: Iterable[str]) -> dict[str, float]:
    """Each question's share of the budget (of mu^2); they add up to 1."""
    weight = {name: WEIGHTS.get(name, 1.0) for name in questions}
    return {name: w / sum(weight.values()) for name, w in weight.items()}


def noisy_sums(
    answers: dict[str, Answer], bounds: dict[str, float], sd: dict[str, float], secret: bytes
) -> SummaryStatistics:
    """Return the bounded sums with Gaussian noise of `sd`, a stream for each question."""
    return {
        name: add_gaussian(
            answer.sums(bounds[name]), sd=sd[name], rng=stream(secret, "question", name)
        )
        for name, answer in answers.items()
    }


# --- the ledger -----------------------------------------------------------------------------------


def _statement(
    epsilon: float,
    delta: float,
    pure: float,
    mu: float,
    for_thresholds: float,
    bounds: dict[str, float],
    sd: dict[str, float],
    *,
    seeded: bool,
) -> dict[str, Any]:
    """Return the privacy statement; the ledger has one entry for the users and one a question."""
    left = delta - for_thresholds
    ledger: list[dict[str, Any]] = [
        {
            "mechanism": "geometric count",
            "what": "number of users",
            "sigma": None,
            "sampling_rate": 1.0,
            "steps": 1,
            "epsilon": round(pure, 6),
            "delta": 0.0,
        }
    ]
    for name, bound in bounds.items():
        sigma = sd[name] / bound
        ledger.append(
            {
                "mechanism": "gaussian sums with threshold" if name == NAMES else "gaussian sums",
                "what": f"{name}, each user's part bounded",
                "sigma": round(sigma, 6),
                "sampling_rate": 1.0,
                "steps": 1,
                "epsilon": round(gaussian_epsilon(1 / sigma, left), 6),
                "delta": for_thresholds if name == NAMES else 0.0,
            }
        )
    return {
        "proved": "differential privacy",
        "unit": "user",
        "neighbours": "one user's rows added or removed",
        "epsilon": epsilon,
        "delta": delta,
        "epsilon_spent": round(pure + gaussian_epsilon(mu, left), 6),
        "accountant": "exact composition of Gaussian mechanisms (Balle and Wang 2018)",
        "noise_source": "seed" if seeded else "system",
        "noise": NOISE_OF_SEED if seeded else NOISE_OF_SYSTEM,
        "ledger": ledger,
        "composition": "the entries compose to epsilon_spent; their own epsilons do not add up",
        "split": {
            name: {
                "bound": round(bounds[name], 6),
                "sd_of_noise": round(sd[name], 4),
                "share_of_mu_squared": round(share, 4),
            }
            for name, share in shares_of(bounds).items()
        },
        "public": [],
        "assumed_public": [
            "which columns and tables the log has, and their types",
            "the currency",
            "the role that the manifest gives to an event name, once the name is known",
        ],
        "statement": f"({epsilon:g}, {delta:g})-differential privacy for every user, "
        "given what is listed as public"
        + (", against anyone who does not know the noise seed." if seeded else "."),
    }
