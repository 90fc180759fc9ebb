"""Fraudsters: rings of accounts, and the attacks that they plan.

What each typology wants is in its file in `typologies/`. The number of attacks follows what honest
shoppers do, so that the share of each kind is what the scenario says at any size. With `mimicry`
near 1 a fraudster uses the account's own device and country, browses like a shopper and buys at
ordinary prices; near 0 they do nothing to hide. Either way, only the combination of traces gives
them away.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from eventlog._runtime.plugins import load, names
from simulator.behaviour.browser import Browser
from simulator.behaviour.checkout import REVIEW_DAYS, REVIEW_SHIFT, REVIEW_SIGMA
from simulator.behaviour.order_index import OrderIndex
from simulator.behaviour.overrides import BehaviourOverrides, Visits
from simulator.behaviour.shoppers import CHANNELS, COUNTRY_SHARE, Population
from simulator.fraud.base import Attacks, FraudContext, Typology
from simulator.scenario import Scenario
from simulator.sections import Fraud
from simulator.world.catalogue import DAY, World

ATTACK = 100  # kind of a scheduled event
FOLDER = "simulator.typologies"
NAMES = tuple(names(FOLDER))
TARGETS = 3  # items that a ring is paid to praise
ROWS_PER_SESSION = 3.2  # of honest sessions in the default shop; only scales what bots ask for
REVIEWS_DONE = 0.8  # share of the due reviews whose author has not left meanwhile


def _load(name: str) -> Typology:
    typology = load(FOLDER, name, Typology, kind="typology")()
    typology.name = name
    return typology


TYPOLOGIES: tuple[Typology, ...] = tuple(_load(name) for name in NAMES)
# (n_typologies,) bool: a fraud in the narrow sense
PAYMENT = np.array([t.of == "payment" for t in TYPOLOGIES])
VICTIM = np.array([t.victim for t in TYPOLOGIES])  # (n_typologies,) bool
BROWSES = np.array([t.browses for t in TYPOLOGIES])  # (n_typologies,) bool


def shares(setting: Fraud) -> np.ndarray:
    """Return (n_typologies,) float64 share that each typology is to have of what it is `of`.

    That is orders (for payment fraud too), reviews or rows.
    """
    value = np.array([float(getattr(setting, t.name, t.share)) for t in TYPOLOGIES])
    weight = value[PAYMENT] if value[PAYMENT].sum() > 0 else np.ones(int(PAYMENT.sum()))
    value[PAYMENT] = setting.share * weight / weight.sum()
    return value


class Planned(NamedTuple):
    """An attack as the engine needs to know it."""

    time: float
    user: int
    number: int


class Fraudsters:
    """The rings of one shard: who they are, what they plan, what they do."""

    def __init__(
        self, scenario: Scenario, world: World, population: Population, rng: np.random.Generator
    ) -> None:
        self.setting: Fraud = scenario.fraud
        self.population, self.rng = population, rng
        self.share = shares(self.setting)
        n = round(self.setting.accounts * len(population)) if self.share.any() else 0
        accounts = rng.permutation(len(population))[:n]
        self.n_rings = max(1, -(-n // self.setting.ring_size))
        population.ring[accounts] = np.arange(n) % self.n_rings
        self.country = rng.integers(0, len(COUNTRY_SHARE), self.n_rings)
        self.device = population.n_devices + np.arange(self.n_rings)  # current one of each ring
        population.n_devices += self.n_rings
        self.card = np.full(self.n_rings, -1, dtype=np.int64)  # current one, -1 = none yet
        level = np.bincount(world.category, world.log_price) / np.bincount(world.category)
        # a client who pays for praise pays several rings
        clients = rng.integers(0, world.n_items, max(8, self.n_rings))
        targets = clients[rng.integers(0, len(clients), (self.n_rings, TARGETS))].astype(np.int32)
        self.context = FraudContext(
            scenario, world, population, np.flatnonzero(level >= np.median(level)), targets, rng
        )
        habit = np.array([t.habit for t in TYPOLOGIES], dtype=np.float32)
        self.habit = np.exp(
            habit[:, None]
            * rng.standard_normal((len(TYPOLOGIES), len(population)), dtype=np.float32)
        )
        ring_habit = np.array([t.ring_habit for t in TYPOLOGIES])
        self.activity = np.exp(
            ring_habit[:, None] * rng.standard_normal((len(TYPOLOGIES), self.n_rings))
        )
        self.served = np.zeros((len(TYPOLOGIES), len(population)), dtype=bool)
        # Fraudsters work at night more often, less so with higher mimicry.
        hours = np.ones(24)
        hours[[0, 1, 2, 3, 22, 23]] = 1.5 - 0.5 * self.setting.mimicry
        hours = self.setting.mimicry * world.hour_weight[0] + (1 - self.setting.mimicry) * hours
        self.hours = hours / hours.sum()
        self.attacks = Attacks.none()
        self.honest_by_day = np.zeros(world.days + 1)  # orders
        self.honest_sessions = 0
        # orders, reviews or rows of each typology so far
        self.done = np.zeros(len(TYPOLOGIES))
        self._counted = 0

    # --- planning ---------------------------------------------------------------------------------

    def plan(self, day: int, orders: list[dict[str, np.ndarray]]) -> list[Planned]:
        """Plan the attacks of a day: as many as keep each typology's share at its target.

        `orders`: the tables of `OrderIndex`, one for each past day.
        """
        self._count(orders)
        if not self.share.any():
            return []
        kinds = np.repeat(np.arange(len(TYPOLOGIES)), self.rng.poisson(self._missing(day)))
        planned = [self._plan(int(k), int((kinds == k).sum()), day) for k in np.unique(kinds)]
        return self._number(planned)

    def _count(self, orders: list[dict[str, np.ndarray]]) -> None:
        """Count the honest orders by day and the attacks that led to an order."""
        for table in orders[self._counted :]:
            kind = table["typology"]
            found = np.bincount(kind[kind >= 0], minlength=len(TYPOLOGIES))
            self.done += np.where(BROWSES, found, 0)
            day = np.minimum(table["time"][kind < 0] / DAY, len(self.honest_by_day) - 1).astype(
                np.int64
            )
            self.honest_by_day += np.bincount(day, minlength=len(self.honest_by_day))
        self._counted = len(orders)

    def _missing(self, day: int) -> np.ndarray:
        """(n_typologies,) float64: attacks that are missing.

        Honest orders are counted; honest reviews and rows are expected values.
        """
        of = np.array([t.of for t in TYPOLOGIES])
        orders = (of == "orders") | (of == "payment")
        age = day + 0.5 - np.arange(len(self.honest_by_day))  # days since each day's orders
        with np.errstate(divide="ignore"):
            due = ndtr(np.log(np.maximum(age - REVIEW_SHIFT, 0) / REVIEW_DAYS) / REVIEW_SIGMA)
        reviews = (
            self.context.scenario.checkout.review * REVIEWS_DONE * float(due @ self.honest_by_day)
        )
        honest = np.select(
            [orders, of == "reviews"],
            [self.honest_by_day.sum(), reviews],
            ROWS_PER_SESSION * self.honest_sessions,
        )
        # the share that is honest
        rest = np.where(orders, 1 - self.share[orders].sum(), 1 - self.share)
        missing = np.maximum(self.share / np.maximum(rest, 0.05) * honest - self.done, 0.0)
        size = np.array([self._size(t) for t in TYPOLOGIES])
        return missing / size  # type: ignore[no-any-return]

    def _size(self, typology: Typology) -> float:
        """Mean of what an attack adds to its count: the views of a crawl, otherwise one."""
        if typology.of != "rows":
            return 1.0
        return float(np.mean(typology.about(self.context, Attacks.none().pad(256))))

    def _plan(self, kind: int, n: int, day: int) -> Attacks:
        """Up to `n` attacks of one kind: when, on whose account, with what equipment."""
        typology, rng, population = TYPOLOGIES[kind], self.rng, self.population
        candidates = typology.candidates(self.context, day * DAY, self.served[kind])
        n = min(n, len(candidates)) if typology.once else n * (len(candidates) > 0)
        if n == 0:
            return Attacks.none()
        activity = self.activity[kind]
        mine = population.ring[candidates]
        weight = self.habit[kind, candidates] * np.where(mine >= 0, activity[mine], activity.mean())
        user = rng.choice(candidates, n, replace=not typology.once, p=weight / weight.sum())
        time = day * DAY + (rng.choice(24, n, p=self.hours) + rng.random(n)) * 3_600
        order = np.argsort(time, kind="stable")
        time, user = time[order], user[order]
        whose = rng.choice(self.n_rings, n, p=activity / activity.sum())
        ring = np.where(population.ring[user] >= 0, population.ring[user], whose).astype(np.int32)
        if not typology.victim:
            population.ring[user] = ring  # an account of no ring joins the one that uses it
        self.served[kind, user] = True
        own_device, own_country, own_card = typology.disguise(self.setting.mimicry)
        # A ring changes its device now and then, and goes on with the new one; likewise its card.
        device, population.n_devices = _renewed(
            self.device,
            ring,
            rng.random(n) < 0.1 + 0.4 * self.setting.mimicry,
            population.n_devices,
        )
        fresh = (rng.random(n) >= typology.card_reuse) | _first_without(self.card, ring)
        card, population.n_cards = _renewed(self.card, ring, fresh, population.n_cards)
        u = rng.random((3, n))
        planned = Attacks(
            time=time,
            typology=np.full(n, kind, dtype=np.int8),
            user=user,
            ring=ring,
            device=np.where(u[0] < own_device, -1, device),
            country=np.where(u[1] < own_country, -1, self.country[ring]).astype(np.int8),
            card=np.where(u[2] < own_card, -1, card),
            reference=np.full(n, -1, dtype=np.int64),
        )
        planned.reference = typology.about(self.context, planned)
        if not BROWSES[kind]:
            self.done[kind] += planned.reference.sum() if typology.of == "rows" else n
        return planned

    def _number(self, planned: list[Attacks]) -> list[Planned]:
        """Add the attacks to `self.attacks`, where their places are their numbers."""
        first = len(self.attacks)
        self.attacks = Attacks.concatenate([self.attacks, *planned])
        time, user = self.attacks.time[first:].tolist(), self.attacks.user[first:].tolist()
        return [Planned(*a) for a in zip(time, user, range(first, first + len(time)), strict=True)]

    # --- acting -----------------------------------------------------------------------------------

    def brief(self, visits: Visits, overrides: BehaviourOverrides, attack: np.ndarray) -> None:
        """Give sessions their equipment and their behaviour, in place.

        `attack`: (n,) number of each session's attack, -1 = none.
        """
        row = np.flatnonzero(attack >= 0)
        self.honest_sessions += len(attack) - len(row)
        a = self.attacks.take(attack[row])
        visits.typology[row], visits.ring[row], visits.device[row] = a.typology, a.ring, a.device
        visits.country[row], visits.card[row] = a.country, a.card
        for kind in np.unique(a.typology).tolist():
            TYPOLOGIES[kind].brief(self.context, overrides, row[a.typology == kind])

    def needs_no_browsing(self, attack: np.ndarray) -> np.ndarray:
        """Return (n,) bool: which attacks, by number (n,), `act` plays; -1 is none."""
        if not len(self.attacks):
            return np.zeros(len(attack), dtype=bool)
        acts = ~BROWSES[self.attacks.typology[attack]] | (self.attacks.reference[attack] >= 0)
        return (attack >= 0) & acts  # type: ignore[no-any-return]

    def act(
        self, attack: np.ndarray, start: np.ndarray, browser: Browser, order_index: OrderIndex
    ) -> None:
        """Play the sessions of attacks that need no browsing.

        `attack`: (n,) numbers; `start`: (n,) seconds.
        """
        a = self.attacks.take(attack)
        # bots come by links as everybody does, the others type the address
        crawls = np.array([t.of == "rows" for t in TYPOLOGIES])[a.typology]
        channel = np.where(
            crawls & (self.rng.random(len(a)) < 0.5), self.rng.integers(1, len(CHANNELS), len(a)), 0
        ).astype(np.int8)
        session = browser.service_sessions(
            a.user,
            channel=channel,
            typology=a.typology,
            ring=a.ring,
            device=a.device,
            country=a.country,
        )
        for kind in np.unique(a.typology).tolist():
            who = np.flatnonzero(a.typology == kind)
            end = TYPOLOGIES[kind].act(
                self.context, a.take(who), start[who], session[who], browser, order_index
            )
            self.population.last_end[a.user[who]] = end

    def claims(
        self, visits: Visits, who: np.ndarray, order: np.ndarray, time: np.ndarray
    ) -> list[Planned]:
        """Return the claims that follow orders (k,) of sessions `who` (k,), placed at `time`."""
        found: list[Attacks] = []
        for kind in np.unique(visits.typology[who][visits.typology[who] >= 0]).tolist():
            mine = np.flatnonzero(visits.typology[who] == kind)
            at = TYPOLOGIES[kind].claims(self.context, time[mine])
            mine, at = mine[np.isfinite(at)], at[np.isfinite(at)]
            row = who[mine]
            none = np.full(len(mine), -1, dtype=np.int64)
            found.append(
                Attacks(
                    time=at,
                    typology=visits.typology[row],
                    user=visits.user[row],
                    ring=visits.ring[row],
                    device=none,
                    country=none.astype(np.int8),
                    card=none,
                    reference=order[mine].astype(np.int64),
                )
            )
        return self._number(found) if found else []


def _renewed(
    now: np.ndarray, ring: np.ndarray, fresh: np.ndarray, free: int
) -> tuple[np.ndarray, int]:
    """(n,) int64 code that each ring uses at each attack, and the next free code.

    `now` (n_rings,): the code that each ring uses so far, changed in place. `fresh` (n,): attacks,
    in the order of time, at which the ring takes a new code, counted from `free`.
    """
    code = np.where(fresh, free + np.cumsum(fresh) - 1, -1)
    order = np.argsort(ring, kind="stable")  # by ring, then time
    first = np.append(True, ring[order][1:] != ring[order][:-1])
    # Codes rise with time, so within a ring the latest one is the running maximum of (ring, code).
    span = free + len(ring) + 2
    key = (
        ring[order].astype(np.int64) * span
        + np.where(fresh[order], code[order], np.where(first, now[ring[order]], -1))
        + 1
    )
    used = np.maximum.accumulate(key) % span - 1
    now[ring[order]] = used
    out = np.empty(len(ring), dtype=np.int64)
    out[order] = used
    return out, free + int(fresh.sum())


def _first_without(now: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """(n,) bool: the first attack of a ring that has nothing yet (`now` is -1)."""
    first = np.zeros(len(ring), dtype=bool)
    first[np.unique(ring, return_index=True)[1]] = True
    return first & (now[ring] < 0)
