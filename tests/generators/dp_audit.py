"""A white-box audit of what is claimed under a budget: two neighbouring logs, one fit, every noisy answer in both worlds.

`replayed` fits a generator on a log and writes down each answer before noise and what was released; then it fits the
neighbour and hands out the first world's released answers, so that both worlds go the same way and differ in their answers
alone. Counts are released as if they were a thousand times higher: the path is then that of a rich codec,
which a small log never gets under a small budget. By how much each answer moved is held against the bound that the ledger
pays for, and an attacker who knows both worlds exactly shows a lower bound of epsilon with its confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import beta

import generators.privacy
import generators.private_counts
import generators.private_training
from eventlog import EventLog
from eventlog.log import sort_events, tidy
from eventlog.noise import add_gaussian, stream
from generators.base import Generator
from generators.privacy import Census
from generators.private_counts import Tables

MOST_CELLS = 250
ODD = "~odd"  # sorts behind the names of others, so that these keep their codes


@dataclass
class Answer:
    """One answer: its cells (n,), exact values (n,), the standard deviation of its noise, and what was released (n,)."""

    what: str
    cells: np.ndarray
    exact: np.ndarray
    sd: float
    released: np.ndarray


@dataclass
class World:
    """All answers of one fit, in their order, the number of users that was released, and the model that came of it."""

    answers: list[Answer] = field(default_factory=list)
    users: int = 0
    model: Generator | None = None
    privacy: dict[str, Any] = field(default_factory=dict)


@contextmanager
def _patched(world: World, before: World | None) -> Iterator[None]:
    """While a fit runs: write its answers to `world`; hand out those of `before`, where there is one."""
    kept = (Census._answer, Tables._answer, generators.private_training.noisy_sums, generators.privacy.noisy_users)

    def answered(what: str, cells: np.ndarray, exact: np.ndarray, sd: float, draw: Callable[[], np.ndarray]) -> np.ndarray:
        if before is None:
            released = draw()
        else:
            old = before.answers[len(world.answers)]
            assert old.what == what and old.sd == sd, f"the worlds part at {old.what} / {what}"
            known = pd.Series(old.released, index=old.cells)
            released = known.reindex(cells).fillna(-np.inf).to_numpy()  # of the odd user's own values nothing is released
        world.answers.append(Answer(what, cells, np.asarray(exact, dtype=np.float64), sd, released))
        return released

    def census(self: Census, what: str, cells: np.ndarray, exact: np.ndarray, sd: float) -> np.ndarray:
        return answered(what, cells, exact, sd, lambda: exact * 1_000.0)

    def tables(self: Tables, name: str, exact: np.ndarray, sd: float) -> np.ndarray:
        return answered(f"table of {name}", np.arange(len(exact)), exact, sd, lambda: exact * 1_000.0)

    def gradients(totals: list[torch.Tensor], *, sd: float, noise: np.random.Generator) -> list[torch.Tensor]:
        flat = torch.cat([t.detach().reshape(-1) for t in totals]).numpy()
        out = answered(f"step {len(world.answers)}", np.arange(len(flat)), flat, sd, lambda: torch.cat(
            [t.reshape(-1) for t in kept[2](totals, sd=sd, noise=noise)]).numpy())
        parts = torch.from_numpy(out.astype(np.float32)).split([t.numel() for t in totals])  # a copy: it is scaled in place
        return [part.reshape(t.shape) for part, t in zip(parts, totals, strict=True)]

    def users_of(count: int, **how: Any) -> int:
        world.users = kept[3](count, **how) if before is None else before.users
        return world.users

    Census._answer, Tables._answer = census, tables  # type: ignore[method-assign]
    generators.private_training.noisy_sums, generators.privacy.noisy_users = gradients, users_of  # type: ignore[assignment]
    try:
        yield
    finally:
        Census._answer, Tables._answer = kept[0], kept[1]  # type: ignore[method-assign]
        generators.private_training.noisy_sums, generators.privacy.noisy_users = kept[2], kept[3]


def replayed(
    make: Callable[[], Generator], log: EventLog, *neighbours: EventLog, epsilon: float, public: Any = (), seed: int = 3
) -> list[World]:
    """The worlds of `log` and of each neighbour under one path: the same secret, and the same released answers."""
    worlds: list[World] = []
    for source in (log, *neighbours):
        world = World()
        with _patched(world, worlds[0] if worlds else None):
            model = make()
            model.fit(source, seed=0, epsilon=epsilon, public=public, noise_seed=seed)  # type: ignore[call-arg]
        world.privacy, world.model = model.privacy, model
        worlds.append(world)
    assert len({len(w.answers) for w in worlds}) == 1
    return worlds


@dataclass
class Moved:
    """How far the answers of two worlds lie apart; a step of a training is one answer."""

    what: list[str]
    bound: np.ndarray             # (k,) what the ledger pays for
    distance: np.ndarray          # (k,) L2 norm of the difference
    sd: np.ndarray                # (k,) of the noise
    difference: list[np.ndarray]  # the cells that differ

    @property
    def mu(self) -> float:
        """Distance over noise, of all answers together: the most that an attacker can use."""
        return float(np.sqrt(((self.distance / self.sd) ** 2).sum()))

    @property
    def allowed(self) -> float:
        """The same if one user moved every answer by all that is paid for."""
        return float(np.sqrt(((self.bound / self.sd) ** 2).sum()))


def moved(one: World, two: World) -> Moved:
    """Compare the answers pairwise; where a world has no cell, 0 stands there."""
    entries = [e for e in one.privacy["ledger"] if e["sigma"]]
    paid = {e["what"]: e["sigma"] for e in entries if "DP-SGD" not in e["mechanism"]}
    training = next((e["sigma"] for e in entries if "DP-SGD" in e["mechanism"]), None)
    what, bound, difference, sd = [], [], [], []
    for a, b in zip(one.answers, two.answers, strict=True):
        left, right = pd.Series(a.exact, index=a.cells).align(pd.Series(b.exact, index=b.cells), fill_value=0.0)
        gap = (left - right).to_numpy()
        what.append(a.what)
        difference.append(gap[gap != 0])
        sd.append(a.sd)
        bound.append(a.sd / paid.get(a.what, training))
    distance = np.array([np.linalg.norm(g) for g in difference])
    return Moved(what, np.array(bound), distance, np.array(sd), difference)


def scores(found: Moved, *, trials: int, weaker: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return (trials,) log likelihood ratios of the released answers, with the odd user and without.

    The attacker knows both worlds but for the noise, which the project's own code draws anew in each trial, divided by
    `weaker`. Of each answer the attacker looks at the MOST_CELLS cells that moved most.
    """
    rng = stream(b"audit" * 8, "noise")
    out = np.zeros((2, trials))
    for gap, sd in zip(found.difference, found.sd, strict=True):
        gap = gap[np.argsort(-np.abs(gap))[:MOST_CELLS]]
        for side, sign in enumerate((0.5, -0.5)):
            for block in np.array_split(np.arange(trials), max(trials // 2_000, 1)) if len(gap) else []:
                exact = np.broadcast_to(sign * gap, (len(block), len(gap)))
                out[side, block] += add_gaussian(exact, sd=sd / weaker, rng=rng) @ gap / sd**2
    return out[0], out[1]


def epsilon_lower_bound(with_: np.ndarray, without: np.ndarray, *, delta: float, confidence: float = 0.95) -> float:
    """Return the epsilon that an attacker who sees these scores shows at least, with `confidence`.

    A threshold is chosen on one half of the scores; on the other half the rates of right and of false alarms are bounded
    by Clopper and Pearson (1934). (epsilon, delta)-differential privacy allows right <= e^epsilon false + delta.
    """
    half, miss = len(with_) // 2, (1 - confidence) / 2
    thresholds = np.quantile(np.append(with_[:half], without[:half]), np.linspace(0.002, 0.998, 400))

    def bound(a: np.ndarray, b: np.ndarray, t: float, side: int) -> float:
        right, false = ((a > t).sum(), (b > t).sum()) if side == 0 else ((b <= t).sum(), (a <= t).sum())
        n = len(a)
        low = 0.0 if right == 0 else float(beta.ppf(miss, right, n - right + 1))
        high = 1.0 if false == n else float(beta.ppf(1 - miss, false + 1, n - false))
        return float(np.log(max(low - delta, 1e-12) / high))

    best = max((bound(with_[:half], without[:half], t, side), t, side) for t in thresholds for side in (0, 1))
    return max(bound(with_[half:], without[half:], best[1], best[2]), 0.0)


def neighbours(log: EventLog, place: str, *, rows: int = 3_000) -> EventLog:
    """`log` with one user more, at `place` (first, middle, last) in the order of ids: everything they do is extreme.

    Their rows fill the whole span of dates, say the same again and again, go through all events and items, share sessions and
    orders with others, hold the largest prices, carry labels in a tenth, and name values that nobody else has.
    """
    known = sorted(log.events["user_id"].astype(str).unique())
    odd = {"first": "a", "middle": known[len(known) // 2] + "x", "last": "zzz"}[place]
    events = log.events.astype({str(c): object for c in log.events if isinstance(log.events[c].dtype, pd.CategoricalDtype)})
    k = np.arange(rows)
    k[::3] = 0  # a third of the rows are alike, so that a single cell of each table is full
    names = events["event"].unique()
    own = pd.DataFrame({
        "user_id": odd, "event": np.append(names, f"{ODD} event")[k % (len(names) + 1)],
        "timestamp": pd.to_datetime(np.linspace(0, 4e12, rows).astype(np.int64), unit="ms", utc=True),
    })
    own.loc[: rows // 2, "timestamp"] = pd.to_datetime(
        np.linspace(*(t.value / 1e6 for t in log.span), rows // 2 + 1).astype(np.int64), unit="ms", utc=True)
    for column in events.columns.difference(["event_id", *own.columns]):
        if pd.api.types.is_numeric_dtype(events[column]):
            own[column] = np.where(k % 2, 1e9, events[column].dropna().iloc[k % events[column].notna().sum()])
        else:
            values = np.append(events[column].dropna().unique()[:2_000], f"{ODD} {column}")
            own[column] = values[k % len(values)]
    both = pd.concat([events.assign(_old=events["event_id"]), own.assign(_old=-1)], ignore_index=True)
    both = sort_events(tidy(both.drop(columns="event_id"))).reset_index(drop=True)
    both.insert(0, "event_id", np.arange(len(both), dtype=np.int64))
    old = both["_old"].astype(np.int64)
    number = pd.Series(both["event_id"].to_numpy(), index=old.to_numpy())
    labels = None
    if log.labels is not None:
        mine = both.loc[old == -1].iloc[-rows // 10:]
        theirs = log.labels.assign(event_id=log.labels["event_id"].map(number[number.index >= 0]))
        labels = pd.concat([theirs, *(pd.DataFrame({
            "event_id": mine["event_id"], "kind": kind, "value": 1.0, "known_at": mine["timestamp"] + pd.Timedelta(days=900),
        }) for kind in ("fraud", f"{ODD} kind"))], ignore_index=True)
    users = log.users
    if users is not None:
        row = {c: f"{ODD} {c}" if users[c].dtype == object else 1e9 for c in users.columns}
        users = pd.concat([users, pd.DataFrame([row | {"user_id": odd}])], ignore_index=True)
    roles = {**log.manifest.get("roles", {}), f"{ODD} event": "cart"}
    return EventLog(events=both.drop(columns="_old"), users=users, labels=labels, items=log.items,
                    manifest={**log.manifest, "roles": roles})
