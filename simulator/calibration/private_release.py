"""What calibration learns of a log under a privacy budget: noisy sums, released once.

    found = release(log, epsilon=3.0, delta=None, days=None, longest=120, items=None)
    found.outline, found.sums, found.sd, found.privacy

Only which columns and tables the log has is taken as known. The number of users comes from the
geometric mechanism. Everything else is a sum over users, each user's part scaled down to a fixed
length, plus Gaussian noise, asked in two steps: what there is (days, event names, label kinds),
then what `summary_statistics` asks of it. Together the sums are one Gaussian mechanism (Dong, Roth
and Su 2022, doi:10.1111/rssb.12454), whose epsilon is known exactly (Balle and Wang 2018,
arXiv:1805.06530). Event names that are not in the schema must pass a threshold; names of a single
user pass it with a probability of at most a share of delta (Gopi et al. 2020, arXiv:2002.09745).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import ndtri

from eventlog._runtime.errors import InputError
from eventlog.check import EARLIEST, LATEST
from eventlog.log import EventLog
from eventlog.privacy.noise import (
    NOISE_OF_SEED,
    NOISE_OF_SYSTEM,
    USERS_SHARE,
    add_gaussian,
    check_epsilon,
    delta_for,
    gaussian_epsilon,
    grid_of,
    mu_of,
    new_secret,
    noisy_users,
    seeded_secret,
    stream,
)
from eventlog.schema import ROLES, TIME, roles_of
from simulator.calibration.statistics import (
    BOUNDS,
    DAY_MS,
    ITEM_QUESTIONS,
    Answer,
    Outline,
    SummaryStatistics,
    summary_statistics,
    window_of,
)
from simulator.fraud.labels import KINDS

THRESHOLD_SHARE = 0.1  # of delta: the threshold of event names that are not in the schema
NAMES_PER_USER = 16  # event names of a user that count: those of most rows
HEARD = 3.5  # sds of noise that a name or kind of the schema must exceed to count as there
SEEN = 5.5  # sds of noise that a stretch of days must exceed: chance alone does in 0.3 % of logs
FURTHER = (
    6.5  # the same for days apart from the others: a false one would make the span far too long
)
DAYS, NAMES, LABELS = "days", "event names", "label kinds"
# Shares of the budget, where not 1: without the days nothing else can be asked.
WEIGHTS = {DAYS: 2.0}
OUTLINE_BOUNDS = {DAYS: BOUNDS[DAYS], NAMES: 1.0, LABELS: 1.0}  # see tally.BOUNDS
# The days that are asked about: the first one, counted since 1970, and how many they are.
FIRST_DAY = EARLIEST.value // (DAY_MS * 1_000_000)
N_DAYS = LATEST.value // (DAY_MS * 1_000_000) - FIRST_DAY


@dataclass(frozen=True)
class Release:
    """What came out, all of it differentially private."""

    users: int
    outline: Outline
    sums: SummaryStatistics
    sd: dict[str, float]  # of the noise in each question's cells
    privacy: dict[str, Any]  # the statement, with the ledger

    def to_json(self) -> dict[str, Any]:
        """Plain data for `from_json`."""
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
        """The release that `to_json` described."""
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

    `days`, `longest`: see `summary_statistics.window_of`. `items` (n,): ids of a catalogue that is
    public, or None. `delta`: `eventlog.privacy.noise.default_delta` of the noisy number of users
    where None is given. Raises InputError for an impossible budget, and where the noise hides what
    must be known.
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
    """Return each question's sd of noise; all together are `mu`-GDP, mu^2 shared by WEIGHTS."""
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


# --- what there is --------------------------------------------------------------------------------


def foreign_names(log: EventLog) -> list[str]:
    """Event names that occur and are not in the schema, sorted."""
    return sorted(set(log.events["event"].astype(str).unique()) - ROLES.keys())


def outline_answers(log: EventLog, foreign: list[str]) -> dict[str, Answer]:
    """What each user adds to the questions that the outline follows from.

    Cells: of the days, those from `eventlog.check.EARLIEST` to LATEST; of the event names, those of
    the schema and then `foreign`; of the label kinds, those that the simulator knows. A log without
    a table of labels has no such question.
    """
    events = log.events
    user = events["user_id"].astype("category").cat.codes.to_numpy(dtype=np.int64)
    day = events["timestamp"].astype(TIME).astype("int64").to_numpy() // DAY_MS - FIRST_DAY
    known = (day >= 0) & (day < N_DAYS)
    answers = {DAYS: _counts(user[known], day[known], N_DAYS)}

    cells = pd.Index([*ROLES, *foreign])
    name = events["event"].astype("category").cat
    rows = _counts(user, cells.get_indexer(name.categories.astype(str))[name.codes], len(cells))
    most_first = np.lexsort((rows.cell, -rows.value, rows.user))
    owner = rows.user[most_first]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    kept = most_first[rank < NAMES_PER_USER]
    answers[NAMES] = Answer(rows.user[kept], rows.cell[kept], np.ones(len(kept)), len(cells))

    if log.labels is not None:
        event, kind = log.labels["event_id"].to_numpy(), log.labels["kind"].astype(str).to_numpy()
        owners = [
            np.unique(user[np.isin(events["event_id"], event[kind == name])]) for name in KINDS
        ]
        cell = np.repeat(np.arange(len(KINDS)), [len(owner) for owner in owners])
        answers[LABELS] = Answer(np.concatenate(owners), cell, np.ones(len(cell)), len(KINDS))
    return answers


def _counts(user: np.ndarray, cell: np.ndarray, size: int) -> Answer:
    """How many rows each user (n,) has in each cell (n,)."""
    pair, rows = np.unique(user * size + cell, return_counts=True)
    return Answer(pair // size, pair % size, rows.astype(np.float64), size)


def outline_from(
    sums: SummaryStatistics,
    sd: dict[str, float],
    foreign: list[str],
    roles: dict[str, str] | None,
    *,
    delta: float,
) -> Outline:
    """Return the outline that noisy sums of `outline_answers` show.

    `roles`: event name -> role, as the manifest says; only names that pass are looked up. `delta`:
    the probability with which any name of a single user may pass.
    """
    span = covered(sums[DAYS], sd[DAYS])
    if span is None:
        raise InputError(
            "The noise hides which days the log covers; it takes more users or a larger epsilon."
        )
    first, last = (EARLIEST + pd.Timedelta(days=day) for day in span)
    cells = [*ROLES, *foreign]
    least = np.full(len(cells), name_threshold(sd[NAMES], delta))
    least[: len(ROLES)] = HEARD * sd[NAMES]
    heard = np.flatnonzero(sums[NAMES] > least)
    if not len(heard):
        raise InputError(
            "The noise hides every event name of the log; it takes more users or a larger epsilon."
        )
    events = [cells[k] for k in heard[np.argsort(-sums[NAMES][heard], kind="stable")]]
    kinds: list[str] = []
    if LABELS in sums:
        kinds = [KINDS[k] for k in np.flatnonzero(sums[LABELS] > HEARD * sd[LABELS])]
    return Outline(first, last, roles_of(events, roles), kinds)


def name_threshold(sd: float, delta: float) -> float:
    """Return the noisy sum above which a name is shown.

    Any name that one user alone has passes it with probability `delta` at most.

    A user with t names of their own adds at most 1 / sqrt(t) to each (Gopi et al. 2020).
    """
    t = np.arange(1, NAMES_PER_USER + 1)
    each = -np.expm1(
        np.log1p(-delta) / t
    )  # probability for one of t, such that none passes with 1 - delta
    rounding = grid_of(sd)  # of the noise
    return float((1 / np.sqrt(t) - sd * ndtri(each)).max()) + rounding


def covered(counts: np.ndarray, sd: float) -> tuple[int, int] | None:
    """Return the first and last day that a log covers, from noisy `counts` (n,) of all days.

    The stretch of days that stands out most from the noise (the scan statistic, sum / sqrt(days))
    is widened by further ones before and after it for as long as they stand out, too. None where
    no stretch does.
    """
    total = np.append(0.0, np.cumsum(counts)) / sd
    found = _stretch(total, 0, len(counts), above=SEEN)
    if found is None:
        return None
    first, end = found
    while (more := _stretch(total, 0, first, above=FURTHER)) is not None:
        first = more[0]
    while (more := _stretch(total, end, len(counts), above=FURTHER)) is not None:
        end = more[1]
    return first, end - 1


def _stretch(total: np.ndarray, low: int, high: int, *, above: float) -> tuple[int, int] | None:
    """Return start and end of the days in low..high that stand out most, if by more than `above`.

    `total` (n + 1,): cumulated counts in sds. Lengths are tried in steps of a tenth, then both ends
    are moved.
    """
    size = high - low
    if size < 1:
        return None
    lengths = np.unique(np.round(1.1 ** np.arange(math.log(size, 1.1) + 1)).astype(np.int64))
    best, start, end = -np.inf, low, low
    for length in lengths[lengths <= size]:
        score = (total[low + length : high + 1] - total[low : high + 1 - length]) / math.sqrt(
            length
        )
        k = int(score.argmax())
        if score[k] > best:
            best, start, end = float(score[k]), low + k, low + k + int(length)
    for _ in range(20):
        before = start, end
        start = low + int(
            ((total[end] - total[low:end]) / np.sqrt(end - np.arange(low, end))).argmax()
        )
        ends = np.arange(start + 1, high + 1)
        end = int(ends[((total[ends] - total[start]) / np.sqrt(ends - start)).argmax()])
        if before == (start, end):
            break
    return (start, end) if (total[end] - total[start]) / math.sqrt(end - start) > above else None


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
        + (", against whoever does not know the noise seed." if seeded else "."),
    }
