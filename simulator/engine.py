"""The SimPy environment of one shard: cohorts of shoppers say when they come, a clock plays
everybody's sessions of a day at once.

A cohort is a process that wakes when the first of its shoppers comes on a day, and hands over the
day's visits. That keeps the event loop at one event per cohort and day; what happens inside the
sessions is compiled code (`play`). Return visits, refunds and reviews are notes in the mail of the
day on which they fall due.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from simulator.behaviour import campaigns, event_buffer, shoppers
from simulator.behaviour.checkout import BROWSE, NOTE, OrderIndex
from simulator.behaviour.day import PAUSE, play
from simulator.behaviour.sessions import (
    HONEST,
    NOTES,
    OFFERS,
    ORDERS,
    ROWS,
    SESSIONS,
    SHOWN,
    STOLEN,
    BehaviourOverrides,
    Browser,
    DayState,
    OutputBuffers,
    Visits,
    override_records,
)
from simulator.behaviour.shoppers import Population
from simulator.counter_rng import children
from simulator.fraud import fraudsters as fraud
from simulator.scenario import Scenario
from simulator.world.catalogue import DAY, World
from simulator.world.recommender import Recommender

COHORT = 1_024  # shoppers whose planned visits one process keeps


@dataclass
class Shard:
    """What one shard leaves behind when its time is over."""

    population: Population
    browser: Browser
    till: OrderIndex
    fraudsters: fraud.Fraudsters
    offers: np.ndarray  # (n,) campaigns.OFFER


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection inside: a shard makes millions of short-lived events without cycles,
    and scanning them costs a third.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Engine:
    """One shard of the population, from the first day to the last."""

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        pages: Recommender,
        users: int,
        rng: np.random.Generator,
    ) -> None:
        self.scenario, self.world, self.pages, self.rng = scenario, world, pages, rng
        self.population = shoppers.draw(scenario, world, users, rng)
        self.browser = Browser(scenario, world, self.population, rng)
        self.till = OrderIndex(self.browser)
        self.fraudsters = fraud.Fraudsters(scenario, world, self.population, rng)
        self.campaigns = campaigns.plan(scenario, world.days)
        self.offers = event_buffer.RecordBuffer(campaigns.OFFER)
        self.end = world.days * DAY
        self.visits = _diary(self.population, *shoppers.planned_visits(self.population, world, rng))
        # of the visits: those of the day, a piece per cohort
        self.due: list[np.ndarray] = []
        self.notes = event_buffer.RecordBuffer(NOTE)  # all other notes ever left
        # their numbers, by the day on which they fall due
        self.mail: list[list[np.ndarray]] = [[] for _ in range(world.days + 1)]
        self.stolen = 0  # cards that testers went through
        self.env = simpy.Environment()
        # The most rows that one session writes: two a step and a search, and the till's.
        self.room = 3 * (scenario.sessions.longest + 2) + 2 * shoppers.CART + 32

    def run(self) -> Shard:
        """Play all days."""
        # untouched memory costs nothing, growing does
        self.browser.rows.reserve(8 * len(self.visits))
        self.browser.sessions.reserve(2 * len(self.visits))
        for mine in np.split(self.visits, _starts(self.visits["user"] // COHORT)):
            self.env.process(self._cohort(mine))
        self.env.process(self._clock())
        with _uncollected():
            self.env.run()
        return Shard(self.population, self.browser, self.till, self.fraudsters, self.offers.written)

    def _cohort(self, visits: np.ndarray) -> Generator[simpy.Event, Any, None]:
        """Some shoppers: wait for the first of them who comes on a day, and hand over all who come
        on it.
        """
        for today in np.split(visits, _starts((visits["time"] // DAY).astype(np.int64))):
            if len(today):
                yield self.env.timeout(float(today["time"][0]) - self.env.now)
                self.due.append(today)

    def _clock(self) -> Generator[simpy.Event, Any, None]:
        """At the end of each day, play the day."""
        for day in range(self.world.days):
            yield self.env.timeout(DAY * (day + 1) - self.env.now)
            self.browser.show(self.pages.slates(day), day)
            before = self.browser.rows.n
            planned = self.fraudsters.plan(day, self.till.order_table)
            attacks = np.zeros(len(planned), dtype=NOTE)
            attacks["time"], attacks["user"], attacks["ref"] = (
                [getattr(a, f) for a in planned] for f in ("time", "user", "number")
            )
            attacks["kind"], attacks["goal"], attacks["made"] = fraud.ATTACK, -1, -np.inf
            attacks["key"] = self.rng.integers(0, 2**64, len(attacks), dtype=np.uint64)
            self._play(
                np.concatenate(
                    [self._planned(), self.notes.written[self._delivered(day)], attacks]
                ),
                day,
            )
            self.pages.learn(self.browser.rows.written[before:])

    def _planned(self) -> np.ndarray:
        """The day's planned visits as notes, but for shoppers who are gone in both worlds; keyed by
        their shopper and number.
        """
        visits, gone = (
            np.concatenate([self.visits[:0], *self.due]),
            self.population.table["alive"] == 0,
        )
        visits = visits[~(gone[visits["user"]] & gone[visits["user"] + len(self.population)])]
        self.due.clear()
        notes = np.zeros(len(visits), dtype=NOTE)
        notes["time"], notes["user"] = visits["time"], visits["user"]
        notes["key"] = children(self.population.key[visits["user"]], visits["number"])
        notes["made"], notes["kind"], notes["goal"], notes["ref"] = -np.inf, BROWSE, -1, -1
        return notes

    def _play(self, notes: np.ndarray, day: int) -> None:
        """Play a day's notes in the order of time; what follows from them goes by mail."""
        notes = notes[np.lexsort((notes["user"], notes["time"]))]
        attack = notes["kind"] == fraud.ATTACK
        acts = np.zeros(len(notes), dtype=bool)
        acts[attack] = self.fraudsters.needs_no_browsing(notes["ref"][attack])
        goals, visits = self._goals(notes, np.flatnonzero(attack & ~acts))
        # first: played after the sessions, all of them would come late in the day, which would tell
        self._act(notes[acts])
        orders = self.browser.orders.n
        self._browse(notes[~acts], override_records(visits, goals), day)
        self._claim(orders, day)
        self.till.close()

    def _goals(self, notes: np.ndarray, rows: np.ndarray) -> tuple[BehaviourOverrides, Visits]:
        """What the attacks `rows` (n,) among the notes are after: a shopper's goals, changed by
        their typology.
        """
        population, setting, n = self.population, self.scenario.sessions, len(rows)
        user = notes["user"][rows]
        base = np.log(setting.leave / (1 - setting.leave))
        goals = BehaviourOverrides(
            price=population.price[user].copy(),
            leave=(base + self.rng.normal(0, setting.leave_sigma, n)).astype(np.float32),
            cart=np.zeros(n, dtype=np.float32),
            begin=np.zeros(n, dtype=np.float32),
            fail=np.full(n, self.browser.today.payment_failure, dtype=np.float32),
            attempts=np.full(n, 2, dtype=np.int32),
            category=np.full(n, -1, dtype=np.int32),
            own_taste=np.ones(n, dtype=np.float32),
            redeem=np.where(
                population.orders[user] == 0, self.scenario.coupons.welcome, 0.0
            ).astype(np.float32),
        )
        none = np.full(n, -1, dtype=np.int64)
        visits = Visits(
            user=user,
            start=notes["time"][rows],
            typology=none.astype(np.int8),
            ring=none.astype(np.int32),
            device=none.copy(),
            country=none.astype(np.int8),
            card=none.copy(),
        )
        self.fraudsters.brief(visits, goals, notes["ref"][rows])
        notes["goal"][rows] = np.arange(n)
        return goals, visits

    def _browse(self, notes: np.ndarray, goals: np.ndarray, day: int) -> None:
        """Hand the notes to compiled code, making room as it fills up."""
        browser, world, population = self.browser, self.world, self.population
        later, told = self.notes, self.notes.n
        rolls = {
            ROWS: browser.rows,
            SESSIONS: browser.sessions,
            ORDERS: browser.orders,
            SHOWN: browser.pages,
            NOTES: later,
            OFFERS: self.offers,
        }
        slates, first = browser.slates, 0
        keeps = self.scenario.truth.exposures
        while first < len(notes):
            left = len(notes) - first
            for place, roll in rolls.items():
                each, least = {
                    ROWS: (8, 2 * self.room),
                    SHOWN: (8 * keeps, 2 * self.room * keeps + 1),
                    NOTES: (2, 64),
                }.get(place, (1, 8))
                roll.reserve(each * left + least)
            at = np.zeros(8, dtype=np.int64)
            at[STOLEN] = self.stolen
            for place, roll in rolls.items():
                at[place] = roll.n
            shop = DayState(
                browser.rules,
                browser.shelf,
                slates.items,
                slates.policy,
                slates.n_queries,
                slates.variants,
                world.home_brands,
                world.partner,
                world.facets,
                browser.salient_cut,
                self.campaigns,
                goals,
                len(population),
                self.end,
            )
            book = OutputBuffers(
                browser.rows.table,
                browser.sessions.table,
                browser.orders.table,
                browser.pages.table,
                later.table,
                self.offers.table,
                at,
            )
            first = play(notes, first, population.table, browser.walk, shop, book, 2 * self.room)
            for place, roll in rolls.items():
                roll.n = int(at[place])
            self.stolen = int(at[STOLEN])
            self.fraudsters.honest_sessions += int(at[HONEST])
        self._post(told, day)

    def _post(self, first: int, day: int) -> None:
        """Send off the notes from number `first` on; what is due today or was is delivered tomorrow
        and keeps its time.
        """
        due = np.clip(
            (self.notes.written["time"][first:] / DAY).astype(np.int64), day + 1, self.world.days
        )
        for d in np.unique(due).tolist():
            self.mail[d].append(first + np.flatnonzero(due == d))

    def _delivered(self, day: int) -> np.ndarray:
        """(n,) numbers of the notes that fall due on `day`."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self.mail[day]])

    def _claim(self, first: int, day: int) -> None:
        """What fraudsters claim after the day's orders, which are those from `first` on."""
        orders = self.browser.orders.written[first:]
        found = np.flatnonzero(orders["typology"] >= 0)
        orders, none = orders[found], np.full(len(found), -1, dtype=np.int64)
        visits = Visits(
            user=orders["user"].astype(np.int64),
            start=orders["time"].copy(),
            typology=orders["typology"].copy(),
            ring=orders["ring"].copy(),
            device=none,
            country=none.astype(np.int8),
            card=none,
        )
        claims = self.fraudsters.claims(
            visits, np.arange(len(found)), first + found, orders["time"].copy()
        )
        claims = [c for c in claims if c.time < self.end]
        if claims:
            told, (time, user, number) = self.notes.n, zip(*claims, strict=True)
            self.notes.extend(
                len(claims), time=time, user=user, ref=number, kind=fraud.ATTACK, goal=-1
            )
            self._post(told, day)

    def _act(self, notes: np.ndarray) -> None:
        """Attacks that need no browsing, before the day's sessions: at most one per account at a
        time.
        """
        population = self.population
        while len(notes):
            now = np.zeros(len(notes), dtype=bool)
            now[np.unique(notes["user"], return_index=True)[1]] = True
            user, number = notes["user"][now], notes["ref"][now]
            start = np.maximum(notes["time"][now], population.last_end[user] + PAUSE)
            comes = population.alive[user] & (start < self.end)
            if comes.any():
                self.fraudsters.act(number[comes], start[comes], self.browser, self.till)
            notes = notes[~now]


def _diary(population: Population, offsets: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(n,) the planned visits of `shoppers.planned_visits` with their shopper and its how-manieth
    it is, by cohort and time.
    """
    visits = np.zeros(len(times), dtype=[("time", "f8"), ("user", "i8"), ("number", "i8")])
    visits["time"], visits["user"] = times, np.repeat(np.arange(len(population)), np.diff(offsets))
    visits["number"] = np.arange(len(times)) - offsets[visits["user"]]
    return visits[np.lexsort((times, visits["user"] // COHORT))]


def _starts(key: np.ndarray) -> np.ndarray:
    """Places at which (n,) ascending `key` changes."""
    return np.flatnonzero(key[1:] != key[:-1]) + 1
