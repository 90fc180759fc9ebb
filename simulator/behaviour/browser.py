"""What the sessions of a shard share: items and pages of the day, buffers of the log."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.buffers import event_buffer, records
from simulator.behaviour.buffers.records import IN_STOCK, NOT_LAUNCHED, OUT_OF_STOCK
from simulator.behaviour.session.devices import MAIN_DEVICE
from simulator.behaviour.shoppers import Population
from simulator.scenario import Scenario
from simulator.world.catalogue import World
from simulator.world.recommender import Slates


class Browser:
    """The shop of a shard as its sessions see it; `show` moves it to another day."""

    def __init__(self, scenario: Scenario, world: World, population: Population) -> None:
        self.scenario, self.world, self.population = scenario, world, population
        slate = scenario.sessions.slate
        self.events = event_buffer.EventBuffer()
        self.sessions = event_buffer.RecordBuffer(event_buffer.SESSION)
        self.orders = event_buffer.RecordBuffer(event_buffer.ORDER)
        self.pages = event_buffer.RecordBuffer(records.page_dtype(slate))
        self.rules = records.rules(scenario)
        self.items = records.item_records(world)
        self.session = records.session_record(scenario, world)
        self.session["depth_probability"] = depth_probability(scenario.sessions.examine, slate)

    def show(self, slates: Slates, day: int) -> None:
        """Put the prices, stocks and pages of `day` in place."""
        self.slates = slates
        today = self.world.on_day(day)
        self.today = today
        self.prices = today.prices
        self.items["price"], self.items["lift"] = today.prices, today.lift
        self.items["appeal"] = today.appeal
        self.items["feature"][:, records.APPEAL_FEATURE] = today.appeal
        self.items["stock"] = np.where(
            self.world.launched > day,
            NOT_LAUNCHED,
            np.where(today.stocked, IN_STOCK, OUT_OF_STOCK),
        )
        self.items["discount"] = today.discount[self.world.category]
        # A price cut draws more than the same difference between two items: it is advertised.
        cut = np.log1p(-today.discount.astype(np.float64))
        self.price_cut = -self.scenario.shoppers.sale_salience * cut
        advertised = (self.scenario.shoppers.sale_salience - 1.0) * cut
        self.items["feature"][:, records.PRICE_FEATURE] = (
            self.world.price_z
            + np.log(today.prices)
            - self.world.log_reference
            + advertised[self.world.category]
        )
        self.rules["checkout_payment_failure"] = today.payment_failure
        self.rules["checkout_late"] = today.late
        self.rules["checkout_begin"] = self.scenario.checkout.begin + today.begin

    def service_sessions(
        self,
        user: np.ndarray,
        rng: np.random.Generator,
        *,
        start: np.ndarray,
        channel: np.ndarray,
        **given: np.ndarray,
    ) -> np.ndarray:
        """Open sessions in which nothing is browsed, from one of the shopper's devices.

        Args:
            user: (n,) accounts.
            rng: where the device is drawn from.
            start: (n,) seconds.
            channel: (n,) int8.
            given: `typology`, `ring`, `device` and `country`, (n,) each; -1 = honest, none, the
                account's own.

        Returns:
            (n,) int32 numbers of the sessions.
        """
        n, population, first = len(user), self.population, self.sessions.n
        second = np.where(rng.random(n) < MAIN_DEVICE, 0, 1)
        own = {
            "device": population.device[user, second],
            "country": population.country[user],
            "typology": np.full(n, -1),
            "ring": np.full(n, -1),
        }
        for name, values in given.items():
            own[name] = np.where(values >= 0, values, own[name])
        self.sessions.extend(
            n,
            user=user,
            start=start,
            engagement=population.engagement[user],
            channel=channel,
            **own,
        )
        return np.arange(first, first + n, dtype=np.int32)


def depth_probability(examine: float, slate: int) -> np.ndarray:
    """Return (slate,) float64 probability to look at exactly the first 1, 2, ... ranks."""
    depth = examine ** np.arange(slate) * (1 - examine)
    depth[-1] = examine ** (slate - 1)
    return depth
