"""The SimPy environment of one shard: shoppers say when they come, a clock plays everybody's sessions of a day at once.

A shopper is a process that does nothing but wait for the next visit and put a note into the inbox. That keeps the
event loop at one event a session; what happens inside the sessions is the work of numpy bursts (`sessions`). Return
visits, refunds and reviews are timeouts that drop a note of their own.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import simpy

from . import fraud, shoppers, tape
from .checkout import BROWSE, Till
from .recommender import Recommender
from .scenario import Scenario
from .sessions import Browser, Burst, Goals, Visits
from .shoppers import Population
from .world import DAY, World

PAUSE = 1_800.0    # seconds that lie at least between two sessions of a shopper
UNBOUGHT = 0.15    # share of honest reviews that are about something looked at here and bought elsewhere
WELCOME = 0.25     # share of first orders that come with a welcome coupon, where the shop has one


SMALL_WAVE = 0.12  # a wave below this share of the day's first is left for the next day, to be played in good company


class Note(NamedTuple):
    """Somebody is due. Ordered by time, so that a day's notes are played in the order in which they fell due."""

    time: float
    user: int
    kind: int = BROWSE  # or the tape's REFUND or REVIEW, or fraud.ATTACK
    ref: int = -1  # order of a refund or review, number of an attack


@dataclass
class Shard:
    """What one shard leaves behind when its time is over."""

    population: Population
    browser: Browser
    till: Till
    fraudsters: fraud.Fraudsters


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection inside: a shard makes millions of short-lived events without cycles, and scanning them costs a third."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Engine:
    """One shard of the population, from the first day to the last."""

    def __init__(self, scenario: Scenario, world: World, pages: Recommender, users: int, rng: np.random.Generator) -> None:
        self.scenario, self.world, self.pages, self.rng = scenario, world, pages, rng
        self.population = shoppers.draw(scenario, world, users, rng)
        self.browser = Browser(scenario, world, self.population, tape.Tape(), rng)
        self.till = Till(self.browser)
        self.fraudsters = fraud.Fraudsters(scenario, world, self.population, rng)
        self.end = world.days * DAY
        self.inbox: list[Note] = []
        self.gone = bytearray(users)  # read once a visit; a byte of it is faster to read than an element of an array
        self.env = simpy.Environment()

    def run(self) -> Shard:
        """Play all days."""
        offsets, times = shoppers.planned_visits(self.population, self.world, self.rng)
        at, bounds = times.tolist(), offsets.tolist()
        for user in range(len(self.population)):
            if bounds[user] < bounds[user + 1]:
                self.env.process(self._shopper(user, at[bounds[user]:bounds[user + 1]]))
        self.env.process(self._clock())
        with _uncollected():
            self.env.run()
        return Shard(self.population, self.browser, self.till, self.fraudsters)

    def _shopper(self, user: int, visits: list[float]) -> Generator[simpy.Event, Any, None]:
        """An agent: waits for its next planned visit, says so, until it is gone."""
        env, inbox, gone = self.env, self.inbox, self.gone
        for at in visits:
            yield env.timeout(at - env.now)
            if gone[user]:
                return
            inbox.append(Note(env.now, user))

    def _remind(self, note: Note) -> None:
        """Put `note` into the inbox when it falls due."""
        event = self.env.timeout(max(note.time - self.env.now, 0.0))
        event.callbacks.append(lambda _: self.inbox.append(note))

    def _clock(self) -> Generator[simpy.Event, Any, None]:
        """At the end of each day, play the day."""
        for day in range(self.world.days):
            yield self.env.timeout(DAY * (day + 1) - self.env.now)
            if day % self.scenario.recommender.refresh_days == 0:
                slates = self.pages.slates(day)
            self.browser.show(slates, day)
            self.inbox += [Note(a.time, a.user, fraud.ATTACK, a.number) for a in self.fraudsters.plan(day, self.till.order_table)]
            notes = sorted(self.inbox)
            self.inbox.clear()
            self.inbox += self._play(notes, last=day == self.world.days - 1)

    def _play(self, notes: list[Note], *, last: bool) -> list[Note]:
        """Play a day's notes in waves of at most one per shopper; returns those that are left for the next day.

        A burst costs its steps, however few sessions it has. So the fourth visit of the day of a few busy shoppers waits
        for the next day's burst (it keeps its time); on the last day everything is played.
        """
        first = 0
        while notes:
            wave: list[Note] = []
            later: list[Note] = []
            busy: set[int] = set()
            for note in notes:
                (later if note.user in busy else wave).append(note)
                busy.add(note.user)
            first = first or len(wave)
            if not last and len(wave) < SMALL_WAVE * first:
                break
            self._wave(wave)
            notes = later
        return notes

    def _wave(self, notes: list[Note]) -> None:
        population, rng = self.population, self.rng
        user = np.array([n.user for n in notes], dtype=np.int64)
        start = np.maximum(np.array([n.time for n in notes]), population.last_end[user] + PAUSE)
        kind = np.array([n.kind for n in notes], dtype=np.int64)
        ref = np.array([n.ref for n in notes], dtype=np.int64)
        attack = kind == fraud.ATTACK
        # A shopper in a bad mood plans as before and comes less often; a thief does not ask.
        comes = (rng.random(len(notes)) < population.mood[user]) | (kind != BROWSE)
        comes &= population.alive[user] & (start < self.end)
        desk = comes & ((kind == tape.REFUND) | (kind == tape.REVIEW))
        if desk.any():
            self._service_desk(user[desk], start[desk], kind[desk], ref[desk])
        number = np.where(attack, ref, -1)
        acts = comes & self.fraudsters.needs_no_browsing(number)
        if acts.any():
            self.fraudsters.act(number[acts], start[acts], self.browser, self.till)
        browse = np.flatnonzero(comes & ((kind == BROWSE) | attack) & ~acts)
        if len(browse) == 0:
            return
        visits, goals = self._prepare(user[browse], start[browse], number[browse])
        burst = self.browser.open(visits, goals)
        self.browser.browse(burst)
        bought, orders = self.till.check_out(burst)
        population.last_end[visits.user] = burst.time
        for time, who, event, order in self.till.follow_ups(burst, bought, orders, self.end):
            self._remind(Note(time, who, event, order))
        for time, who, claim in self.fraudsters.claims(visits, bought, orders, burst.time[bought]):
            if time < self.end:
                self._remind(Note(time, who, fraud.ATTACK, claim))
        self._part(burst)

    def _prepare(self, user: np.ndarray, start: np.ndarray, attack: np.ndarray) -> tuple[Visits, Goals]:
        """Honest goals for everybody; then the fraudsters change theirs."""
        setting, n = self.scenario.sessions, len(user)
        base = np.log(setting.leave / (1 - setting.leave))
        goals = Goals(
            price=self.population.price[user].copy(), leave=(base + self.rng.normal(0, setting.leave_sigma, n)).astype(np.float32),
            cart=np.zeros(n, dtype=np.float32), begin=np.zeros(n, dtype=np.float32),
            fail=np.full(n, self.scenario.checkout.payment_failure, dtype=np.float32), attempts=np.full(n, 2, dtype=np.int32),
            category=np.full(n, -1, dtype=np.int32), own_taste=np.ones(n, dtype=np.float32),
            redeem=np.where(self.population.orders[user] == 0, WELCOME, 0.0).astype(np.float32),
        )
        none = np.full(n, -1, dtype=np.int64)
        visits = Visits(user=user, start=start, typology=none.astype(np.int8), ring=none.astype(np.int32), device=none.copy(),
                        country=none.astype(np.int8), card=none.copy())
        self.fraudsters.brief(visits, goals, attack)
        return visits, goals

    def _service_desk(self, user: np.ndarray, start: np.ndarray, kind: np.ndarray, order: np.ndarray) -> None:
        """Short sessions in which something is sent back or reviewed."""
        session, rows = self.browser.desk_sessions(user), self.browser.rows
        rows.add(tape.LOGIN, session=session, time=start)
        item, price = self.till.line_of(order, self.rng)
        back = kind == tape.REFUND
        # Reviews name no order: whether the author bought the item here, the shop must look up.
        known = self.population.recent[user, 0]
        unbought = ~back & (self.rng.random(len(user)) < UNBOUGHT) & (known >= 0)
        item, price = np.where(unbought, known, item), np.where(unbought, self.browser.prices[known], price)
        opened = start + 4.0 + 16.0 * self.rng.random(len(user))
        time = start + 20.0 + 100.0 * self.rng.random(len(user))
        rows.add(tape.VIEW, session=session[~back], time=opened[~back], item=item[~back], price=price[~back], p_choice=1.0, rank=0)
        rows.add(tape.REFUND, session=session[back], time=time[back], item=item[back], price=price[back], order=order[back], quantity=1,
                 p_choice=self.scenario.checkout.refund, rank=0)
        score = 3.9 + 0.6 * self.world.quality[item] + self.rng.normal(0, 0.9, len(user))
        rows.add(tape.REVIEW, session=session[~back], time=time[~back], item=item[~back], price=price[~back],
                 rating=np.clip(np.round(score), 1, 5)[~back], p_choice=self.scenario.checkout.review, rank=0)
        self.population.last_end[user] = time

    def _part(self, burst: Burst) -> None:
        """After the session: gone for good, back within about a day, or just until next time."""
        population, rng, churn = self.population, self.rng, self.scenario.churn
        honest = burst.visits.typology < 0
        taken = burst.visits.user[burst.visits.typology == fraud.ACCOUNT_TAKEOVER]
        population.hurt[taken] = 2
        user, end = burst.visits.user[honest], burst.time[honest]
        hurt = population.hurt[user]
        hazard = np.minimum(population.hazard[user] * np.where(hurt > 0, churn.bad_experience, 1.0), 0.95)
        dies = rng.random(len(user)) < hazard
        died = user[dies]
        population.alive[died] = False
        population.died[died] = end[dies]
        population.reason[died] = hurt[dies]
        for u in died.tolist():
            self.gone[u] = 1
        population.hurt[user[rng.random(len(user)) < 0.4]] = 0
        population.mood[user] += 0.15 * (1 - population.mood[user])
        wants = (rng.random(len(user)) < self.scenario.sessions.return_visit) & ~dies & ~burst.bought[honest] & (burst.views[honest] > 1)
        at = end + 3_600.0 * 16 * rng.lognormal(0, 0.9, len(user))
        for i in np.flatnonzero(wants & (at < self.end)).tolist():
            self._remind(Note(float(at[i]), int(user[i])))
