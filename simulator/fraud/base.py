"""What a typology of abuse is: whom it uses, how it hides, what it wants.

An attack is a session on an account. Most attacks are played by the code that plays every shopper,
with other goals (`brief`); what needs no browsing (a fake review, a claim, a crawl) writes its own
rows (`act`). A new typology is one new file in `typologies/`; the file's name is its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from simulator.behaviour.browser import Browser
from simulator.behaviour.order_index import OrderIndex
from simulator.behaviour.overrides import BehaviourOverrides, Visits
from simulator.behaviour.shoppers import Population
from simulator.scenario import Scenario
from simulator.world.catalogue import World

__all__ = ["Attacks", "FraudContext", "Typology", "Visits"]


@dataclass
class Attacks:
    """Planned sessions of fraudsters as a struct of arrays: row a is attack number a. All (n,)."""

    time: np.ndarray  # float64 seconds
    typology: np.ndarray  # int8 index into fraudsters.NAMES
    user: np.ndarray  # int64, the account that it runs on
    ring: np.ndarray  # int32
    device: np.ndarray  # int64, -1 = one of the account's own
    country: np.ndarray  # int8, -1 = the account's own
    card: np.ndarray  # int64, -1 = one stored in the account
    key: np.ndarray  # uint64, of the session's draws
    # int64, what it is about: item of a review, order of a claim, views of a crawl; -1 = nothing
    reference: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: np.ndarray | slice) -> Attacks:
        """Return the attacks `rows` (m,), by number or by mask; of a slice, views."""
        return Attacks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def none(cls) -> Attacks:
        """Return no attacks, with the right types."""
        return cls(
            time=np.zeros(0),
            typology=np.zeros(0, np.int8),
            user=np.zeros(0, np.int64),
            ring=np.zeros(0, np.int32),
            device=np.zeros(0, np.int64),
            country=np.zeros(0, np.int8),
            card=np.zeros(0, np.int64),
            key=np.zeros(0, np.uint64),
            reference=np.zeros(0, np.int64),
        )

    def pad(self, n: int) -> Attacks:
        """Return these and `n` more attacks of which nothing is known yet (-1)."""

        def padded(values: np.ndarray) -> np.ndarray:
            return np.append(values, np.full(n, -1).astype(values.dtype))

        return Attacks(**{f.name: padded(getattr(self, f.name)) for f in fields(self)})


class AttackHistory:
    """All attacks that were planned, by their numbers; its arrays grow by doubling."""

    def __init__(self) -> None:
        self._room, self._n = Attacks.none(), 0

    def __len__(self) -> int:
        return self._n

    @property
    def written(self) -> Attacks:
        """The attacks so far, as views."""
        return self._room.take(slice(self._n))

    def extend(self, parts: list[Attacks]) -> np.ndarray:
        """Add the attacks of `parts`, and return (n,) int64 their numbers."""
        first, n = self._n, sum(map(len, parts))
        if first + n > len(self._room):
            self._room = self._room.pad(max(len(self._room), n))
        for part in parts:
            place = slice(self._n, self._n + len(part))
            for f in fields(Attacks):
                getattr(self._room, f.name)[place] = getattr(part, f.name)
            self._n += len(part)
        return np.arange(first, self._n)


@dataclass(frozen=True)
class FraudContext:
    """What a typology may look at while it plans; `rng` is its own."""

    scenario: Scenario
    world: World
    population: Population
    # (k,) int64 categories whose goods sell well second-hand: the more expensive half
    resale: np.ndarray
    targets: np.ndarray  # (n_rings, k) int32 items that each ring is paid to praise
    rng: np.random.Generator

    @property
    def mimicry(self) -> float:
        """How well fraudsters hide: 0 = blatant, 1 = as a shopper would behave."""
        return self.scenario.fraud.mimicry

    def mixed(self, blatant: float, honest: float) -> float:
        """Return what lies between blatant and honest behaviour, as far as mimicry goes."""
        return (1 - self.mimicry) * blatant + self.mimicry * honest


class Typology(ABC):
    """A way to defraud the shop: on which account, with what equipment, to what end."""

    name: str  # its file's name, set when it is loaded
    label: str = "fraud"  # kind under which the shop labels it (see labels.KINDS)
    # what its share is of: "payment" (a weight within fraud.share), "orders", "reviews" or "rows"
    of: str = "payment"
    share: float = 0.0  # where the scenario's fraud section has no key of its name
    victim: bool = False  # it runs on an honest customer's account
    once: bool = False  # it uses each account once
    # sd over accounts of the log of how often it uses each; large = serial offenders
    habit: float = 0.0
    ring_habit: float = 0.0  # the same over rings; large = a few rings commit most of it
    card_reuse: float = 0.3  # probability that the ring's last card is used again
    browses: bool = True  # its sessions are played by the shoppers' code

    @abstractmethod
    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Return the probabilities to use the account's own device, country and stored card."""

    def candidates(self, context: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Return (k,) int64 accounts that it can run on at `now` (seconds): those of rings.

        `served` (n_users,) bool marks those that it ran on before.
        """
        return accounts_of_rings(context.population)

    def about(self, context: FraudContext, attacks: Attacks) -> np.ndarray:
        """Return (n,) int64 `reference` of planned attacks."""
        return np.full(len(attacks), -1, dtype=np.int64)

    def brief(  # noqa: B027 - what does not browse has nothing to change
        self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray
    ) -> None:
        """Change the behaviour of sessions `who` (m,) in place."""

    def claims(self, context: FraudContext, time: np.ndarray) -> np.ndarray:
        """Return (k,) float64 when each order leads to an attack of its own, inf = never.

        `time`: (k,) when the orders were placed. The `reference` of that attack is the order.
        """
        return np.full(len(time), np.inf)

    def act(
        self,
        context: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        order_index: OrderIndex,
    ) -> np.ndarray:
        """Write the rows of n sessions that need no browsing.

        Args:
            context: what may be looked at.
            attacks: n attacks.
            start: (n,) float64 seconds.
            session: (n,) int32 numbers of the sessions.
            browser: the shop today, and the buffer of the log's rows.
            order_index: what earlier orders held.

        Returns:
            (n,) float64 when each session ends.
        """
        raise NotImplementedError(f"{self.name} has no sessions without browsing.")


def accounts_of_rings(population: Population) -> np.ndarray:
    """Return (k,) accounts of rings that have been used; on the first day, those of old."""
    theirs = np.flatnonzero(population.ring >= 0)
    theirs = theirs[population.alive[theirs]]
    used = np.isfinite(population.last_end[theirs])
    return theirs[used if used.any() else population.born[theirs] < 0]


def go_shopping(overrides: BehaviourOverrides, who: np.ndarray, **given: Any) -> None:
    """Make sessions `who` (m,) buy: they go on until something is in the cart, and order it.

    `given`: field of BehaviourOverrides -> value; a `cart_shift` or `checkout_shift` replaces the
    usual rise.
    """
    overrides.cart_shift[who] += given.pop("cart_shift", 4.0)
    overrides.checkout_shift[who] += given.pop("checkout_shift", 4.5)
    overrides.came_to_buy[who] = True
    for name, value in given.items():
        getattr(overrides, name)[who] = value


def wanted(context: FraudContext, n: int, share: float) -> np.ndarray:
    """Return (n,) category that each session must be about, -1 = the account's own choice.

    A category that resells well has probability `share`, less with better mimicry.
    """
    wants = context.rng.random(n) < share * (1 - 0.5 * context.mimicry)
    return np.where(wants, context.rng.choice(context.resale, n), -1)
