"""The SimPy environment of one shard: cohorts report who comes when, a clock plays the day.

A cohort is a process that wakes when the first of its shoppers comes on a day, and hands over the
day's visits. That keeps the event loop at one event per cohort and day; what happens inside the
sessions is compiled code (`behaviour.day.play`). Return visits, refunds and reviews are scheduled
events: they wait for the day on which they fall due.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from eventlog._runtime.garbage import no_garbage_collection
from simulator import event_codes
from simulator.behaviour import campaigns, shoppers
from simulator.behaviour.browser import Browser
from simulator.behaviour.buffers.day_state import DayState
from simulator.behaviour.buffers.event_buffer import SCHEDULED_EVENT, concatenated
from simulator.behaviour.day import PAUSE, play, play_past
from simulator.behaviour.order_index import OrderIndex
from simulator.behaviour.overrides import OVERRIDE, BehaviourOverrides, Visits, override_records
from simulator.behaviour.policy_host import PolicyHost
from simulator.behaviour.schedule import Schedule
from simulator.behaviour.session.checkout import BROWSE
from simulator.behaviour.session_buffers import SessionBuffers
from simulator.behaviour.shoppers import Population, order_within
from simulator.counter_rng import children
from simulator.fraud import fraudsters as fraud
from simulator.scenario import Scenario
from simulator.world.catalogue import DAY, World
from simulator.world.policy import NO_POLICY, PolicyUse
from simulator.world.recommender import Recommender

COHORT = 1_024  # shoppers whose planned visits one process keeps


@dataclass
class Shard:
    """What one shard leaves behind when its time is over."""

    population: Population
    browser: Browser
    order_index: OrderIndex
    fraudsters: fraud.Fraudsters
    offers: np.ndarray  # (n,) campaigns.OFFER


class Engine:
    """One shard of the population, from the first day to the last."""

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        recommender: Recommender,
        users: int,
        rng: np.random.Generator,
        policy: PolicyUse = NO_POLICY,
    ) -> None:
        self.scenario, self.world, self.recommender = scenario, world, recommender
        self.population = shoppers.draw(scenario, world, users, rng)
        self.browser = Browser(scenario, world, self.population)
        self.policy = PolicyHost(policy, self.browser, recommender)
        self.order_index = OrderIndex(self.browser)
        seed = int(rng.integers(0, 2**63))
        self.fraudsters = fraud.Fraudsters(scenario, world, self.population, seed)
        self.campaigns = campaigns.plan(scenario, world.log_days, world.begin)
        self.end = world.days * DAY
        planned = shoppers.planned_visits(self.population, world, rng)
        self.visits = by_cohort(self.population, *planned)
        self.arrivals: list[np.ndarray] = []  # planned visits of the day, an array per cohort
        self.buffers = SessionBuffers(scenario, self.browser, self.fraudsters.placed)
        self.schedule = Schedule(self.buffers.scheduled, world)  # all other visits
        self.env = simpy.Environment()

    def start(self) -> None:
        """Put the processes in place; nothing is played yet."""
        self.buffers.expect(len(self.visits))
        for mine in np.split(self.visits, _changes(self.visits["user"] // COHORT)):
            self.env.process(self._cohort(mine))
        self.env.process(self._clock())

    def play_until(self, day: int) -> None:
        """Play the days before `day`, those that have not been played."""
        with no_garbage_collection():
            # A day is played at its end, and the clock stops before what takes place at that time.
            self.env.run(until=DAY * (day + 0.5))

    def run(self) -> Shard:
        """Play all days."""
        self.start()
        with no_garbage_collection():
            self.env.run()
        return Shard(
            self.population,
            self.browser,
            self.order_index,
            self.fraudsters,
            self.buffers.offers.written,
        )

    # --- processes --------------------------------------------------------------------------------

    def _cohort(self, visits: np.ndarray) -> Generator[simpy.Event, Any, None]:
        """Wait for the first shopper who comes on a day, and hand over all who come on it."""
        for today in np.split(visits, _changes((visits["time"] // DAY).astype(np.int64))):
            if len(today):
                yield self.env.timeout(float(today["time"][0]) - self.env.now)
                self.arrivals.append(today)

    def _clock(self) -> Generator[simpy.Event, Any, None]:
        """Play each day at its end."""
        for day in range(self.world.days):
            yield self.env.timeout(DAY * (day + 1) - self.env.now)
            self.play_day(day)

    # --- what takes place on a day ----------------------------------------------------------------

    def play_day(self, day: int) -> None:
        """Play a day, whose planned visits are in `arrivals`."""
        self.browser.show(self.recommender.slates(day), day)
        if day == 0:
            self._play_past()
        rows, sessions, pages = (
            self.browser.events.n,
            self.browser.sessions.n,
            self.browser.pages.n,
        )
        visits, due = self._planned_visits(), self.schedule.due_on(day)
        if day == self.world.first_day:
            self.fraudsters.begin()
            self.population.orders_before[:] = self.population.orders
        attacks = self._attack_events(np.zeros(0, dtype=np.int64))
        if day >= self.world.first_day:
            attacks = self._planned_attacks(day, visits, due)
        events = concatenated([visits, due, attacks])
        self.policy.prepare(day, events["user"])
        self._play(events, day)
        self.policy.check_scores(day)
        self._state_propensities(pages)
        self._learn(rows, sessions)

    def _state_propensities(self, page: int) -> None:
        """Fill in the propensities of the pages from `page` on that no policy has filled."""
        pages = self.browser.pages.written[page:]
        own = np.flatnonzero(np.isnan(pages["propensity"]).all(axis=1))
        pages["propensity"][own] = self.recommender.propensities(pages["slate"][own])

    def _learn(self, row: int, session: int) -> None:
        """Show recommender and fraudsters the day's rows and sessions: those from these on."""
        rows = self.browser.events.written[row:]
        self.recommender.learn(rows)
        sessions = self.browser.sessions.written
        self.fraudsters.count(rows, sessions["typology"][rows["session"]], sessions[session:])

    def _planned_attacks(self, day: int, visits: np.ndarray, due: np.ndarray) -> np.ndarray:
        """(n,) SCHEDULED_EVENT: the attacks that fraudsters plan for the day.

        `visits`, `due`: SCHEDULED_EVENT, what else the day will bring.
        """
        browses = int((due["kind"] == BROWSE).sum())
        reviews = int((due["kind"] == event_codes.REVIEW).sum())
        return self._attack_events(self.fraudsters.plan(day, len(visits) + browses, reviews))

    def _attack_events(self, number: np.ndarray) -> np.ndarray:
        """(n,) SCHEDULED_EVENT: the attacks with these numbers (n,)."""
        a = self.fraudsters.attacks.written.take(number)
        events = np.zeros(len(number), dtype=SCHEDULED_EVENT)
        events["time"], events["user"], events["key"] = a.time, a.user, a.key
        events["reference"], events["kind"], events["override"] = number, fraud.ATTACK, -1
        events["scheduled_at"] = -np.inf
        return events

    def _planned_visits(self) -> np.ndarray:
        """(n,) SCHEDULED_EVENT: the day's planned visits, keyed by their shopper and number.

        Shoppers who are gone, and whose counterfactual is gone too, are left out.
        """
        visits = concatenated([self.visits[:0], *self.arrivals])
        gone = self.population.table["alive"] == 0
        user = visits["user"]
        there = ~(gone[user] & gone[user + len(self.population)])
        visits = visits.take(np.flatnonzero(there))  # several times as fast as indexing records
        self.arrivals.clear()
        events = np.zeros(len(visits), dtype=SCHEDULED_EVENT)
        events["time"], events["user"] = visits["time"], visits["user"]
        events["key"] = children(self.population.key[visits["user"]], visits["number"])
        events["scheduled_at"], events["kind"] = -np.inf, BROWSE
        events["override"], events["reference"] = -1, -1
        return events

    # --- playing it -------------------------------------------------------------------------------

    def _play(self, events: np.ndarray, day: int) -> None:
        """Play a day's events (n,) in the order of time, and schedule what follows from them."""
        events = in_time(events)
        attack = events["kind"] == fraud.ATTACK
        scripted = np.zeros(len(events), dtype=bool)
        scripted[attack] = self.fraudsters.needs_no_browsing(events["reference"][attack])
        overrides, visits = self._overrides(events, np.flatnonzero(attack & ~scripted))
        # First: played after the sessions, all of them would come late in the day, which would
        # give them away.
        self._act(events.take(np.flatnonzero(scripted)))
        orders = self.browser.orders.n
        self._browse(
            events.take(np.flatnonzero(~scripted)), override_records(visits, overrides), day
        )
        self._claim(orders, day)

    def _overrides(self, events: np.ndarray, rows: np.ndarray) -> tuple[BehaviourOverrides, Visits]:
        """Behaviour and equipment of the attacks `rows` (n,) among the day's events.

        They are those of a shopper, changed by the typology of each attack.
        """
        population, n = self.population, len(rows)
        user = events["user"][rows]
        overrides = BehaviourOverrides.of_shoppers(
            self.scenario, population.price_sensitivity[user]
        )
        overrides.payment_failure[:] = self.browser.today.payment_failure
        age = events["time"][rows] - population.born[user]
        new = (population.orders[user] == 0) & (age < self.scenario.coupons.welcome_days * DAY)
        overrides.redeem_welcome[new] = self.scenario.coupons.welcome
        none = np.full(n, -1, dtype=np.int64)
        visits = Visits(
            user=user,
            start=events["time"][rows],
            typology=none.astype(np.int8),
            ring=none.astype(np.int32),
            device=none.copy(),
            country=none.astype(np.int8),
            card=none.copy(),
            joins=np.zeros(n, dtype=bool),
        )
        self.fraudsters.brief(visits, overrides, events["reference"][rows])
        events["override"][rows] = np.arange(n)
        return overrides, visits

    def _browse(self, events: np.ndarray, overrides: np.ndarray, day: int) -> None:
        """Hand the events to compiled code, making room in the buffers as they fill up."""
        before, first, state = self.schedule.events.n, 0, self._day_state(overrides, day)
        while first < len(events):
            self.buffers.make_room(len(events) - first)
            with self.buffers.writing() as buffers:
                first = play(
                    events,
                    first,
                    self.population.table,
                    self.browser.session,
                    state,
                    buffers,
                    self.buffers.room,
                )
        self.schedule.assign_visits(before, day)

    def _play_past(self) -> None:
        """Schedule what orders from before the first day still lead to."""
        past = self.population.past_orders
        if not len(past):
            return
        self.buffers.make_room_for_past(len(past))
        state = self._day_state(np.zeros(0, dtype=OVERRIDE), 0)
        with self.buffers.writing() as buffers:
            play_past(past, self.population.table, self.browser.session, state, buffers)
        self.schedule.assign_past()

    def _day_state(self, overrides: np.ndarray, day: int) -> DayState:
        """The shop today, as compiled code reads it."""
        browser, world = self.browser, self.world
        return DayState(
            rules=browser.rules,
            items=browser.items,
            slates=browser.slates.items,
            policy=browser.slates.policy,
            found=browser.slates.found,
            n_queries=browser.slates.n_queries,
            variants=browser.slates.variants,
            ranked=browser.slates.ranked,
            own_slates=self.policy.pages.own_slates,
            own_slate=self.policy.pages.own_slate,
            score=self.policy.pages.score,
            pools=world.query_pool,
            pool_score=self.policy.pages.pool_score,
            scored_page=self.policy.pages.scored_page,
            bad_scores=self.policy.pages.bad_scores,
            home_brands=world.home_brands,
            partner=world.partner,
            used_up_days=world.used_up_days,
            considered=world.considered,
            demand=browser.today.demand,
            gifts=browser.today.gifts,
            facets=world.facets,
            price_cut=browser.price_cut,
            reference_utility=world.reference_utility,
            campaigns=self.campaigns,
            overrides=overrides,
            n_shoppers=len(self.population),
            end=self.end,
            quota=self.fraudsters.quota(day),
        )

    def _claim(self, first: int, day: int) -> None:
        """Schedule what fraudsters claim after the day's orders: those from number `first` on."""
        orders = self.browser.orders.written[first:]
        found = np.flatnonzero(orders["typology"] >= 0)
        number = self.fraudsters.claims(orders[found], first + found)
        claims = self._attack_events(number)
        self.schedule.add(claims[claims["time"] < self.end], day)

    def _act(self, events: np.ndarray) -> None:
        """Play the attacks that need no browsing, one per account at a time."""
        population = self.population
        while len(events):
            now = np.zeros(len(events), dtype=bool)
            now[np.unique(events["user"], return_index=True)[1]] = True
            user, number = events["user"][now], events["reference"][now]
            start = np.maximum(events["time"][now], population.last_end[user] + PAUSE)
            comes = population.alive[user] & population.signed_up[user] & (start < self.end)
            if comes.any():
                self.fraudsters.act(number[comes], start[comes], self.browser, self.order_index)
            events = events[~now]


def in_time(events: np.ndarray) -> np.ndarray:
    """Return (n,) SCHEDULED_EVENT in the order of time, and of user where times are equal."""
    time, user = events["time"], events["user"]
    order = np.argsort(time)
    equal = np.flatnonzero(np.diff(time[order]) == 0.0)
    if len(equal):  # few: sorting these alone takes a fraction of the time of sorting all by both
        place = np.union1d(equal, equal + 1)
        these = np.sort(order[place])
        order[place] = these[np.lexsort((user[these], time[these]))]
    return events.take(order)


def by_cohort(population: Population, offsets: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return (n,) planned visits by cohort and time, with shopper and number of the visit.

    `offsets`, `times`: see `shoppers.planned_visits`.
    """
    visits = np.zeros(len(times), dtype=[("time", "f8"), ("user", "i8"), ("number", "i8")])
    visits["time"], visits["user"] = times, np.repeat(np.arange(len(population)), np.diff(offsets))
    visits["number"] = np.arange(len(times)) - offsets[visits["user"]]
    return visits.take(order_within(visits["user"] // COHORT, times))


def _changes(key: np.ndarray) -> np.ndarray:
    """Places at which (n,) ascending `key` changes."""
    return np.flatnonzero(key[1:] != key[:-1]) + 1
