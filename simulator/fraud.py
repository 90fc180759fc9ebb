"""Fraudsters: one class a typology. They shop with the same engine as everybody, with other goals, devices and cards.

The number of attacks follows the honest orders, so that the share of fraud is what the scenario says at any size.
With `mimicry` near 1 a fraudster uses the account's own device and country, browses like a shopper and buys at
ordinary prices; near 0 he does nothing to hide. Either way only the combination of traces gives him away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from .scenario import Fraud, Scenario
from .sessions import Goals, Visits
from .shoppers import COUNTRY_SHARE, Population
from .world import DAY, World

ATTACK = 100  # a note's kind
STOLEN_CARD, ACCOUNT_TAKEOVER, CARD_TESTING = range(3)


@dataclass(frozen=True)
class Attack:
    """One session of a fraudster, planned."""

    number: int
    time: float
    typology: int
    user: int      # the account that it runs on
    ring: int
    device: int    # -1 = the account's own
    country: int   # -1 = the account's own
    card: int      # -1 = one stored in the account


class Typology(ABC):
    """A way to defraud the shop: which account, with what in hand, after what goods."""

    name: str

    @abstractmethod
    def candidates(self, population: Population, now: float) -> np.ndarray:
        """(k,) int64 accounts that such an attack can run on."""

    @abstractmethod
    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Probabilities to use the account's own device, its own country, and a card stored in it."""

    @abstractmethod
    def brief(self, goals: Goals, who: np.ndarray, resale: np.ndarray, mimicry: float, rng: np.random.Generator) -> None:
        """Change the goals of sessions `who` (m,); `resale` holds the categories that sell well second-hand."""


class StolenCard(Typology):
    """Buys goods that resell well with somebody else's card, from an account of the ring's own, new or aged."""

    name = "stolen_card"

    def candidates(self, population: Population, now: float) -> np.ndarray:
        """Accounts of rings, once they have been used at least once."""
        return np.flatnonzero((population.ring >= 0) & population.alive & np.isfinite(population.last_end))

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """A careful thief keeps to the account's device; the card is always another's."""
        return 0.15 + 0.6 * mimicry, 0.4 + 0.55 * mimicry, 0.0

    def brief(self, goals: Goals, who: np.ndarray, resale: np.ndarray, mimicry: float, rng: np.random.Generator) -> None:
        """Price is no object; few looks, straight to the till."""
        goals.price[who] *= mimicry - 0.35 * (1 - mimicry)
        goals.leave[who] += 0.8 * (1 - mimicry)
        goals.cart[who] += 2.6
        goals.begin[who] += 2.5
        goals.fail[who], goals.attempts[who] = 0.16, 3
        goals.own_taste[who] = 0.5
        wants = rng.random(len(who)) < 0.8 * (1 - 0.5 * mimicry)
        goals.category[who] = np.where(wants, rng.choice(resale, len(who)), -1)


class AccountTakeover(Typology):
    """Logs into a customer's account and buys with what is stored there."""

    name = "account_takeover"

    def candidates(self, population: Population, now: float) -> np.ndarray:
        """Customers who have bought before, so that a card is stored."""
        return np.flatnonzero((population.ring < 0) & population.alive & (population.orders > 0))

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """The victim's device is out of reach; its country can be had from a proxy."""
        return 0.0, 0.4 + 0.55 * mimicry, 0.7

    def brief(self, goals: Goals, who: np.ndarray, resale: np.ndarray, mimicry: float, rng: np.random.Generator) -> None:
        """Quick, and after other things than the victim likes."""
        goals.price[who] *= mimicry - 0.2 * (1 - mimicry)
        goals.leave[who] += 1.0 * (1 - mimicry)
        goals.cart[who] += 2.6
        goals.begin[who] += 2.5
        goals.fail[who], goals.attempts[who] = 0.07, 2
        goals.own_taste[who] = 0.2
        wants = rng.random(len(who)) < 0.7 * (1 - 0.5 * mimicry)
        goals.category[who] = np.where(wants, rng.choice(resale, len(who)), -1)


class CardTesting(Typology):
    """Tries out card numbers with small orders until one is accepted."""

    name = "card_testing"

    def candidates(self, population: Population, now: float) -> np.ndarray:
        """Accounts of rings, once they have been used at least once."""
        return np.flatnonzero((population.ring >= 0) & population.alive & np.isfinite(population.last_end))

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Scripted from the ring's devices, more or less well hidden."""
        return 0.3 * mimicry, 0.4 + 0.55 * mimicry, 0.0

    def brief(self, goals: Goals, who: np.ndarray, resale: np.ndarray, mimicry: float, rng: np.random.Generator) -> None:
        """Something cheap, then card after card."""
        goals.price[who] += 1.2 * (1 - mimicry)
        goals.leave[who] += 0.8 * (1 - mimicry)
        goals.cart[who] += 3.0
        goals.begin[who] += 3.0
        goals.fail[who], goals.attempts[who] = 0.6, 6
        goals.own_taste[who] = 0.4


TYPOLOGIES: tuple[Typology, ...] = (StolenCard(), AccountTakeover(), CardTesting())  # in the order of the constants above
NAMES = tuple(t.name for t in TYPOLOGIES)


class Fraudsters:
    """The rings of one shard: who they are and what they plan."""

    def __init__(self, scenario: Scenario, world: World, population: Population, rng: np.random.Generator) -> None:
        self.setting: Fraud = scenario.fraud
        self.population, self.rng = population, rng
        n = round(self.setting.accounts * len(population)) if self.setting.share > 0 else 0
        accounts = rng.permutation(len(population))[:n]
        self.n_rings = max(1, -(-n // self.setting.ring_size))
        population.ring[accounts] = np.arange(n) % self.n_rings
        self.country = rng.choice(len(COUNTRY_SHARE), self.n_rings, p=np.full(len(COUNTRY_SHARE), 1 / len(COUNTRY_SHARE)))
        self.device = population.n_devices + np.arange(self.n_rings)
        population.n_devices += self.n_rings
        self.card = np.full(self.n_rings, -1, dtype=np.int64)
        # Goods that resell well: the dearer half of the categories.
        level = np.bincount(world.category, world.log_price) / np.bincount(world.category)
        self.resale = np.flatnonzero(level >= np.median(level))
        self.attacks: list[Attack] = []
        weights = np.array([getattr(self.setting, name) for name in NAMES])
        self.weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(NAMES), 1 / len(NAMES))
        # Night owls, but most of the day is theirs too.
        hours = np.ones(24)
        hours[[0, 1, 2, 3, 22, 23]] = 1.5 - 0.5 * self.setting.mimicry
        hours = self.setting.mimicry * world.hour_weight + (1 - self.setting.mimicry) * hours
        self.hours = hours / hours.sum()
        self.honest = self.fraudulent = 0
        self._counted = 0

    def plan(self, day: int, orders: list[dict[str, np.ndarray]]) -> list[Attack]:
        """The attacks of a day: as many as keep the share of fraud among the orders so far at its target."""
        for table in orders[self._counted:]:
            self.fraudulent += int((table["typology"] >= 0).sum())
            self.honest += int((table["typology"] < 0).sum())
        self._counted = len(orders)
        if self.setting.share == 0:
            return []
        missing = self.setting.share / (1 - self.setting.share) * self.honest - self.fraudulent
        planned: list[Attack] = []
        rng, population = self.rng, self.population
        for kind in rng.choice(len(NAMES), rng.poisson(max(missing, 0.0)), p=self.weights).tolist():
            time = day * DAY + (int(rng.choice(24, p=self.hours)) + float(rng.random())) * 3_600
            candidates = TYPOLOGIES[kind].candidates(population, time)
            if len(candidates) == 0:
                continue
            user = int(rng.choice(candidates))
            ring = int(population.ring[user]) if population.ring[user] >= 0 else int(rng.integers(self.n_rings))
            planned.append(self._equip(kind, user, ring, time))
        return planned

    def _equip(self, kind: int, user: int, ring: int, time: float) -> Attack:
        rng, population = self.rng, self.population
        own_device, own_country, own_card = TYPOLOGIES[kind].disguise(self.setting.mimicry)
        if rng.random() < 0.1 + 0.4 * self.setting.mimicry:  # a new fingerprint; the ring goes on with it
            self.device[ring] = population.n_devices
            population.n_devices += 1
        if self.card[ring] < 0 or rng.random() < 0.7:        # some cards are used more than once
            self.card[ring] = population.n_cards
            population.n_cards += 1
        u = rng.random(3)
        attack = Attack(
            number=len(self.attacks), time=time, typology=kind, user=user, ring=ring,
            device=-1 if u[0] < own_device else int(self.device[ring]), country=-1 if u[1] < own_country else int(self.country[ring]),
            card=-1 if u[2] < own_card else int(self.card[ring]),
        )
        self.attacks.append(attack)
        return attack

    def brief(self, visits: Visits, goals: Goals, attack: np.ndarray) -> None:
        """Give the sessions that are attacks (`attack` (n,) number, -1 = none) their equipment and their goals."""
        for row in np.flatnonzero(attack >= 0).tolist():
            a = self.attacks[int(attack[row])]
            visits.typology[row], visits.ring[row], visits.device[row] = a.typology, a.ring, a.device
            visits.country[row], visits.card[row] = a.country, a.card
        for kind, typology in enumerate(TYPOLOGIES):
            who = np.flatnonzero(visits.typology == kind)
            if len(who):
                typology.brief(goals, who, self.resale, self.setting.mimicry, self.rng)
