"""What can be set about a simulated shop: one typed model, read from a TOML file, with a range for
every number.

    scenario = load("shop", {"fraud.share": 0.03})
    scenario.fraud.share                                  # 0.03

A scenario file names only what differs from the defaults below, which are those of `shop`. Unknown
keys are refused with the nearest valid name, values outside their range with the range.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.plugins import names as file_names
from eventlog._runtime.plugins import path_of

FOLDER = "simulator.scenarios"


def setting(default: Any, low: float | None = None, high: float | None = None, *, doc: str) -> Any:
    """A field with the range of values that it takes, both ends included."""
    return field(default=default, metadata={"low": low, "high": high, "doc": doc})


@dataclass(frozen=True)
class Catalogue:
    """What the shop sells."""

    items: int = setting(2_000, 20, 200_000, doc="number of items")
    categories: int = setting(
        24, 2, 400, doc="number of categories; each has a partner whose items complement its own"
    )
    brands: int = setting(48, 2, 5_000, doc="number of brands; a brand sells in several categories")
    styles: int = setting(6, 1, 32, doc="latent style dimensions that tastes and items share")
    price_sigma: float = setting(0.965, 0.1, 2.0, doc="sd of log price over the catalogue")
    stockout: float = setting(
        0.004,
        0.0,
        1.0,
        doc="probability that an item of average appeal runs out on a day; popular ones more often",
    )
    restock_days: int = setting(4, 1, 60, doc="mean days until an item is there again")
    launched: float = setting(
        0.0, 0.0, 1.0, doc="share of items that come into the shop during the log"
    )
    appeal_slope: float = setting(
        1.65, 0.0, 3.0, doc="Zipf exponent of the items' own appeal; exposure steepens it"
    )


@dataclass(frozen=True)
class Incidents:
    """What goes wrong, or viral, on a date. A strength of 0 = it does not happen; `_at` is the
    share of the log that lies before it.
    """

    days: int = setting(4, 1, 365, doc="days that each incident lasts; a price rise stays")
    checkout_bug: float = setting(0.0, 0.0, 20.0, doc="fall of the log-odds to begin the checkout")
    checkout_bug_at: float = setting(0.3, 0.0, 1.0, doc="when it happens")
    viral_spike: float = setting(0.0, 0.0, 10.0, doc="utility that the items of one category gain")
    viral_spike_at: float = setting(0.45, 0.0, 1.0, doc="when it happens")
    price_rise: float = setting(
        0.0, -0.9, 5.0, doc="share by which the prices of a third of the categories rise"
    )
    price_rise_at: float = setting(0.6, 0.0, 1.0, doc="when it happens")
    payment_outage: float = setting(0.0, 0.0, 1.0, doc="added probability that a payment fails")
    payment_outage_at: float = setting(0.7, 0.0, 1.0, doc="when it happens")
    late_deliveries: float = setting(0.0, 0.0, 1.0, doc="added share of deliveries that come late")
    late_deliveries_at: float = setting(0.8, 0.0, 1.0, doc="when it happens")


@dataclass(frozen=True)
class Calendar:
    """When people come."""

    start: str = setting("2025-01-06", doc="first day, ISO date; days are UTC")
    evening: float = setting(
        1.0,
        0.0,
        2.0,
        doc="strength of the daily cycle, 0 = none, 1 = evening peak of about 1.8 times the mean",
    )
    weekend: float = setting(
        1.25, 0.3, 3.0, doc="visits on Saturday and Sunday relative to a weekday"
    )
    campaign_every: int = setting(21, 3, 365, doc="days from one campaign to the next")
    campaign_days: int = setting(3, 1, 30, doc="days that a campaign lasts")
    campaign_visits: float = setting(
        1.9, 1.0, 10.0, doc="visits during a campaign relative to other days"
    )
    campaign_discount: float = setting(0.2, 0.0, 0.8, doc="price cut in the campaign's categories")


@dataclass(frozen=True)
class Shoppers:
    """Who comes, how often and with what taste. All are heterogeneous; these are the population's
    parameters.
    """

    visits: float = setting(
        0.29, 0.001, 20.0, doc="mean planned visits per user and day while active"
    )
    visits_shape: float = setting(
        0.56, 0.1, 20.0, doc="gamma shape of the visit rate over users; small = skewed"
    )
    present: float = setting(
        0.65, 0.0, 1.0, doc="share of users who are customers already on the first day"
    )
    taste: float = setting(1.5, 0.0, 5.0, doc="sd of the taste for each style dimension")
    category_taste: float = setting(2.0, 0.0, 5.0, doc="sd of log liking of a category over users")
    price_sensitivity: float = setting(
        1.28, 0.0, 10.0, doc="median utility lost per unit of log price above the category's mean"
    )
    sale_salience: float = setting(
        2.1,
        0.0,
        5.0,
        doc="factor on that sensitivity for a campaign's price cut, which stands on a sign",
    )
    brand_loyalty: float = setting(2.5, 0.0, 5.0, doc="utility of a favourite brand")
    propensity_sigma: float = setting(
        0.9, 0.0, 3.0, doc="sd over users of the log-odds to put into the cart and to buy"
    )
    drift: float = setting(0.02, 0.0, 1.0, doc="sd of the taste's change per session")


@dataclass(frozen=True)
class Sessions:
    """How a session goes: intent, examination, clicks."""

    intent_days: float = setting(20.0, 0.01, 365.0, doc="mean life of an unfinished intent in days")
    intent_style: float = setting(
        0.5, 0.0, 5.0, doc="sd of an intent's style around the user's taste"
    )
    intent_match: float = setting(1.6, 0.0, 10.0, doc="utility of an item in the intended category")
    complement: float = setting(
        0.5, 0.0, 1.0, doc="probability that a purchase turns the intent to the partner category"
    )
    replenish: float = setting(
        0.5, 0.0, 1.0, doc="probability that a new intent is to buy again what was bought before"
    )
    habit: float = setting(1.5, 0.0, 5.0, doc="utility of an item that was bought before")
    slate: int = setting(12, 4, 50, doc="items on a page")
    examine: float = setting(
        0.86, 0.1, 1.0, doc="probability to look one rank further down (cascade)"
    )
    outside: float = setting(4.35, -10.0, 20.0, doc="utility of clicking on nothing of a page")
    fatigue: float = setting(0.1, 0.0, 3.0, doc="how much that utility rises with each item seen")
    satiation: float = setting(
        3.0,
        0.0,
        20.0,
        doc="utility that an item loses for having been seen before, unless it is gone back to",
    )
    reopen: float = setting(-2.85, -10.0, 10.0, doc="utility of going back to an item seen before")
    leave: float = setting(
        0.82, 0.01, 0.99, doc="probability to leave when nothing on a page is clicked"
    )
    leave_sigma: float = setting(
        0.85, 0.0, 3.0, doc="sd of its log-odds over sessions; large = heavy-tailed session lengths"
    )
    similar: float = setting(
        0.08, 0.0, 1.0, doc="probability to go on from an item to what the shop shows beside it"
    )
    dwell: float = setting(28.0, 1.0, 600.0, doc="median seconds between two events")
    return_visit: float = setting(
        0.38, 0.0, 1.0, doc="probability to come back within about a day to an unfinished intent"
    )
    longest: int = setting(80, 5, 1_000, doc="steps after which every session ends")


@dataclass(frozen=True)
class Checkout:
    """Cart, purchase, and what follows it."""

    cart: float = setting(
        -3.3, -12.0, 5.0, doc="log-odds to put a viewed item of average match into the cart"
    )
    cart_match: float = setting(
        0.45, 0.0, 5.0, doc="how much the item's match moves these log-odds"
    )
    basket: float = setting(
        0.25, 0.0, 5.0, doc="rise of these log-odds once the cart holds something"
    )
    forget: float = setting(
        0.5, 0.0, 1.0, doc="probability that a cart left behind is not wanted any more next time"
    )
    begin: float = setting(
        -2.72, -10.0, 10.0, doc="log-odds to begin the checkout when leaving with a filled cart"
    )
    shipping_shock: float = setting(
        0.12, 0.0, 1.0, doc="probability to give up when shipping costs show, for a small order"
    )
    payment_failure: float = setting(
        0.035, 0.0, 0.9, doc="probability that an honest payment attempt fails"
    )
    refund: float = setting(0.17, 0.0, 0.9, doc="share of orders of which something is sent back")
    trust: float = setting(
        2.0,
        0.0,
        3.0,
        doc="rise of a shopper's log-odds to buy what is in the cart with an order that went well",
    )
    back_for_more: float = setting(
        1.0,
        0.0,
        1.0,
        doc="probability that an order is followed by a visit for more, some weeks later",
    )
    review: float = setting(0.14, 0.0, 1.0, doc="share of order lines that are reviewed")
    late: float = setting(0.09, 0.0, 1.0, doc="share of deliveries that come late")


@dataclass(frozen=True)
class Churn:
    """Latent death after a session (as in BG/NBD), with a hazard that experiences move."""

    hazard: float = setting(0.0155, 0.0, 1.0, doc="mean probability to be gone after a session")
    hazard_shape: float = setting(0.8, 0.05, 20.0, doc="gamma shape of the hazard over users")
    bad_experience: float = setting(
        4.0,
        1.0,
        50.0,
        doc="factor on the hazard after a late delivery, a refund or an account taken over",
    )
    fading: float = setting(
        0.55,
        0.01,
        1.0,
        doc="factor on the visit rate after a bad experience; it recovers with each session",
    )


@dataclass(frozen=True)
class Coupons:
    """Campaigns that hand out coupons, and what a coupon does. Every second campaign is randomised,
    the others are targeted.
    """

    every: int = setting(10, 0, 365, doc="days from one coupon campaign to the next; 0 = none")
    days: int = setting(4, 1, 60, doc="days during which a campaign reaches those who come")
    window: float = setting(
        5.0,
        0.5,
        90.0,
        doc="days after the offer in which its outcome is counted and the coupon is good",
    )
    reach: float = setting(0.5, 0.0, 1.0, doc="share of those who come that a campaign considers")
    discount: float = setting(0.15, 0.01, 0.9, doc="share of the price that a coupon takes off")
    salience: float = setting(
        0.8,
        0.0,
        20.0,
        doc="fall of the utility of not clicking, per unit of price sensitivity times log discount",
    )
    pull: float = setting(
        2.0,
        0.0,
        50.0,
        doc=(
            "rise of the log-odds to cart and to buy, per unit of price sensitivity times log "
            "discount"
        ),
    )
    remind: float = setting(
        0.3, 0.0, 1.0, doc="probability that an unused coupon brings the shopper back once more"
    )
    targeting: float = setting(
        1.2,
        0.0,
        5.0,
        doc="how strongly a targeted campaign prefers recent buyers: what confounds it",
    )
    welcome: float = setting(
        0.25, 0.0, 1.0, doc="share of first orders that come with a welcome coupon"
    )
    welcome_discount: float = setting(
        0.1, 0.01, 0.9, doc="share of the price that the welcome coupon takes off"
    )


@dataclass(frozen=True)
class Recommender:
    """Pages and slates."""

    explore: float = setting(0.125, 0.0, 1.0, doc="share of slates in random order")
    variants: int = setting(8, 2, 64, doc="variants of each page that are live at a time")
    refresh_days: int = setting(
        7, 1, 365, doc="nights in which all slates beside items are rebuilt; then the noise changes"
    )
    memory_days: float = setting(
        30.0, 0.1, 3650.0, doc="days after which what was learnt from a shopper's row counts half"
    )
    noise: float = setting(
        0.6, 0.0, 10.0, doc="sd of the Gumbel noise in a ranking; 0 = always the same order"
    )


@dataclass(frozen=True)
class Fraud:
    """Fraudsters and what becomes known about them."""

    share: float = setting(0.02, 0.0, 0.5, doc="share of orders that are payment fraud")
    stolen_card: float = setting(
        0.5, 0.0, 1.0, doc="weight of stolen-card checkouts within payment fraud"
    )
    account_takeover: float = setting(
        0.3, 0.0, 1.0, doc="weight of account takeovers within payment fraud"
    )
    card_testing: float = setting(0.2, 0.0, 1.0, doc="weight of card testing within payment fraud")
    refund_abuse: float = setting(
        0.01, 0.0, 0.3, doc="share of orders made with the intent to claim a refund"
    )
    coupon_abuse: float = setting(
        0.01,
        0.0,
        0.3,
        doc="share of orders by which a ring's fresh accounts redeem the welcome coupon",
    )
    fake_review: float = setting(0.04, 0.0, 0.8, doc="share of reviews that are paid for")
    scraping_bot: float = setting(0.0, 0.0, 0.8, doc="share of rows that crawlers ask for")
    mimicry: float = setting(
        0.5,
        0.0,
        1.0,
        doc="0 = fraudsters are blatant, 1 = they copy honest devices, hours, prices and browsing",
    )
    accounts: float = setting(
        0.03,
        0.0,
        0.5,
        doc="share of accounts that a ring controls; they shop honestly most of the time",
    )
    ring_size: int = setting(8, 1, 1_000, doc="accounts per ring; a ring shares devices and cards")
    chargeback_days: float = setting(
        7.0, 0.1, 120.0, doc="median days until a payment fraud is reported (lognormal)"
    )
    reported: float = setting(0.85, 0.0, 1.0, doc="share of payment frauds ever reported")
    false_reports: float = setting(
        0.001, 0.0, 0.1, doc="share of honest orders reported by mistake"
    )


@dataclass(frozen=True)
class Dirty:
    """What goes wrong between the shop and its log (see `dirty`). All zero: nothing does."""

    duplicates: float = setting(
        0.0, 0.0, 0.5, doc="share of rows that arrive twice, equal in all but the event id"
    )
    resent: float = setting(
        0.0,
        0.0,
        0.5,
        doc="share of rows that are sent again, stamped anew up to half a minute later",
    )
    clock_skew: float = setting(
        0.0, 0.0, 0.5, doc="share of devices whose clock is off by a fixed time"
    )
    clock_skew_minutes: float = setting(
        15.0, 0.0, 1440.0, doc="sd of that time in minutes, either way"
    )
    clock_reset: float = setting(
        0.0, 0.0, 0.5, doc="share of devices whose clock began again at 2000-01-01"
    )
    late: float = setting(
        0.0,
        0.0,
        1.0,
        doc=(
            "share of rows stamped when they arrive instead of when they happened, hence out of "
            "order"
        ),
    )
    late_minutes: float = setting(
        10.0, 0.01, 1440.0, doc="mean delay of these rows in minutes (exponential)"
    )
    null_session_id: float = setting(
        0.0, 0.0, 1.0, doc="share of the values of session_id that are lost"
    )
    null_item_id: float = setting(0.0, 0.0, 1.0, doc="share of the values of item_id that are lost")
    null_order_id: float = setting(
        0.0, 0.0, 1.0, doc="share of the values of order_id that are lost"
    )
    null_coupon_id: float = setting(
        0.0, 0.0, 1.0, doc="share of the values of coupon_id that are lost"
    )
    null_category: float = setting(
        0.0, 0.0, 1.0, doc="share of the values of category that are lost"
    )
    null_brand: float = setting(0.0, 0.0, 1.0, doc="share of the values of brand that are lost")
    null_device: float = setting(0.0, 0.0, 1.0, doc="share of the values of device that are lost")
    null_channel: float = setting(0.0, 0.0, 1.0, doc="share of the values of channel that are lost")
    null_payment_method: float = setting(
        0.0, 0.0, 1.0, doc="share of the values of payment_method that are lost"
    )
    null_country: float = setting(0.0, 0.0, 1.0, doc="share of the values of country that are lost")
    null_query: float = setting(0.0, 0.0, 1.0, doc="share of the values of query that are lost")
    null_price: float = setting(0.0, 0.0, 1.0, doc="share of the values of price that are lost")
    null_quantity: float = setting(
        0.0, 0.0, 1.0, doc="share of the values of quantity that are lost"
    )
    null_rating: float = setting(0.0, 0.0, 1.0, doc="share of the values of rating that are lost")
    null_discount: float = setting(
        0.0, 0.0, 1.0, doc="share of the values of discount that are lost"
    )


@dataclass(frozen=True)
class Truth:
    """What the log says about its own making."""

    exposures: bool = setting(
        False, doc="keep every slate that was shown (about twelve rows per page)"
    )


@dataclass(frozen=True)
class Scenario:
    """A shop. `asdict` of it, with users, days and seed, decides every byte of a log."""

    name: str = "shop"
    description: str = ""
    catalogue: Catalogue = field(default_factory=Catalogue)
    calendar: Calendar = field(default_factory=Calendar)
    incidents: Incidents = field(default_factory=Incidents)
    shoppers: Shoppers = field(default_factory=Shoppers)
    sessions: Sessions = field(default_factory=Sessions)
    checkout: Checkout = field(default_factory=Checkout)
    churn: Churn = field(default_factory=Churn)
    coupons: Coupons = field(default_factory=Coupons)
    recommender: Recommender = field(default_factory=Recommender)
    fraud: Fraud = field(default_factory=Fraud)
    dirty: Dirty = field(default_factory=Dirty)
    truth: Truth = field(default_factory=Truth)

    def to_json(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        return asdict(self)

    def with_settings(self, settings: Mapping[str, Any], *, source: str = "settings") -> Scenario:
        """A copy with dotted keys changed, e.g. {"fraud.share": 0.03}. Raises InputError naming the
        key and its range.
        """
        changed = self
        for key, value in settings.items():
            section, _, name = key.partition(".")
            if section not in SECTIONS or not name:
                raise UnknownNameError(f"scenario setting (in {source})", key, _keys())
            part = getattr(changed, section)
            known = {f.name: f for f in fields(part)}
            if name not in known:
                raise UnknownNameError(f"scenario setting (in {source})", key, _keys())
            changed = replace(
                changed,
                **{section: replace(part, **{name: _checked(key, value, known[name], source)})},
            )
        return changed


SECTIONS = tuple(f.name for f in fields(Scenario) if f.name not in ("name", "description"))


def load(name: str, changes: Mapping[str, Any] | None = None) -> Scenario:
    """The scenario called `name` (or in the TOML file `name`), with dotted `changes` on top.

    Raises InputError (UnknownNameError for a name) that says which key in which file is wrong and
    what it may be.
    """
    path = path_of(FOLDER, name, kind="scenario")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    flat: dict[str, Any] = {}
    for section, part in data.items():
        if section == "description":
            continue
        if section not in SECTIONS:
            raise UnknownNameError(f"scenario section (in {path})", section, SECTIONS)
        if not isinstance(part, dict):
            raise InputError(
                f"{section} is {part!r} (in {path}); it must be a table: a line [{section}] with "
                "its settings below."
            )
        flat |= {f"{section}.{key}": value for key, value in part.items()}
    scenario = Scenario(name=path.stem, description=str(data.get("description", "")))
    scenario = scenario.with_settings(flat, source=str(path)).with_settings(changes or {})
    if scenario.catalogue.items < 4 * scenario.catalogue.categories:
        items, categories = scenario.catalogue.items, scenario.catalogue.categories
        raise InputError(
            f"catalogue.items is {items}; {categories} categories need at least four each."
        )
    return scenario


def names() -> list[str]:
    """Names of the scenarios at hand."""
    return file_names(FOLDER, suffix=".toml")


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """['fraud.share=0.03'] -> {'fraud.share': 0.03}; values are written as in TOML, bare words are
    strings.
    """
    parsed: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise InputError(
                f"--set {pair!r} lacks '='; write --set key=value, e.g. --set fraud.share=0.03."
            )
        try:
            parsed[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            parsed[key.strip()] = text.strip()
    return parsed


def file_of(name: str) -> Path:
    """Where the scenario called `name` is written, for those who want to copy and edit it."""
    return path_of(FOLDER, name, kind="scenario")


def settings() -> list[tuple[str, Any, float | None, float | None, str]]:
    """Every setting: (key, default, lowest, highest, what it is)."""
    shop = Scenario()
    return [
        (f"{section}.{f.name}", f.default, f.metadata["low"], f.metadata["high"], f.metadata["doc"])
        for section in SECTIONS
        for f in fields(getattr(shop, section))
    ]


def _keys() -> list[str]:
    return [key for key, *_ in settings()]


def _checked(key: str, value: Any, known: Any, source: str) -> Any:
    """`value` as the field's type, or InputError with the range."""
    kind, low, high = type(known.default), known.metadata["low"], known.metadata["high"]
    bounds = f" from {low} to {high}" if low is not None else ""
    expected = {
        bool: "true or false",
        int: f"a whole number{bounds}",
        float: f"a number{bounds}",
        str: 'an ISO date in quotes, such as "2025-01-06"',
    }[kind]
    wrong = InputError(f"{key} is {value!r} (in {source}); it must be {expected}.")
    if kind is bool or kind is str:
        if type(value) is not kind:
            raise wrong
        if kind is str:
            try:
                date.fromisoformat(value)
            except ValueError:
                raise wrong from None
        return value
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or (kind is int and value != int(value))
    ):
        raise wrong
    if not low <= value <= high:
        raise wrong
    return kind(value)
