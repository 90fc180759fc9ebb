"""What a typology of abuse is: whom it uses, how it hides, what it wants. One file each in
`typologies/`, found by its name.

An attack is a session on an account. Most are played by the engine that plays every shopper, with
other goals (`brief`); what needs no browsing (a fake review, a claim, a crawl) writes its own rows
(`act`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.behaviour.sessions import BehaviourOverrides, Browser, Visits
from simulator.behaviour.shoppers import Population
from simulator.scenario import Scenario
from simulator.world.catalogue import World

if TYPE_CHECKING:  # the till imports the engine's parts; an attack only asks it what an order held
    from simulator.behaviour.checkout import OrderIndex

__all__ = ["Attacks", "FraudContext", "Typology", "Visits"]


@dataclass
class Attacks:
    """Planned sessions of fraudsters as a struct of arrays: row a is attack number a. All (n,)."""

    time: np.ndarray  # float64 seconds
    typology: np.ndarray  # int8 index into fraud.NAMES
    user: np.ndarray  # int64, the account that it runs on
    ring: np.ndarray  # int32
    device: np.ndarray  # int64, -1 = one of the account's own
    country: np.ndarray  # int8, -1 = the account's own
    card: np.ndarray  # int64, -1 = one stored in the account
    # int64, what it is about: item of a review, order of a claim, views of a crawl; -1 = nothing
    ref: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: np.ndarray) -> Attacks:
        """The attacks `rows` (m,), by number or by mask."""
        return Attacks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def concatenate(cls, parts: list[Attacks]) -> Attacks:
        """All attacks of `parts` in their order."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )

    @classmethod
    def none(cls) -> Attacks:
        """No attacks, of the right types."""
        return cls(
            np.zeros(0),
            np.zeros(0, np.int8),
            np.zeros(0, np.int64),
            np.zeros(0, np.int32),
            np.zeros(0, np.int64),
            np.zeros(0, np.int8),
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
        )

    def pad(self, n: int) -> Attacks:
        """`n` more attacks of which nothing is known yet."""
        return Attacks(
            **{
                f.name: np.append(
                    getattr(self, f.name), np.full(n, -1, getattr(self, f.name).dtype)
                )
                for f in fields(self)
            }
        )


@dataclass(frozen=True)
class FraudContext:
    """What every typology may look at while it plans."""

    scenario: Scenario
    world: World
    population: Population
    resale: np.ndarray  # (k,) int64 categories whose goods sell well second-hand: the dearer half
    targets: np.ndarray  # (n_rings, k) int32 items that each ring is paid to praise
    rng: np.random.Generator

    @property
    def mimicry(self) -> float:
        """The scenario's dial: 0 = blatant, 1 = as a shopper would."""
        return self.scenario.fraud.mimicry


class Typology(ABC):
    """A way to defraud the shop: which account, with what in hand, after what."""

    name: str  # its file's name, set when it is loaded
    label: str = "fraud"  # kind under which the shop labels it (see labels.KINDS)
    # what its share is of: "payment" (a weight within fraud.share), "orders", "reviews" or "rows"
    of: str = "payment"
    share: float = 0.0  # where the scenario's fraud section has no key of its name
    victim: bool = False  # it runs on an honest customer's account
    once: bool = False  # an account serves it once
    # sd over accounts of the log of how often each serves it; large = serial offenders
    habit: float = 0.0
    ring_habit: float = 0.0  # the same over rings; large = a few rings do most of it
    card_reuse: float = 0.3  # probability that the ring's last card is used again
    browses: bool = True  # its sessions are played by the shoppers' engine

    @abstractmethod
    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """(k,) int64 accounts that it can run on at `now`; `served` (n_users,) bool marks those
        that it ran on before.
        """

    @abstractmethod
    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Probabilities to use the account's own device, its own country, and a card stored in
        it.
        """

    def about(self, crime: FraudContext, attacks: Attacks) -> np.ndarray:
        """(n,) int64 `ref` of planned attacks."""
        return np.full(len(attacks), -1, dtype=np.int64)

    def brief(  # noqa: B027 - what does not browse has nothing to change
        self, crime: FraudContext, goals: BehaviourOverrides, who: np.ndarray
    ) -> None:
        """Change the goals of sessions `who` (m,)."""

    def claims(self, crime: FraudContext, time: np.ndarray) -> np.ndarray:
        """(k,) float64 when each order, placed at `time` (k,), is followed by an attack of its own
        (`ref` is the order); inf = never.
        """
        return np.full(len(time), np.inf)

    def act(
        self,
        crime: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        till: OrderIndex,
    ) -> np.ndarray:
        """Write the rows of sessions that need no browsing; `session` (n,) are their numbers. (n,)
        float64 when each ends.
        """
        raise NotImplementedError(f"{self.name} has no sessions without browsing.")


def accounts_of_rings(population: Population) -> np.ndarray:
    """(k,) accounts of rings that have been used at least once."""
    return np.flatnonzero(
        (population.ring >= 0) & population.alive & np.isfinite(population.last_end)
    )


def go_shopping(goals: BehaviourOverrides, who: np.ndarray, **wishes: Any) -> None:
    """Set goals of sessions `who` (m,) to buy: `cart` and `begin` raised so that most of them do;
    other goals as given.
    """
    goals.cart[who] += wishes.pop("cart", 2.6)
    goals.begin[who] += wishes.pop("begin", 2.5)
    for name, value in wishes.items():
        getattr(goals, name)[who] = value


def wanted(crime: FraudContext, n: int, share: float) -> np.ndarray:
    """(n,) category of each session: one that resells well with probability `share`, less the
    better the mimicry; else -1.
    """
    wants = crime.rng.random(n) < share * (1 - 0.5 * crime.mimicry)
    return np.where(wants, crime.rng.choice(crime.resale, n), -1)
