"""The host of a policy: shows it the shop every night, checks what it returns, puts it on pages."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from eventlog._runtime.compiled import compiled
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError, ShopError
from eventlog._runtime.text import one_line
from simulator import event_codes
from simulator.behaviour.browser import Browser
from simulator.behaviour.plugin_call import compiled_scorer, read_only
from simulator.behaviour.session.utility import CART_PRICE, CLICK_PRICE
from simulator.world.catalogue import QUALITY
from simulator.world.policy import LAST, Catalogue, PolicyUse, Rows, Shop, Truth
from simulator.world.recommender import Recommender

BATCH = 512  # users whose slates a policy is asked for at once
SLOW = 10.0  # seconds for a night from which on a policy is called slow


@dataclass(frozen=True)
class PolicyPages:
    """What a policy shows on a day; fields as in `day_state.DayState`."""

    own_slates: np.ndarray
    own_slate: np.ndarray
    score: int
    pool_score: np.ndarray
    scored_page: np.ndarray
    bad_scores: np.ndarray

    @classmethod
    def none(cls, n_users: int, slate: int, widest: int) -> PolicyPages:
        """Return the pages of a shop without a policy."""
        return cls(
            own_slates=np.zeros((0, slate), dtype=np.int32),
            own_slate=np.full(n_users, -1, dtype=np.int32),
            score=0,
            pool_score=np.zeros(widest, dtype=np.float32),
            scored_page=np.zeros((1, slate), dtype=np.int32),
            bad_scores=np.zeros(1, dtype=np.int64),
        )


class PolicyHost:
    """Runs the policy of a shard, if it has one.

    Args:
        use: the policy, and from when on it is asked.
        browser: the shop of the shard, with its log.
        recommender: the shop's own, which knows the interest in each item.
    """

    def __init__(self, use: PolicyUse, browser: Browser, recommender: Recommender) -> None:
        self.policy, self.name = use.policy, use.name
        self.first_day, self.rng = browser.world.first_day + use.first_day, use.rng
        self.browser, self.recommender = browser, recommender
        world, n = browser.world, len(browser.population)
        self.slate = browser.scenario.sessions.slate
        self.pages = PolicyPages.none(n, self.slate, world.query_pool.shape[1])
        self.recent = np.full((n, LAST), -1, dtype=np.int32)
        self.read = 0  # rows of the log that are in `recent`
        self.user_features = self.item_features = np.zeros((0, 0), dtype=np.float32)
        self.is_known_as_slow = False
        self.scorer: Any = None  # the compiled score: its address is only good while it lives

    def prepare(self, day: int, visitors: np.ndarray) -> None:
        """Ask the policy for the pages of all users who come on `day`.

        `visitors`: (n,) the row of the shoppers' table of each visit. Raises InputError where the
        policy fails or returns what cannot be shown.
        """
        if self.policy is None or day < self.first_day:
            return
        users = read_only(np.unique(visitors % len(self.browser.population)))
        shop, start = self.shop(day), time.perf_counter()
        try:
            self.policy.learn(shop, self.rng)
            found = [
                self._checked(
                    self.policy.slates(shop, part, self.rng), len(part), shop.catalogue.sold
                )
                for part in np.split(users, range(BATCH, len(users), BATCH))
            ]
            if self.policy.score is not None:
                self._prepare_score(shop, users)
        except ShopError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"The policy {self.name} failed on day {shop.day}: {type(error).__name__}: "
                f"{one_line(error)}"
            ) from error
        self._show(users, found)
        self._complain(time.perf_counter() - start, shop.day)

    def check_scores(self, day: int) -> None:
        """Raise InputError where a score of the day was no number."""
        bad = self.pages.bad_scores[0]
        if bad:
            raise InputError(
                f"The score of the policy {self.name} was NaN or raised an exception {bad:,} times "
                f"on day {day - self.browser.world.first_day}; return a number for every user and "
                "item."
            )

    def _complain(self, seconds: float, day: int) -> None:
        """Say once that the policy is slow."""
        if seconds < SLOW or self.is_known_as_slow:
            return
        self.is_known_as_slow = True
        left = self.browser.world.log_days - day - 1
        note(
            f"The policy {self.name} took {seconds:.0f} s for day {day}; at that pace the "
            f"{left} days left take {seconds * left / 60:.0f} min."
        )

    def shop(self, day: int) -> Shop:
        """Return the shop on the eve of `day`, after the rows that have been written so far."""
        rows, user = self._rows()
        recent = self.remembered()
        names = ("session", "event", "item", "time", "price", "order")
        columns = {name: read_only(rows[name]) for name in names}
        columns["time"] = read_only(rows["time"] - self.browser.world.begin)
        return Shop(
            day=day - self.browser.world.first_day,
            slate=self.slate,
            n_users=len(self.browser.population),
            catalogue=self.catalogue(day),
            rows=Rows(user=read_only(user), **columns),
            recent=read_only(recent),
            interest=read_only(self.recommender.interest.copy()),
            truth=self._truth() if self.policy is not None and self.policy.oracle else None,
        )

    def catalogue(self, day: int) -> Catalogue:
        """Return the items as the shop knows them on `day`."""
        world, today = self.browser.world, self.browser.world.on_day(day)
        return Catalogue(
            category=read_only(world.category),
            brand=read_only(world.brand),
            price=read_only(today.prices),
            sold=read_only(world.launched <= day),
            in_stock=read_only(today.stocked),
        )

    def remembered(self) -> np.ndarray:
        """Return (n_users, LAST) int32: see `policy.Shop.last_items`."""
        rows, user = self._rows()
        _remember(rows[self.read :], user[self.read :], self.recent)
        self.read = len(rows)
        return self.recent.copy()

    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows written so far, (n,) event_buffer.EVENT, and the user of each."""
        rows = self.browser.events.written
        return rows, self.browser.sessions.written["user"][rows["session"]]

    def _truth(self) -> Truth:
        population, world = self.browser.population, self.browser.world
        checkout = self.browser.scenario.checkout
        match = checkout.cart_match
        both = 1.0 + match  # the weight of taste in the log-odds to click and to cart
        return Truth(
            taste=read_only(population.taste),
            price_sensitivity=read_only(population.price_sensitivity),
            category_logit=read_only(population.category_logit[:, : world.n_categories]),
            favourite_brand=read_only(population.favourite_brand[:, : len(world.home_brands)]),
            style=read_only(world.style),
            log_price=read_only(world.price_z),
            quality=read_only(world.quality),
            appeal=read_only(world.appeal),
            brand_loyalty=self.browser.scenario.shoppers.brand_loyalty,
            price_weight=(CLICK_PRICE + CART_PRICE) / both,
            quality_weight=QUALITY,
            appeal_weight=(1.0 + match * (1.0 - checkout.curiosity)) / both,
        )

    def _checked(self, slates: Any, n: int, sold: np.ndarray) -> np.ndarray | None:
        """The slates of a batch as (n, slate) int32. Raises InputError."""
        if slates is None:
            return None
        what = f"The slates of the policy {self.name}"
        array, shape = np.asarray(slates), (n, self.slate)
        if array.shape != shape:
            raise InputError(f"{what} have the shape {array.shape}; it must be {shape}.")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise InputError(f"{what} hold NaN; they must be whole numbers, -1 = an empty place.")
        if array.dtype.kind not in "iu":
            raise InputError(f"{what} are of type {array.dtype}; they must be integers.")
        wrong = array[(array < -1) | (array >= len(sold))]
        if len(wrong):
            raise InputError(
                f"{what} name item {int(wrong[0])}; items are 0 to {len(sold) - 1}, and -1 is an "
                "empty place."
            )
        early = array[(array >= 0) & ~sold[array]]
        if len(early):
            raise InputError(
                f"{what} name item {int(early[0])}, which is not for sale yet; see "
                "shop.catalogue.sold."
            )
        ordered = np.sort(array, axis=1)
        twice = ordered[:, 1:][(ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)]
        if len(twice):
            raise InputError(f"{what} show item {int(twice[0])} twice on one page.")
        return array.astype(np.int32)

    def _show(self, users: np.ndarray, found: list[np.ndarray | None]) -> None:
        """Put the slates of each batch of `users` on their front pages."""
        own = np.full(len(self.pages.own_slate), -1, dtype=np.int32)
        batches = np.split(users, range(BATCH, len(users), BATCH))
        with_slates = [b for b, slates in zip(batches, found, strict=True) if slates is not None]
        slates = [s for s in found if s is not None]
        if slates:
            own[np.concatenate(with_slates)] = np.arange(sum(map(len, slates)), dtype=np.int32)
        self.pages = PolicyPages(
            own_slates=np.concatenate([np.zeros((0, self.slate), dtype=np.int32), *slates]),
            own_slate=own,
            score=0 if self.scorer is None else int(self.scorer.address),
            pool_score=self.pages.pool_score,
            scored_page=self.pages.scored_page,
            bad_scores=self.pages.bad_scores,
        )

    def _prepare_score(self, shop: Shop, users: np.ndarray) -> None:
        """Put the features of the day where the compiled score reads them; compile it if needed."""
        assert self.policy is not None
        assert self.policy.score is not None
        of_users = self._features(self.policy.user_features(shop, users), len(users), "user")
        of_items = self._features(self.policy.item_features(shop), shop.n_items, "item")
        if self.scorer is None:
            self.user_features = np.zeros((shop.n_users, of_users.shape[1]), dtype=np.float32)
            self.item_features = np.zeros(of_items.shape, dtype=np.float32)
        for kind, now, before in (
            ("user", of_users, self.user_features),
            ("item", of_items, self.item_features),
        ):
            if now.shape[1] != before.shape[1]:
                raise InputError(
                    f"The {kind} features of the policy {self.name} had {before.shape[1]} columns "
                    f"and now have {now.shape[1]}; their number must not change."
                )
        self.user_features[users], self.item_features[:] = of_users, of_items
        if self.scorer is None:
            self.scorer = compiled_scorer(
                self.policy.score,
                self.user_features,
                self.item_features,
                self.browser.world.query_pool,
                self.pages.pool_score,
                tried_for=users,
                where=f"the policy {self.name}",
            )

    def _features(self, given: Any, n: int, kind: str) -> np.ndarray:
        """Features (n, k) as float32. Raises InputError."""
        array, what = np.asarray(given), f"The {kind} features of the policy {self.name}"
        if array.ndim != 2 or len(array) != n or array.shape[1] == 0:
            raise InputError(f"{what} have the shape {array.shape}; it must be ({n}, k).")
        if array.dtype.kind not in "iufb":
            raise InputError(f"{what} are of type {array.dtype}; they must be numbers.")
        if not np.isfinite(array).all():
            raise InputError(f"{what} hold NaN or infinity; they must be finite numbers.")
        return array.astype(np.float32)


@compiled()
def _remember(rows, user, recent):
    """Put the items viewed in `rows` (n,) in front of `recent` (n_users, LAST) of their users.

    An item that is in it already moves to the front.
    """
    for r in range(len(rows)):
        if rows[r].event != event_codes.VIEW_ITEM:
            continue
        mine, moved = recent[user[r]], rows[r].item
        for k in range(len(mine)):
            mine[k], moved = moved, mine[k]
            if moved == rows[r].item or moved < 0:
                break
