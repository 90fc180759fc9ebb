"""Replays: the days after a moment, played again and again from the true state at that moment.

The shop of a log is simulated once more, as it was, up to the moment. What it draws from there on
is drawn anew in each replay: who plans to come when, what they look at and buy, whether they stay,
whom campaigns reach, what fraudsters do. What is settled by then stays as it is: visits that an
order has led to, carts, coupons in hand, parcels on their way, the shop's prices and stocks. So the
share of replays in which something happens estimates its probability, given all that the simulator
knows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np

from simulator import event_codes
from simulator.behaviour.session.checkout import BROWSE
from simulator.behaviour.shoppers import planned_visits
from simulator.counter_rng import children
from simulator.engine import Engine, by_cohort
from simulator.output.task import Task, seeds
from simulator.world.build import build
from simulator.world.catalogue import DAY
from simulator.world.recommender import Recommender

ANEW = 2**40  # children of a key, from this number on, that are the keys of replays
# What of a shopper's record says how likely they are to buy soon.
STATE = (
    "rate",
    "propensity",
    "hazard",
    "price_sensitivity",
    "visit_factor",
    "satisfaction",
    "engagement",
    "trust",
    "grievance",
    "orders",
    "cart_size",
    "last_end",
    "coupon",
    "response",
    "interest",
)


class _ReachedError(Exception):
    """The moment is reached."""


class Replay(Engine):
    """A shard of a log, played up to a moment; `buyers` plays what may follow.

    Args:
        task: the shard.
        moment: ms since 1970, within the log.
    """

    def __init__(self, task: Task, moment: int) -> None:
        (shop, pages), people = seeds(task)
        scenario = task.scenario.with_settings({"truth.exposures": False})
        world = build(scenario, days=task.days, seed=shop)
        recommender = Recommender(scenario, world, pages)
        rng = np.random.default_rng(people)
        super().__init__(scenario, world, recommender, task.users, rng)
        self.moment = (moment - world.start_ms) / 1000  # seconds since the first day played
        self.seed = np.random.SeedSequence([task.seed, task.index, moment])
        self.reached = False
        try:
            self._play_days(0, world.days)
        except _ReachedError:
            self.reached = True

    def alive(self) -> np.ndarray:
        """Return (n_users,) bool: who has not left for good at the moment."""
        return self.population.alive.copy()

    def state(self) -> np.ndarray:
        """Return (n_users, k) float64: what each shopper is like at the moment, and waits for."""
        people, n = self.population, len(self.population)
        settled = self.rest[~np.isneginf(self.rest["scheduled_at"])]
        waiting = np.concatenate([settled, self.schedule.due_after(self._today())])
        visits = waiting[(waiting["kind"] == BROWSE) & (waiting["user"] < n)]
        needs = visits[visits["reference"] >= 0]
        following = np.full((2, n), self.end)
        np.minimum.at(following[0], visits["user"], visits["time"])
        np.minimum.at(following[1], needs["user"], needs["time"])
        of_people = [getattr(people, name).astype(np.float64) for name in STATE]
        return np.column_stack([*of_people, *following])

    def buyers(self, until: int, times: int) -> Iterator[np.ndarray]:
        """Yield (n_users,) bool, `times` times: who buys after the moment, until `until` (ms)."""
        last = (until - self.world.start_ms) / 1000
        for number, seed in enumerate(self.seed.spawn(times)):
            replay = copy.deepcopy(self, {id(self.world): self.world})
            replay._draw_anew(number, seed)
            replay._finish_today()
            replay._play_days(self._today() + 1, int(np.ceil(last / DAY)))
            rows = replay.browser.events.written[replay.begun[0] :]
            time = np.rint(rows["time"] * 1000)
            bought = rows["event"] == event_codes.PURCHASE
            bought &= (time > self.moment * 1000) & (time <= last * 1000)
            user = replay.browser.sessions.written["user"][rows["session"][bought]]
            yield np.bincount(user, minlength=len(self.population)) > 0

    def _today(self) -> int:
        return int(self.moment // DAY)

    def _play_days(self, first: int, end: int) -> None:
        """Play the days from `first` on, those before `end`."""
        day_of = self.visits["time"] // DAY
        for day in range(first, end):
            self.arrivals = [self.visits[day_of == day]]
            self.play_day(day)

    def _play(self, events: np.ndarray, day: int) -> None:
        if self.reached or day < self._today():
            super()._play(events, day)
            return
        self.begun = self.browser.events.n, self.browser.sessions.n  # where today's rows begin
        later = events["time"] > self.moment
        super()._play(events[~later], day)
        self.rest = events[later]
        raise _ReachedError

    def _draw_anew(self, number: int, seed: np.random.SeedSequence) -> None:
        """Give all that is still open draws of its own."""
        contexts = self.fraudsters.contexts
        rng, *others = (np.random.default_rng(s) for s in seed.spawn(1 + len(contexts)))
        for context, other in zip(contexts, others, strict=True):
            context.rng.bit_generator.state = other.bit_generator.state
        for table in (self.population.table, self.schedule.events.written, self.rest):
            table["key"] = children(table["key"], np.full(len(table), ANEW + number))
        visits = planned_visits(self.population, self.world, rng, since=self.moment)
        self.visits = by_cohort(self.population, *visits)

    def _finish_today(self) -> None:
        """Play what is left of the day of the moment; the attacks on it are settled."""
        planned = np.isneginf(self.rest["scheduled_at"]) & (self.rest["kind"] == BROWSE)
        self.arrivals = [self.visits[self.visits["time"] // DAY == self._today()]]
        events = np.concatenate([self._planned_visits(), self.rest[~planned]])
        self._play(events, self._today())
        self._learn(*self.begun)
