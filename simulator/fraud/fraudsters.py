"""Fraudsters: rings of accounts, and the attacks that they plan.

What each typology wants is in its file in `typologies/`. The number of attacks follows what honest
shoppers do, so that the share of each kind is what the scenario says at any size and length. Each
typology draws from a stream of its own, so that one more of them changes no log in which it has no
share. With `mimicry`
near 1 a fraudster uses the account's own device and country, browses like a shopper and buys at
ordinary prices; near 0 they do nothing to hide. Either way, only the combination of traces gives
them away.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from eventlog._runtime.plugins import load, names
from simulator import event_codes
from simulator.behaviour.browser import Browser
from simulator.behaviour.order_index import OrderIndex
from simulator.behaviour.overrides import BehaviourOverrides, Visits
from simulator.behaviour.quota import Quota
from simulator.behaviour.shoppers import CHANNELS, COUNTRY_SHARE, Population
from simulator.fraud.base import AttackHistory, Attacks, FraudContext, Typology
from simulator.fraud.equipment import first_without, renewed
from simulator.scenario import Scenario
from simulator.sections import Fraud
from simulator.world.catalogue import DAY, World

ATTACK = 100  # kind of a scheduled event
FOLDER = "simulator.typologies"
NAMES = tuple(names(FOLDER))
TARGETS = 3  # items that a ring is paid to praise
# Before anything is counted: rows of an honest visit, worth as much as those of so many visits; and
# orders of one, a bound.
ROWS_PER_VISIT, AS_IF_VISITS = 2.2, 200
MOST_ORDERS_PER_VISIT = 0.3
CERTAIN = 0.9  # share of the honest orders expected today that may be counted on
SUPPLY, SPARE = 2.0, 10  # attacks planned for each that is needed, and beyond that
MEMORY = 0.8  # by the day, of how many orders a visit leads to


def _load(name: str) -> Typology:
    typology = load(FOLDER, name, Typology, kind="typology")()
    typology.name = name
    return typology


TYPOLOGIES: tuple[Typology, ...] = tuple(_load(name) for name in NAMES)
# (n_typologies,) bool: a fraud in the narrow sense
PAYMENT = np.array([t.of == "payment" for t in TYPOLOGIES])
VICTIM = np.array([t.victim for t in TYPOLOGIES])  # (n_typologies,) bool
BROWSES = np.array([t.browses for t in TYPOLOGIES])  # (n_typologies,) bool
ORDERS = PAYMENT | np.array([t.of == "orders" for t in TYPOLOGIES])  # (n_typologies,) bool
# (n_typologies,) int64: payment fraud has one share in common
GROUP = np.where(PAYMENT, 0, 1 + np.arange(len(TYPOLOGIES)))


def shares(setting: Fraud) -> np.ndarray:
    """Return (n_typologies,) float64 share that each typology is to have of what it is `of`.

    That is orders (for payment fraud too), reviews or rows.
    """
    value = np.array([float(getattr(setting, t.name, t.share)) for t in TYPOLOGIES])
    weight = value[PAYMENT] if value[PAYMENT].sum() > 0 else np.ones(int(PAYMENT.sum()))
    value[PAYMENT] = setting.share * weight / weight.sum()
    return value


def stream(seed: int, name: str) -> np.random.Generator:
    """Return a generator for `name`: other names, more of them or fewer, do not move its draws."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def drawn(rng: np.random.Generator, weight: np.ndarray, n: int) -> np.ndarray:
    """Return (n,) int64 places of `weight`, drawn with these probabilities, with replacement.

    The same draws as `rng.choice(len(weight), n, p=...)`, whose checks take ten times as long.
    """
    share = np.cumsum(weight / weight.sum())
    return np.searchsorted(share / share[-1], rng.random(n), side="right")


class Fraudsters:
    """The rings of one shard: who they are, what they plan, what they do."""

    def __init__(self, scenario: Scenario, world: World, population: Population, seed: int) -> None:
        self.setting: Fraud = scenario.fraud
        self.population, self.seed = population, seed
        self.share = shares(self.setting)
        rng = stream(seed, "rings")
        n = round(self.setting.accounts * len(population)) if self.share.any() else 0
        accounts = rng.permutation(len(population))[:n]
        self.n_rings = max(1, -(-n // self.setting.ring_size))
        population.ring[accounts] = np.arange(n) % self.n_rings
        self.country = rng.integers(0, len(COUNTRY_SHARE), self.n_rings)
        self.device = population.n_devices + np.arange(self.n_rings)  # current one of each ring
        population.n_devices += self.n_rings
        # current card of each ring for each typology, -1 = none yet
        self.card = np.full((len(TYPOLOGIES), self.n_rings), -1, dtype=np.int64)
        level = np.bincount(world.category, world.log_price) / np.bincount(world.category)
        resale = np.flatnonzero(level >= np.median(level))
        # a client who pays for praise pays several rings
        clients = rng.integers(0, world.n_items, max(8, self.n_rings))
        targets = clients[rng.integers(0, len(clients), (self.n_rings, TARGETS))].astype(np.int32)
        # one for each typology
        self.contexts = [
            FraudContext(scenario, world, population, resale, targets, stream(seed, name))
            for name in NAMES
        ]
        self.habit = {k: self._habit(k) for k in np.flatnonzero(self.share).tolist()}
        self.activity = {k: self._activity(k) for k in self.habit}
        self.served = np.zeros((len(TYPOLOGIES), len(population)), dtype=bool)
        # Fraudsters work at night more often, less so with higher mimicry.
        hours = np.ones(24)
        hours[[0, 1, 2, 3, 22, 23]] = 1.5 - 0.5 * self.setting.mimicry
        hours = self.setting.mimicry * world.hour_weight[0] + (1 - self.setting.mimicry) * hours
        self.hours = hours / hours.sum()
        self.attacks = AttackHistory()
        # What came of it, by typology; the last number is that of the honest. Compiled code counts
        # the orders.
        self.placed = np.zeros(len(TYPOLOGIES) + 1, dtype=np.int64)
        self.sessions = np.zeros_like(self.placed)
        self.reviews = np.zeros_like(self.placed)
        self.rows = np.zeros_like(self.placed)
        self._visits = self._orders_before = 0  # visits of the day, honest orders before it
        self._recent = np.zeros(2)  # honest visits planned and orders, the latest days count most

    def _habit(self, kind: int) -> np.ndarray:
        """(n_users,) float32: how often a typology uses each account."""
        deviate = self.contexts[kind].rng.standard_normal(len(self.population), dtype=np.float32)
        return np.exp(np.float32(TYPOLOGIES[kind].habit) * deviate)

    def _activity(self, kind: int) -> np.ndarray:
        """(n_rings,) float64: how much of a typology each ring commits."""
        deviate = self.contexts[kind].rng.standard_normal(self.n_rings)
        return np.exp(TYPOLOGIES[kind].ring_habit * deviate)  # type: ignore[no-any-return]

    def begin(self) -> None:
        """Count from here on: the log begins, and what came before is not in it."""
        for counts in (self.placed, self.sessions, self.reviews, self.rows):
            counts[:] = 0

    # --- planning ---------------------------------------------------------------------------------

    def plan(self, day: int, visits: int, reviews: int) -> np.ndarray:
        """Plan the attacks of a day, and return (n,) int64 their numbers.

        Of those that lead to orders more are planned than needed, see `quota`.

        Args:
            day: the day.
            visits: honest visits planned for it.
            reviews: honest reviews due on it.
        """
        self._visits, self._orders_before = visits, int(self.placed[-1])
        needed, planned = self._needed(visits, reviews)
        attacks = [
            self._plan(k, int(planned[k]), float(min(needed[k] / planned[k], 1.0)), day)
            for k in np.flatnonzero(planned).tolist()
        ]
        return self.attacks.extend(attacks)

    def quota(self, day: int) -> Quota:
        """Return what the day's attacks may amount to; call it after `plan`."""
        certain = CERTAIN * self._expected_orders() * np.append(0.0, np.cumsum(self.hours))
        ratio = np.where(ORDERS, self.share / self._honest_share(), 0.0)
        return Quota(
            ratio=ratio,
            group=GROUP,
            of_group=np.bincount(GROUP, ratio, minlength=len(ratio) + 1),
            certain=self._orders_before + certain,
            midnight=float(day * DAY),
            rounding=0.5,
        )

    def count(self, rows: np.ndarray, kind: np.ndarray, sessions: np.ndarray) -> None:
        """Count what a day led to.

        Args:
            rows: (n,) event_buffer.EVENT, the day's rows.
            kind: (n,) int8 the typology of each, -1 = honest.
            sessions: (m,) event_buffer.SESSION, the day's sessions.
        """
        n = len(self.placed)

        honest_last = np.arange(1, n + 1) % n

        def counted(kinds: np.ndarray) -> np.ndarray:
            return np.bincount(kinds.astype(np.int64) + 1, minlength=n)[honest_last]

        if self._visits:  # the day was planned
            orders = self.placed[-1] - self._orders_before
            self._recent = MEMORY * self._recent + np.array([self._visits, orders])
        self.rows += counted(kind)
        self.reviews += counted(kind[rows["event"] == event_codes.REVIEW])
        self.sessions += counted(sessions["typology"])
        attacks = sessions[sessions["typology"] >= 0]
        self.served[attacks["typology"], attacks["user"]] = True

    def _expected_orders(self) -> float:
        """Honest orders expected today; 0 while nothing is known."""
        known, orders = self._recent
        return float(self._visits * orders / known) if known > 0 else 0.0

    def _honest_share(self) -> np.ndarray:
        """(n_typologies,) float64 share that is honest of what each typology is `of`."""
        return np.maximum(np.where(ORDERS, 1 - self.share[ORDERS].sum(), 1 - self.share), 0.05)

    def _needed(self, visits: int, reviews: int) -> tuple[np.ndarray, np.ndarray]:
        """(n_typologies,) float64 attacks expected to take place, and int64 attacks to plan."""
        expected = self._expected_orders() or MOST_ORDERS_PER_VISIT * visits
        visited = self.sessions[-1]
        a_visit = (ROWS_PER_VISIT * AS_IF_VISITS + self.rows[-1]) / (AS_IF_VISITS + visited)
        needed = np.zeros(len(TYPOLOGIES))
        planned = np.zeros(len(TYPOLOGIES), dtype=np.int64)
        for k, t in enumerate(TYPOLOGIES):
            if self.share[k] == 0:
                continue
            ratio = self.share[k] / self._honest_share()[k]
            if ORDERS[k]:
                success = (self.placed[k] + 2) / (self.sessions[k] + 4)
                missing = ratio * (self.placed[-1] + expected) - self.placed[k]
                needed[k] = max(missing, 0.0) / success
                planned[k] = math.ceil(SUPPLY * needed[k]) + SPARE
            elif t.of == "reviews":
                missing = ratio * (self.reviews[-1] + reviews) - self.reviews[k]
                needed[k] = planned[k] = self._rounded(k, missing)
            else:
                missing = ratio * (self.rows[-1] + visits * a_visit) - self.rows[k]
                views = t.about(self.contexts[k], Attacks.none().pad(256)).mean()
                needed[k] = planned[k] = self._rounded(k, missing / views)
        return needed, planned

    def _rounded(self, kind: int, number: float) -> int:
        """A whole number whose mean is `number`, not below 0."""
        return max(0, math.floor(number + self.contexts[kind].rng.random()))

    def _plan(self, kind: int, n: int, taken: float, day: int) -> Attacks:
        """Up to `n` attacks of one kind: when, on whose account, with what equipment.

        `taken`: share of them that will take place. Those that will not must not use a ring's
        equipment up, so it changes less often from one to the next.
        """

        def changes(probability: float) -> float:
            return float(1 - (1 - probability) ** taken)

        typology, context, population = TYPOLOGIES[kind], self.contexts[kind], self.population
        rng = context.rng
        candidates = typology.candidates(context, day * DAY, self.served[kind])
        n = min(n, len(candidates)) if typology.once else n * (len(candidates) > 0)
        if n == 0:
            return Attacks.none()
        activity = self.activity[kind]
        # an account of no ring (-1) is as active as the mean ring
        of_owner = np.append(activity, activity.mean())[population.ring[candidates]]
        weight = self.habit[kind][candidates] * of_owner
        if typology.once:
            user = rng.choice(candidates, n, replace=False, p=weight / weight.sum())
        else:
            user = candidates[drawn(rng, weight, n)]
        time = day * DAY + (drawn(rng, self.hours, n) + rng.random(n)) * 3_600
        order = np.argsort(time, kind="stable")
        time, user = time[order], user[order]
        whose, owner = drawn(rng, activity, n), population.ring[user]
        ring = np.where(owner >= 0, owner, whose).astype(np.int32)
        own_device, own_country, own_card = typology.disguise(self.setting.mimicry)
        # A ring changes its device now and then, and goes on with the new one; likewise its card.
        device, population.n_devices = renewed(
            self.device,
            ring,
            rng.random(n) < changes(0.1 + 0.4 * self.setting.mimicry),
            population.n_devices,
        )
        fresh = rng.random(n) < changes(1 - typology.card_reuse)
        fresh |= first_without(self.card[kind], ring)
        card, population.n_cards = renewed(self.card[kind], ring, fresh, population.n_cards)
        u = rng.random((3, n))
        planned = Attacks(
            time=time,
            typology=np.full(n, kind, dtype=np.int8),
            user=user,
            ring=ring,
            device=np.where(u[0] < own_device, -1, device),
            country=np.where(u[1] < own_country, -1, self.country[ring]).astype(np.int8),
            card=np.where(u[2] < own_card, -1, card),
            key=rng.integers(0, 2**64, n, dtype=np.uint64),
            reference=np.full(n, -1, dtype=np.int64),
        )
        planned.reference = typology.about(context, planned)
        return planned

    # --- acting -----------------------------------------------------------------------------------

    def brief(self, visits: Visits, overrides: BehaviourOverrides, attack: np.ndarray) -> None:
        """Give sessions their equipment and their behaviour, in place.

        `attack`: (n,) number of each session's attack, -1 = none.
        """
        row = np.flatnonzero(attack >= 0)
        a = self.attacks.written.take(attack[row])
        visits.typology[row], visits.ring[row], visits.device[row] = a.typology, a.ring, a.device
        visits.country[row], visits.card[row] = a.country, a.card
        visits.joins[row] = ~VICTIM[a.typology]
        for kind in np.unique(a.typology).tolist():
            TYPOLOGIES[kind].brief(self.contexts[kind], overrides, row[a.typology == kind])

    def needs_no_browsing(self, attack: np.ndarray) -> np.ndarray:
        """Return (n,) bool: which attacks, by number (n,), `act` plays; -1 is none."""
        if not len(self.attacks):
            return np.zeros(len(attack), dtype=bool)
        a = self.attacks.written
        acts = ~BROWSES[a.typology[attack]] | (a.reference[attack] >= 0)
        return (attack >= 0) & acts  # type: ignore[no-any-return]

    def act(
        self, attack: np.ndarray, start: np.ndarray, browser: Browser, order_index: OrderIndex
    ) -> None:
        """Play the sessions of attacks that need no browsing.

        `attack`: (n,) numbers; `start`: (n,) seconds.
        """
        a = self.attacks.written.take(attack)
        for kind in np.unique(a.typology).tolist():
            mine = a.typology == kind
            self._act(kind, a.take(mine), start[mine], browser, order_index)

    def _act(
        self, kind: int, a: Attacks, start: np.ndarray, browser: Browser, order_index: OrderIndex
    ) -> None:
        """Play the sessions of attacks of one kind."""
        context, n = self.contexts[kind], len(a)
        # bots come by links as everybody does, the others type the address
        links = context.rng.random(n) < 0.5 * (TYPOLOGIES[kind].of == "rows")
        channel = np.where(links, context.rng.integers(1, len(CHANNELS), n), 0).astype(np.int8)
        session = browser.service_sessions(
            a.user,
            context.rng,
            start=start,
            channel=channel,
            typology=a.typology,
            ring=a.ring,
            device=a.device,
            country=a.country,
        )
        if not VICTIM[kind]:
            self.population.ring[a.user] = (
                a.ring
            )  # an account of no ring joins the one that uses it
        self.population.last_end[a.user] = TYPOLOGIES[kind].act(
            context, a, start, session, browser, order_index
        )

    def claims(self, orders: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Return (m,) int64 numbers of the attacks that follow orders.

        Args:
            orders: (k,) event_buffer.ORDER, all of attacks.
            number: (k,) int64 their numbers.
        """
        found: list[Attacks] = []
        for kind in np.unique(orders["typology"]).tolist():
            mine = np.flatnonzero(orders["typology"] == kind)
            at = TYPOLOGIES[kind].claims(self.contexts[kind], orders["time"][mine])
            claimed = mine[np.isfinite(at)]
            row, none = orders[claimed], np.full(len(claimed), -1, dtype=np.int64)
            found.append(
                Attacks(
                    time=at[np.isfinite(at)],
                    typology=row["typology"].copy(),
                    user=row["user"].astype(np.int64),
                    ring=row["ring"].copy(),
                    device=none,
                    country=none.astype(np.int8),
                    card=none,
                    key=np.zeros(len(claimed), dtype=np.uint64),
                    reference=number[claimed],
                )
            )
        return self.attacks.extend(found)
